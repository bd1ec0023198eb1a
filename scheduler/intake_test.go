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

const inaccessible, accessible = "0xC0000002", "0x40000001"

// trap is an event as a manager's trap sink makes it.
func trap(sequence uint64, id, target string, at time.Time) *schema.Event {
	severity := "error"
	if id == accessible {
		severity = "info"
	}
	return &schema.Event{Sequence: sequence, Notifier: schema.NotifierESMPRO, Source: "ESMDSVNT", EventId: id, TargetHint: target, Severity: severity, Received: timestamppb.New(at)}
}

func record(t *testing.T, r *schedulertest.Rig, node string, events ...*schema.Event) {
	t.Helper()
	r.Cluster.Do(func(tx *fsm.Tx) error {
		_, err := fsm.RecordEvents(tx, node, events)
		return err
	})
}

// vmsPolicy sets a policy like the standard one on the VM servers' group.
func vmsPolicy(t *testing.T, r *schedulertest.Rig, suppress int32) {
	t.Helper()
	r.Cluster.Do(func(tx *fsm.Tx) error {
		err := fsm.Policies.Put(tx, &schema.Policy{Name: "vms", Rules: []*schema.PolicyRule{
			{Name: "inaccessible", Notifier: schema.NotifierESMPRO, Selector: "ESMDSVNT[0xC0000002]", SuppressSeconds: suppress,
				Actions: []string{"notify", "set-status-failed", "vms-move-all-migrate-failover", "vms-load-balance"}},
			{Name: "accessible", Notifier: schema.NotifierESMPRO, Selector: "ESMDSVNT[0x40000001]", Actions: []string{"notify", "set-status-normal"}},
		}})
		if err != nil {
			return err
		}
		g, _ := fsm.Groups.Edit(tx, "vmservers")
		g.Policy = "vms"
		return fsm.Groups.Put(tx, g)
	})
}

// faults are the events that came as traps, oldest first.
func faults(v fsm.Reader) []*schema.Event { return eventsOf(v, schema.NotifierESMPRO) }

func eventsOf(v fsm.Reader, notifier string) (out []*schema.Event) {
	for e := range fsm.Events.All(v) {
		if e.Notifier == notifier {
			out = append(out, e)
		}
	}
	return out
}

func awaitEvents(r *schedulertest.Rig) []*schema.Event {
	r.T.Helper()
	r.Until("all events to be handled", func(v *fsm.View) bool {
		for _, e := range faults(v) {
			if e.State != schema.EventHandled {
				return false
			}
		}
		return true
	})
	return faults(r.Rows())
}

func TestOneTrapAtThreeManagersActsOnce(t *testing.T) {
	r := schedulertest.New(t)
	vmsPolicy(t, r, 0)
	r.World.HostDown("esx02", false)
	now := time.Now()
	record(t, r, "node1", trap(1, inaccessible, "esx02", now))
	r.Start()
	record(t, r, "node2", trap(1, inaccessible, "esx02", now.Add(time.Millisecond)))
	record(t, r, "node3", trap(7, inaccessible, "esx02.example.com", now.Add(2*time.Millisecond)))
	record(t, r, "node1", trap(1, inaccessible, "esx02", now)) // delivered twice
	es := awaitEvents(r)
	if len(es) != 1 || es[0].Count != 3 || es[0].Decision != schema.DecisionActed || len(es[0].Jobs) != 1 || es[0].Reason == "" {
		t.Fatalf("events %v", es)
	}
	r.MustSucceed(es[0].Jobs...)
	results := ""
	for _, a := range es[0].Actions {
		results += a.Action + "=" + a.Result + " "
	}
	if results != "notify=done set-status-failed=done vms-move-all-migrate-failover=started vms-load-balance=not-carried-out " {
		t.Errorf("actions: %s", results)
	}
	if m := r.Machine("esx02"); m.HardwareStatus != schema.HardwareFailed {
		t.Errorf("esx02 is %s", m.HardwareStatus)
	}
	if left := onServer(t, r, "esx02"); len(left) > 0 {
		t.Errorf("still on esx02: %v", left)
	}
	if got := fsm.Jobs.Len(r.Rows()); got != 1 {
		t.Errorf("%d jobs, want 1", got)
	}
}

func TestNoActionWithoutReason(t *testing.T) {
	for name, c := range map[string]struct {
		prepare  func(tx *fsm.Tx) error
		target   string
		decision string
		says     string
	}{
		"unknown machine": {target: "esx99", decision: schema.DecisionIgnored, says: "no machine is known"},
		"no policy":       {target: "web01", decision: schema.DecisionIgnored, says: "no policy is set"},
		"no group":        {target: "spare01", decision: schema.DecisionIgnored, says: "runs in no group"},
		"maintenance": {target: "esx02", decision: schema.DecisionMaintenance, says: "maintenance mode", prepare: func(tx *fsm.Tx) error {
			m, _ := fsm.Machines.Edit(tx, "esx02")
			m.Maintenance = true
			return fsm.Machines.Put(tx, m)
		}},
		"disarmed category": {target: "esx02", decision: schema.DecisionDisarmed, says: "automation is off", prepare: func(tx *fsm.Tx) error {
			return fsm.SetArmed(tx, "infra", true)
		}},
		"disarmed cluster": {target: "esx02", decision: schema.DecisionDisarmed, says: "automation is off", prepare: func(tx *fsm.Tx) error {
			return fsm.SetArmed(tx, "", true)
		}},
		"brake": {target: "esx02", decision: schema.DecisionBraked, says: "brake", prepare: func(tx *fsm.Tx) error {
			s, _ := fsm.SettingsTable.Edit(tx, schema.SettingsKey)
			s.BrakeJobs = 1
			if err := fsm.SettingsTable.Put(tx, s); err != nil {
				return err
			}
			id, err := fsm.QueueJob(tx, &schema.Job{Sequence: "FailoverVMServer", Event: "1", Group: "other"})
			if err != nil {
				return err
			}
			j, err := fsm.EditJob(tx, id)
			if err != nil {
				return err
			}
			j.State = schema.JobParked
			return fsm.Jobs.Put(tx, j)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := schedulertest.New(t)
			vmsPolicy(t, r, 0)
			if c.prepare != nil {
				r.Cluster.Do(c.prepare)
			}
			jobs := fsm.Jobs.Len(r.Rows())
			record(t, r, "node1", trap(1, inaccessible, c.target, time.Now()))
			r.Start()
			e := awaitEvents(r)[0]
			if e.Decision != c.decision || !strings.Contains(e.Reason, c.says) || fsm.Jobs.Len(r.Rows()) != jobs {
				t.Errorf("decision %s: %s", e.Decision, e.Reason)
			}
		})
	}
}

