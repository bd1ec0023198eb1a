// Package runs carries out scripts in folders: each run has a folder of its
// own, named by its token, on the machine where it takes place. A tiny
// supervisor (supervise.sh) goes with it, so that it needs nobody to go on;
// any later look, by anybody, finds it there with its output and its end.
//
//	command     what is run, by sh
//	limit       seconds that it may take
//	watcher     the supervisor: number, boot, start time
//	group       the process group of the command
//	out out.old newest output, and what was before that
//	why         that it was ended by force: timeout or cancelled
//	rc          its exit code, once it has ended
//	secret/     what nobody needs after the end
//
// The folder is the memory of the run. Making it is the one act that begins a
// run, so a token begins one run at most, whoever asks how often. A folder
// without rc whose supervisor is gone is a run of which nobody can tell.
package runs

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"yagura/drivers"
)

//go:embed supervise.sh
var supervise string

// Shell runs scripts by a POSIX shell somewhere.
type Shell interface {
	// Run gives script to "sh -s" and returns what it wrote and its exit code.
	// An error, an *drivers.Error, means that it may or may not have run.
	Run(ctx context.Context, script string) (out string, code int, err error)
}

// Folder is where runs take place.
type Folder struct {
	Shell  Shell
	Base   string // folder of all runs; relative to the shell's home, or absolute
	System string // name in errors
}

// File is a file of a run.
type File struct {
	Name       string // may be in a folder, such as "nocloud/meta-data"
	Content    string
	Executable bool
}

// Spec is a run to begin.
type Spec struct {
	Token string
	// Files are the run's; "command" among them is what sh runs, in the folder.
	Files []File
	// Limit is how long it may take; at least a second.
	Limit time.Duration
}

// State is where a run stands.
type State string

// The states of a run.
const (
	Absent  State = "absent"  // there never was one
	Running State = "running" // it is at work
	Ended   State = "ended"   // Look.Code and Look.Why say how
	Lost    State = "lost"    // it was begun, and nobody can tell how it ended
)

// Look is one look at a run.
type Look struct {
	State  State
	Code   int    // exit code
	Why    string // "timeout" or "cancelled": it was ended by force
	Limit  time.Duration
	Output string // the newest part
}

// keep is how many days a run's folder is kept.
const keep = 7

// token is what a run may be named.
var token = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// maxUpload bounds the files of a run, bytes.
const maxUpload = 8 << 20

// Start begins a run, unless its token began it before. The folder is filled
// first; what begins it is short, and isn't sent after the call's deadline.
func (f *Folder) Start(ctx context.Context, call drivers.Call, s Spec) error {
	const op = "start"
	if !token.MatchString(s.Token) {
		return f.errorf(drivers.KindRefused, op, s.Token, "the token is no name of a folder")
	}
	if call.Expired(time.Now()) {
		return f.expired(op, s.Token, call)
	}
	if err := ctx.Err(); err != nil {
		return f.errorf(drivers.KindUnreachable, op, s.Token, "%w", err)
	}
	// Each call has a folder of its own for the files: another call of this
	// token may come at the same time.
	from := s.Token + ".new" + rand.Text()
	upload, err := f.upload(s, from)
	if err != nil {
		return err
	}
	ctx, cancel := call.Context(ctx)
	defer cancel()
	out, code, err := f.Shell.Run(ctx, upload)
	switch {
	case call.Expired(time.Now()):
		return f.expired(op, s.Token, call)
	case err != nil:
		return undone(err)
	case code != 0:
		return f.errorf(drivers.KindRefused, op, s.Token, "its files can't be put into %s: %s", f.Base, drivers.LastLines(out, 3))
	}
	out, code, err = f.Shell.Run(ctx, f.begin(s.Token, from))
	if err != nil {
		return err
	}
	if code != 0 {
		return f.errorf(drivers.KindRefused, op, s.Token, "it can't be begun in %s: %s", f.Base, drivers.LastLines(out, 3))
	}
	return nil
}

// undone makes of an error about a preparation one that says that nothing was done.
func undone(err error) error {
	var d *drivers.Error
	if errors.As(err, &d) && d.Kind == drivers.KindUnknown {
		c := *d
		c.Kind = drivers.KindUnreachable
		return &c
	}
	return err
}

