package scheduler_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

// undoable are the flows that can be taken back at any point.
func undoable() map[string]schedulertest.Case {
	out := map[string]schedulertest.Case{}
	for name, c := range physicalCases {
		switch {
		case strings.HasPrefix(name, "Delete"), strings.HasSuffix(name, "that doesn't listen"), strings.HasSuffix(name, "of a dead machine"):
		default:
			out[name] = c
		}
	}
	return out
}

// essence is what a rollback must bring back: the world, who is bound to what,
// and no lock. What was distributed stays distributed, and its history tells.
func essence(r *schedulertest.Rig) string {
	var out []string
	for _, line := range strings.Split(r.Fingerprint(), "\n") {
		if strings.HasPrefix(line, "world:") || strings.HasPrefix(line, "host:") || strings.HasPrefix(line, "lock:") {
			out = append(out, line)
		}
	}
	for m := range fsm.Machines.All(r.Rows()) {
		out = append(out, fmt.Sprintf("machine: %s runs as %s/%s/%s, pools %v, origin %q, master %v, %s, monitored %v, address %q",
			m.Name, m.Group, m.Host, m.Model, m.PoolGroups, m.Origin, m.Master, m.Power, m.Monitored != nil, m.Address))
	}
	return strings.Join(out, "\n")
}

// difference names the lines of one text that the other hasn't.
func difference(got, want string) string {
	var out []string
	for _, line := range strings.Split(got, "\n") {
		if !strings.Contains(want, line) {
			out = append(out, "got  "+line)
		}
	}
	for _, line := range strings.Split(want, "\n") {
		if !strings.Contains(got, line) {
			out = append(out, "want "+line)
		}
	}
	return strings.Join(out, "\n")
}

// begin makes the rig of a case with its job queued.
func begin(t *testing.T, c schedulertest.Case) (r *schedulertest.Rig, before string, id string) {
	t.Helper()
	r = schedulertest.New(t)
	if c.Setup != nil {
		c.Setup(r)
	}
	r.World.ResetLedger()
	before = essence(r)
	return r, before, r.Queue(c.Request)[0]
}

func sound(t *testing.T, r *schedulertest.Rig) {
	t.Helper()
	if bad := append(r.World.Violations(), schedulertest.Doubles(r.World.Ledger())...); len(bad) > 0 {
		t.Errorf("%v\n%s", bad, r.Dump())
	}
	for m := range fsm.Machines.All(r.Rows()) {
		if m.Status == schema.StatusInUse {
			t.Errorf("%s is in use by nobody: %s", m.Name, m.StatusReason)
		}
	}
}

// Each effect of each flow fails once. The job fails, says how to go on, and
// can be both resumed and taken back.
func TestEachStepFails(t *testing.T) {
	for name, c := range undoable() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _, id := begin(t, c)
			r.Start()
			r.MustSucceed(id)
			after := essence(r)
			for _, e := range r.World.Ledger() {
				if strings.HasPrefix(e.Object, "db-standby ") && strings.HasPrefix(name, "TakeOver") {
					continue // a replacement goes on without it
				}
				fault := fake.Fault{Op: e.Op, Object: e.Object, Mode: fake.FailTask, Times: 1}
				t.Run(e.Op+" "+e.Object+" resumed", func(t *testing.T) { failAndResume(t, c, fault, after) })
				t.Run(e.Op+" "+e.Object+" rolled back", func(t *testing.T) { failAndRollBack(t, c, fault) })
			}
		})
	}
}

func failOnce(t *testing.T, c schedulertest.Case, fault fake.Fault) (r *schedulertest.Rig, before, id string) {
	t.Helper()
	r, before, id = begin(t, c)
	r.World.Inject(fault)
	r.Start()
	j := r.Wait(id)
	if j.State != schema.JobFailed {
		t.Fatalf("it is %s: %s\n%s", j.State, j.Parked, r.Dump())
	}
	sound(t, r)
	told := false
	for _, name := range j.Targets {
		m := r.Machine(name)
		told = told || m == nil || m.Status == schema.StatusAbnormal && strings.Contains(m.StatusReason, "job resume "+id) && strings.Contains(m.StatusReason, "job rollback "+id)
	}
	if !told {
		t.Errorf("no machine says how to go on\n%s", r.Dump())
	}
	return r, before, id
}

