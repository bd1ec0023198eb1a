package fsm_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// sampledWorld is a group of three physical machines with a policy, and what
// managers say of their samples.
type sampledWorld struct {
	*fsmtest.Cluster
	t        *testing.T
	sequence uint64
}

func newSampledWorld(t *testing.T, thresholds ...*schema.Threshold) *sampledWorld {
	w := &sampledWorld{Cluster: fsmtest.New(t), t: t}
	w.Do(func(tx *fsm.Tx) error {
		err := fsm.Groups.Put(tx, &schema.Group{Name: "db", Kind: schema.MachinePhysical, Thresholds: thresholds})
		for _, n := range []string{"1", "2", "3"} {
			if err == nil {
				err = fsm.Machines.Put(tx, &schema.Machine{
					Name: "ph0" + n, Kind: schema.MachinePhysical, Power: schema.PowerOn, HardwareStatus: "normal", Status: schema.StatusReady,
					Managed: true, Group: "db", Host: "db0" + n, Model: "m",
				})
			}
		}
		return err
	})
	return w
}

func (w *sampledWorld) edit(machine string, f func(*schema.Machine)) {
	w.Do(func(tx *fsm.Tx) error {
		m, _ := fsm.Machines.Edit(tx, machine)
		f(m)
		return fsm.Machines.Put(tx, m)
	})
}

func sampleEvent(machine, threshold, metric, state, id string) *schema.Event {
	return &schema.Event{
		Notifier: schema.NotifierPerf, Source: fsm.PerformanceSource, EventId: id, Target: machine, Severity: "warning", Text: "load",
		Varbinds: map[string]string{fsm.VarThreshold: threshold, fsm.VarMetric: metric, fsm.VarState: state},
	}
}

// tell has a manager tell of a machine: "ph01 10000001 cpu crossed".
func (w *sampledWorld) tell(manager, what string, id ...string) {
	w.t.Helper()
	words := strings.Fields(what)
	e := sampleEvent(words[0], words[1], words[2], words[3], append(id, words[1])[0])
	w.sequence++
	e.Sequence = w.sequence
	w.Do(func(tx *fsm.Tx) error {
		last, err := fsm.RecordEvents(tx, manager+fsm.SampleStream, []*schema.Event{e})
		if err == nil && last != e.Sequence {
			w.t.Errorf("recorded up to %d, want %d", last, e.Sequence)
		}
		return err
	})
}

func (w *sampledWorld) seen(want ...string) {
	w.t.Helper()
	var got []string
	for e := range fsm.Events.All(w.Store().View()) {
		got = append(got, e.Node+" "+e.Target+" "+e.EventId)
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("events %q, want %q", got, want)
	}
}

func (w *sampledWorld) crossed(machine string) int {
	m, _ := fsm.Machines.Get(w.Store().View(), machine)
	return len(m.Crossed)
}

