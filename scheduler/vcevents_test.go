package scheduler_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

// change is a change of an alarm's colour, as the manual lists it [4.1.4].
type change struct{ alarm, target, from, to, category string }

func (c change) id() string { return catalog.AlarmText(c.alarm, c.target, c.from, c.to) }

// vmwareChanges reads the manual's list.
func vmwareChanges(t *testing.T) (out []change) {
	t.Helper()
	f, err := os.Open("../fsm/catalog/events_vmware.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, row := range rows[1:] {
		out = append(out, change{row[column["alarm"]], row[column["target"]], row[column["from"]], row[column["to"]], row[column["category"]]})
	}
	if len(out) != 60 {
		t.Fatalf("the list has %d changes, want 60", len(out))
	}
	return out
}

// vcenterRig follows the events of its vCenter from the moment it returns.
func vcenterRig(t *testing.T) *schedulertest.Rig {
	t.Helper()
	r := schedulertest.New(t)
	r.Follow = true
	startReading(r)
	return r
}

func startReading(r *schedulertest.Rig) {
	r.T.Helper()
	r.Start()
	r.Until("the position", func(v *fsm.View) bool {
		_, ok := fsm.Positions.Get(v, schedulertest.Subsystem)
		return ok
	})
}

// untilHandled waits until so many events of vCenters are counted and handled,
// and returns their rows.
func untilHandled(r *schedulertest.Rig, count int64) []*schema.Event {
	r.T.Helper()
	r.Until(fmt.Sprintf("%d events of vCenters", count), func(v *fsm.View) bool {
		var n int64
		for _, e := range eventsOf(v, schema.NotifierVMware) {
			if n += e.Count; e.State != schema.EventHandled {
				return false
			}
		}
		return n >= count
	})
	return eventsOf(r.Rows(), schema.NotifierVMware)
}

// Every change of the manual's list becomes its event, and meets the decision
// that the standard policies have for it [4.3].
func TestStandardPoliciesOnEveryVMwareEvent(t *testing.T) {
	byCategory := func(c change) string {
		switch c.category {
		case "target-inaccessible", "cpu-load":
			return "acted: notify=done set-status-failed=done"
		case "target-accessible", "cpu-load-recovered":
			return "acted: notify=done set-status-normal=done"
		case "memory-degraded":
			return "acted: notify=done set-status-degraded=done"
		}
		return "ignored: "
	}
	connectionOnly := func(c change) string {
		if c.alarm == fsm.AlarmConnection && c.to != "gray" {
			return "ignored: do-nothing=done" // a rule that says so
		}
		return "ignored: "
	}
	for _, c := range []struct {
		policy string
		want   func(change) string
		ruled  int // changes that a rule names
	}{
		{"standard", byCategory, 26}, {"standard-vms", connectionOnly, 4}, {"standard-vms-powersave", connectionOnly, 4},
	} {
		t.Run(c.policy, func(t *testing.T) {
			r := vcenterRig(t)
			setStandardPolicy(r, c.policy)
			changes := vmwareChanges(t)
			for _, ch := range changes {
				object := map[string]string{"VMS": "esx01", "VM": "web01"}[ch.target]
				r.World.Alarm(object, ch.alarm, ch.from, ch.to)
			}
			got := map[string]*schema.Event{}
			for _, e := range untilHandled(r, int64(len(changes))) {
				got[e.EventId] = e
			}
			ruled := 0
			for _, ch := range changes {
				e := got[ch.id()]
				switch object := map[string]string{"VMS": "esx01", "VM": "web01"}[ch.target]; {
				case e == nil:
					t.Errorf("%s: no such event", ch.id())
					continue
				case e.Count != 1 || e.Target != object || e.Source != ch.alarm || e.Category != ch.category:
					t.Errorf("%s is recorded as %v", ch.id(), e)
				}
				if len(e.Actions) > 0 {
					ruled++
				}
				if is := e.Decision + ": " + records(e); is != c.want(ch) {
					t.Errorf("%s: %q, want %q (%s)", ch.id(), is, c.want(ch), e.Reason)
				}
			}
			if len(got) != len(changes) || ruled != c.ruled {
				t.Errorf("%d events, %d with a rule; want %d and %d", len(got), ruled, len(changes), c.ruled)
			}
		})
	}
}

