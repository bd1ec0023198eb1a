package ssh_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/internal/sshtest"
	"yagura/drivers/runs"
	"yagura/drivers/ssh"
)

// bodies are scripts of each behaviour; DIR is the test's folder.
var bodies = map[string]string{
	"well":    "echo \"host $PVM_HOST_NAME\"\r\ncat \"$YAGURA_NOCLOUD/meta-data\"\r\n",
	"bad":     "echo begun\necho 'what went wrong' >&2\nexit 3\n",
	"endless": "echo $$ >>DIR/alive\necho begun\nwhile :; do sleep 1; done\n",
	"loud":    "dd if=/dev/zero bs=1024 count=2048 2>/dev/null | tr '\\0' 'x' | fold -w 80\necho\necho 'the end'\n",
}

func run(s *sshtest.Server, name string) drivers.Run {
	r := drivers.Run{
		Name: name, Machine: "ph01", Address: s.Address, Vars: map[string]string{"PVM_HOST_NAME": "db01", "PVM_HOST_UUID": "u-1"},
		Identity: drivers.Identity{Hostname: "db01"}, Object: "/no/such/program",
	}
	if body, ok := bodies[name]; ok {
		r.Body = "echo " + name + " >>" + s.Dir + "/ran\n" + strings.ReplaceAll(body, "DIR", s.Dir)
	}
	return r
}

func config(s *sshtest.Server) ssh.Config {
	return ssh.Config{Name: "machines", User: s.User, Key: s.Key, KnownHosts: s.KnownHosts, Folder: filepath.Join(s.Dir, "runs")}
}

// server starts a machine whose runs end with the test.
func server(t *testing.T) *sshtest.Server {
	t.Helper()
	s := sshtest.Start(t)
	folder := filepath.Join(s.Dir, "runs")
	t.Cleanup(func() {
		f := &runs.Folder{Shell: runs.Local{}, Base: folder}
		entries, _ := os.ReadDir(folder)
		for _, e := range entries {
			_ = f.Cancel(context.Background(), drivers.Call{}, e.Name())
		}
		drivertest.WaitFor(t, "the end of all runs", func() bool { return !sshtest.Busy(folder) })
	})
	return s
}

func open(t *testing.T, c ssh.Config) *ssh.Driver {
	t.Helper()
	d, err := ssh.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

func call(token string) drivers.Call {
	return drivers.Call{Token: token, Deadline: time.Now().Add(time.Minute)}
}

func TestConformance(t *testing.T) {
	t.Logf("real part: %s", sshtest.Version(t))
	drivertest.RunDistributor(t, func(t *testing.T) drivertest.DistributorWorld {
		s := server(t)
		read := func(t *testing.T, name string) []string {
			text, err := os.ReadFile(filepath.Join(s.Dir, name))
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			return strings.Fields(string(text))
		}
		return drivertest.DistributorWorld{
			Open: func(t *testing.T) drivers.Distributor {
				d, err := ssh.Open(config(s))
				if err != nil {
					t.Fatal(err)
				}
				return d
			},
			Well: run(s, "well"), Bad: run(s, "bad"), Endless: run(s, "endless"), Loud: run(s, "loud"), Missing: run(s, "missing"),
			Effects: func(t *testing.T, r drivers.Run) int {
				n := 0
				for _, name := range read(t, "ran") {
					if name == r.Name {
						n++
					}
				}
				return n
			},
			Alive: func(t *testing.T) bool {
				for _, pid := range read(t, "alive") {
					if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
						return true
					}
				}
				return false
			},
		}
	})
}

// A run goes on while its machine can't be reached, and is followed again.
func TestTheMachineIsSilentForAWhile(t *testing.T) {
	s := server(t)
	d := open(t, config(s))
	task, err := d.Start(t.Context(), call("1"), run(s, "endless"))
	if err != nil || task.State != drivers.TaskRunning {
		t.Fatalf("%+v, %v", task, err)
	}
	s.Down()
	d = open(t, config(s)) // the connection in use would outlive the server
	if _, err := d.Task(t.Context(), task.ID); drivers.KindOf(err) != drivers.KindUnreachable {
		t.Fatalf("the silent machine: %v", err)
	}
	s.Up()
	look, err := d.Task(t.Context(), task.ID)
	if err != nil || look.State != drivers.TaskRunning || !strings.Contains(look.Output, "begun") {
		t.Fatalf("it is %+v, %v", look, err)
	}
}

