# Runs ./command in a session of its own until it ends or "limit" seconds have
# passed, and notes its end in "rc". Usage: sh supervise FOLDER; the folder
# holds limit and command. Linux with a POSIX shell; nothing else is needed.
cd "$1" || exit 1
umask 077
# Who watches: its number, this boot, and when it started, since numbers come again.
stat=$(cat "/proc/$$/stat") stat=${stat##*) }
set -- $stat
shift 19
echo "$$ $(cat /proc/sys/kernel/random/boot_id) $1" >watcher.new && mv watcher.new watcher

# Output goes through a pipe into two files of at most 4 MiB that take turns,
# so that a chatty run fills no disk.
rm -f pipe && mkfifo pipe || exit 1
: >out
(
  while :; do
    dd bs=4096 count=1024 of=out 2>/dev/null
    [ -s out ] || break
    mv out out.old && : >out
  done
) <pipe &
writer=$!
setsid sh -c 'echo $$ >group.new && mv group.new group && exec sh ./command' >pipe 2>&1 </dev/null &
child=$!
setsid sh -c '
  sleep "$(cat limit)"
  echo timeout >why
  kill -TERM "-$1"
  sleep 3
  kill -KILL "-$1"
' clock "$child" </dev/null >/dev/null 2>&1 &
clock=$!
wait "$child"
rc=$?
# What the run has left behind goes with it when it was ended by force.
[ -f why ] && kill -KILL "-$child" 2>/dev/null
# The clock has a group of its own only once it is well under way.
kill -KILL "-$clock" 2>/dev/null || { kill -KILL "$clock"; kill -KILL "-$clock"; } 2>/dev/null
# The last lines may be on their way; a daemon that the run has left behind may
# keep the pipe open for ever.
n=0
while kill -0 "$writer" 2>/dev/null && [ "$n" -lt 20 ]; do
  sleep 0.1 2>/dev/null || sleep 1
  n=$((n + 1))
done
rm -rf secret pipe
echo "$rc" >rc.new && mv rc.new rc
