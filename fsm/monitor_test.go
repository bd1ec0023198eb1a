package fsm_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// TestPolls holds that what several managers' polls say of a machine becomes
// one fault and one recovery, and nothing while nobody expects an answer.
func TestPolls(t *testing.T) {
	c := fsmtest.New(t)
	edit := func(f func(*schema.Machine)) {
		c.Do(func(tx *fsm.Tx) error {
			m, ok := fsm.Machines.Edit(tx, "ph01")
			if !ok {
				m = &schema.Machine{
					Name: "ph01", Kind: schema.MachinePhysical, Power: schema.PowerOn, HardwareStatus: "normal", Status: schema.StatusReady,
					Managed: true, Group: "db", Host: "db01", Model: "m", Monitored: timestamppb.New(tx.Now()),
				}
			}
			f(m)
			return fsm.Machines.Put(tx, m)
		})
	}
	edit(func(*schema.Machine) {})
	sequence := uint64(0)
	tell := func(manager, id string) {
		t.Helper()
		sequence++
		e := &schema.Event{Sequence: sequence, Notifier: schema.NotifierESMPRO, Source: fsm.MonitorSource, EventId: id, Target: "ph01", Text: "poll"}
		c.Do(func(tx *fsm.Tx) error {
			last, err := fsm.RecordEvents(tx, manager+fsm.MonitorStream, []*schema.Event{e})
			if err == nil && last != e.Sequence {
				t.Errorf("recorded up to %d, want %d", last, e.Sequence)
			}
			return err
		})
	}
	seen := func(want ...string) {
		t.Helper()
		var got []string
		for e := range fsm.Events.All(c.Store().View()) {
			if e.Source == fsm.MonitorSource {
				got = append(got, e.Node+" "+e.EventId)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("events %q, want %q", got, want)
		}
	}
	const down, up = fsm.EventUnreachable, fsm.EventReachable

	tell("m1", up) // nothing had been said before
	seen()
	tell("m1", down)
	tell("m1", down)
	tell("m2", down) // took over the polling
	seen("m1 " + down)
	tell("m2", up)
	tell("m1", up)
	seen("m1 "+down, "m2 "+up)

	for what, f := range map[string]func(*schema.Machine){
		"a job": func(m *schema.Machine) { m.Status = schema.StatusInUse }, "maintenance": func(m *schema.Machine) { m.Maintenance = true },
		"switched off": func(m *schema.Machine) { m.Power = schema.PowerOff }, "no monitoring": func(m *schema.Machine) { m.Monitored = nil },
	} {
		m, _ := fsm.Machines.Get(c.Store().View(), "ph01")
		before := &schema.Machine{Status: m.Status, Maintenance: m.Maintenance, Power: m.Power, Monitored: m.Monitored}
		edit(f)
		tell("m1", down)
		if m, _ := fsm.Machines.Get(c.Store().View(), "ph01"); fsm.Unreachable(m) {
			t.Errorf("with %s a poll counts", what)
		}
		edit(func(m *schema.Machine) {
			m.Status, m.Maintenance, m.Power, m.Monitored = before.Status, before.Maintenance, before.Power, before.Monitored
		})
	}
	seen("m1 "+down, "m2 "+up)

	// What was said before the machine was registered anew is over.
	tell("m1", down)
	edit(func(m *schema.Machine) { m.Monitored = timestamppb.New(m.Unreachable.AsTime().Add(1)) })
	if m, _ := fsm.Machines.Get(c.Store().View(), "ph01"); fsm.Unreachable(m) {
		t.Error("an old fault holds after a new registration")
	}

	if _, err := c.Try(func(tx *fsm.Tx) error {
		_, err := fsm.RecordEvents(tx, "m1"+fsm.MonitorStream, []*schema.Event{{Sequence: 1 << 40, Notifier: schema.NotifierSNMP, Source: "x", EventId: "1", Target: "ph01"}})
		return err
	}); schema.KindOf(err) != schema.KindInvalid {
		t.Errorf("an event of another kind in the stream: %v", err)
	}
}

// TestMonitoringFollowsTheGroup holds that machines that run by declaration are
// polled as their group says, also when that changes.
func TestMonitoringFollowsTheGroup(t *testing.T) {
	c := fsmtest.New(t)
	apply := func(kind, name, spec string) {
		t.Helper()
		c.Do(func(tx *fsm.Tx) error {
			_, err := fsm.ApplyDocuments(tx, []fsm.Document{{Kind: kind, Name: name, Spec: []byte(spec)}})
			return err
		})
	}
	monitored := func() bool {
		m, _ := fsm.Machines.Get(c.Store().View(), "ph01")
		return m.Monitored != nil
	}
	apply("Group", "db", `{"kind":"physical","monitoring":{"kind":"icmp"}}`)
	apply("Model", "db/server", `{"kind":"physical"}`)
	apply("Host", "db/db01", `{}`)
	apply("Machine", "ph01", `{"kind":"physical","managed":true,"pool_groups":["db"]}`)
	if monitored() {
		t.Error("a machine in the pool is polled")
	}
	apply("Machine", "ph01", `{"group":"db","host":"db01"}`)
	if !monitored() {
		t.Error("a machine declared as running isn't polled")
	}
	apply("Group", "db", `{"monitoring":null}`)
	if monitored() {
		t.Error("a machine is polled although its group asks for nothing")
	}
	apply("Group", "db", `{"monitoring":{"kind":"tcp","port":22}}`)
	if !monitored() {
		t.Error("a running machine isn't polled although its group asks for it now")
	}
}