func failAndResume(t *testing.T, c schedulertest.Case, fault fake.Fault, want string) {
	r, _, id := failOnce(t, c, fault)
	r.Start() // another manager leads
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") })
	r.MustSucceed(id)
	if d := difference(essence(r), want); d != "" {
		t.Errorf("resumed it ends otherwise:\n%s\n%s", d, r.Dump())
	}
	sound(t, r)
	if again := r.World.Repeated(); len(again) > 0 {
		t.Errorf("done twice: %v\n%s", again, r.Dump())
	}
}

func failAndRollBack(t *testing.T, c schedulertest.Case, fault fake.Fault) {
	r, before, id := failOnce(t, c, fault)
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) })
	r.Until("the rollback", func(*fsm.View) bool { return r.Job(id).State == schema.JobCancelled })
	if d := difference(essence(r), before); d != "" {
		t.Errorf("taken back it isn't as before:\n%s\n%s", d, r.Dump())
	}
	for _, name := range r.Job(id).Targets {
		if m := r.Machine(name); m != nil && m.Status != schema.StatusReady && !strings.HasSuffix(m.StatusReason, "then set its status to ready") {
			t.Errorf("taken back %s is %s: %s", name, m.Status, m.StatusReason)
		}
	}
	sound(t, r)
}

// Each flow is cancelled at each of its steps: it ends as it began.
func TestCancelAtEachStep(t *testing.T) {
	for name, c := range undoable() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _, id := begin(t, c)
			r.Start()
			r.MustSucceed(id)
			for _, st := range fsm.StepsOf(r.Rows(), id) {
				if st.Attempt > 0 && st.Name != "collect-machine-info" {
					t.Run(fmt.Sprintf("%d %s", st.Number, st.Name), func(t *testing.T) { cancelAt(t, c, st.Number) })
				}
			}
		})
	}
}

func cancelAt(t *testing.T, c schedulertest.Case, number int32) {
	r, before, id := begin(t, c)
	for _, op := range append([]string{"power-on", "shutdown", "host-power-on", "host-shutdown"}, slowOps...) {
		r.World.Delay(op, 2*time.Second)
	}
	r.Start()
	r.Until("the step", func(v *fsm.View) bool {
		s, ok := fsm.Steps.Get(v, fsm.StepKey(id, number))
		return ok && s.State != schema.StepPending
	})
	cancel(r, id)
	j := r.Wait(id)
	if j.State == schema.JobSucceeded {
		return // too late
	}
	if j.State != schema.JobCancelled {
		t.Fatalf("it is %s: %s %s\n%s", j.State, j.Error, j.Parked, r.Dump())
	}
	if strings.Contains(j.Error, "may still take effect: shutdown-machine") {
		return // a guest that was asked goes down when it likes; the job says so
	}
	// What was only waited for no longer may still come.
	r.Clock.Advance(time.Minute)
	if d := difference(essence(r), before); d != "" {
		t.Errorf("cancelled it isn't as before:\n%s\n%s", d, r.Dump())
	}
	sound(t, r)
}