// setStandardPolicy puts a standard policy into force for VM servers and VMs.
func setStandardPolicy(r *schedulertest.Rig, name string) {
	r.T.Helper()
	r.Cluster.Do(func(tx *fsm.Tx) error {
		for _, p := range catalog.Policies() {
			if p.Name != name {
				continue
			}
			row := &schema.Policy{Name: p.Name}
			for _, rule := range p.Rules {
				row.Rules = append(row.Rules, &schema.PolicyRule{Name: rule.Name, Notifier: rule.Notifier, Selector: rule.Selector, Actions: rule.Actions})
			}
			if err := fsm.Policies.Put(tx, row); err != nil {
				return err
			}
		}
		for _, group := range []string{"vmservers", "web"} {
			g, _ := fsm.Groups.Edit(tx, group)
			g.Policy = name
			if err := fsm.Groups.Put(tx, g); err != nil {
				return err
			}
		}
		return nil
	})
}

// vmChanges posts changes of the VMs' alarms, each VM's each once: 360 in all.
func vmChanges(t *testing.T, w *fake.World, post int) (ids map[string]bool) {
	ids = map[string]bool{}
	for i := range 12 {
		vm := fmt.Sprintf("web%02d", i+1)
		for _, ch := range vmwareChanges(t) {
			if ch.target == "VM" && len(ids) < post {
				w.Alarm(vm, ch.alarm, ch.from, ch.to)
				ids[vm+": "+ch.id()] = true
			}
		}
	}
	if len(ids) != post {
		t.Fatalf("posted %d changes, want %d", len(ids), post)
	}
	return ids
}

// each holds that the events on record are these, each once.
func each(t *testing.T, events []*schema.Event, ids map[string]bool) {
	t.Helper()
	for _, e := range events {
		id := e.Target + ": " + e.EventId
		if e.Count != 1 || !ids[id] {
			t.Errorf("recorded is %s, %d times", id, e.Count)
		}
		delete(ids, id)
	}
	if len(ids) > 0 {
		t.Errorf("%d events are missing, such as %v", len(ids), ids)
	}
}

// mortal is the way to the log of a manager that dies at a commit.
type mortal struct {
	*schedulertest.Rig
	mu    sync.Mutex // guards what follows
	left  int        // commits until it dies; 0: it lives
	after bool       // once the commit has been made, before it learns it
}

func (m *mortal) Leading() (uint64, error) { return m.Cluster.Leading() }
func (m *mortal) Confirm() error           { return m.Cluster.Confirm() }

// Propose implements fsm.Proposer.
func (m *mortal) Propose(data []byte) (uint64, any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dies := false
	if m.left > 0 {
		m.left--
		dies = m.left == 0
	}
	if dies && !m.after {
		m.Kill()
		return 0, nil, schema.Errorf(schema.KindNoLeader, "manager", "it is dead")
	}
	index, resp, err := m.Cluster.Propose(data)
	if dies {
		m.Kill()
		return 0, nil, schema.Errorf(schema.KindOutcomeUnknown, "manager", "it is dead")
	}
	return index, resp, err
}

// A leader that dies between reading and recording, or between recording and
// knowing it, leaves nothing out and nothing twice.
func TestLeadersDieWhileEventsAreRead(t *testing.T) {
	r := vcenterRig(t)
	m := &mortal{Rig: r}
	r.Cluster.Store().SetProposer(m)
	var mu sync.Mutex // guards reads
	reads := 0
	r.World.OnCall(func(op, _ string, phase fake.Phase) error {
		mu.Lock()
		defer mu.Unlock()
		if op == fake.OpEvents && phase == fake.After && reads > 0 {
			if reads--; reads == 0 {
				r.Kill() // it has read a page, and can't record it any more
			}
		}
		return nil
	})
	ids := map[string]bool{}
	for _, ch := range vmwareChanges(t) {
		if ch.target == "VM" {
			ids["web12: "+ch.id()] = true
		}
	}
	for id := range vmChanges(t, r.World, 330) {
		ids[id] = true
	}
	for turn := range 12 {
		switch turn % 3 {
		case 0:
			mu.Lock()
			reads = 1 + turn/3
			mu.Unlock()
		default:
			m.mu.Lock()
			m.left, m.after = 1+turn/3, turn%3 == 2
			m.mu.Unlock()
		}
		r.World.Alarm("esx01", "Alarm of our own", "green", "yellow") // there is always more to read
		r.Until("death", func(*fsm.View) bool { _, err := r.Cluster.Leading(); return err != nil })
		startReading(r)
	}
	for _, ch := range vmwareChanges(t) {
		if ch.target == "VM" {
			r.World.Alarm("web12", ch.alarm, ch.from, ch.to)
		}
	}
	var own int64
	var events []*schema.Event
	for _, e := range untilHandled(r, 360+12) {
		if e.Target == "esx01" {
			own += e.Count
			continue
		}
		events = append(events, e)
	}
	each(t, events, ids)
	if own != 12 {
		t.Errorf("%d events of our own alarm, want 12", own)
	}
	if p, _ := fsm.Positions.Get(r.Rows(), schedulertest.Subsystem); p.GetEvents() != 360+12 || p.GetNote() != "" {
		t.Errorf("the position is %v", p)
	}
}