// A run that was killed with its supervisor, as by a restart of the machine, is
// one that nobody can tell of.
func TestALostRun(t *testing.T) {
	s := server(t)
	d := open(t, config(s))
	r := run(s, "endless")
	task, err := d.Start(t.Context(), call("1"), r)
	if err != nil {
		t.Fatal(err)
	}
	// Another boot: whoever watched is gone, whatever has its number now.
	watcher := filepath.Join(s.Dir, "runs", "1", "watcher")
	text, err := os.ReadFile(watcher)
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(text))
	if err := os.WriteFile(watcher, []byte(f[0]+" another-boot "+f[2]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if look, err := d.Task(t.Context(), task.ID); err != nil || look.State != drivers.TaskUnknown {
		t.Errorf("it is %+v, %v", look, err)
	}
	if id, err := d.Find(t.Context(), "1", r); drivers.KindOf(err) != drivers.KindUnknown {
		t.Errorf("it is found as %q, %v", id, err)
	}
}

// What can't be done is told, and nothing is run.
func TestBadInput(t *testing.T) {
	s := server(t)
	other, _ := sshtest.KeyPair(t)
	_, otherHost := sshtest.KeyPair(t)
	name, _, _ := strings.Cut(s.KnownHosts, " ")
	for _, c := range []struct {
		what   string
		change func(*ssh.Config, *drivers.Run)
		kind   drivers.Kind
		says   string
	}{
		{"a key that isn't taken", func(c *ssh.Config, _ *drivers.Run) { c.Key = other }, drivers.KindAuth, "isn't taken"},
		{"a password that isn't taken", func(c *ssh.Config, _ *drivers.Run) { c.Key, c.Password = "", "guess" }, drivers.KindAuth, "isn't taken"},
		{"another host key", func(c *ssh.Config, _ *drivers.Run) { c.KnownHosts = name + " " + otherHost }, drivers.KindAuth, "isn't the known one"},
		{"a host that isn't known", func(c *ssh.Config, _ *drivers.Run) { c.KnownHosts = "other.example " + otherHost }, drivers.KindAuth, "isn't known"},
		{"nobody there", func(_ *ssh.Config, r *drivers.Run) { r.Address = "127.0.0.1:1" }, drivers.KindUnreachable, ""},
		{"no address", func(_ *ssh.Config, r *drivers.Run) { r.Address = "" }, drivers.KindRefused, "no address"},
		{"neither body nor object", func(_ *ssh.Config, r *drivers.Run) { r.Body, r.Object = "", "" }, drivers.KindNotFound, "neither"},
		{"a folder that can't be", func(c *ssh.Config, _ *drivers.Run) { c.Folder = "/proc/runs" }, drivers.KindRefused, "/proc/runs"},
	} {
		conf, r := config(s), run(s, "well")
		c.change(&conf, &r)
		_, err := open(t, conf).Start(t.Context(), call("1"), r)
		if drivers.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %s", c.what, err, c.kind)
		}
		if err != nil && (strings.Contains(err.Error(), "guess") || strings.Contains(err.Error(), "PRIVATE")) {
			t.Errorf("%s: a secret is in the error: %v", c.what, err)
		}
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "ran")); !os.IsNotExist(err) {
		t.Errorf("something was run: %v", err)
	}
	for what, change := range map[string]func(*ssh.Config){
		"no user": func(c *ssh.Config) { c.User = "" }, "no credentials": func(c *ssh.Config) { c.Key = "" },
		"a key that is none": func(c *ssh.Config) { c.Key = "secret" }, "no known hosts": func(c *ssh.Config) { c.KnownHosts = " " },
		"known hosts that are none": func(c *ssh.Config) { c.KnownHosts = "host key" },
		"an option that is none":    func(c *ssh.Config) { c.Options = map[string]string{"sude": "true"} },
		"an option of another form": func(c *ssh.Config) { c.Options = map[string]string{"sudo": "often"} },
	} {
		conf := config(s)
		change(&conf)
		if _, err := ssh.Open(conf); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The known hosts may be in a file, which is read at each connection.
func TestKnownHostsFile(t *testing.T) {
	s := server(t)
	conf := config(s)
	conf.KnownHosts, conf.Options = "", map[string]string{"known_hosts_file": filepath.Join(s.Dir, "known")}
	d := open(t, conf)
	if _, err := d.Start(t.Context(), call("1"), run(s, "well")); drivers.KindOf(err) != drivers.KindAuth {
		t.Errorf("without the file: %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "known"), []byte(s.KnownHosts), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Start(t.Context(), call("2"), run(s, "well")); err != nil {
		t.Error(err)
	}
}

// Machines take each other's place under an address: several keys may be known
// for it, and a revoked one is never taken.
func TestSeveralKnownKeys(t *testing.T) {
	s := server(t)
	name, _, _ := strings.Cut(s.KnownHosts, " ")
	_, other := sshtest.KeyPair(t)
	for _, lines := range []string{s.KnownHosts + name + " " + other + "\n", "# old and new\n" + name + " " + other + "\n" + s.KnownHosts} {
		conf := config(s)
		conf.KnownHosts = lines
		if _, err := open(t, conf).Find(t.Context(), "1", run(s, "well")); err != nil {
			t.Errorf("with the lines\n%s%v", lines, err)
		}
	}
	conf := config(s)
	conf.KnownHosts += "@revoked * " + strings.TrimPrefix(s.KnownHosts, name+" ")
	if _, err := open(t, conf).Find(t.Context(), "1", run(s, "well")); drivers.KindOf(err) != drivers.KindAuth {
		t.Errorf("a revoked key: %v", err)
	}
}

// A program of the machine is run with the variables of the manual.
func TestProgramOfTheMachine(t *testing.T) {
	s := server(t)
	d := open(t, config(s))
	r := run(s, "env")
	r.Object, r.Vars["PVM_MACHINE_TAG_1"] = "/usr/bin/env", `it's "$HOME"; *`
	task, err := d.Start(t.Context(), call("1"), r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	last, err := drivers.AwaitTask(ctx, d, task.ID, 20*time.Millisecond)
	if err != nil || last.State != drivers.TaskDone {
		t.Fatalf("%+v, %v", last, err)
	}
	for _, want := range []string{"PVM_HOST_NAME=db01\n", `PVM_MACHINE_TAG_1=it's "$HOME"; *` + "\n", "YAGURA_MACHINE=ph01\n"} {
		if !strings.Contains(last.Output, want) {
			t.Errorf("no %q in\n%s", want, last.Output)
		}
	}
}
