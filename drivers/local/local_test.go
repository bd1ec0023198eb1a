package local_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/local"
	"yagura/drivers/runs"
)

// scripts makes a Script folder with one script of each behaviour. Each notes
// its run in "ran" beside it.
func scripts(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string]string{
		"well.sh":    "echo \"host $PVM_HOST_NAME\"\ncat \"$YAGURA_NOCLOUD/meta-data\"\n",
		"bad.sh":     "echo begun\necho 'what went wrong' >&2\nexit 3\n",
		"endless.sh": "echo $$ >>alive\necho begun\nwhile :; do sleep 1; done\n",
		"loud.sh":    "dd if=/dev/zero bs=1024 count=6144 2>/dev/null | tr '\\0' 'x' | fold -w 80\necho\necho 'the end'\n",
	} {
		write(t, filepath.Join(dir, name), "#!/bin/sh\necho "+strings.TrimSuffix(name, ".sh")+" >>ran\n"+body, 0o755)
	}
	return dir
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// ran counts the runs of a script.
func ran(t *testing.T, dir, script string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "ran"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == script {
			n++
		}
	}
	return n
}

// alive tells whether a process that noted itself in "alive" is still there.
func alive(t *testing.T, dir string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "alive"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(text)) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			return true
		}
	}
	return false
}

// open opens a driver whose runs are ended with the test.
func open(t *testing.T, c local.Config) *local.Driver {
	t.Helper()
	if c.Name == "" {
		c.Name = "scripts"
	}
	if c.Manager == "" {
		c.Manager = "node1"
	}
	d, err := local.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endAll(t, c.Runs) })
	return d
}

// endAll ends what still runs in a folder of runs, and waits for that.
func endAll(t *testing.T, folder string) {
	t.Helper()
	f := &runs.Folder{Shell: runs.Local{}, Base: folder}
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		_ = f.Cancel(context.Background(), drivers.Call{}, e.Name())
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; busy(folder); n++ {
		if <-tick.C; n > 1000 {
			t.Fatalf("something still runs in %s", folder)
		}
	}
}

// busy tells whether a process is at work below a folder.
func busy(folder string) bool {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, l := range links {
		if at, err := os.Readlink(l); err == nil && strings.HasPrefix(at, folder+"/") {
			return true
		}
	}
	return false
}

func run(script string) drivers.Run {
	return drivers.Run{
		Name: script + local.Suffix, Machine: "ph01", Vars: map[string]string{"PVM_HOST_NAME": "db01", "PVM_HOST_UUID": "u-1"},
		Identity: drivers.Identity{Hostname: "db01"},
	}
}

func TestConformance(t *testing.T) {
	version, err := exec.Command("sh", "-c", "readlink -f /bin/sh; setsid --version").Output()
	if err != nil {
		t.Fatalf("setsid is missing (package util-linux): %v", err)
	}
	t.Logf("real part: %s on this machine", strings.ReplaceAll(strings.TrimSpace(string(version)), "\n", ", "))
	drivertest.RunDistributor(t, func(t *testing.T) drivertest.DistributorWorld {
		dir, data := scripts(t), t.TempDir()
		return drivertest.DistributorWorld{
			Open: func(t *testing.T) drivers.Distributor { return open(t, local.Config{Folder: dir, Runs: data}) },
			Well: run("well"), Bad: run("bad"), Endless: run("endless"), Loud: run("loud"), Missing: run("missing"), Offers: "well" + local.Suffix,
			Effects: func(t *testing.T, r drivers.Run) int {
				return ran(t, dir, strings.TrimSuffix(r.Name, local.Suffix))
			},
			Alive: func(t *testing.T) bool { return alive(t, dir) },
		}
	})
}

func call(token string) drivers.Call {
	return drivers.Call{Token: token, Deadline: time.Now().Add(time.Minute)}
}