// A thousand events that come at once are taken page by page, while nobody
// leads and at once.
func TestBurstOfEvents(t *testing.T) {
	r := vcenterRig(t)
	r.Stop()
	posted := 0
	for posted < 1000 {
		for _, ch := range vmwareChanges(t) {
			if ch.target == "VM" && posted < 1000 {
				r.World.Alarm(fmt.Sprintf("web%02d", posted%12+1), ch.alarm, ch.from, ch.to)
				posted++
			}
		}
	}
	r.Start()
	var n int64
	for _, e := range untilHandled(r, 1000) {
		n += e.Count
	}
	if p, _ := fsm.Positions.Get(r.Rows(), schedulertest.Subsystem); n != 1000 || p.GetEvents() != 1000 {
		t.Errorf("%d events are counted, %d taken, want 1000", n, p.GetEvents())
	}
}

// Two vCenters are followed side by side: neither waits for the other, and an
// object's name in one isn't a machine of the other.
func TestTwoVCenters(t *testing.T) {
	r := schedulertest.New(t)
	r.Follow = true
	other := fake.New(fake.Options{System: "vc2", Clock: r.Clock.Now})
	other.AddDatastore("store2", 1<<40)
	other.AddServer(fake.Server{Name: "esx21", Datacenter: "DC2", Datastores: []string{"store2"}})
	for _, name := range []string{"app01", "web01"} {
		other.AddVM(drivers.VM{Name: name, UUID: fake.UUIDOf("vc2" + name), Server: "esx21", Datastores: []string{"store2"}, Power: drivers.PowerOn})
	}
	r.Others = map[string]*fake.World{"vc2": other}
	r.Cluster.Do(func(tx *fsm.Tx) error {
		return fsm.Subsystems.Put(tx, &schema.Subsystem{Name: "vc2", Kind: "vcenter", Address: "https://127.0.0.2", AutoManage: true})
	})
	startReading(r)
	r.Until("the second vCenter to be followed", func(v *fsm.View) bool {
		_, ok := fsm.Positions.Get(v, "vc2")
		_, known := fsm.Machines.Get(v, "app01")
		return ok && known
	})
	const heartbeat = "Virtual Machine Heartbeat"
	r.World.SystemDown(r.World.System(), true)
	r.World.Alarm("web02", heartbeat, "green", "red")
	other.Alarm("app01", heartbeat, "green", "red")
	other.Alarm("web01", heartbeat, "green", "red")
	of := func() string {
		var out []string
		for _, e := range eventsOf(r.Rows(), schema.NotifierVMware) {
			out = append(out, fmt.Sprintf("%s %s%s x%d", e.From, e.Target, e.TargetHint, e.Count))
		}
		return strings.Join(out, ", ")
	}
	untilHandled(r, 2)
	if got, want := of(), "vc2 app01 x1, vc2 vc2/web01 x1"; got != want {
		t.Errorf("recorded are %s, want %s", got, want)
	}
	r.Until("the break to be seen", func(v *fsm.View) bool {
		o, err := fsm.GetObject(v, "subsystem", schedulertest.Subsystem)
		return err == nil && strings.Contains(o.Row.(*schema.Subsystem).GetEvents().GetError(), "unreachable")
	})
	r.World.SystemDown(r.World.System(), false)
	untilHandled(r, 3)
	if got, want := of(), "vc2 app01 x1, vc2 vc2/web01 x1, vc1 web02 x1"; got != want {
		t.Errorf("recorded are %s, want %s", got, want)
	}
	if p, _ := fsm.Positions.Get(r.Rows(), schedulertest.Subsystem); p.GetError() != "" {
		t.Errorf("after contact the position still says %q", p.GetError())
	}
}

