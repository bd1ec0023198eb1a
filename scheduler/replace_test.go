package scheduler_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

// replacing puts a copy of the standard policy into force for group db, which
// replaces a machine that doesn't answer.
func replacing(r *schedulertest.Rig) {
	r.T.Helper()
	row := &schema.Policy{Name: "standard-replace"}
	for _, p := range catalog.Policies() {
		if p.Name != "standard" {
			continue
		}
		for _, rule := range p.Rules {
			actions := slices.Clone(rule.Actions)
			if rule.Selector == "ESMDSVNT[0xC0000002]" {
				actions = append(actions, "replace-machine")
			}
			row.Rules = append(row.Rules, &schema.PolicyRule{Name: rule.Name, Notifier: rule.Notifier, Selector: rule.Selector, Actions: actions})
		}
	}
	r.Cluster.Do(func(tx *fsm.Tx) error {
		if err := fsm.Policies.Put(tx, row); err != nil {
			return err
		}
		return fsm.SetPolicy(tx, "shop/db", row.Name)
	})
}

// records are the actions of an event and their results.
func records(e *schema.Event) string {
	var out []string
	for _, a := range e.Actions {
		out = append(out, a.Action+"="+a.Result)
	}
	return strings.Join(out, " ")
}

// TestReplacementByATrap follows a trap about a host to the machine that runs
// in its place: N+1 failover. Later traps about the same host do nothing to the
// substitute, or not by themselves.
func TestReplacementByATrap(t *testing.T) {
	for _, c := range []struct {
		name  string
		bmc   bool // the machine's management controller is dead, too
		hosts []string
	}{
		{"machine dead", false, []string{"db01"}},
		{"machine and controller dead", true, []string{"db01.shop.example", "192.0.2.201"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := schedulertest.New(t)
			replacing(r)
			r.Cluster.Do(func(tx *fsm.Tx) error { // long, since the rig's clock runs ahead while jobs wait
				s, _ := fsm.SettingsTable.Edit(tx, schema.SettingsKey)
				s.ReplaceHoldSeconds = 86400
				return fsm.SettingsTable.Put(tx, s)
			})
			r.World.HostDown("ph01", c.bmc)
			begin := r.Clock.Now()
			for n, h := range c.hosts {
				record(t, r, []string{"node1", "node2"}[n], trap(1, inaccessible, h, begin.Add(time.Duration(n)*time.Millisecond)))
			}
			r.Start()
			es := awaitEvents(r)
			if len(es) != 1 || es[0].Target != "ph01" || len(es[0].Jobs) != 1 || records(es[0]) != "notify=done set-status-failed=done replace-machine=started" {
				t.Fatalf("events %v", es)
			}
			r.MustSucceed(es[0].Jobs...)
			old, new := r.Machine("ph01"), r.Machine("ph03")
			if new.Group != "db" || new.Host != "db01" || new.Power != schema.PowerOn || new.Status != schema.StatusReady || new.HardwareStatus != schema.HardwareNormal || new.Replaced == nil {
				t.Errorf("ph03: %v", new)
			}
			if old.Group != "" || !slices.Equal(old.PoolGroups, []string{"db"}) || old.HardwareStatus != schema.HardwareFailed {
				t.Errorf("ph01: %v", old)
			}
			if v := r.World.Violations(); len(v) > 0 {
				t.Error(v)
			}
			if d := schedulertest.Doubles(r.World.Ledger()); len(d) > 0 {
				t.Error(d)
			}

			// One that was on its way while the machine was replaced tells of ph01.
			record(t, r, "node3", trap(1, inaccessible, "db01", begin))
			es = awaitEvents(r)
			if e := es[1]; e.Target != "ph03" || e.Decision != schema.DecisionIgnored || !strings.Contains(e.Reason, "by job "+es[0].Jobs[0]) || len(e.Actions) != 0 {
				t.Errorf("late: %s: %s", e.Decision, e.Reason)
			}
			// One that comes soon after is noted, but replaces and marks nothing.
			hitHost(r, "ph03", "db01", r.Machine("ph03").Replaced.AsTime().Add(16*time.Second))
			es = awaitEvents(r)
			if e := es[2]; e.Decision != schema.DecisionBraked || !strings.Contains(e.Reason, "isn't replaced again by itself within 24h0m0s") || records(e) != "notify=done set-status-failed=not-carried-out replace-machine=not-carried-out" {
				t.Errorf("soon after: %s: %s", e.Decision, e.Reason)
			}
			if n := fsm.Jobs.Len(r.Rows()); n != 1 {
				t.Errorf("%d jobs", n)
			}
		})
	}
}