// finish runs something to its end.
func finish(t *testing.T, d *local.Driver, token string, r drivers.Run) drivers.Task {
	t.Helper()
	task, err := d.Start(t.Context(), call(token), r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	last, err := drivers.AwaitTask(ctx, d, task.ID, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// The environment of a script is the manual's variables and a few more, and
// its current folder the Script folder [1.7.1].
func TestEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_MANAGER", "x")
	dir := scripts(t)
	write(t, filepath.Join(dir, "env.sh"), "#!/bin/sh\npwd\nenv | sort\necho \"args $#\"\n", 0o755)
	d := open(t, local.Config{Folder: dir, Runs: t.TempDir()})
	r := run("env")
	r.Vars["PVM_MACHINE_TAG_1"] = `it's "$HOME" & more; * \`
	r.Address = "192.0.2.1"
	last := finish(t, d, "1", r)
	if last.State != drivers.TaskDone {
		t.Fatalf("%+v", last)
	}
	for _, want := range []string{dir + "\n", "PVM_HOST_NAME=db01\n", `PVM_MACHINE_TAG_1=it's "$HOME" & more; * \` + "\n", "YAGURA_ADDRESS=192.0.2.1\n", "YAGURA_MACHINE=ph01\n", "PATH=" + runs.Path + "\n", "args 0\n"} {
		if !strings.Contains(last.Output, want) {
			t.Errorf("no %q in\n%s", want, last.Output)
		}
	}
	if strings.Contains(last.Output, "SECRET_OF_THE_MANAGER") {
		t.Error("the manager's own environment is in it")
	}
	for line := range strings.Lines(last.Output) {
		name, _, ok := strings.Cut(line, "=")
		if ok && !strings.HasPrefix(name, "PVM_") && !strings.HasPrefix(name, "YAGURA_") && name != "PATH" && name != "HOME" && name != "LANG" && name != "PWD" && name != "OLDPWD" && name != "SHLVL" && name != "_" {
			t.Errorf("%s is in its environment", name)
		}
	}
	r.Vars["X=1; rm -rf y"] = "1"
	if _, err := d.Start(t.Context(), call("2"), r); drivers.KindOf(err) != drivers.KindRefused {
		t.Errorf("a variable whose name is none: %v", err)
	}
}

// Bodies come from other systems: with their line ends, with interpreters that
// aren't there, with what is no text.
func TestBodies(t *testing.T) {
	d := open(t, local.Config{Runs: t.TempDir()})
	for i, c := range []struct {
		what, body, output string
		ends               drivers.TaskState
	}{
		{"lines that end as on Windows", "#!/bin/sh\r\nx=1\r\necho \"x is $x.\"\r\n", "x is 1.", drivers.TaskDone},
		{"no interpreter", "echo plain", "plain", drivers.TaskDone},
		{"a byte order mark", "\ufeff#!/bin/sh\necho marked\n", "marked", drivers.TaskDone},
		{"an interpreter that isn't there", "#!/no/such/interpreter\n", "interpreter", drivers.TaskFailed},
		{"a quote in it", "echo \"it's\" 'a \"test\"'\n", `it's a "test"`, drivers.TaskDone},
		{"it kills itself", "echo so; kill -KILL $$\n", "signal 9", drivers.TaskFailed},
		{"it leaves a daemon behind", "sleep 3 & echo left\n", "left", drivers.TaskDone},
	} {
		r := run("body")
		r.Body = c.body
		last := finish(t, d, fmt.Sprint("b", i), r)
		text := last.Output
		if last.Err != nil {
			text += last.Err.Error()
		}
		if last.State != c.ends || !strings.Contains(text, c.output) {
			t.Errorf("%s: it ended as %s: %s", c.what, last.State, text)
		}
	}
	r := run("body")
	r.Body = "echo \x00"
	if _, err := d.Start(t.Context(), call("nul"), r); drivers.KindOf(err) != drivers.KindRefused {
		t.Errorf("a body that is no text: %v", err)
	}
	r.Body = strings.Repeat("#", 9<<20)
	if _, err := d.Start(t.Context(), call("huge"), r); drivers.KindOf(err) != drivers.KindRefused {
		t.Errorf("a body that is too large: %v", err)
	}
	r.Body = ""
	if _, err := d.Start(t.Context(), call("none"), r); drivers.KindOf(err) != drivers.KindNotFound {
		t.Errorf("neither body nor folder: %v", err)
	}
}

func TestScriptFolder(t *testing.T) {
	dir := scripts(t)
	write(t, filepath.Join(dir, "notes.txt"), "not a script\n", 0o644)
	write(t, filepath.Join(dir, "twice.sh"), "#!/bin/sh\n", 0o755)
	write(t, filepath.Join(dir, "twice.py"), "#!/bin/sh\n", 0o755)
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	d := open(t, local.Config{Folder: dir, Runs: t.TempDir()})
	list, err := d.Scenarios(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if strings.HasPrefix(s.Name, "notes") || strings.HasPrefix(s.Name, "folder") || s.Content.IsZero() {
			t.Errorf("it offers %+v", s)
		}
	}
	for name, want := range map[string]drivers.Kind{
		"notes": drivers.KindRefused, "twice": drivers.KindRefused, "folder": drivers.KindNotFound, "../well": drivers.KindNotFound, "/bin/true": drivers.KindNotFound,
	} {
		if _, err := d.Start(t.Context(), call("t"), run(name)); drivers.KindOf(err) != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if last := finish(t, d, "ok", run("twice.py")); last.State != drivers.TaskDone {
		t.Errorf("named with its extension: %+v", last)
	}
	gone := open(t, local.Config{Folder: filepath.Join(dir, "gone"), Runs: t.TempDir()})
	if _, err := gone.Scenarios(t.Context()); drivers.KindOf(err) != drivers.KindRefused {
		t.Errorf("a Script folder that isn't there: %v", err)
	}
	if _, err := local.Open(local.Config{Folder: "scripts", Runs: "/tmp", Manager: "n"}); err == nil {
		t.Error("a relative Script folder is taken")
	}
}
