package scheduler_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

func addVM(name string) func(*fsm.Tx) ([]string, error) {
	return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestAddVM(tx, fsm.AddVM{Group: "web", VM: name}) }
}

func stepState(v fsm.Reader, job, name string) string {
	for _, s := range fsm.StepsOf(v, job) {
		if s.Name == name {
			return s.State
		}
	}
	return ""
}

func cancel(r *schedulertest.Rig, id string) {
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.CancelJob(tx, id) })
}

// gone fails the test unless nothing is left of a VM that was to be made.
func gone(t *testing.T, r *schedulertest.Rig, name, host string) {
	t.Helper()
	if m := r.Machine(name); m != nil {
		t.Errorf("row of %s: %v", name, m)
	}
	if _, err := r.World.Hypervisor().VMByName(t.Context(), name); drivers.KindOf(err) != drivers.KindNotFound {
		t.Errorf("%s is in the world: %v", name, err)
	}
	if h, _ := fsm.Hosts.Get(r.Rows(), "web/"+host); h.Machine != "" {
		t.Errorf("host setting: %v", h)
	}
	if n := fsm.Locks.Len(r.Rows()); n != 0 {
		t.Errorf("%d locks are left", n)
	}
}

func TestCancelTakesStepsBack(t *testing.T) {
	r := schedulertest.New(t)
	r.World.Inject(fake.Fault{Op: fake.OpClone, Mode: fake.Stuck})
	r.Start()
	id := r.Queue(addVM("web20"))[0]
	r.Until("the clone to be under way", func(v *fsm.View) bool { return stepState(v, id, "create-vm") == schema.StepHandled })
	cancel(r, id)
	// A task of the other system is waited for, whoever leads.
	r.Start()
	if j := r.Job(id); j.State != schema.JobCancelling {
		t.Fatalf("it is %s", j.State)
	}
	r.World.ClearFaults()
	if j := r.Wait(id); j.State != schema.JobCancelled || j.ErrorKind != string(schema.KindCancelled) {
		t.Fatalf("it is %s: %s\n%s", j.State, j.Error, r.Dump())
	}
	gone(t, r, "web20", "web20")
	if r.World.Count(fake.OpDestroy, "web20") != 1 {
		t.Error(r.Dump())
	}
}

func TestCancelOfWaitingJob(t *testing.T) {
	r := schedulertest.New(t)
	r.World.Inject(fake.Fault{Op: "shutdown", Mode: fake.Stuck})
	r.Start()
	first := r.Queue(power("shutdown", "web", "web01"))[0]
	second := r.Queue(power("reboot", "web", "web01"))[0]
	r.Until("the second job to wait", func(v *fsm.View) bool {
		j, _ := fsm.Jobs.Get(v, fsm.NumberKey(second))
		return strings.Contains(j.Waiting, "held by job "+first)
	})
	cancel(r, second)
	if j := r.Wait(second); j.State != schema.JobCancelled {
		t.Errorf("the waiting job is %s", j.State)
	}
	r.Until("the shutdown to be under way", func(v *fsm.View) bool { return stepState(v, first, "shutdown-machine") == schema.StepHandled })
	cancel(r, first)
	if j := r.Wait(first); j.State != schema.JobCancelled || !strings.Contains(j.Error, "may still take effect: shutdown-machine web01") {
		t.Errorf("the running job is %s: %s\n%s", j.State, j.Error, r.Dump())
	}
	if m := r.Machine("web01"); m.Power != schema.PowerOn || m.Status != schema.StatusReady {
		t.Errorf("web01: %v", m)
	}
}

func TestFailedJobIsRolledBack(t *testing.T) {
	r := schedulertest.New(t)
	r.World.Inject(fake.Fault{Op: "power-on", Object: "web20", Mode: fake.FailTask})
	r.Start()
	id := r.Queue(addVM("web20"))[0]
	j := r.Wait(id)
	m := r.Machine("web20")
	if j.State != schema.JobFailed || m == nil || m.Status != schema.StatusAbnormal || !strings.Contains(m.StatusReason, "job rollback "+id) {
		t.Fatalf("the job is %s (%s), the machine %v", j.State, j.Error, m)
	}
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) })
	r.Until("the rollback", func(*fsm.View) bool { return r.Job(id).State == schema.JobCancelled })
	gone(t, r, "web20", "web20")
	_, err := r.Cluster.Try(func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) })
	if schema.KindOf(err) != schema.KindConflict {
		t.Errorf("a second rollback: %v", err)
	}
}

func TestLostAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		fault    fake.Fault
		attempts int32
	}{
		"nothing was done":    {fake.Fault{Op: fake.OpMigrate, Mode: fake.FailBefore, Kind: drivers.KindUnknown, Times: 1}, 2},
		"it was done":         {fake.Fault{Op: fake.OpMigrate, Mode: fake.FailAfter, Kind: drivers.KindUnknown, Times: 1}, 1},
		"it can't be reached": {fake.Fault{Op: fake.OpMigrate, Mode: fake.FailBefore, Times: 3}, 1},
		"it is busy":          {fake.Fault{Op: fake.OpMigrate, Mode: fake.FailBefore, Kind: drivers.KindBusy, Times: 3}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := schedulertest.New(t)
			r.World.Inject(c.fault)
			r.Start()
			id := r.Queue(func(tx *fsm.Tx) ([]string, error) {
				return fsm.RequestMigrateVM(tx, fsm.MigrateVM{Group: "web", Host: "web01", VMServer: "esx02"})
			})[0]
			r.MustSucceed(id)
			if s := fsm.StepsOf(r.Rows(), id)[0]; s.Attempt != c.attempts || r.World.Count(fake.OpMigrate, "web01") != 1 {
				t.Errorf("%d attempts\n%s", s.Attempt, r.Dump())
			}
		})
	}
}

// A reboot is an act: asked for again while the first one is still to come, it
// would happen twice.
func TestALostRebootIsWaitedFor(t *testing.T) {
	r := schedulertest.New(t)
	r.Clock.Advance(time.Second)
	r.World.Delay("reboot", 30*time.Second)
	r.World.Inject(fake.Fault{Op: "reboot", Mode: fake.FailAfter, Kind: drivers.KindUnknown, Times: 1})
	r.Start()
	id := r.Queue(power("reboot", "web", "web01"))[0]
	r.MustSucceed(id)
	r.Clock.Advance(time.Hour)
	if n := r.World.Count("reboot", "web01"); n != 1 {
		t.Errorf("%d reboots\n%s", n, r.Dump())
	}
}

func TestParksWhenNobodyTellsAndGoesOn(t *testing.T) {
	for _, word := range []string{fsm.WordRetry, fsm.WordDone, fsm.WordFailed} {
		t.Run(word, func(t *testing.T) {
			r := schedulertest.New(t)
			r.Start()
			r.World.SystemDown(r.World.System(), true)
			id := r.Queue(power("shutdown", "web", "web01"))[0]
			begun := r.Clock.Now()
			if j := r.Wait(id); j.State != schema.JobParked || !strings.Contains(j.Parked, "job resume "+id) || r.Clock.Now().Sub(begun) < time.Minute {
				t.Fatalf("it is %s: %q", j.State, j.Parked)
			}
			if m := r.Machine("web01"); m.Status != schema.StatusInUse || !strings.Contains(m.StatusReason, "parked") {
				t.Errorf("web01: %v", m)
			}
			r.World.SystemDown(r.World.System(), false)
			r.Start() // another manager leads meanwhile
			r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, word) })
			j := r.Wait(id)
			want, effects := schema.JobSucceeded, map[string]int{fsm.WordRetry: 1}[word]
			if word == fsm.WordFailed {
				want = schema.JobFailed
			}
			if j.State != want || r.World.Count("shutdown", "web01") != effects {
				t.Errorf("with %s it is %s\n%s", word, j.State, r.Dump())
			}
		})
	}
}