func TestSuppressionWaitsForRecoveryAcrossALeaderChange(t *testing.T) {
	for _, recovers := range []bool{true, false} {
		t.Run(fmt.Sprintf("recovers=%v", recovers), func(t *testing.T) {
			r := schedulertest.New(t)
			vmsPolicy(t, r, 300)
			now := r.Clock.Now()
			record(t, r, "node1", trap(1, inaccessible, "esx02", now))
			r.Start()
			r.Until("the event to wait", func(v *fsm.View) bool { return faults(v)[0].State == schema.EventWaiting })
			r.Stop()
			due := faults(r.Rows())[0].Due.AsTime()
			if recovers {
				record(t, r, "node2", trap(1, accessible, "esx02", now.Add(time.Minute)))
			}
			r.World.HostDown("esx02", false)
			r.Start()
			es := awaitEvents(r)
			if recovers {
				if es[0].Decision != schema.DecisionRecovered || len(es[0].Jobs) != 0 || es[1].Decision != schema.DecisionActed {
					t.Errorf("events %v", es)
				}
				return
			}
			if es[0].Decision != schema.DecisionActed || len(es[0].Jobs) != 1 || r.Clock.Now().Before(due) {
				t.Errorf("event %v at %s, due %s", es[0], r.Clock.Now(), due)
			}
			r.MustSucceed(es[0].Jobs...)
		})
	}
}

func TestAFaultAfterARecoveryActsAgain(t *testing.T) {
	r := schedulertest.New(t)
	vmsPolicy(t, r, 0)
	r.Start()
	now := time.Now().Add(-10 * time.Second)
	for i, id := range []string{inaccessible, accessible, inaccessible} {
		record(t, r, "node1", trap(uint64(i+1), id, "esx02", now.Add(time.Duration(i)*time.Second)))
		awaitEvents(r)
	}
	es := awaitEvents(r)
	if len(es) != 2 || es[0].Count != 2 || len(es[0].Jobs) == 0 {
		t.Fatalf("events %v", es)
	}
	if m := r.Machine("esx02"); m.HardwareStatus != schema.HardwareFailed {
		t.Errorf("esx02 is %s", m.HardwareStatus)
	}
}

func TestAStormTakesOneRow(t *testing.T) {
	r := schedulertest.New(t)
	vmsPolicy(t, r, 0)
	now := time.Now().Add(-time.Minute)
	for n := range uint64(20) {
		var es []*schema.Event
		for i := range uint64(100) {
			es = append(es, trap(n*100+i+1, "0x80000009", "esx01", now.Add(time.Duration(n)*time.Second)))
		}
		record(t, r, "node1", es...)
	}
	es := faults(r.Rows())
	if len(es) != 1 || es[0].Count != 2000 {
		t.Errorf("%d rows, count %d", len(es), es[0].Count)
	}
}

// TestEventThatComesAgainAfterDisarm holds that one whose actions were held
// back isn't counted away when it comes again and nothing holds them any more.
func TestEventThatComesAgainAfterDisarm(t *testing.T) {
	for name, hold := range map[string]func(tx *fsm.Tx, on bool) error{
		"disarmed": func(tx *fsm.Tx, on bool) error { return fsm.SetArmed(tx, "", on) },
		"maintenance": func(tx *fsm.Tx, on bool) error {
			_, err := fsm.SetMaintenance(tx, on, "infra/vmservers", "esx02")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := schedulertest.New(t)
			vmsPolicy(t, r, 0)
			r.World.HostDown("esx02", false)
			r.Start()
			now := time.Now()
			set := func(on bool) { r.Cluster.Do(func(tx *fsm.Tx) error { return hold(tx, on) }) }
			set(true)
			for i := range uint64(2) { // counted while it is held back
				record(t, r, "node1", trap(i+1, inaccessible, "esx02", now.Add(time.Duration(i)*time.Millisecond)))
				if es := awaitEvents(r); len(es) != 1 || es[0].Decision != name || len(es[0].Jobs) != 0 {
					t.Fatalf("held back: %v", es)
				}
			}
			set(false)
			record(t, r, "node1", trap(3, inaccessible, "esx02", now.Add(3*time.Millisecond)))
			es := awaitEvents(r)
			if len(es) != 1 || es[0].Count != 3 || es[0].Decision != schema.DecisionActed || len(es[0].Jobs) != 1 {
				t.Fatalf("events %v", es)
			}
			r.MustSucceed(es[0].Jobs...)
		})
	}
}