// TestSamples holds that what several managers' samples say of a machine is one
// crossing and one recovery, and nothing while nobody wants to know.
func TestSamples(t *testing.T) {
	w := newSampledWorld(t, &schema.Threshold{Event: "10000001", Metric: "cpu", Value: 90, Recovery: "10000002"}, &schema.Threshold{Event: "10000003", Metric: "disk", Value: 90})
	w.tell("m1", "ph01 10000001 cpu recovered", "10000002") // nothing had been said before
	w.tell("m1", "ph01 10000001 memory crossed")            // no such threshold
	w.tell("m1", "ph09 10000001 cpu crossed")               // no such machine
	w.seen()
	w.tell("m1", "ph01 10000001 cpu crossed")
	w.tell("m2", "ph01 10000001 cpu crossed")
	w.tell("m1", "ph01 10000001 cpu crossed")
	w.seen("m1 ph01 10000001")
	w.tell("m2", "ph01 10000001 cpu recovered", "10000002")
	w.tell("m1", "ph01 10000001 cpu recovered", "10000002")
	w.seen("m1 ph01 10000001", "m2 ph01 10000002")

	// A recovery without an event of its own is noted.
	w.tell("m1", "ph01 10000003 disk crossed")
	w.tell("m1", "ph01 10000003 disk recovered")
	if w.crossed("ph01") != 0 {
		t.Error("it counts as crossed on")
	}
	w.seen("m1 ph01 10000001", "m2 ph01 10000002", "m1 ph01 10000003")

	for name, quiet := range map[string]func(*schema.Machine){
		"maintenance": func(m *schema.Machine) { m.Maintenance = true },
		"a job":       func(m *schema.Machine) { m.Status = schema.StatusInUse },
		"off":         func(m *schema.Machine) { m.Power = schema.PowerOff },
	} {
		w.edit("ph02", quiet)
		w.tell("m1", "ph02 10000003 disk crossed")
		if w.crossed("ph02") != 0 {
			t.Errorf("%s: it was told", name)
		}
		w.edit("ph02", func(m *schema.Machine) { m.Maintenance, m.Status, m.Power = false, schema.StatusReady, schema.PowerOn })
	}

	// Under another host what was says nothing.
	w.tell("m1", "ph02 10000003 disk crossed")
	w.edit("ph02", func(m *schema.Machine) { m.Host = "db09" })
	m, _ := fsm.Machines.Get(w.Store().View(), "ph02")
	if fsm.Crossed(m, "10000003", "disk") != nil {
		t.Error("the crossing came along")
	}
	w.tell("m1", "ph02 10000001 cpu crossed")
	if w.crossed("ph02") != 1 {
		t.Error("crossings pile up")
	}

	// A threshold that isn't in force any more.
	w.tell("m1", "ph02 10000001 cpu withdrawn")
	if w.crossed("ph02") != 1 {
		t.Error("withdrawn while it is in force")
	}
	w.Do(func(tx *fsm.Tx) error {
		g, _ := fsm.Groups.Edit(tx, "db")
		g.Thresholds = nil
		return fsm.Groups.Put(tx, g)
	})
	w.tell("m1", "ph02 10000001 cpu withdrawn")
	if w.crossed("ph02") != 0 {
		t.Error("it isn't withdrawn")
	}
	w.Check()
}

// TestSamplesOfGroups holds that an event for group actions comes once for its
// group: by the first machine that crosses and the last that recovers.
func TestSamplesOfGroups(t *testing.T) {
	w := newSampledWorld(t, &schema.Threshold{Event: "11000001", Metric: "cpu", Value: 90, Recovery: "11000002"})
	w.tell("m1", "ph01 11000001 cpu crossed")
	w.tell("m2", "ph02 11000001 cpu crossed")
	w.tell("m1", "ph01 11000001 cpu recovered", "11000002")
	w.seen("m1 ph01 11000001")
	w.tell("m3", "ph03 11000001 cpu crossed")
	w.tell("m2", "ph02 11000001 cpu recovered", "11000002")
	w.tell("m3", "ph03 11000001 cpu recovered", "11000002")
	w.seen("m1 ph01 11000001", "m3 ph03 11000002")
}

