# The state of the recorded arrays, for the tools beside it. ARRAY_STATE is a
# folder with the files: volumes (a name a line), sets (SET INITIATOR), masks
# (VOLUME INITIATOR), sessions (VOLUME INITIATOR), effects (OP VOLUME INITIATOR),
# calls (what was run), silent (nothing answers), refuse (changes fail).
set -u
cd "$ARRAY_STATE" || exit 9
echo "$(basename "$0") $*" >>calls
if [ -e silent ]; then
  echo "$1: cannot connect to the array" >&2
  exit 1
fi

# change OP VOLUME INITIATOR brings a change of masks about.
change() {
  if [ -e refuse ]; then
    echo "the array is locked by another session" >&2
    exit 2
  fi
  grep -qx "$2" volumes || { echo "no device $2" >&2; exit 3; }
  if [ "$1" = connect ]; then
    grep -qx "$2 $3" masks && return
    echo "$2 $3" >>masks
  else
    grep -qx "$2 $3" masks || return
    grep -vx "$2 $3" masks >masks.new
    mv masks.new masks
    grep -vx "$2 $3" sessions >sessions.new
    mv sessions.new sessions
  fi
  echo "$1 $2 $3" >>effects
}

# after WORD ARGUMENTS... is the argument after a word.
after() {
  word=$1
  shift
  while [ $# -gt 1 ]; do
    [ "$1" = "$word" ] && { echo "$2"; return; }
    shift
  done
}

members() { awk -v s="$1" '$1 == s { print $2 }' sets; }
plain() { echo "$1" | tr -d :; }
upper() { echo "$1" | tr a-f A-F; }
