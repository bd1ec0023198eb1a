package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
)

// replacement is a job of automation that replaces a machine.
func replacement(group, machine string) *schema.Job {
	return &schema.Job{
		Sequence: fsm.SeqTakeOverMachine, Params: map[string]string{fsm.ParamMachine: machine, fsm.ParamHost: "db01"}, Targets: []string{machine}, Group: group, Event: "7",
	}
}

// TestBrakes holds each brake on a replacement, and that one free of it goes on.
func TestBrakes(t *testing.T) {
	for name, c := range map[string]struct {
		rule     *schema.PolicyRule
		target   string
		prepare  func(*world)
		decision string
		says     []string
	}{
		"free": {decision: schema.DecisionActed},
		"one replacement in the group": {
			prepare: func(w *world) { w.job(replacement("db", "ph02")) }, decision: schema.DecisionBraked,
			says: []string{"1 automatic replacements in group db", "1 are allowed", "max_replacements", "pvmutl replace db db01"},
		},
		"two allowed in the group": {
			prepare: func(w *world) {
				w.groupRow("db", func(g *schema.Group) { g.MaxReplacements = 2 })
				w.job(replacement("db", "ph02"))
			}, decision: schema.DecisionActed,
		},
		"an operator's doesn't count": {
			prepare: func(w *world) {
				j := replacement("db", "ph02")
				j.Event = ""
				w.job(j)
			}, decision: schema.DecisionActed,
		},
		"replacements of the cluster": {
			prepare: func(w *world) {
				for n := range 5 {
					w.job(replacement(fmt.Sprint("g", n), fmt.Sprint("m", n)))
				}
			}, decision: schema.DecisionBraked, says: []string{"5 automatic replacements aren't over", "brake_replacements"},
		},
		"replacements of the cluster, configured": {
			prepare: func(w *world) {
				w.settings(func(s *schema.Settings) { s.BrakeReplacements = 1 })
				w.job(replacement("other", "m"))
			}, decision: schema.DecisionBraked, says: []string{"1 automatic replacements aren't over, 1 are allowed"},
		},
		"jobs": {
			prepare: func(w *world) {
				w.settings(func(s *schema.Settings) { s.BrakeJobs = 1 })
				w.job(&schema.Job{Sequence: fsm.SeqStartupMachine, Group: "web", Event: "7"})
			}, decision: schema.DecisionBraked, says: []string{"brake_jobs)"},
		},
		"jobs of the group": {
			prepare: func(w *world) {
				w.settings(func(s *schema.Settings) { s.BrakeJobsPerGroup = 1 })
				w.job(&schema.Job{Sequence: fsm.SeqStartupMachine, Group: "db", Event: "7"})
			}, decision: schema.DecisionBraked, says: []string{"brake_jobs_per_group"},
		},
		"healthy machines": {
			prepare: func(w *world) {
				w.groupRow("db", func(g *schema.Group) { g.MinHealthy = 2 })
				w.machine("ph02", func(m *schema.Machine) { m.HardwareStatus = schema.HardwareFailed })
			}, decision: schema.DecisionBraked, says: []string{"1 machines of group db would run normally, 2 are to (min_healthy)"},
		},
		"enough healthy machines": {
			prepare: func(w *world) { w.groupRow("db", func(g *schema.Group) { g.MinHealthy = 2 }) }, decision: schema.DecisionActed,
		},
		"healthy machines, to be stopped": {
			rule:    &schema.PolicyRule{Actions: []string{"group-shutdown-machine"}},
			prepare: func(w *world) { w.groupRow("db", func(g *schema.Group) { g.MinHealthy = 3 }) }, decision: schema.DecisionBraked, says: []string{"2 machines"},
		},
		"replaced a minute ago": {
			prepare: func(w *world) { w.machine("ph01", replacedAt(w.now.Add(-time.Minute))) }, decision: schema.DecisionBraked,
			says: []string{"ph01 took over host db01 1m0s ago by job 00001", "within 5m0s"},
		},
		"replaced long ago": {
			prepare: func(w *world) { w.machine("ph01", replacedAt(w.now.Add(-time.Hour))) }, decision: schema.DecisionActed,
		},
		"replaced a minute ago, short hold": {
			prepare: func(w *world) {
				w.settings(func(s *schema.Settings) { s.ReplaceHoldSeconds = 30 })
				w.machine("ph01", replacedAt(w.now.Add(-time.Minute)))
			}, decision: schema.DecisionActed,
		},
		"late": {
			prepare: func(w *world) { w.machine("ph01", replacedAt(w.now.Add(time.Second))) }, decision: schema.DecisionIgnored,
			says: []string{"by job 00001", "it tells of the machine before it"},
		},
		"off on purpose": {
			prepare: func(w *world) {
				w.machine("ph01", func(m *schema.Machine) { m.Power = schema.PowerOff })
				id := w.job(&schema.Job{Sequence: fsm.SeqShutdownMachine, Targets: []string{"ph01"}, Group: "db"})
				w.jobRow(id, func(j *schema.Job) { j.State, j.Ended = schema.JobSucceeded, timestamppb.New(w.now) })
			}, decision: schema.DecisionIgnored, says: []string{"off on purpose", "00002 (ShutdownMachine)"},
		},
		"off by a fault": {
			prepare: func(w *world) { w.machine("ph01", func(m *schema.Machine) { m.Power = schema.PowerOff }) }, decision: schema.DecisionActed,
		},
		"being rebooted": {
			prepare: func(w *world) {
				id := w.job(&schema.Job{Sequence: fsm.SeqRebootMachine, Targets: []string{"ph01"}, Group: "db"})
				w.jobRow(id, func(j *schema.Job) { j.State, j.Started = schema.JobRunning, timestamppb.New(w.now) })
			}, decision: schema.DecisionSuppressed, says: []string{"job 00002 works on ph01"},
		},
		"in the pool": {target: "ph04", decision: schema.DecisionIgnored, says: []string{"waits in the pool of group db"}},
		"in the common pool": {
			target: "ph09", decision: schema.DecisionIgnored, says: []string{"runs in no group"},
		},
		"outside its hours": {
			rule: &schema.PolicyRule{Actions: []string{"replace-machine"}, Hours: "00:00-00:01"}, decision: schema.DecisionIgnored, says: []string{"no rule"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
			ended := w.job(replacement("db", "ph08"))
			w.jobRow(ended, func(j *schema.Job) { j.State, j.Started = schema.JobSucceeded, timestamppb.New(w.now) })
			if c.rule == nil {
				c.rule = &schema.PolicyRule{Actions: []string{"replace-machine"}}
			}
			w.rule(c.rule)
			if c.prepare != nil {
				c.prepare(w)
			}
			if c.target == "" {
				c.target = "ph01"
			}
			d := w.decide(w.silent(c.target))
			if (d.Brake != "") != (d.Decision == schema.DecisionBraked) {
				t.Errorf("%s by the brake %q", d.Decision, d.Brake)
			}
			if d.Decision != c.decision {
				t.Errorf("%s: %s", d.Decision, d.Reason)
			}
			for _, s := range c.says {
				if !strings.Contains(d.Reason, s) {
					t.Errorf("%q doesn't say %q", d.Reason, s)
				}
			}
		})
	}
}