// A move by several ways goes on at the first one that failed, and what came
// after it is done again.
func TestResumedMove(t *testing.T) {
	for _, byMove := range []bool{false, true} {
		r := schedulertest.New(t)
		r.World.Inject(fake.Fault{Op: fake.OpMigrate, Mode: fake.FailTask, Times: 1})
		r.World.Inject(fake.Fault{Op: fake.OpMove, Mode: fake.FailTask, Times: 1})
		r.Start()
		id := r.Queue(func(tx *fsm.Tx) ([]string, error) {
			return fsm.RequestMigrateVM(tx, fsm.MigrateVM{Group: "web", Host: "web01", VMServer: "esx02", Move: byMove})
		})[0]
		if j := r.Wait(id); j.State != schema.JobFailed {
			t.Fatalf("it is %s\n%s", j.State, r.Dump())
		}
		r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") })
		r.MustSucceed(id)
		if m := r.Machine("web01"); m.VmServer != "esx02" || m.Power != schema.PowerOn || m.Status != schema.StatusReady {
			t.Errorf("web01: %v\n%s", m, r.Dump())
		}
	}
}

// A job that waits for a person's word can be cancelled: all is as before.
func TestCancelWhileParked(t *testing.T) {
	r := schedulertest.New(t)
	r.World.SetPort(schedulertest.SwitchSystem, "p1", vlanOfDB, 130)
	dead("ph01")(r)
	before := essence(r)
	r.Start()
	id := r.Queue(replace("db01"))[0]
	if j := r.Wait(id); j.State != schema.JobParked {
		t.Fatalf("it is %s", j.State)
	}
	cancel(r, id)
	r.Until("the end", func(*fsm.View) bool { return r.Job(id).State == schema.JobCancelled })
	if d := difference(essence(r), before); d != "" {
		t.Errorf("it isn't as before:\n%s\n%s", d, r.Dump())
	}
	sound(t, r)
}

// What can't be taken back stops the rest: the old machine gets nothing back
// while the new one may run. The next rollback goes on with it.
func TestRollbackStopsAtWhatCannotBeUndone(t *testing.T) {
	r := schedulertest.New(t)
	before := essence(r)
	r.World.Inject(fake.Fault{Op: fake.OpVLANAdd, Object: "p3 110", Mode: fake.FailTask, Times: 1})
	r.World.Inject(fake.Fault{Op: "host-power-off", Object: "ph03", Mode: fake.FailTask, Times: 1})
	r.Start()
	id := r.Queue(replace("db01"))[0]
	if j := r.Wait(id); j.State != schema.JobFailed {
		t.Fatalf("it is %s", j.State)
	}
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) })
	r.Until("the rollback to fail", func(*fsm.View) bool { return r.Job(id).State == schema.JobFailed })
	if m := r.Machine("ph03"); m.Host != "db01" || m.Status != schema.StatusAbnormal || !strings.Contains(m.StatusReason, "pvmutl job rollback "+id) {
		t.Errorf("ph03: %v\n%s", m, r.Dump())
	}
	if r.World.Count(fake.OpConnect, "vol-db01 "+schedulertest.InitiatorOf("ph01")) != 0 {
		t.Error("the old machine has its volume back")
	}
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) })
	r.Until("the second rollback", func(*fsm.View) bool { return r.Job(id).State == schema.JobCancelled })
	if d := difference(essence(r), before); d != "" {
		t.Errorf("it isn't as before:\n%s\n%s", d, r.Dump())
	}
	sound(t, r)
}

// A job whose very first step fails within the rows fails by that step.
func TestFirstStepOfTheRowsFails(t *testing.T) {
	r := schedulertest.New(t)
	id := r.Queue(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestPool(tx, "db", "ph03", false) })[0]
	r.Cluster.Do(func(tx *fsm.Tx) error { // it has come into operation meanwhile
		if err := fsm.Hosts.Put(tx, &schema.Host{Group: "db", Name: "db03"}); err != nil {
			return err
		}
		return fsm.Activate(tx, fsm.Activation{Machine: "ph03", Group: "db", Host: "db03"})
	})
	r.Start()
	j := r.Wait(id)
	if j.State != schema.JobFailed || !strings.Contains(j.Error, "step 1 (update-configuration)") || r.Machine("ph03").Status != schema.StatusReady {
		t.Errorf("it is %s: %s, %v", j.State, j.Error, r.Machine("ph03"))
	}
}
