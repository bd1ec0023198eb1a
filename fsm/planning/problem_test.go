package planning_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
	"yagura/placement"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// rows are three VM servers of one model and one of none, and VMs on them.
func rows(t *testing.T, change func(tx *fsm.Tx) error) *fsm.View {
	t.Helper()
	c := fsmtest.New(t)
	server := func(name, model string) *schema.Machine {
		m := &schema.Machine{
			Name: name, Kind: schema.MachineVMServer, Subsystem: "vc1", Managed: true, Power: schema.PowerOn, Connected: true, Datacenter: "DC1",
			SharedDatastores: []string{"shared"}, Datastores: []string{"local-" + name, "shared"}, CpuMhz: 8000, MemoryMib: 16384,
		}
		if model != "" {
			m.Group, m.Host, m.Model = "vmservers", name, model
		}
		return m
	}
	vm := func(name, on, power string, stores ...string) *schema.Machine {
		return &schema.Machine{Name: name, Kind: schema.MachineVM, Subsystem: "vc1", Managed: true, Power: power, Connected: true, VmServer: on, Datacenter: "DC1", Datastores: stores}
	}
	c.Do(func(tx *fsm.Tx) error {
		for _, m := range []*schema.Machine{
			server("esx01", "esx"), server("esx02", "esx"), server("esx03", "esx"), server("lone", ""),
			vm("a", "esx01", schema.PowerOn, "shared"), vm("b", "esx01", schema.PowerOn, "local-esx01"), vm("c", "esx02", schema.PowerOff, "shared"),
			vm("d", "lone", schema.PowerOn, "shared"),
		} {
			if err := fsm.Machines.Put(tx, m); err != nil {
				return err
			}
		}
		if err := fsm.Models.Put(tx, &schema.Model{Group: "vmservers", Name: "esx", Kind: schema.MachineVMServer, Capacity: 100, Placement: &schema.Placement{
			Enabled: true, Low: 10, TargetLow: 20, TargetHigh: 60, High: 80, HoldSeconds: 60, MaxMoves: 7,
		}}); err != nil {
			return err
		}
		if change != nil {
			return change(tx)
		}
		return nil
	})
	return c.Store().View()
}

func edit(tx *fsm.Tx, name string, f func(*schema.Machine)) error {
	m, _ := fsm.Machines.Edit(tx, name)
	f(m)
	return fsm.Machines.Put(tx, m)
}