// A manager that is stopped right before a call and goes on much later must
// not bring the effect about a second time: the deadline fences it.
func TestAPausedLeaderIsFencedByTheDeadline(t *testing.T) {
	r := schedulertest.New(t)
	reached, held := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	var first atomic.Bool
	r.World.OnCall(func(op, _ string, phase fake.Phase) error {
		if op == fake.OpMigrate && phase == fake.Before && first.CompareAndSwap(false, true) {
			close(reached)
			<-held // at the end of the test in any case
		}
		return nil
	})
	r.Start()
	id := r.Queue(func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestMigrateVM(tx, fsm.MigrateVM{Group: "web", Host: "web01", VMServer: "esx02"})
	})[0]
	r.Until("the call", func(*fsm.View) bool {
		select {
		case <-reached:
			return true
		default:
			return false
		}
	})
	old := r.Pause()
	r.Start()
	r.MustSucceed(id)
	// Meanwhile a person takes the VM back: the old call would now have an effect.
	ids := r.Queue(func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestMigrateVM(tx, fsm.MigrateVM{Group: "web", Host: "web01", VMServer: "esx01"})
	})
	r.MustSucceed(ids...)
	release()
	old.Resume()
	if m, err := r.World.Hypervisor().VMByName(t.Context(), "web01"); err != nil || m.Server != "esx01" {
		t.Errorf("the paused manager's call took effect: %v %v", m, err)
	}
	j := r.Job(id)
	if len(j.Log) != 1 || !strings.Contains(j.Log[0], "node2 took it over from node1") || j.Manager != "node2" {
		t.Errorf("log of the job: %q", j.Log)
	}
	if s := fsm.StepsOf(r.Rows(), id)[0]; !s.Resumed || s.Attempt != 2 || s.Manager != "node2" {
		t.Errorf("step: %v", s)
	}
}

func TestFailedCreationCanBeAskedForAgain(t *testing.T) {
	r := schedulertest.New(t)
	r.World.Inject(fake.Fault{Op: fake.OpClone, Mode: fake.FailTask, Times: 1})
	r.Start()
	id := r.Queue(addVM("web20"))[0]
	if j := r.Wait(id); j.State != schema.JobFailed {
		t.Fatalf("it is %s", j.State)
	}
	kept, ok := fsm.Hosts.One(r.Rows(), fsm.ByMachine, "web20")
	if !ok {
		t.Fatal("no host setting is kept")
	}
	r.MustSucceed(r.Queue(addVM("web20"))...)
	if m := r.Machine("web20"); m == nil || m.Host != kept.Name {
		t.Fatalf("the VM is %v, its host setting was %s", m, kept.Name)
	}
	// Taking the failed job back touches nothing of the one that succeeded.
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) })
	if j := r.Wait(id); j.State != schema.JobCancelled {
		t.Fatalf("it is %s: %s", j.State, j.Error)
	}
	h, _ := fsm.Hosts.Get(r.Rows(), "web/"+kept.Name)
	if m := r.Machine("web20"); m == nil || m.Host != kept.Name || m.Group != "web" || h.Machine != "web20" {
		t.Fatalf("the VM is %v, its host setting %v", m, h)
	}
	if _, err := r.World.Hypervisor().VMByName(t.Context(), "web20"); err != nil {
		t.Fatal(err)
	}
}

func TestSilenceOfAnotherSystemIsTold(t *testing.T) {
	r := schedulertest.New(t)
	r.World.SystemDown(r.World.System(), true)
	r.Start()
	id := r.Queue(addVM("web20"))[0]
	r.Until("the job to tell", func(v *fsm.View) bool {
		j, _ := fsm.Jobs.Get(v, fsm.NumberKey(id))
		return j.State == schema.JobRunning && strings.HasPrefix(j.Waiting, "an answer: ")
	})
	r.World.SystemDown(r.World.System(), false)
	r.MustSucceed(id)
	if j := r.Job(id); j.Waiting != "" {
		t.Errorf("it has ended and waits for %q", j.Waiting)
	}
}

func TestCollectionOfASilentSystemFails(t *testing.T) {
	r := schedulertest.New(t)
	r.World.SystemDown(r.World.System(), true)
	r.Start()
	id := r.Queue(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestCollect(tx, schedulertest.Subsystem) })[0]
	if j := r.Wait(id); j.State != schema.JobFailed || j.Waiting != "" || !strings.Contains(j.Error, "does not answer") {
		t.Fatalf("it is %s, waits for %q, says %q", j.State, j.Waiting, j.Error)
	}
}

