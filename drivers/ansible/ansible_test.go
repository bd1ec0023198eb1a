package ansible_test

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
	"yagura/drivers/ansible"
	"yagura/drivers/drivertest"
	"yagura/drivers/internal/sshtest"
	"yagura/drivers/runs"
)

// play is a playbook that notes its run on the machine and does tasks.
func play(dir, name, tasks string) string {
	return fmt.Sprintf("- hosts: all\n  gather_facts: false\n  tasks:\n    - raw: echo %s >>%s/ran\n%s", name, dir, strings.ReplaceAll(tasks, "DIR", dir))
}

// tasks of each behaviour; DIR is the test's folder.
var tasks = map[string]string{
	"well":    "    - debug: msg=\"host {{ PVM_HOST_NAME }}\"\n    - debug: msg=\"{{ lookup('file', yagura_nocloud + '/meta-data') }}\"\n",
	"bad":     "    - fail: msg='what went wrong'\n",
	"endless": "    - debug: msg=begun\n    - raw: echo $$ >>DIR/alive; while :; do sleep 1; done\n",
	"loud":    "    - debug: msg=\"{{ 'x' * 1200000 }}\"\n    - debug: msg='the end'\n",
}

// machine is a machine, and a folder of playbooks for it.
func machine(t *testing.T) (s *sshtest.Server, playbooks, data string) {
	t.Helper()
	s = sshtest.Start(t)
	playbooks, data = t.TempDir(), t.TempDir()
	for name, text := range tasks {
		write(t, filepath.Join(playbooks, name+".yml"), play(s.Dir, name, text))
	}
	t.Cleanup(func() {
		f := &runs.Folder{Shell: runs.Local{}, Base: data}
		entries, _ := os.ReadDir(data)
		for _, e := range entries {
			_ = f.Cancel(context.Background(), drivers.Call{}, e.Name())
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; sshtest.Busy(data); n++ {
			if <-tick.C; n > 1000 {
				t.Fatalf("something still runs in %s", data)
			}
		}
	})
	return s, playbooks, data
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func config(s *sshtest.Server, playbooks, data string) ansible.Config {
	return ansible.Config{Name: "playbooks", User: s.User, Key: s.Key, KnownHosts: s.KnownHosts, Folder: playbooks, Runs: data, Manager: "node1"}
}

func open(t *testing.T, c ansible.Config) *ansible.Driver {
	t.Helper()
	d, err := ansible.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func run(s *sshtest.Server, name string) drivers.Run {
	return drivers.Run{
		Name: name, Machine: "ph01", Address: s.Address, Vars: map[string]string{"PVM_HOST_NAME": "db01", "PVM_HOST_UUID": "u-1"},
		Identity: drivers.Identity{Hostname: "db01"},
	}
}

func call(token string) drivers.Call {
	return drivers.Call{Token: token, Deadline: time.Now().Add(time.Minute)}
}

func finish(t *testing.T, d *ansible.Driver, token string, r drivers.Run) drivers.Task {
	t.Helper()
	task, err := d.Start(t.Context(), call(token), r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	last, err := drivers.AwaitTask(ctx, d, task.ID, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func words(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

func TestConformance(t *testing.T) {
	out, err := exec.Command("ansible-playbook", "--version").Output()
	if err != nil {
		t.Fatalf("ansible-playbook is missing: apt-get install ansible: %v", err)
	}
	version, _, _ := strings.Cut(string(out), "\n")
	t.Logf("real part: %s, %s", version, sshtest.Version(t))
	drivertest.RunDistributor(t, func(t *testing.T) drivertest.DistributorWorld {
		s, playbooks, data := machine(t)
		return drivertest.DistributorWorld{
			Open: func(t *testing.T) drivers.Distributor { return open(t, config(s, playbooks, data)) },
			Well: run(s, "well"), Bad: run(s, "bad"), Endless: run(s, "endless"), Loud: run(s, "loud"), Missing: run(s, "missing"), Offers: "well",
			Effects: func(t *testing.T, r drivers.Run) int {
				n := 0
				for _, name := range words(t, filepath.Join(s.Dir, "ran")) {
					if name == r.Name {
						n++
					}
				}
				return n
			},
			Alive: func(t *testing.T) bool {
				for _, pid := range words(t, filepath.Join(s.Dir, "alive")) {
					if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
						return true
					}
				}
				return false
			},
		}
	})
}

// A playbook that the software brings along gets what rows hold as plain text,
// and what the machine becomes; its key goes with its end.
func TestBodyAndVariables(t *testing.T) {
	s, _, data := machine(t)
	d := open(t, config(s, "", data))
	r := run(s, "own")
	r.Vars["PVM_MACHINE_TAG_1"] = `{{ lookup('pipe', 'echo run') }} it's "x"`
	r.Identity.NICs = []drivers.NICSetting{{MAC: "52:54:00:12:34:56", Address: "192.0.2.11", Prefix: 24}}
	r.Body = "- hosts: all\r\n  gather_facts: false\r\n  tasks:\r\n    - debug: msg=\"tag {{ PVM_MACHINE_TAG_1 }}\"\r\n" +
		"    - debug: msg=\"nic {{ yagura_identity.nics[0].mac }} {{ yagura_identity.nics[0].addresses[0].address }} on {{ inventory_hostname }}\"\r\n"
	last := finish(t, d, "1", r)
	if last.State != drivers.TaskDone || !strings.Contains(last.Output, "nic 52:54:00:12:34:56 192.0.2.11 on ph01") {
		t.Fatalf("it ended as %s: %v\n%s", last.State, last.Err, last.Output)
	}
	if !strings.Contains(last.Output, "lookup(") {
		t.Errorf("a tag was taken for a template:\n%s", last.Output)
	}
	if _, err := os.Stat(filepath.Join(data, "1", runs.Secret)); !os.IsNotExist(err) {
		t.Errorf("the key is there still: %v", err)
	}
	r.Body = "- hosts: [\n"
	if last := finish(t, d, "2", r); last.State != drivers.TaskFailed || !strings.Contains(last.Err.Error(), "exit code 4") {
		t.Errorf("what is no playbook: %+v", last)
	}
}

// What can't be done is told, and nothing is run.
func TestBadInput(t *testing.T) {
	s, playbooks, data := machine(t)
	other, _ := sshtest.KeyPair(t)
	_, otherHost := sshtest.KeyPair(t)
	name, _, _ := strings.Cut(s.KnownHosts, " ")
	for _, c := range []struct {
		what   string
		change func(*ansible.Config, *drivers.Run)
		kind   drivers.Kind
		says   string
	}{
		{"a key that isn't taken", func(c *ansible.Config, _ *drivers.Run) { c.Key = other }, drivers.KindAuth, "isn't taken"},
		{"another host key", func(c *ansible.Config, _ *drivers.Run) { c.KnownHosts = name + " " + otherHost }, drivers.KindAuth, "isn't the known one"},
		{"nobody there", func(_ *ansible.Config, r *drivers.Run) { r.Address = "127.0.0.1:1" }, drivers.KindUnreachable, ""},
		{"no address", func(_ *ansible.Config, r *drivers.Run) { r.Address = "" }, drivers.KindRefused, "no address"},
		{"a playbook elsewhere", func(_ *ansible.Config, r *drivers.Run) { r.Object = "../well" }, drivers.KindNotFound, "below"},
		{"no folder", func(c *ansible.Config, _ *drivers.Run) { c.Folder = "" }, drivers.KindNotFound, "no body"},
	} {
		conf, r := config(s, playbooks, data), run(s, "well")
		c.change(&conf, &r)
		_, err := open(t, conf).Start(t.Context(), call("1"), r)
		if drivers.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %s", c.what, err, c.kind)
		}
	}
	if ran := words(t, filepath.Join(s.Dir, "ran")); len(ran) > 0 {
		t.Errorf("%v was run", ran)
	}
	for what, change := range map[string]func(*ansible.Config){
		"no key": func(c *ansible.Config) { c.Key = "" }, "no known hosts": func(c *ansible.Config) { c.KnownHosts = "" },
		"a relative folder": func(c *ansible.Config) { c.Folder = "playbooks" }, "nowhere to run": func(c *ansible.Config) { c.Runs = "" },
		"an option that is none": func(c *ansible.Config) { c.Options = map[string]string{"verbose": "true"} },
	} {
		conf := config(s, playbooks, data)
		change(&conf)
		if _, err := ansible.Open(conf); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}