func replacedAt(at time.Time) func(*schema.Machine) {
	return func(m *schema.Machine) { m.Replaced = timestamppb.New(at) }
}

// A fault of a pool machine is noted, for it must not become a substitute; but
// nothing is done with it.
func TestPoolMachine(t *testing.T) {
	w := newWorld(t)
	w.Do(func(tx *fsm.Tx) error {
		return fsm.Policies.Put(tx, &schema.Policy{Name: "p", Rules: []*schema.PolicyRule{{
			Name: "disk", Notifier: schema.NotifierESMPRO, Selector: "category:disk-failure", Actions: []string{"notify", "set-status-failed", "replace-machine"},
		}}})
	})
	e := w.silent("ph04")
	e.Category = "disk-failure"
	d := w.decide(e)
	if got := brief(d); got != "acted notify set-status-failed:failed replace-machine:not-carried-out" || !strings.Contains(d.Actions[2].Detail, "waits in the pool of group db") {
		t.Errorf("%s: %+v", got, d)
	}
}

func TestFlapping(t *testing.T) {
	w := newWorld(t)
	w.rule(&schema.PolicyRule{Actions: []string{"notify", "reboot-machine"}, FlapCount: 3, FlapSeconds: 600})
	record := func(age time.Duration, again int32) *schema.Event {
		e := w.silent("ph01")
		e.Id = fmt.Sprint(fsm.Events.Len(w.Store().View()) + 1)
		at := timestamppb.New(w.now.Add(-age))
		e.Time, e.Received, e.LastTime, e.Again = at, at, at, again
		w.Do(func(tx *fsm.Tx) error { return fsm.Events.Put(tx, e) })
		return e
	}
	record(time.Hour, 5)
	record(5*time.Minute, 0)
	if d := w.decide(record(time.Minute, 0)); d.Decision != schema.DecisionActed {
		t.Errorf("the second time: %+v", d)
	}
	if cases, err := policy.Preview(w.Store().View(), w.now, "db", "db01", "ESMDSVNT[0xC0000002]"); err != nil || cases[0].Decision.Decision != schema.DecisionBraked {
		t.Errorf("the third time, as a preview: %+v, %v", cases, err)
	}
	if d := w.decide(record(0, 0)); brief(d) != "braked notify reboot-machine:not-carried-out" || !strings.Contains(d.Reason, "flapping: the fault has come 3 times within 10m0s") {
		t.Errorf("the third time: %+v", d)
	}
}