// What is only read is asked for again at leisure when the answer doesn't tell.
func TestReadThatDoesNotTell(t *testing.T) {
	r := schedulertest.New(t)
	var asked atomic.Int32
	r.World.OnCall(func(op, object string, phase fake.Phase) error {
		if op == fake.OpInventory && phase == fake.Before {
			asked.Add(1)
			return &drivers.Error{Kind: drivers.KindUnknown, System: schedulertest.Subsystem, Op: op, Object: object, Err: errors.New("who knows")}
		}
		return nil
	})
	r.Start()
	id := r.Queue(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestCollect(tx, schedulertest.Subsystem) })[0]
	if j := r.Wait(id); j.State != schema.JobFailed || !strings.Contains(j.Error, "who knows") || asked.Load() > 200 {
		t.Fatalf("it is %s after %d calls: %s", j.State, asked.Load(), j.Error)
	}
}

func TestCancelledMoveSaysWhatStays(t *testing.T) {
	r := schedulertest.New(t)
	r.World.Delay(fake.OpMigrate, 200*time.Millisecond)
	r.Start()
	id := r.Queue(func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestMigrateVM(tx, fsm.MigrateVM{Group: "web", Host: "web01", VMServer: "esx02"})
	})[0]
	r.Until("the migration to be under way", func(v *fsm.View) bool { return stepState(v, id, "migrate") == schema.StepHandled })
	cancel(r, id)
	if j := r.Wait(id); j.State != schema.JobCancelled || !strings.HasSuffix(j.Error, "; done all the same: migrate web01") {
		t.Errorf("it is %s: %s", j.State, j.Error)
	}
	if m := r.Machine("web01"); m.VmServer != "esx02" || m.Status != schema.StatusReady {
		t.Errorf("web01: %v", m)
	}
}

// The progress of a job that is taken back falls from where it stopped, and is 0
// when nothing of it is left.
func TestProgressOfARollback(t *testing.T) {
	r := schedulertest.New(t)
	r.World.Inject(fake.Fault{Op: fake.OpVLANAdd, Object: "p3 110", Mode: fake.FailTask, Times: 1})
	r.Start()
	id := r.Queue(replace("db01"))[0]
	j := r.Wait(id)
	if j.State != schema.JobFailed || j.Progress < 50 || j.Progress >= 100 {
		t.Fatalf("it is %s at %d %%", j.State, j.Progress)
	}
	last, before := j.Progress, len(r.Cluster.Log())
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) })
	r.Until("the rollback", func(*fsm.View) bool { return r.Job(id).State == schema.JobCancelled })
	// The log has each progress that the job had, however fast it went.
	seen := map[int32]bool{}
	for _, entry := range r.Cluster.Log()[before:] {
		batch, err := fsm.DecodeBatch(entry.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range batch.Changes {
			if c.Table != fsm.Jobs.Number() || c.Key != fsm.NumberKey(id) {
				continue
			}
			j = new(schema.Job)
			if err := proto.Unmarshal(c.Row, j); err != nil {
				t.Fatal(err)
			}
			if j.Progress > last {
				t.Errorf("it rose from %d to %d %%", last, j.Progress)
			}
			last = j.Progress
			seen[last] = true
		}
	}
	if last != 0 || len(seen) < 3 {
		t.Errorf("it ended at %d %%, by way of %v", last, seen)
	}
}

// So it is with one that is cancelled on its way.
func TestProgressOfACancelledJob(t *testing.T) {
	r := schedulertest.New(t)
	busyNode(r)
	r.Start()
	id := r.Queue(replace("db01"))[0]
	r.Until("its first step", func(v *fsm.View) bool { return stepState(v, id, "lb-remove") == schema.StepStarted })
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.CancelJob(tx, id) })
	r.Until("the end", func(*fsm.View) bool {
		if p := r.Job(id).Progress; p > 10 {
			t.Errorf("it shows %d %%", p)
		}
		return r.Job(id).State == schema.JobCancelled
	})
	if p := r.Job(id).Progress; p != 0 {
		t.Errorf("it ended at %d %%", p)
	}
}