// upload is the script that puts the files where begin takes them from.
func (f *Folder) upload(s Spec, to string) (string, error) {
	files := append(slices.Clone(s.Files),
		File{Name: "supervise", Content: supervise},
		File{Name: "limit", Content: strconv.Itoa(max(1, int(s.Limit/time.Second))) + "\n"})
	var b strings.Builder
	fmt.Fprintf(&b, "exec 2>&1\nset -e\numask 077\nmkdir -p %s\ncd %s\n", Quote(f.Base), Quote(f.Base))
	// What is old goes here, so that nobody else has to think of it.
	fmt.Fprintf(&b, "find . -mindepth 1 -maxdepth 1 -type d -mtime +%d -exec rm -rf {} + 2>/dev/null || :\n", keep)
	fmt.Fprintf(&b, "[ ! -d %s ] || exit 0\nmkdir %s\ncd %[2]s\n", s.Token, to)
	size := 0
	for _, file := range files {
		if size += len(file.Content); size > maxUpload {
			return "", f.errorf(drivers.KindRefused, "start", s.Token, "its files are larger than %d MiB", maxUpload>>20)
		}
		if strings.ContainsRune(file.Content, 0) {
			return "", f.errorf(drivers.KindRefused, "start", s.Token, "its file %s has a NUL byte in it: it is no text", file.Name)
		}
		if dir := path.Dir(file.Name); dir != "." {
			fmt.Fprintf(&b, "mkdir -p %s\n", Quote(dir))
		}
		fmt.Fprintf(&b, "printf %%s %s >%s\n", Quote(file.Content), Quote(file.Name))
		if file.Executable {
			fmt.Fprintf(&b, "chmod 700 %s\n", Quote(file.Name))
		}
	}
	return b.String(), nil
}

// begin is the script that begins a run: whoever makes its folder does, and
// waits until it can be seen.
func (f *Folder) begin(token, from string) string {
	return fmt.Sprintf(`exec 2>&1
umask 077
cd %s || exit 1
mkdir %s 2>/dev/null || { rm -rf %[3]s; [ -d %[2]s ]; exit; }
mv %[3]s/* %[2]s/ && rmdir %[3]s || exit 1
cd %[2]s || exit 1
setsid sh ./supervise "$PWD" </dev/null >/dev/null 2>&1 &
n=0
while [ ! -f watcher ] && [ "$n" -lt 50 ]; do
  sleep 0.1 2>/dev/null || sleep 1
  n=$((n + 1))
done
[ -f watcher ] || { echo "its supervisor did not come up"; exit 1; }
`, Quote(f.Base), token, from)
}

// alive is a piece of shell that tells whether the supervisor lives. A folder
// of this very minute without one is a run that is being begun.
const alive = `
alive() {
  if [ ! -f watcher ]; then
    [ -n "$(find . -maxdepth 0 -mmin -1 2>/dev/null)" ]
    return
  fi
  read -r pid boot start <watcher
  [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] || return 1
  stat=$(cat "/proc/$pid/stat" 2>/dev/null) || return 1
  stat=${stat##*) }
  set -- $stat
  [ "$1" != Z ] || return 1
  shift 19
  [ "$1" = "$start" ]
}
`

// Look takes one look at a run. An error means that the place can't be asked.
func (f *Folder) Look(ctx context.Context, name string) (Look, error) {
	if !token.MatchString(name) {
		return Look{State: Absent}, nil
	}
	out, code, err := f.Shell.Run(ctx, fmt.Sprintf(`cd %s 2>/dev/null || { echo absent; exit 0; }
cd %s 2>/dev/null || { echo absent; exit 0; }
%s
if [ -f rc ]; then state=ended; elif alive; then state=running; elif [ -f rc ]; then state=ended; else state=lost; fi
echo "$state $(cat rc 2>/dev/null || echo 0) $(cat limit) $(cat why 2>/dev/null)"
cat out.old out 2>/dev/null | tail -c %d
`, Quote(f.Base), name, alive, 2*drivers.MaxOutput))
	if err != nil {
		return Look{}, undone(err)
	}
	head, output, _ := strings.Cut(out, "\n")
	words := strings.Fields(head)
	if code != 0 || len(words) == 0 {
		return Look{}, f.errorf(drivers.KindUnknown, "look", name, "exit code %d: %s", code, drivers.LastLines(out, 3))
	}
	l := Look{State: State(words[0]), Output: drivers.Newest(output)}
	if l.State == Absent {
		return Look{State: Absent}, nil
	}
	if len(words) > 1 {
		l.Code, _ = strconv.Atoi(words[1]) // what is no number counts as 0 with the state it has
	}
	if len(words) > 2 {
		seconds, _ := strconv.Atoi(words[2])
		l.Limit = time.Duration(seconds) * time.Second
	}
	if len(words) > 3 {
		l.Why = words[3]
	}
	switch l.State {
	case Running, Ended, Lost:
		return l, nil
	}
	return Look{}, f.errorf(drivers.KindUnknown, "look", name, "the answer is not understood: %q", head)
}