// hitHost puts the event that the machine which runs under a host doesn't answer.
func hitHost(r *schedulertest.Rig, machine, host string, at time.Time) {
	r.T.Helper()
	hit(r, machine, at)
	r.Cluster.Do(func(tx *fsm.Tx) error {
		last, _ := fsm.Events.Last(tx)
		e, _ := fsm.Events.Edit(tx, fsm.NumberKey(last.Id))
		e.TargetHint = host
		return fsm.Events.Put(tx, e)
	})
}

// Without a substitute nothing is begun, and the record says what each machine lacks.
func TestReplacementWithoutASubstitute(t *testing.T) {
	r := schedulertest.New(t)
	replacing(r)
	for _, m := range []string{"ph03", "ph04"} {
		edit(r, m, func(m *schema.Machine) { m.HardwareStatus = schema.HardwareFailed })
	}
	record(t, r, "node1", trap(1, inaccessible, "db01", r.Clock.Now()))
	r.Start()
	e := awaitEvents(r)[0]
	if records(e) != "notify=done set-status-failed=done replace-machine=not-carried-out" || len(e.Jobs) != 0 {
		t.Fatalf("%s", records(e))
	}
	for _, s := range []string{"no machine can take the place of ph01", "ph03", "its hardware is failed", "pvmutl replace"} {
		if d := e.Actions[2].Detail; !strings.Contains(d, s) {
			t.Errorf("%q doesn't say %q", d, s)
		}
	}
}

// Two machines of one group at once: the first is replaced, the second waits for a person.
func TestOneReplacementAtATime(t *testing.T) {
	r := schedulertest.New(t)
	replacing(r)
	r.World.HostDown("ph01", false)
	r.World.HostDown("ph02", false)
	record(t, r, "node1", trap(1, inaccessible, "db01", r.Clock.Now()), trap(2, inaccessible, "db02", r.Clock.Now()))
	r.Start()
	es := awaitEvents(r)
	if decisions(es) != "ph01=acted ph02=braked " || !strings.Contains(es[1].Reason, "pvmutl replace db db02") {
		t.Fatalf("%s: %s", decisions(es), es[1].Reason)
	}
	r.MustSucceed(es[0].Jobs...)
	if m := r.Machine("ph02"); m.Host != "db02" || r.World.Count("host-power-off", "ph02") != 0 {
		t.Errorf("ph02: %v", m)
	}
}

// While a job reboots a machine nothing is wrong with its silence; what comes
// of it is decided on when the job is over.
func TestSilenceDuringAJob(t *testing.T) {
	r := schedulertest.New(t)
	replacing(r)
	r.World.HostDown("ph01", true) // the job waits for its controller until it parks
	r.Start()
	id := r.Queue(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestPower(tx, "reboot", "db", []string{"db01"}) })[0]
	r.Until("the job to begin", func(v *fsm.View) bool { j, _ := fsm.JobRow(v, id); return j.Started != nil })
	record(t, r, "node1", trap(1, inaccessible, "db01", r.Clock.Now()))
	r.Until("the decision", func(v *fsm.View) bool { return faults(v)[0].Decision != "" })
	e := faults(r.Rows())[0]
	if e.Decision != schema.DecisionSuppressed || !strings.Contains(e.Reason, "job "+id+" works on ph01") {
		t.Fatalf("%s: %s", e.Decision, e.Reason)
	}
	record(t, r, "node1", trap(2, accessible, "db01", r.Clock.Now()))
	if es := awaitEvents(r); es[0].Decision != schema.DecisionRecovered {
		t.Errorf("%s: %s", es[0].Decision, es[0].Reason)
	}
}

// TestEventsCrashEverywhere kills the leader around each commit and call from
// the trap to the end of what it leads to: each job exists once, whoever decides.
func TestEventsCrashEverywhere(t *testing.T) {
	trapped := func(target string, jobs ...string) func(tx *fsm.Tx) ([]string, error) {
		return func(tx *fsm.Tx) ([]string, error) {
			_, err := fsm.RecordEvents(tx, "node1", []*schema.Event{trap(1, inaccessible, target, tx.Now())})
			return jobs, err // the ids that they will have
		}
	}
	crashEverywhere(t, map[string]schedulertest.Case{
		"replacement by a trap": {
			Setup: func(r *schedulertest.Rig) {
				replacing(r)
				r.World.HostDown("ph01", true)
			},
			Request: trapped("db01", "00001"),
		},
		"several actions": {
			Setup: func(r *schedulertest.Rig) {
				r.Cluster.Do(func(tx *fsm.Tx) error {
					rule := &schema.PolicyRule{Name: "r", Notifier: schema.NotifierESMPRO, Selector: "category:machine-inaccessible", Actions: []string{"notify", "group-shutdown-machine", "start-machine"}}
					if err := fsm.Policies.Put(tx, &schema.Policy{Name: "web", Rules: []*schema.PolicyRule{rule}}); err != nil {
						return err
					}
					return fsm.SetPolicy(tx, "shop/web", "web")
				})
			},
			Request: trapped("web01", "00001", "00002"),
		},
	})
}
