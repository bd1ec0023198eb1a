package runs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/internal/sshtest"
	"yagura/drivers/runs"
)

// cluster are managers that ask each other; a silent one doesn't answer.
type cluster struct {
	names  []string
	folder map[string]*runs.Folder
	silent map[string]bool
}

func newCluster(t *testing.T, names ...string) *cluster {
	t.Helper()
	c := &cluster{names: names, folder: map[string]*runs.Folder{}, silent: map[string]bool{}}
	for _, n := range names {
		base := t.TempDir()
		c.folder[n] = &runs.Folder{Shell: runs.Local{System: "scripts"}, Base: base, System: "scripts"}
		t.Cleanup(func() {
			entries, _ := os.ReadDir(base)
			for _, e := range entries {
				_ = c.folder[n].Cancel(context.Background(), drivers.Call{}, e.Name())
			}
			drivertest.WaitFor(t, "the end of all runs", func() bool { return !sshtest.Busy(base) })
		})
	}
	return c
}

// at are the runs as one manager sees them.
func (c *cluster) at(name string) *runs.Managers {
	return &runs.Managers{Folder: c.folder[name], Manager: name, Peers: peers{c, name}}
}

type peers struct {
	c    *cluster
	self string
}

func (p peers) Others() []string {
	var out []string
	for _, n := range p.c.names {
		if n != p.self {
			out = append(out, n)
		}
	}
	return out
}

func (p peers) Ask(ctx context.Context, manager string, q runs.Question) (runs.Look, error) {
	if p.c.silent[manager] {
		return runs.Look{}, errors.New("no answer")
	}
	return p.c.folder[manager].Answer(ctx, q)
}

func call(token string) drivers.Call {
	return drivers.Call{Token: token, Deadline: time.Now().Add(time.Minute)}
}

func spec(token, command string) runs.Spec {
	return runs.Spec{Token: token, Limit: time.Minute, Files: []runs.File{{Name: "command", Content: command}}}
}

var run = drivers.Run{Name: "db", Machine: "ph01"}

