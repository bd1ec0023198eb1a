package scheduler_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

// iron puts physical machines m1 to mN into a group with a policy of these
// actions on an inaccessible machine. A job that isn't over holds them all, so
// that no job on one of them begins.
func iron(t *testing.T, r *schedulertest.Rig, n int, suppress int32, actions ...string) {
	t.Helper()
	r.Cluster.Do(func(tx *fsm.Tx) error {
		rule := &schema.PolicyRule{Name: "inaccessible", Notifier: schema.NotifierESMPRO, Selector: "category:machine-inaccessible", Actions: actions, SuppressSeconds: suppress}
		holder, err := fsm.QueueJob(tx, &schema.Job{Sequence: fsm.SeqCollect})
		if err != nil {
			return err
		}
		j, err := fsm.EditJob(tx, holder)
		if err != nil {
			return err
		}
		j.State, j.Started = schema.JobParked, timestamppb.New(tx.Now())
		puts := []error{
			fsm.Jobs.Put(tx, j),
			fsm.Policies.Put(tx, &schema.Policy{Name: "iron", Rules: []*schema.PolicyRule{rule}}),
			fsm.Groups.Put(tx, &schema.Group{Name: "iron", Kind: schema.MachinePhysical, Policy: "iron"}),
			fsm.Models.Put(tx, &schema.Model{Group: "iron", Name: "std", Kind: schema.MachinePhysical}),
		}
		for i := range n {
			name := fmt.Sprintf("m%d", i+1)
			puts = append(puts,
				fsm.Machines.Put(tx, &schema.Machine{Name: name, Kind: schema.MachinePhysical, Managed: true, PoolGroups: []string{"iron"}, Status: schema.StatusReady, Power: schema.PowerOn}),
				fsm.Hosts.Put(tx, &schema.Host{Group: "iron", Name: "h" + name}),
				fsm.Activate(tx, fsm.Activation{Machine: name, Group: "iron", Host: "h" + name}),
				fsm.TakeLocks(tx, holder, []string{fsm.Exclusive("machine", name)}))
		}
		for _, err := range puts {
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// hit puts the event that a machine doesn't answer.
func hit(r *schedulertest.Rig, machine string, at time.Time) {
	r.T.Helper()
	r.Cluster.Do(func(tx *fsm.Tx) error {
		last, _ := fsm.Events.Last(tx)
		var id int
		fmt.Sscan(last.GetId(), &id)
		e := trap(1, inaccessible, machine, at)
		e.Id, e.State, e.Count, e.Target, e.Group, e.Category = fmt.Sprint(id+1), schema.EventNew, 1, machine, "iron", "machine-inaccessible"
		e.Time, e.LastTime = e.Received, e.Received
		return fsm.Events.Put(tx, e)
	})
}

func decisions(es []*schema.Event) string {
	out := ""
	for _, e := range es {
		out += e.Target + "=" + e.Decision + " "
	}
	return out
}

// await waits for a condition while the clock stands still: a storm ends by the clock.
func await(r *schedulertest.Rig, what string, cond func(v *fsm.View) bool) {
	r.T.Helper()
	end := time.NewTimer(20 * time.Second)
	defer end.Stop()
	for {
		changed := r.Cluster.Store().Watch()
		if cond(r.Rows()) {
			return
		}
		select {
		case <-changed:
		case <-end.C:
			r.T.Fatalf("waited in vain for %s\n%s", what, r.Dump())
		}
	}
}

// decided waits until all events are handled, while the clock stands still.
func decided(r *schedulertest.Rig) []*schema.Event {
	r.T.Helper()
	await(r, "all events to be handled", func(v *fsm.View) bool {
		for _, e := range faults(v) {
			if e.State != schema.EventHandled {
				return false
			}
		}
		return true
	})
	return faults(r.Rows())
}

// storms are the entries of our event log on storms.
func storms(v fsm.Reader) (out []*schema.Event) {
	for e := range fsm.Events.All(v) {
		if e.Operation == "storm" {
			out = append(out, e)
		}
	}
	return out
}

// TestStorm lets six of seven machines become inaccessible one after the other:
// with the fifth it is a storm. What had been queued is withdrawn, nothing more
// is queued until it is over, and what was braked in it stays braked. Leaders change meanwhile.
func TestStorm(t *testing.T) {
	r := schedulertest.New(t)
	iron(t, r, 7, 0, "notify", "set-status-failed", "reboot-machine")
	r.Start()
	begin := r.Clock.Now()
	at := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Millisecond) }
	for n := 1; n <= 4; n++ {
		hit(r, fmt.Sprintf("m%d", n), at(n))
	}
	es := decided(r)
	if got := decisions(es); got != "m1=acted m2=acted m3=acted m4=acted " {
		t.Fatalf("before the storm: %s", got)
	}
	first := r.Job(es[0].Jobs[0])
	hit(r, "m5", at(5))
	es = decided(r)
	if got := decisions(es); got != "m1=braked m2=braked m3=braked m4=braked m5=braked " {
		t.Fatalf("in the storm: %s", got)
	}
	for _, s := range []string{"Job " + first.Id + " was withdrawn before it began", "storm: 5 machines became inaccessible", "m1, m2, m3, m4, m5"} {
		if !strings.Contains(es[0].Reason, s) {
			t.Errorf("%q doesn't say %q", es[0].Reason, s)
		}
	}
	if a := es[0].Actions[2]; a.Result != "not-carried-out" || a.Job != first.Id {
		t.Errorf("the record is %v", a)
	}
	if r.Machine("m5").HardwareStatus != schema.HardwareFailed {
		t.Error("a storm holds back jobs, not the status")
	}
	await(r, "the end of the job", func(v *fsm.View) bool { j, _ := fsm.JobRow(v, first.Id); return j.State == schema.JobCancelled })
	if j := r.Job(first.Id); j.State != schema.JobCancelled || !strings.Contains(j.Error, "the storm brake") || j.Started != nil {
		t.Errorf("the job is %s: %s", j.State, j.Error)
	}
	r.Start() // another leader
	hit(r, "m6", at(6))
	es = decided(r)
	if len(es[5].Jobs) != 0 || es[5].Decision != schema.DecisionBraked || !strings.Contains(es[5].Reason, "start the job by hand") {
		t.Errorf("m6: %s %s", es[5].Decision, es[5].Reason)
	}
	if s := storms(r.Rows()); len(s) != 1 || !strings.Contains(s[0].Text, "4 jobs that had not begun are withdrawn") || s[0].Severity != "error" {
		t.Errorf("the event log has %v", s)
	}
	r.Until("the storm to be over", func(v *fsm.View) bool { return len(storms(v)) == 2 })
	if over := fsm.Settings(r.Rows()).Storm; over.Over.AsTime().Before(at(6).Add(time.Minute)) || over.Count != 6 {
		t.Errorf("the storm is %v", over)
	}
	hit(r, "m7", r.Clock.Now())
	es = awaitEvents(r)
	if got := decisions(es[5:]); got != "m6=braked m7=acted " || len(es[6].Jobs) != 1 {
		t.Errorf("after the storm: %s (%s)", got, es[6].Reason)
	}
	if s := storms(r.Rows()); len(s) != 2 {
		t.Errorf("the event log has %v", s)
	}
}

// Events that wait for a recovery in a storm stay with the operator, too, when
// their time is over after it.
func TestStormOfWaitingEvents(t *testing.T) {
	r := schedulertest.New(t)
	iron(t, r, 5, 600, "reboot-machine")
	for n := 1; n <= 5; n++ {
		hit(r, fmt.Sprintf("m%d", n), r.Clock.Now())
	}
	r.Start()
	r.Until("the storm to be over", func(v *fsm.View) bool { return len(storms(v)) == 2 })
	if got := decisions(faults(r.Rows())); strings.Count(got, "suppressed") != 5 {
		t.Errorf("after the storm: %s", got)
	}
	es := awaitEvents(r)
	if got := decisions(es); strings.Count(got, "braked") != 5 || !strings.Contains(es[0].Reason, "it was over at") {
		t.Errorf("in the end: %s (%s)", got, es[0].Reason)
	}
}

// Failover of VM servers stops in a storm, too, with all events of one batch.
func TestStormStopsFailover(t *testing.T) {
	r := schedulertest.New(t)
	vmsPolicy(t, r, 0)
	stormAt(r, 3)
	now := r.Clock.Now()
	for n, s := range []string{"esx01", "esx02", "esx03"} {
		r.World.HostDown(s, false)
		record(t, r, "node1", trap(uint64(n+1), inaccessible, s, now))
	}
	r.Start()
	es := awaitEvents(r)
	if got := decisions(es); got != "esx01=braked esx02=braked esx03=braked " || fsm.Jobs.Len(r.Rows()) != 0 || !strings.Contains(es[0].Reason, "pvmutl evacuate esx01 /failover") {
		t.Errorf("%s, %d jobs: %s", got, fsm.Jobs.Len(r.Rows()), es[0].Reason)
	}
	if n := len(r.World.Ledger()); n != 0 {
		t.Errorf("%d effects", n)
	}
}

// The VMs of a VM server fall silent with it: that is one fault, and no storm.
func TestVMsOfOneServerAreNoStorm(t *testing.T) {
	r := schedulertest.New(t)
	vmsPolicy(t, r, 0)
	stormAt(r, 2)
	r.World.HostDown("esx02", false)
	for n, m := range []string{"web04", "web05", "web06", "esx02"} {
		record(t, r, "node1", trap(uint64(n+1), inaccessible, m, r.Clock.Now()))
	}
	r.Start()
	es := awaitEvents(r)
	if es[3].Decision != schema.DecisionActed || len(es[3].Jobs) != 1 || len(storms(r.Rows())) != 0 {
		t.Fatalf("%s: %s", decisions(es), es[3].Reason)
	}
	r.MustSucceed(es[3].Jobs...)
}

func stormAt(r *schedulertest.Rig, machines int32) {
	r.T.Helper()
	r.Cluster.Do(func(tx *fsm.Tx) error {
		s, _ := fsm.SettingsTable.Edit(tx, schema.SettingsKey)
		s.StormMachines = machines
		return fsm.SettingsTable.Put(tx, s)
	})
}

// Jobs of one event begin in the order of the rule's actions, each when the one
// before it has ended, although nothing of what they lock is the same.
func TestJobsOfOneEventGoInOrder(t *testing.T) {
	r := schedulertest.New(t)
	r.Cluster.Do(func(tx *fsm.Tx) error {
		g, _ := fsm.Groups.Edit(tx, "web")
		g.Policy = "web"
		rule := &schema.PolicyRule{Name: "r", Notifier: schema.NotifierESMPRO, Selector: "category:machine-inaccessible", Actions: []string{"reboot-machine", "group-suspend-machine", "group-create-machine"}}
		if err := fsm.Policies.Put(tx, &schema.Policy{Name: "web", Rules: []*schema.PolicyRule{rule}}); err != nil {
			return err
		}
		return fsm.Groups.Put(tx, g)
	})
	record(t, r, "node1", trap(1, inaccessible, "web01", r.Clock.Now()))
	r.Start()
	e := awaitEvents(r)[0]
	if len(e.Jobs) != 3 {
		t.Fatalf("%s: %v", e.Reason, e.Actions)
	}
	r.Until("the second job to say what it waits for", func(v *fsm.View) bool {
		j, _ := fsm.Jobs.Get(v, fsm.NumberKey(e.Jobs[1]))
		return j.Waiting != "" || j.Started != nil
	})
	r.MustSucceed(e.Jobs...)
	for n := 1; n < len(e.Jobs); n++ {
		before, j := r.Job(e.Jobs[n-1]), r.Job(e.Jobs[n])
		if j.Started.AsTime().Before(before.Ended.AsTime()) {
			t.Errorf("job %s began at %s, before job %s ended at %s", j.Id, j.Started.AsTime(), before.Id, before.Ended.AsTime())
		}
	}
	if m := r.Machine("web20"); m == nil || m.Group != "web" {
		t.Errorf("the created VM is %v", m)
	}
}

// Three hundred machines at once, recorded before anybody decides: the storm is
// seen at its first event, and nothing is begun.
func TestStormOfManyMachines(t *testing.T) {
	const many = 300
	r := schedulertest.New(t)
	iron(t, r, many, 0, "notify", "set-status-failed", "replace-machine")
	r.Cluster.Do(func(tx *fsm.Tx) error {
		return fsm.Machines.Put(tx, &schema.Machine{Name: "spare", Kind: schema.MachinePhysical, Managed: true, PoolGroups: []string{"iron"}, Status: schema.StatusReady, Bmc: &schema.Bmc{Kind: "redfish", Address: "https://127.0.0.1"}})
	})
	jobs := fsm.Jobs.Len(r.Rows())
	var es []*schema.Event
	for n := range many {
		es = append(es, trap(uint64(n+1), inaccessible, fmt.Sprintf("hm%d", n+1), r.Clock.Now()))
	}
	record(t, r, "node1", es...)
	r.Start()
	for _, e := range decided(r) {
		if e.Decision != schema.DecisionBraked || !strings.Contains(e.Reason, "pvmutl replace iron h"+e.Target) || len(e.Jobs) != 0 {
			t.Fatalf("%s: %s", e.Decision, e.Reason)
		}
	}
	if n := fsm.Jobs.Len(r.Rows()); n != jobs {
		t.Errorf("%d jobs, want %d", n, jobs)
	}
	s := fsm.Settings(r.Rows()).Storm
	if s.Count != many || len(s.Machines) > 256 || len(storms(r.Rows())) != 1 {
		t.Errorf("%d machines, %d named, %d entries", s.Count, len(s.Machines), len(storms(r.Rows())))
	}
}

// A machine that is well again before its job has begun is left alone.
func TestRecoveryBeforeTheJobBegins(t *testing.T) {
	r := schedulertest.New(t)
	iron(t, r, 2, 0, "reboot-machine")
	now := r.Clock.Now()
	record(t, r, "node1", trap(1, inaccessible, "hm1", now), trap(2, inaccessible, "hm2", now))
	r.Start()
	es := awaitEvents(r)
	if decisions(es) != "m1=acted m2=acted " {
		t.Fatal(decisions(es))
	}
	record(t, r, "node1", trap(3, accessible, "hm1", now.Add(time.Second)))
	es = awaitEvents(r)
	if got := decisions(es); got != "m1=recovered m2=acted m1=ignored " || !strings.Contains(es[0].Reason, "was withdrawn before it began: m1 recovered in time") {
		t.Errorf("%s: %s", got, es[0].Reason)
	}
	if j := r.Wait(es[0].Jobs[0]); j.State != schema.JobCancelled {
		t.Errorf("the job is %s", j.State)
	}
	if j := r.Job(es[1].Jobs[0]); j.State != schema.JobQueued {
		t.Errorf("the other job is %s", j.State)
	}
}

// What automation has queued doesn't begin after it was switched off.
func TestDisarmBeforeTheJobBegins(t *testing.T) {
	r := schedulertest.New(t)
	iron(t, r, 1, 0, "reboot-machine")
	record(t, r, "node1", trap(1, inaccessible, "hm1", r.Clock.Now()))
	r.Start()
	id := awaitEvents(r)[0].Jobs[0]
	r.Cluster.Do(func(tx *fsm.Tx) error {
		if err := fsm.SetArmed(tx, "", true); err != nil {
			return err
		}
		holder, err := fsm.EditJob(tx, "1")
		if err != nil {
			return err
		}
		holder.State = schema.JobCancelled
		if err := fsm.Jobs.Put(tx, holder); err != nil {
			return err
		}
		return fsm.ReleaseLocks(tx, holder.Id)
	})
	if j := r.Wait(id); j.State != schema.JobCancelled || !strings.Contains(j.Error, "disarmed the cluster") || len(fsm.StepsOf(r.Rows(), id)) != 0 {
		t.Errorf("the job is %s: %s", j.State, j.Error)
	}
}

// A VM server is emptied and then shut down: the second job is planned when the
// first has ended, for before that VMs would be stopped by it.
func TestEmptiedThenShutDown(t *testing.T) {
	r := schedulertest.New(t)
	r.Cluster.Do(func(tx *fsm.Tx) error {
		rule := &schema.PolicyRule{Name: "r", Notifier: schema.NotifierESMPRO, Selector: "category:machine-inaccessible", Actions: []string{"vms-move-all-migrate", "shutdown-machine"}}
		if err := fsm.Policies.Put(tx, &schema.Policy{Name: "p", Rules: []*schema.PolicyRule{rule}}); err != nil {
			return err
		}
		return fsm.SetPolicy(tx, "infra/vmservers", "p")
	})
	record(t, r, "node1", trap(1, inaccessible, "esx02", r.Clock.Now()))
	r.Start()
	e := awaitEvents(r)[0]
	if records(e) != "vms-move-all-migrate=started shutdown-machine=started" {
		t.Fatalf("%s: %v", e.Reason, e.Actions)
	}
	r.MustSucceed(e.Jobs...)
	if m := r.Machine("esx02"); m.Power != schema.PowerOff || len(onServer(t, r, "esx02")) != 0 {
		t.Errorf("esx02: %v", m)
	}
	if v := r.World.Violations(); len(v) > 0 {
		t.Error(v)
	}
}