// TestNoSamples holds that a stream of samples takes no other events.
func TestNoSamples(t *testing.T) {
	w := newSampledWorld(t)
	for name, change := range map[string]func(e *schema.Event){
		"another notifier":     func(e *schema.Event) { e.Notifier = schema.NotifierESMPRO },
		"another source":       func(e *schema.Event) { e.Source = "x" },
		"an unknown event":     func(e *schema.Event) { e.EventId = "10000009F" },
		"an unknown threshold": func(e *schema.Event) { e.Varbinds[fsm.VarThreshold] = "1" },
		"an unknown state":     func(e *schema.Event) { e.Varbinds[fsm.VarState] = "well" },
		"no variables":         func(e *schema.Event) { e.Varbinds = nil },
	} {
		e := sampleEvent("ph01", "10000001", "cpu", fsm.SamplesCrossed, "10000001")
		e.Sequence = 1
		change(e)
		_, err := w.Try(func(tx *fsm.Tx) error {
			_, err := fsm.RecordEvents(tx, "m1"+fsm.SampleStream, []*schema.Event{e})
			return err
		})
		if schema.KindOf(err) != schema.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestThresholds holds whose thresholds stand: the machine's before the model's
// before the group's, event by event.
func TestThresholds(t *testing.T) {
	c := fsmtest.New(t)
	th := func(event, metric string, value int32) *schema.Threshold {
		return &schema.Threshold{Event: event, Metric: metric, Value: value}
	}
	model := &schema.Model{Group: "vms", Name: "esx", Kind: schema.MachineVMServer, Thresholds: []*schema.Threshold{
		th("10000001", "cpu", 2), th("10000002", "cpu", 2), th("11000006", "memory", 2), {Event: "10000005", Off: true},
	}}
	group := &schema.Group{Name: "vms", Kind: schema.MachineVMServer, Thresholds: []*schema.Threshold{
		th("10000001", "cpu", 3), th("10000002", "memory", 3), th("10000003", "memory", 3), th("10000003", "cpu", 3), th("10000005", "cpu", 3), th("11000007", "cpu", 3),
	}}
	m := &schema.Machine{Name: "esx01", Kind: schema.MachineVMServer, Group: "vms", Host: "h", Model: "esx", Thresholds: []*schema.Threshold{th("10000001", "memory", 1)}}
	put := func() {
		c.Do(func(tx *fsm.Tx) error {
			if err := fsm.Groups.Put(tx, group); err != nil {
				return err
			}
			return fsm.Models.Put(tx, model)
		})
	}
	is := func(want ...*schema.Threshold) {
		t.Helper()
		got := fsm.Thresholds(c.Store().View(), m)
		if !slices.EqualFunc(got, want, func(a, b *schema.Threshold) bool { return proto.Equal(a, b) }) {
			t.Errorf("in force:\n%v, want\n%v", got, want)
		}
	}
	put()
	is(th("10000001", "memory", 1), th("10000002", "cpu", 2), th("10000003", "cpu", 3), th("10000003", "memory", 3), th("11000006", "memory", 2), th("11000007", "cpu", 3))
	// VM placement's own boundaries say what high and low load are.
	model = proto.Clone(model).(*schema.Model)
	model.Placement = &schema.Placement{Enabled: true, High: 80, TargetHigh: 60, TargetLow: 30, Low: 20}
	put()
	is(th("10000001", "memory", 1), th("10000002", "cpu", 2), th("10000003", "cpu", 3), th("10000003", "memory", 3))
}

// TestThresholdDocuments holds what documents may say of thresholds and sampling.
func TestThresholdDocuments(t *testing.T) {
	c := fsmtest.New(t)
	apply := func(kind, name, spec string) error {
		_, err := c.Try(func(tx *fsm.Tx) error {
			_, err := fsm.ApplyDocuments(tx, []fsm.Document{{Kind: kind, Name: name, Spec: []byte(spec)}})
			return err
		})
		return err
	}
	for _, d := range [][3]string{
		{"Group", "db", `{"kind":"physical","performance":{"interval_seconds":10,"port":1161,"community":"hush"},"thresholds":[{"event":"1000000a","metric":"disk","value":90,"times":5,"recovery":"10000009"},{"event":"10000001","off":true}]}`},
		{"Model", "db/m", `{"kind":"physical","thresholds":[{"event":"10000001","metric":"cpu","value":10,"below":true}]}`},
		{"Machine", "ph01", `{"kind":"physical","thresholds":[{"event":"11000001","metric":"memory","value":95}]}`},
		{"Group", "vms", `{"kind":"vm-server","performance":{},"thresholds":[{"event":"11000006","metric":"cpu","value":80}]}`},
	} {
		if err := apply(d[0], d[1], d[2]); err != nil {
			t.Fatalf("%s %s: %v", d[0], d[1], err)
		}
	}
	g, _ := fsm.Groups.Get(c.Store().View(), "db")
	if community, err := c.Store().Sealer().Open(g.Performance.Community); err != nil || string(community) != "hush" || g.Thresholds[0].Event != "1000000A" {
		t.Errorf("stored as %v, %v", g, err)
	}
	o, err := fsm.GetObject(c.Store().View(), "Group", "db")
	if err != nil || strings.Contains(string(o.Spec), "community") || !strings.Contains(string(o.Spec), `"event":"1000000A"`) || !o.Row.(*schema.Group).Performance.CommunitySet || len(o.Row.(*schema.Group).Performance.Community) > 0 {
		t.Errorf("shown as %s, %v", o.Spec, err)
	}
	index := c.Store().View().Index()
	for name, d := range map[string][3]string{
		"no event":             {"Group", "db", `{"thresholds":[{"metric":"cpu","value":9}]}`},
		"an unknown event":     {"Group", "db", `{"thresholds":[{"event":"10000011","metric":"cpu","value":9}]}`},
		"an unknown recovery":  {"Group", "db", `{"thresholds":[{"event":"10000001","metric":"cpu","value":9,"recovery":"7"}]}`},
		"the same recovery":    {"Group", "db", `{"thresholds":[{"event":"10000001","metric":"cpu","value":9,"recovery":"10000001"}]}`},
		"an unknown metric":    {"Group", "db", `{"thresholds":[{"event":"10000001","metric":"heat","value":9}]}`},
		"no value":             {"Group", "db", `{"thresholds":[{"event":"10000001","metric":"cpu"}]}`},
		"too high a value":     {"Group", "db", `{"thresholds":[{"event":"10000001","metric":"cpu","value":100}]}`},
		"negative times":       {"Group", "db", `{"thresholds":[{"event":"10000001","metric":"cpu","value":9,"times":-1}]}`},
		"the same twice":       {"Group", "db", `{"thresholds":[{"event":"10000001","metric":"cpu","value":9},{"event":"10000001","metric":"cpu","value":8}]}`},
		"off and more":         {"Group", "db", `{"thresholds":[{"event":"10000001","off":true,"value":8}]}`},
		"VM servers only":      {"Machine", "ph01", `{"thresholds":[{"event":"11000006","metric":"cpu","value":8}]}`},
		"disks of VM servers":  {"Group", "vms", `{"thresholds":[{"event":"10000001","metric":"disk","value":8}]}`},
		"SNMP of VM servers":   {"Group", "vms", `{"performance":{"port":161}}`},
		"a long interval":      {"Group", "db", `{"performance":{"interval_seconds":86400}}`},
		"output":               {"Group", "db", `{"performance":{"community_set":true}}`},
		"crossings":            {"Machine", "ph01", `{"crossed":[]}`},
		"too many":             {"Group", "db", `{"thresholds":[` + strings.Repeat(`{"event":"10000001","off":true},`, 64) + `{"event":"10000001","off":true}]}`},
		"placement beside":     {"Model", "vms/m", `{"kind":"vm-server","placement":{"enabled":true,"high":80,"target_high":60,"target_low":30,"low":20},"thresholds":[{"event":"11000006","metric":"cpu","value":8}]}`},
		"a model's VM servers": {"Model", "db/m", `{"thresholds":[{"event":"11000007","metric":"cpu","value":8}]}`},
	} {
		if err := apply(d[0], d[1], d[2]); schema.KindOf(err) != schema.KindInvalid && schema.KindOf(err) != schema.KindTooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c.Store().View().Index() != index {
		t.Error("what was refused has changed something")
	}
}
