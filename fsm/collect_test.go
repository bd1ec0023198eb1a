package fsm_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// collect merges a complete report of vc1 and returns the problems.
func collect(t testing.TB, c *fsmtest.Cluster, machines []*schema.Machine) []string {
	t.Helper()
	var problems []string
	c.Do(func(tx *fsm.Tx) (err error) {
		problems, err = fsm.Collected(tx, "vc1", machines, fsm.Complete)
		return err
	})
	return problems
}

func machine(t testing.TB, c *fsmtest.Cluster, name string) *schema.Machine {
	t.Helper()
	m, ok := fsm.Machines.Get(c.Store().View(), name)
	if !ok {
		t.Fatalf("there is no machine %s", name)
	}
	return m
}

// changed is the report with one machine changed.
func changed(name string, change func(*schema.Machine)) []*schema.Machine {
	out := report()
	for _, m := range out {
		if m.Name == name {
			change(m)
		}
	}
	return out
}

func without(name string) []*schema.Machine {
	var out []*schema.Machine
	for _, m := range report() {
		if m.Name != name {
			out = append(out, m)
		}
	}
	return out
}

func TestUnchangedMachinesAreNotWritten(t *testing.T) {
	c := demo(t)
	before := len(c.Log())
	// The time of the complete collection is one row; no machine is among the changes.
	if problems := collect(t, c, report()); len(problems) > 0 {
		t.Error(problems)
	}
	b, err := fsm.DecodeBatch(c.Log()[before].Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, ch := range b.Changes {
		if ch.Table == fsm.Machines.Number() {
			t.Errorf("machine %s was written", ch.Key)
		}
	}
	// A single machine without change writes nothing at all.
	before = len(c.Log())
	c.Do(func(tx *fsm.Tx) error {
		_, err := fsm.Collected(tx, "vc1", report()[:1], fsm.Partial)
		return err
	})
	if len(c.Log()) != before {
		t.Error("an unchanged machine made an entry")
	}
}

func TestCollectedFactsAreWrittenAndSettingsKept(t *testing.T) {
	c := demo(t)
	c.Do(func(tx *fsm.Tx) error {
		off := changed("web01", func(m *schema.Machine) { m.Power, m.VmServer, m.Nics[0].Mac = "off", "esx04", "52-54-00-00-02-01" })
		_, err := fsm.Collected(tx, "vc1", off[4:5], fsm.Partial)
		return err
	})
	m := machine(t, c, "web01")
	if m.Power != "off" || m.VmServer != "esx04" || m.Group != "web" || m.Host != "web01" || !m.Managed || m.Status != schema.StatusReady {
		t.Errorf("%v", m)
	}
}

func TestRenamedMachine(t *testing.T) {
	c := demo(t)
	c.Do(func(tx *fsm.Tx) error {
		return fsm.Events.Put(tx, &schema.Event{Id: "1", State: schema.EventWaiting, Target: "esx01"})
	})
	renamed := changed("esx01", func(m *schema.Machine) { m.Name = "esx01.example" })
	for _, m := range renamed {
		if m.VmServer == "esx01" {
			m.VmServer = "esx01.example"
		}
	}
	if problems := collect(t, c, renamed); len(problems) > 0 {
		t.Error(problems)
	}
	v := c.Store().View()
	h, _ := fsm.Hosts.Get(v, "vmservers/esx01")
	e, _ := fsm.Events.Last(v)
	m := machine(t, c, "esx01.example")
	if h.Machine != m.Name || e.Target != m.Name || m.Host != "esx01" || m.Bmc == nil {
		t.Errorf("host of %q, event of %q, machine %v", h.Machine, e.Target, m)
	}
	if _, ok := fsm.Machines.Get(v, "esx01"); ok {
		t.Error("the old name is still there")
	}
}

func TestExchangedNames(t *testing.T) {
	c := demo(t)
	swapped := changed("web01", func(m *schema.Machine) { m.Name = "web02" })
	for _, m := range swapped {
		if m.Uuid == "00000000-0000-0000-0002-000000000002" {
			m.Name = "web03"
		} else if m.Uuid == "00000000-0000-0000-0002-000000000003" {
			m.Name = "free"
		}
	}
	if problems := collect(t, c, swapped); len(problems) > 0 {
		t.Error(problems)
	}
	if m := machine(t, c, "web02"); m.Uuid != "00000000-0000-0000-0002-000000000001" || m.Host != "web01" {
		t.Errorf("%v", m)
	}
}

func TestJobKeepsItsMachine(t *testing.T) {
	c := demo(t)
	c.Do(func(tx *fsm.Tx) error {
		return fsm.Locks.Put(tx, &schema.Lock{Object: fsm.MachineLock("web01"), Job: "00007"})
	})
	problems := collect(t, c, changed("web01", func(m *schema.Machine) { m.Name, m.Power = "other", "off" }))
	if len(problems) != 1 || !strings.Contains(problems[0], "00007") {
		t.Error(problems)
	}
	collect(t, c, without("web01"))
	if m := machine(t, c, "web01"); m.Gone {
		t.Error("a machine that a job holds was marked gone")
	}
	c.Do(func(tx *fsm.Tx) error { return fsm.Locks.Delete(tx, fsm.LockKey(fsm.MachineLock("web01"), "00007")) })
	c.Do(func(tx *fsm.Tx) error {
		return fsm.Jobs.Put(tx, &schema.Job{Id: "8", State: schema.JobQueued, Targets: []string{"web01"}})
	})
	if problems := collect(t, c, changed("web01", func(m *schema.Machine) { m.Name = "other" })); len(problems) != 1 || !strings.Contains(problems[0], "job 8") {
		t.Error(problems)
	}
}

func TestReportThatMissesMostIsDoubted(t *testing.T) {
	c := demo(t)
	many := func(n int) []*schema.Machine {
		out := report()
		for i := range n {
			out = append(out, &schema.Machine{Name: fmt.Sprintf("vm%02d", i), Uuid: fmt.Sprintf("00000000-0000-0000-0007-%012d", i), Kind: schema.MachineVM, Power: schema.PowerOn, Connected: true})
		}
		return out
	}
	known := func() int { return fsm.Machines.Len(c.Store().View()) }
	status := func() *schema.Subsystem {
		s, _ := fsm.Subsystems.Get(c.Store().View(), "vc1")
		return s
	}
	collect(t, c, many(40))
	all, last := known(), status().Collected.AsTime()
	for _, in := range [][]*schema.Machine{nil, report(), many(20)} {
		problems := collect(t, c, in)
		if known() != all || len(problems) != 1 || !strings.Contains(problems[0], "pvmutl collect vc1 --force") {
			t.Fatalf("a report of %d: %d of %d machines are left: %q", len(in), known(), all, problems)
		}
		if s := status(); s.Error != problems[0] || !s.Collected.AsTime().Equal(last) {
			t.Fatalf("the subsystem says %q, collected %v", s.Error, s.Collected.AsTime())
		}
	}
	// Ten at once are no doubt, and neither is a third.
	if problems := collect(t, c, many(30)); len(problems) > 0 || known() != all-10 || status().Error != "" {
		t.Fatalf("%d of %d machines are left: %q, %q", known(), all, problems, status().Error)
	}
	c.Do(func(tx *fsm.Tx) error {
		_, err := fsm.Collected(tx, "vc1", report(), fsm.Confirmed)
		return err
	})
	if n := known(); n != all-40 || status().Error != "" {
		t.Fatalf("confirmed, and %d of %d machines are left; %q", n, all, status().Error)
	}
}

func TestForcedCollectIsOfOneSubsystem(t *testing.T) {
	c := demo(t)
	for name, want := range map[string]schema.Kind{"": schema.KindInvalid, "vc9": schema.KindNotFound} {
		_, err := c.Try(func(tx *fsm.Tx) error {
			_, err := fsm.RequestForcedCollect(tx, name)
			return err
		})
		if schema.KindOf(err) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	var plain, forced, second []string
	c.Do(func(tx *fsm.Tx) (err error) {
		if plain, err = fsm.RequestCollect(tx, "vc1"); err != nil {
			return err
		}
		if forced, err = fsm.RequestForcedCollect(tx, "vc1"); err != nil {
			return err
		}
		second, err = fsm.RequestCollect(tx, "")
		return err
	})
	if plain[0] == forced[0] || second[0] != plain[0] {
		t.Fatalf("plain %v and %v, forced %v", plain, second, forced)
	}
}

func TestGoneMachines(t *testing.T) {
	c := demo(t)
	c.Do(func(tx *fsm.Tx) error {
		_, err := fsm.Collected(tx, "vc1", without("web01"), fsm.Partial)
		return err
	})
	if machine(t, c, "web01").Gone {
		t.Error("an incomplete report proves nothing")
	}
	collect(t, c, without("web01"))
	if m := machine(t, c, "web01"); !m.Gone || m.Power != schema.PowerUnknown || m.Connected || m.Group != "web" {
		t.Errorf("%v", m)
	}
	collect(t, c, report())
	if m := machine(t, c, "web01"); m.Gone || m.Power != schema.PowerOn {
		t.Errorf("back again: %v", m)
	}
	// What nobody manages is forgotten at once.
	collect(t, c, without("spare01"))
	if _, ok := fsm.Machines.Get(c.Store().View(), "spare01"); ok {
		t.Error("spare01 is still there")
	}
	for _, id := range []string{"00000000-0000-0000-0002-000000000002", "web03", "unknown"} {
		c.Do(func(tx *fsm.Tx) error { return fsm.CollectedGone(tx, "vc1", id) })
	}
	if !machine(t, c, "web02").Gone || !machine(t, c, "web03").Gone || machine(t, c, "web04").Gone {
		t.Error("machines told gone one by one")
	}
	c.Do(func(tx *fsm.Tx) error { return fsm.CollectedGone(tx, "another", "web04") })
	if machine(t, c, "web04").Gone {
		t.Error("another subsystem's word counted")
	}
}

func TestDoubleRegistration(t *testing.T) {
	c := demo(t)
	before := machine(t, c, "web05")
	problems := collect(t, c, changed("web05", func(m *schema.Machine) { m.Nics[0].Mac, m.Power = "52:54:00:00:02:06", "off" }))
	if len(problems) != 1 || !strings.Contains(problems[0], "web05") || !strings.Contains(problems[0], "52:54:00:00:02:06") || !strings.Contains(problems[0], "web06") {
		t.Error(problems)
	}
	if got := machine(t, c, "web05"); !proto.Equal(got, before) {
		t.Errorf("it was updated: %v", got)
	}
	// A new machine with the name or address of a managed one.
	for _, change := range []func(*schema.Machine){
		func(m *schema.Machine) { m.Name, m.Nics = "web01", nil },
		func(m *schema.Machine) { m.Name = "new" },
	} {
		extra := proto.Clone(report()[4]).(*schema.Machine)
		extra.Uuid = "00000000-0000-0000-0009-000000000001"
		change(extra)
		if problems := collect(t, c, append(report(), extra)); len(problems) != 1 || !strings.Contains(problems[0], "web01") {
			t.Error(problems)
		}
	}
	// The same VM server in two vCenters.
	apply(t, c, doc("Subsystem", "vc2", `{'address':'h'}`))
	c.Do(func(tx *fsm.Tx) error {
		problems, err := fsm.Collected(tx, "vc2", report()[:1], fsm.Partial)
		if len(problems) != 1 || !strings.Contains(problems[0], "vc1") {
			t.Errorf("problems %v", problems)
		}
		return err
	})
	// Another machine of it in a datacenter of the same name is told of.
	c.Do(func(tx *fsm.Tx) error {
		problems, err := fsm.Collected(tx, "vc2", []*schema.Machine{{Name: "x", Kind: schema.MachineVM, Datacenter: "DC1"}}, fsm.Complete)
		if len(problems) != 1 || !strings.Contains(problems[0], "DC1") {
			t.Errorf("problems %v", problems)
		}
		return err
	})
}

func TestReplacedMachineTakesTheNameOfAGoneOne(t *testing.T) {
	c := demo(t)
	c.Do(func(tx *fsm.Tx) error {
		m, _ := fsm.Machines.Edit(tx, "spare01")
		m.Gone, m.Description = true, "kept"
		return fsm.Machines.Put(tx, m)
	})
	machines := changed("spare01", func(m *schema.Machine) { m.Uuid = "00000000-0000-0000-0009-000000000002" })
	if problems := collect(t, c, machines); len(problems) > 0 {
		t.Error(problems)
	}
	if m := machine(t, c, "spare01"); m.Uuid != "00000000-0000-0000-0009-000000000002" || m.Gone {
		t.Errorf("%v", m)
	}
}

func TestDeclaredMachineIsRecognised(t *testing.T) {
	for name, spec := range map[string]string{
		"uuid": `{'kind':'physical','uuid':'00000000-0000-0000-0001-000000000001','description':'rack 7'}`,
		"mac":  `{'kind':'physical','nics':[{'mac':'52:54:00:00:01:01'}],'description':'rack 7'}`,
		"name": `{'kind':'physical','description':'rack 7'}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := bootstrapped(t)
			declared := "declared"
			if name == "name" {
				declared = "esx01"
			}
			apply(t, c, doc("Subsystem", "vc1", `{'address':'h'}`), doc("Machine", declared, spec))
			if problems := collect(t, c, report()); len(problems) > 0 {
				t.Error(problems)
			}
			m := machine(t, c, "esx01")
			if m.Description != "rack 7" || m.Kind != schema.MachineVMServer || m.Subsystem != "vc1" || m.Uuid == "" {
				t.Errorf("%v", m)
			}
		})
	}
}

// TestMachineEnteredByHandStays: one that was entered by hand and is managed
// isn't merged with a reported one behind its operator's back.
func TestMachineEnteredByHandStays(t *testing.T) {
	for name, tt := range map[string]struct{ machine, spec, words string }{
		"UUID": {"ph01", `'uuid':'00000000-0000-0000-0001-000000000001'`, "UUID 00000000-0000-0000-0001-000000000001 is that of machine ph01"},
		"MAC":  {"ph01", `'nics':[{'mac':'52:54:00:00:09:01'},{'mac':'52:54:00:00:01:01'}]`, "address 52:54:00:00:01:01 is that of machine ph01"},
		"name": {"esx01", `'tags':[]`, "name esx01 is that of machine esx01"},
	} {
		t.Run(name, func(t *testing.T) {
			c := bootstrapped(t)
			apply(t, c, doc("Subsystem", "vc1", `{'address':'h'}`), doc("Machine", tt.machine, `{'kind':'physical','managed':true,`+tt.spec+`}`))
			before := machine(t, c, tt.machine)
			problems := collect(t, c, report())
			if len(problems) != 1 || !strings.Contains(problems[0], tt.words) || !strings.Contains(problems[0], "entered by hand as physical") || !strings.Contains(problems[0], "take machine "+tt.machine+" out of management") {
				t.Errorf("%q", problems)
			}
			if got := machine(t, c, tt.machine); !proto.Equal(got, before) {
				t.Errorf("it became %v", got)
			}
			if _, ok := fsm.Machines.Get(c.Store().View(), "esx01"); ok && tt.machine != "esx01" {
				t.Error("the reported one was added all the same")
			}
			// What the explanation says helps.
			apply(t, c, doc("Machine", tt.machine, `{'managed':false}`))
			if problems := collect(t, c, report()); len(problems) > 0 || machine(t, c, "esx01").Subsystem != "vc1" {
				t.Errorf("%q", problems)
			}
		})
	}
	// And the other way round: what is entered clashes with what was collected.
	c := demo(t)
	for word, spec := range map[string]string{
		"uuid": `{'kind':'physical','uuid':'00000000-0000-0000-0001-000000000001'}`, "mac": `{'kind':'physical','nics':[{'mac':'52-54-00-00-01-01'}]}`,
	} {
		refuse(t, c, schema.KindConflict, []string{"ph01", word, "esx01"}, doc("Machine", "ph01", spec))
	}
}

func TestCompleteReportClearsTheError(t *testing.T) {
	c := demo(t)
	c.Do(func(tx *fsm.Tx) error {
		s, _ := fsm.Subsystems.Edit(tx, "vc1")
		s.Error = "refused"
		return fsm.Subsystems.Put(tx, s)
	})
	collect(t, c, report())
	if s, _ := fsm.Subsystems.Get(c.Store().View(), "vc1"); s.Error != "" {
		t.Errorf("still %q", s.Error)
	}
}

func TestAutoManage(t *testing.T) {
	c := bootstrapped(t)
	apply(t, c, doc("Subsystem", "vc1", `{'address':'h','auto_manage':true}`))
	odd := proto.Clone(report()[4]).(*schema.Machine)
	odd.Name, odd.Uuid, odd.Nics = "old one (copy)", "00000000-0000-0000-0009-000000000003", nil
	collect(t, c, append(report(), odd))
	for name, want := range map[string]bool{"web01": true, "tmpl-web": false, "old one (copy)": false} {
		if m := machine(t, c, name); m.Managed != want {
			t.Errorf("%s managed: %v", name, m.Managed)
		}
	}
	refuse(t, c, schema.KindInvalid, []string{"rename it in vc1"}, doc("Machine", "old one (copy)", `{'managed':true}`))
}

func TestManyProblemsAreBounded(t *testing.T) {
	c := bootstrapped(t)
	apply(t, c, doc("Subsystem", "vc1", `{'address':'h'}`))
	var bad []*schema.Machine
	for i := range 150 {
		bad = append(bad, &schema.Machine{Name: fmt.Sprintf("m%d", i), Kind: "toaster"})
	}
	if problems := collect(t, c, bad); len(problems) != 101 || problems[100] != "and 50 more" {
		t.Errorf("%d problems, the last %q", len(problems), problems[len(problems)-1])
	}
	_, err := c.Try(func(tx *fsm.Tx) error {
		_, err := fsm.Collected(tx, "nowhere", nil, fsm.Complete)
		return err
	})
	if schema.KindOf(err) != schema.KindNotFound {
		t.Error(err)
	}
}

// BenchmarkCollectUnchanged is what a collection of 10,000 unchanged machines
// costs the leader's committer.
func BenchmarkCollectUnchanged(b *testing.B) {
	c := bootstrapped(b)
	apply(b, c, doc("Subsystem", "vc1", `{'address':'h'}`))
	var machines []*schema.Machine
	for i := range 10000 {
		machines = append(machines, &schema.Machine{
			Name: fmt.Sprintf("vm%05d", i), Uuid: fmt.Sprintf("00000000-0000-0000-0002-%012d", i), Kind: schema.MachineVM, Power: schema.PowerOn, Connected: true,
			Nics: []*schema.NIC{{Mac: fmt.Sprintf("52:54:00:01:%02x:%02x", i/256, i%256)}}, Datastores: []string{"shared01"},
		})
	}
	collect(b, c, machines)
	for b.Loop() {
		collect(b, c, machines)
	}
}