func ended(t *testing.T, m *runs.Managers, id string) drivers.Task {
	t.Helper()
	var last drivers.Task
	drivertest.WaitFor(t, "the end of "+id, func() bool {
		var err error
		if last, err = m.Task(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return last.State != drivers.TaskRunning
	})
	return last
}

// A run is found, followed and ended from every manager, and nobody says that
// there was none while somebody can't be asked.
func TestManagers(t *testing.T) {
	c := newCluster(t, "node1", "node2", "node3")
	first, second := c.at("node1"), c.at("node2")
	if id, err := second.Find(t.Context(), "t1", run); id != "" || err != nil {
		t.Fatalf("a run that never was: %q, %v", id, err)
	}
	task, err := first.Begin(t.Context(), call("t1"), spec("t1", "echo begun; while :; do sleep 1; done\n"), "db ph01")
	if err != nil || task.State != drivers.TaskRunning || task.ID != "t1@node1" {
		t.Fatalf("%+v, %v", task, err)
	}
	if id, err := second.Find(t.Context(), "t1", run); id != task.ID || err != nil {
		t.Fatalf("from another manager it is %q, %v", id, err)
	}
	drivertest.WaitFor(t, "its output from another manager", func() bool {
		look, err := second.Task(t.Context(), task.ID)
		return err == nil && look.Output == "begun\n"
	})
	c.silent["node1"] = true
	if _, err := second.Find(t.Context(), "t1", run); drivers.KindOf(err) != drivers.KindUnreachable || !strings.Contains(err.Error(), "node1") {
		t.Errorf("while its manager is silent: %v", err)
	}
	if _, err := second.Task(t.Context(), task.ID); drivers.KindOf(err) != drivers.KindUnreachable {
		t.Errorf("while its manager is silent: %v", err)
	}
	c.silent["node1"], c.silent["node3"] = false, true
	if id, err := second.Find(t.Context(), "t1", run); id != task.ID || err != nil {
		t.Errorf("while a third manager is silent it is %q, %v", id, err)
	}
	if err := second.Cancel(t.Context(), drivers.Call{Token: "c", Deadline: time.Now().Add(-time.Second)}, task.ID); drivers.KindOf(err) != drivers.KindExpired {
		t.Errorf("a cancel after its deadline: %v", err)
	}
	if err := second.Cancel(t.Context(), call("c"), task.ID); err != nil {
		t.Fatal(err)
	}
	if last := ended(t, second, task.ID); last.State != drivers.TaskFailed || !strings.Contains(last.Err.Error(), "cancelled") {
		t.Errorf("it is %+v", last)
	}
	for _, id := range []string{"t1@node9", "t1", "t2@node1", "../t1@node1"} { // nobody's
		if look, err := second.Task(t.Context(), id); err != nil || look.State != drivers.TaskUnknown {
			t.Errorf("%s is %+v, %v", id, look, err)
		}
	}
}

// A run whose supervisor was killed is lost, not absent.
func TestLost(t *testing.T) {
	c := newCluster(t, "node1", "node2")
	task, err := c.at("node1").Begin(t.Context(), call("t1"), spec("t1", "sleep 30\n"), "db ph01")
	if err != nil {
		t.Fatal(err)
	}
	watcher := filepath.Join(c.folder["node1"].Base, "t1", "watcher")
	text, err := os.ReadFile(watcher)
	if err != nil {
		t.Fatal(err)
	}
	for what, now := range map[string]string{
		"another boot": fmt.Sprintf("%s %s %s\n", field(text, 0), "0000", field(text, 2)), "a number that came again": fmt.Sprintf("%s %s %s\n", field(text, 0), field(text, 1), "1"),
		"nobody of that number": fmt.Sprintf("%s %s %s\n", "4194305", field(text, 1), field(text, 2)),
	} {
		if err := os.WriteFile(watcher, []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
		if look, err := c.at("node2").Task(t.Context(), task.ID); err != nil || look.State != drivers.TaskUnknown {
			t.Errorf("%s: it is %+v, %v", what, look, err)
		}
		for _, n := range c.names {
			if id, err := c.at(n).Find(t.Context(), "t1", run); drivers.KindOf(err) != drivers.KindUnknown {
				t.Errorf("%s: %s finds %q, %v", what, n, id, err)
			}
		}
	}
}

func field(text []byte, n int) string { return strings.Fields(string(text))[n] }

// However many ask at once, a token begins one run.
func TestOneTokenBeginsOneRun(t *testing.T) {
	c := newCluster(t, "node1")
	ran := filepath.Join(t.TempDir(), "ran")
	m := c.at("node1")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := m.Begin(t.Context(), call("t1"), spec("t1", "echo x >>"+runs.Quote(ran)+"\n"), "db ph01"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := m.Begin(t.Context(), call("t1"), spec("t1", "echo x >>"+runs.Quote(ran)+"\n"), "db ph01"); err != nil {
		t.Fatal(err)
	}
	ended(t, m, "t1@node1")
	if text, err := os.ReadFile(ran); err != nil || string(text) != "x\n" {
		t.Errorf("it ran as %q, %v", text, err)
	}
}

func TestRefusedSpecs(t *testing.T) {
	f := newCluster(t, "node1").folder["node1"]
	for what, s := range map[string]runs.Spec{
		"a token that is a path": spec("../x", "true\n"), "no token": spec("", "true\n"), "a token that is a hidden file": spec(".x", "true\n"),
		"a file that is no text": spec("t", "\x00"), "a file that is too large": spec("t", strings.Repeat("x", 9<<20)),
	} {
		if err := f.Start(t.Context(), call("t"), s); drivers.KindOf(err) != drivers.KindRefused {
			t.Errorf("%s: %v", what, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	blocked := &runs.Folder{Shell: runs.Local{}, Base: file}
	if err := blocked.Start(t.Context(), call("t"), spec("t", "true\n")); drivers.KindOf(err) != drivers.KindRefused {
		t.Errorf("a folder that is a file: %v", err)
	}
	if l, err := blocked.Look(t.Context(), "t"); err != nil || l.State != runs.Absent {
		t.Errorf("there is %+v, %v", l, err)
	}
}

func TestOptions(t *testing.T) {
	var folder string
	var sudo bool
	known := map[string]any{"folder": &folder, "sudo": &sudo}
	if err := runs.Options(map[string]string{"folder": "/x", "sudo": "true"}, known); err != nil || folder != "/x" || !sudo {
		t.Errorf("%q, %v, %v", folder, sudo, err)
	}
	for name, value := range map[string]string{"sudo": "perhaps", "fodler": "/x"} {
		if err := runs.Options(map[string]string{name: value}, known); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func TestAssignments(t *testing.T) {
	words, err := runs.Assignments(map[string]string{"B": "it's", "A": ""})
	if err != nil || strings.Join(words, " ") != `A='' B='it'\''s'` {
		t.Errorf("%q, %v", words, err)
	}
	for _, name := range []string{"", "1A", "A B", "A;B", "A=B", "PVM-X"} {
		if _, err := runs.Assignments(map[string]string{name: "x"}); err == nil {
			t.Errorf("%q is taken as a name", name)
		}
	}
}