func serverOf(t *testing.T, p *placement.Problem, name string) placement.Server {
	t.Helper()
	for _, s := range p.Servers {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no VM server %s in %v", name, p.Servers)
	return placement.Server{}
}

func vmOf(t *testing.T, p *placement.Problem, name string) placement.VM {
	t.Helper()
	for _, m := range p.VMs {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("no VM %s", name)
	return placement.VM{}
}

func TestProblemOfRows(t *testing.T) {
	v := rows(t, func(tx *fsm.Tx) error {
		for name, f := range map[string]func(*schema.Machine){
			"esx01": func(m *schema.Machine) { m.Bmc, m.Capacity = &schema.Bmc{Kind: "redfish"}, 150 },
			"esx02": func(m *schema.Machine) { m.Power, m.Connected = schema.PowerOff, false },
			"esx03": func(m *schema.Machine) { m.HardwareStatus = schema.HardwareFailed },
			"lone":  func(m *schema.Machine) { m.Connected = false },
		} {
			if err := edit(tx, name, f); err != nil {
				return err
			}
		}
		return nil
	})
	p := planning.Problem(v, planning.Scope{Failed: []string{"lone"}})
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if s := serverOf(t, p, "esx01"); s.State != placement.ServerOn || !s.Startable || s.Capacity != 150 || s.Model != "vmservers/esx" {
		t.Errorf("esx01: %+v", s)
	}
	if s := serverOf(t, p, "esx02"); s.State != placement.ServerOff || !s.Startable || s.Capacity != 100 {
		t.Errorf("esx02: %+v", s)
	}
	// One that runs and couldn't be started again isn't to be stopped, a faulty one takes no VM.
	if s := serverOf(t, p, "esx03"); s.Startable || !s.Maintenance || !s.KeepOn {
		t.Errorf("esx03: %+v", s)
	}
	if s := serverOf(t, p, "lone"); s.State != placement.ServerFailed || s.Model != "" || s.Startable || s.Capacity != schema.DefaultCapacity {
		t.Errorf("lone: %+v", s)
	}
	if m := vmOf(t, p, "b"); !m.LocalDisk || len(m.Datastores) != 0 || m.Cost != schema.DefaultCost {
		t.Errorf("b: %+v", m)
	}
	if len(p.Dimensions) != 0 || p.Settings.Hold != 0 || p.Settings.MoveBudget != 0 {
		t.Errorf("%+v %+v", p.Dimensions, p.Settings)
	}
}

// samples are loads of esx01 to esx03; what the VM u uses is in no row.
func samples() map[string]planning.Load {
	load := func(own int64, vms map[string]int64) planning.Load {
		l := planning.Load{Time: now, CPUMHz: own, CPUTotal: 10000, MemMiB: own, MemTotal: 20000, VMCPUMHz: map[string]int64{}, VMemMiB: map[string]int64{}}
		for name, n := range vms {
			l.VMCPUMHz[name], l.VMemMiB[name] = n, n
			l.CPUMHz += n
			l.MemMiB += n
		}
		return l
	}
	return map[string]planning.Load{"esx01": load(100, map[string]int64{"a": 1000, "b": 2000, "u": 300}), "esx02": load(50, nil), "esx03": load(70, nil)}
}

func ofModel(m *schema.Machine) bool { return m.Model == "esx" }

func TestMeasuredLoads(t *testing.T) {
	v := rows(t, nil)
	s := planning.Scope{Servers: ofModel, Loads: samples(), Model: "vmservers/esx", Now: now}
	p := planning.Problem(v, s)
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if len(p.Dimensions) != 2 || len(p.Servers) != 3 || len(p.VMs) != 3 || p.Settings.Hold != time.Minute || p.Settings.MoveBudget != 7 {
		t.Fatalf("%+v, %d VM servers, %d VMs, %+v", p.Dimensions, len(p.Servers), len(p.VMs), p.Settings)
	}
	if m := vmOf(t, p, "b"); m.Demand[0] != 2000 || m.Demand[1] != 2000 {
		t.Errorf("b: %v", m.Demand)
	}
	if l := serverOf(t, p, "esx01").Limits; l[0] != (placement.Limit{Limit: 10000, Own: 400, Size: 10000}) || l[1].Limit != 20000 {
		t.Errorf("esx01: %+v: its own use is that of what no row tells, too", l)
	}
	// A VM that was moved since it was measured brings its load along.
	moved := rows(t, func(tx *fsm.Tx) error { return edit(tx, "a", func(m *schema.Machine) { m.VmServer = "esx02" }) })
	p = planning.Problem(moved, s)
	if m := vmOf(t, p, "a"); m.Server != "esx02" || m.Demand[0] != 1000 {
		t.Errorf("a: %+v", m)
	}
	if one, two := serverOf(t, p, "esx01").Limits[0].Own, serverOf(t, p, "esx02").Limits[0].Own; one != 400 || two != 50 {
		t.Errorf("own use of esx01 %d, of esx02 %d", one, two)
	}
	// One that is off has no sample; its row tells what it has.
	off := rows(t, func(tx *fsm.Tx) error {
		return edit(tx, "esx03", func(m *schema.Machine) { m.Power, m.Connected = schema.PowerOff, false })
	})
	s.Loads = samples()
	delete(s.Loads, "esx03")
	p = planning.Problem(off, s)
	if l := serverOf(t, p, "esx03").Limits; len(l) != 2 || l[0].Limit != 8000 || l[1].Limit != 16384 || l[0].Own != 0 {
		t.Errorf("esx03: %+v", l)
	}
	// Without a sample of each that runs nothing counts as measured.
	if p = planning.Problem(v, s); len(p.Dimensions) != 0 || len(vmOf(t, p, "a").Demand) != 0 {
		t.Errorf("%+v", p.Dimensions)
	}
}

func TestHoldTimes(t *testing.T) {
	at := timestamppb.New(now.Add(-10 * time.Second))
	v := rows(t, func(tx *fsm.Tx) error {
		if err := edit(tx, "a", func(m *schema.Machine) { m.Moved = at }); err != nil {
			return err
		}
		if err := edit(tx, "esx01", func(m *schema.Machine) { m.Switched = at }); err != nil {
			return err
		}
		return edit(tx, "esx02", func(m *schema.Machine) { m.Switched, m.Power, m.Connected = at, schema.PowerOff, false })
	})
	p := planning.Problem(v, planning.Scope{Now: now})
	if m := vmOf(t, p, "a"); m.SinceMove != 10*time.Second {
		t.Errorf("a was moved %s ago", m.SinceMove)
	}
	// What was started isn't stopped at once; what was stopped may be started.
	if on, off := serverOf(t, p, "esx01").SinceChange, serverOf(t, p, "esx02").SinceChange; on != 10*time.Second || off != 0 {
		t.Errorf("esx01 was switched %s ago, esx02 %s", on, off)
	}
	if m := vmOf(t, planning.Problem(v, planning.Scope{}), "a"); m.SinceMove != 0 {
		t.Errorf("without a time nothing is held: %s", m.SinceMove)
	}
}

// A VM on its way counts on both VM servers. Of the job that asks only what is
// under way does.
func TestArrivals(t *testing.T) {
	v := rows(t, func(tx *fsm.Tx) error {
		if err := fsm.Jobs.Put(tx, &schema.Job{Id: "00001", Sequence: fsm.SeqEvacuate, State: schema.JobRunning}); err != nil {
			return err
		}
		for i, s := range []*schema.Step{
			{Target: "a", State: schema.StepHandled, Args: map[string]string{planning.ArgServer: "esx02"}},
			{Target: "b", State: schema.StepPending, Args: map[string]string{planning.ArgServer: "esx02"}},
			{Target: "c", State: schema.StepPending, Args: map[string]string{planning.ArgServer: "esx03", planning.ArgFailed: "no room"}},
		} {
			s.Job, s.Number, s.Name = "00001", int32(i+1), planning.StepMigrate
			if err := fsm.Steps.Put(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	count := func(job string) (n int) {
		p := planning.Problem(v, planning.Scope{Job: job})
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, m := range p.VMs {
			if m.Name == m.Name[:1]+" (arriving)" && m.Server == "esx02" {
				n++
			}
		}
		return n
	}
	if all, own := count(""), count("00001"); all != 2 || own != 1 {
		t.Errorf("%d VMs arrive for others, %d for the job itself", all, own)
	}
}

func TestDisabledBoundariesNeedNoOrder(t *testing.T) {
	v := rows(t, func(tx *fsm.Tx) error {
		m, _ := fsm.Models.Edit(tx, fsm.GroupKey("vmservers", "esx"))
		m.Placement = &schema.Placement{Low: 90, High: 10}
		return fsm.Models.Put(tx, m)
	})
	if err := planning.Problem(v, planning.Scope{}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestMeterKeepsFreshSamples(t *testing.T) {
	var m planning.Meter
	m.Put(samples())
	if n := len(m.Loads(now.Add(planning.Fresh))); n != 3 {
		t.Errorf("%d fresh samples", n)
	}
	if n := len(m.Loads(now.Add(planning.Fresh + time.Second))); n != 0 {
		t.Errorf("%d stale samples", n)
	}
	m.Keep(func(server string) bool { return server == "esx02" })
	if l := m.Loads(now); len(l) != 1 || l["esx02"].Percent() != 0.5 {
		t.Errorf("%v", l)
	}
	if n := len((*planning.Meter)(nil).Loads(now)); n != 0 {
		t.Errorf("no meter has %d samples", n)
	}
}