// Cancel ends a run by force: asked first, killed after two seconds. One that
// is over stays as it is. KindNotFound when there never was one.
func (f *Folder) Cancel(ctx context.Context, call drivers.Call, name string) error {
	const op = "cancel"
	if call.Expired(time.Now()) {
		return f.expired(op, name, call)
	}
	if !token.MatchString(name) {
		return f.errorf(drivers.KindNotFound, op, name, "there is no such run")
	}
	out, code, err := f.Shell.Run(ctx, fmt.Sprintf(`exec 2>&1
cd %s 2>/dev/null && cd %s 2>/dev/null || exit 44
[ ! -f rc ] || exit 0
[ -f why ] || echo cancelled >why
n=0
while [ ! -f group ] && [ "$n" -lt 20 ]; do # it is being begun
  sleep 0.1 2>/dev/null || sleep 1
  n=$((n + 1))
done
read -r group <group || exit 0
kill -TERM "-$group" 2>/dev/null
n=0
while [ ! -f rc ] && [ "$n" -lt 20 ]; do
  sleep 0.1 2>/dev/null || sleep 1
  n=$((n + 1))
done
[ -f rc ] || kill -KILL "-$group" 2>/dev/null
exit 0
`, Quote(f.Base), name))
	switch {
	case err != nil:
		return err
	case code == 44:
		return f.errorf(drivers.KindNotFound, op, name, "there is no such run")
	case code != 0:
		return f.errorf(drivers.KindFailed, op, name, "exit code %d: %s", code, drivers.LastLines(out, 3))
	}
	return nil
}

// Task is a look as a task of that id. A run that ended badly says why, with
// the last lines of what it wrote.
func (f *Folder) Task(id, object string, l Look) drivers.Task {
	t := drivers.Task{ID: id, Output: l.Output}
	switch l.State {
	case Running:
		t.State = drivers.TaskRunning
	case Ended:
		if err := f.ended(object, l); err != nil {
			t.State, t.Err = drivers.TaskFailed, err
		} else {
			t.State, t.Progress = drivers.TaskDone, 100
		}
	default:
		t.State = drivers.TaskUnknown
	}
	return t
}

func (f *Folder) ended(object string, l Look) error {
	text := ""
	switch {
	case l.Why == "timeout":
		text = fmt.Sprintf("it was ended by force after %s", l.Limit)
	case l.Why != "":
		text = "it was ended by force: " + l.Why
	case l.Code == 0:
		return nil
	case l.Code == 126 || l.Code == 127:
		text = fmt.Sprintf("exit code %d: it, or the interpreter that its first line names, can't be executed", l.Code)
	case l.Code > 128:
		text = fmt.Sprintf("it was ended by signal %d", l.Code-128)
	default:
		text = fmt.Sprintf("exit code %d", l.Code)
	}
	if last := drivers.LastLines(l.Output, 5); last != "" {
		text += ": " + last
	}
	return f.errorf(drivers.KindFailed, "run", object, "%s", text)
}

func (f *Folder) expired(op, object string, call drivers.Call) error {
	return f.errorf(drivers.KindExpired, op, object, "%w", call.Late())
}

func (f *Folder) errorf(k drivers.Kind, op, object, format string, args ...any) error {
	return &drivers.Error{Kind: k, System: f.System, Op: op, Object: object, Err: fmt.Errorf(format, args...)}
}

// Quote makes one word of a shell of any text without a NUL byte.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