func TestPreview(t *testing.T) {
	w := newWorld(t)
	w.rule(&schema.PolicyRule{Actions: []string{"notify", "replace-machine"}, SuppressSeconds: 60})
	v := w.Store().View()
	cases, err := policy.Preview(v, w.now, "shop/db", "", "ESMDSVNT[0xC0000002]")
	if err != nil || len(cases) != 3 {
		t.Fatalf("%d cases: %v", len(cases), err)
	}
	for _, c := range cases {
		if c.Decision.Decision != schema.DecisionSuppressed || c.Then == nil || brief(*c.Then) != "acted notify replace-machine:TakeOverMachine" {
			t.Errorf("%s: %+v, then %+v", c.Machine.Name, c.Decision, c.Then)
		}
	}
	if after := w.Store().View(); after.Index() != v.Index() {
		t.Error("it has written")
	}
	if cases, err = policy.Preview(v, w.now, "db", "db02", "category:machine-inaccessible"); err != nil || len(cases) != 1 || cases[0].Machine.Name != "ph02" || cases[0].Then == nil {
		t.Errorf("%v: %v", cases, err)
	}
	if cases, err = policy.Preview(v, w.now, "vms", "", "11000006"); err != nil || len(cases) != 2 || !strings.Contains(cases[0].Decision.Reason, "no rule for 11000006") {
		t.Errorf("%v: %v", cases, err)
	}
	for _, c := range []struct {
		group, host, event string
		kind               schema.Kind
	}{
		{"db", "", "nonsense", schema.KindInvalid}, {"db", "", "category:nonsense", schema.KindInvalid}, {"nowhere", "", "11000006", schema.KindGroupNotFound},
		{"db", "db09", "11000006", schema.KindMachineNotFound},
	} {
		if _, err := policy.Preview(v, w.now, c.group, c.host, c.event); schema.KindOf(err) != c.kind {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// TestLateNewsMarksNobody holds that a machine that took over a host a moment
// ago isn't marked as faulty by news that may be about the machine before it.
func TestLateNewsMarksNobody(t *testing.T) {
	for age, want := range map[time.Duration]string{
		time.Minute: "braked notify set-status-failed:not-carried-out replace-machine:not-carried-out",
		time.Hour:   "acted notify set-status-failed:failed replace-machine:TakeOverMachine",
	} {
		w := newWorld(t)
		w.rule(&schema.PolicyRule{Actions: []string{"notify", "set-status-failed", "replace-machine"}})
		w.machine("ph01", replacedAt(w.now.Add(-age)))
		if d := w.decide(w.silent("ph01")); brief(d) != want {
			t.Errorf("replaced %s ago: %s", age, brief(d))
		}
	}
}