// A history that was cleared is noticed, and what is in the new one is read.
func TestClearedHistoryOfEvents(t *testing.T) {
	r := vcenterRig(t)
	vmChanges(t, r.World, 40)
	untilHandled(r, 40)
	r.Stop()
	r.World.ClearEvents()
	r.World.Alarm("web12", "Host of our own", "green", "red")
	r.Start()
	events := untilHandled(r, 41)
	p, _ := fsm.Positions.Get(r.Rows(), schedulertest.Subsystem)
	if last := events[len(events)-1]; last.Target != "web12" || p.GetEvents() != 1 || !strings.Contains(p.GetNote(), "went back from 40 to 1") {
		t.Errorf("the newest event is %v, the position %v", last, p)
	}
}

// The death of a VM server comes by event, alarm and inventory, and leads to one
// event and one job; so does its return.
func TestOneDeathIsOneEvent(t *testing.T) {
	r := vcenterRig(t)
	r.Cluster.Do(func(tx *fsm.Tx) error {
		err := fsm.Policies.Put(tx, &schema.Policy{Name: "swapped", Rules: []*schema.PolicyRule{
			{Name: "lost", Notifier: schema.NotifierVMware, Selector: "category:target-inaccessible", Actions: []string{"set-status-failed", "vms-move-all-migrate-failover"}},
			{Name: "back", Notifier: schema.NotifierVMware, Selector: "category:target-accessible", Actions: []string{"set-status-normal"}},
		}})
		if err != nil {
			return err
		}
		g, _ := fsm.Groups.Edit(tx, "vmservers")
		g.Policy = "swapped"
		return fsm.Groups.Put(tx, g)
	})
	r.World.HostDown("esx03", false)
	r.Until("all three to be told, and the VMs to be elsewhere", func(v *fsm.View) bool {
		m, _ := fsm.Machines.Get(v, "esx03")
		p, _ := fsm.Positions.Get(v, schedulertest.Subsystem)
		for vm := range fsm.Machines.By(v, fsm.ByServer, "esx03") {
			if vm.Group == "web" {
				return false
			}
		}
		return !m.Connected && p.GetEvents() == 2
	})
	events := eventsOf(r.Rows(), schema.NotifierVMware)
	if len(events) != 1 || events[0].Count != 3 || len(events[0].Jobs) != 1 {
		t.Fatalf("recorded are %v", events)
	}
	r.Clock.Advance(time.Minute) // the world's time must not lag behind that of the rows
	r.World.HostUp("esx03")
	r.Until("its return", func(v *fsm.View) bool {
		m, _ := fsm.Machines.Get(v, "esx03")
		p, _ := fsm.Positions.Get(v, schedulertest.Subsystem)
		return m.Connected && p.GetEvents() == 4 && m.HardwareStatus == schema.HardwareNormal
	})
	if events = eventsOf(r.Rows(), schema.NotifierVMware); len(events) != 2 || events[1].Count < 2 || fsm.Jobs.Len(r.Rows()) != 1 {
		t.Fatalf("recorded are %v, and %d jobs", events, fsm.Jobs.Len(r.Rows()))
	}
}

// vCenters of other versions write the alarms' names in other ways; alarms of
// one's own come under their own.
func TestNamesOfAlarms(t *testing.T) {
	r := vcenterRig(t)
	want := map[string]bool{}
	for _, c := range []struct{ object, alarm, id string }{
		{"esx01", "Host connection and power state", "Alarm Host connection state on VMS changed from green to red"},
		{"esx02", "host connection state", "Alarm Host connection state on VMS changed from green to red"},
		{"esx01", "Host CPU usage", "Alarm Host CPU Usage on VMS changed from green to red"},
		{"web01", "Virtual machine memory usage", "Alarm Virtual Machine Memory Usage on VM changed from green to red"},
		{"web01", "Backup is late", "Alarm Backup is late on VM changed from green to red"},
	} {
		r.World.Alarm(c.object, c.alarm, "green", "red")
		want[c.object+": "+c.id] = true
	}
	r.World.PostEvent(drivers.Event{Kind: drivers.EventVMDisconnected, VM: "web02", Server: "esx02"})
	r.World.PostEvent(drivers.Event{Kind: drivers.EventVMConnected, VM: "web02", Server: "esx02"})
	want["web02: Virtual Machine disconnected"], want["web02: Virtual Machine connected"] = true, true
	events := untilHandled(r, int64(len(want)))
	for _, e := range events {
		if e.Text == "" || e.Severity == "" || strings.HasPrefix(e.EventId, "Alarm Host connection") != (e.Category == "target-inaccessible") {
			t.Errorf("recorded is %v", e)
		}
	}
	each(t, events, want)
}
