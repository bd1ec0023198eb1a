package scheduler_test

import (
	"strings"
	"testing"
	"time"

	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

// placementOn switches VM placement on for the demo's VM servers.
func placementOn(r *schedulertest.Rig, change func(*schema.Placement)) {
	r.Cluster.Do(func(tx *fsm.Tx) error {
		m, _ := fsm.Models.Edit(tx, fsm.GroupKey("vmservers", "esx"))
		m.Placement = &schema.Placement{Enabled: true, Low: 20, TargetLow: 30, TargetHigh: 60, High: 80}
		if change != nil {
			change(m.Placement)
		}
		if err := fsm.Models.Put(tx, m); err != nil {
			return err
		}
		for _, name := range []string{"esx01", "esx02", "esx03", "esx04"} {
			s, _ := fsm.Machines.Edit(tx, name)
			s.Model = "esx"
			if err := fsm.Machines.Put(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// loaded measures the loads of the demo's VM servers as if each VM on them used so many MHz.
func loaded(r *schedulertest.Rig, mhz map[string]int64) {
	v := r.Rows()
	loads := map[string]planning.Load{}
	for m := range fsm.Machines.All(v) {
		if m.Kind != schema.MachineVMServer || m.Power != schema.PowerOn {
			continue
		}
		l := planning.Load{Time: r.Clock.Now(), CPUTotal: 10000, CPUMHz: 100, MemTotal: 65536, MemMiB: 1000, VMCPUMHz: map[string]int64{}, VMemMiB: map[string]int64{}}
		for vm := range fsm.Machines.By(v, fsm.ByServer, m.Name) {
			if vm.Power == schema.PowerOn {
				l.VMCPUMHz[vm.Name], l.VMemMiB[vm.Name] = mhz[m.Name], 1024
				l.CPUMHz += mhz[m.Name]
				l.MemMiB += 1024
			}
		}
		loads[m.Name] = l
	}
	r.Meter.Put(loads)
}

func rearrange(sequence string) func(tx *fsm.Tx) ([]string, error) {
	return func(tx *fsm.Tx) ([]string, error) {
		id, err := fsm.QueueJob(tx, &schema.Job{Sequence: sequence, Params: map[string]string{fsm.ParamVMServer: "esx01"}, Targets: []string{"esx01"}, Group: "vmservers"})
		return []string{id}, err
	}
}

func TestLoadBalanceRelievesAnOverloadedServer(t *testing.T) {
	r := schedulertest.New(t)
	placementOn(r, nil)
	loaded(r, map[string]int64{"esx01": 3000, "esx02": 100, "esx03": 100, "esx04": 100})
	r.Start()
	ids := r.Queue(rearrange(fsm.SeqLoadBalanceVMServer))
	r.MustSucceed(ids...)
	if r.World.Count("migrate", "") == 0 || r.World.Count("host-shutdown", "") != 0 {
		t.Errorf("no VM was moved, or a VM server shut down\n%s", r.Dump())
	}
	left := 0
	for vm := range fsm.Machines.By(r.Rows(), fsm.ByServer, "esx01") {
		if vm.Power == schema.PowerOn {
			left++
		}
	}
	if left > 2 || left == 0 {
		t.Errorf("%d VMs are left on esx01\n%s", left, r.Dump())
	}
	for _, s := range fsm.StepsOf(r.Rows(), ids[0]) {
		if s.Name == "migrate" && s.Args["why"] == "" {
			t.Errorf("the move of %s has no reason", s.Target)
		}
	}
}

func TestPowerSaveStopsEmptiedServers(t *testing.T) {
	r := schedulertest.New(t)
	placementOn(r, func(p *schema.Placement) { p.ReserveServers = 1 })
	loaded(r, map[string]int64{"esx01": 100, "esx02": 100, "esx03": 100, "esx04": 100})
	r.Start()
	ids := r.Queue(rearrange(fsm.SeqPowerSaveVMServer))
	r.MustSucceed(ids...)
	on := 0
	for _, name := range []string{"esx01", "esx02", "esx03", "esx04"} {
		m := r.Machine(name)
		if m.Power == schema.PowerOn {
			on++
		} else if m.Switched == nil || m.Status != schema.StatusReady {
			t.Errorf("%s: %v", name, m)
		}
	}
	if on != 2 {
		t.Errorf("%d VM servers are on, want 2 that hold each other's VMs\n%s", on, r.Dump())
	}
	if !strings.Contains(r.Job(ids[0]).Result, "shut down") {
		t.Errorf("the job says %q", r.Job(ids[0]).Result)
	}
	// Load comes again: a stopped one is started, once the hold time is over.
	r.Clock.Advance(2 * planning.Hold(nil))
	loaded(r, map[string]int64{"esx01": 1500, "esx02": 1500, "esx03": 1500, "esx04": 1500})
	again := r.Queue(rearrange(fsm.SeqLoadBalanceVMServer))
	r.MustSucceed(again...)
	if !strings.Contains(r.Job(again[0]).Result, "started") {
		t.Errorf("the job says %q\n%s", r.Job(again[0]).Result, r.Dump())
	}
}

// perfPolicy puts the manual's rules for load into force.
func perfPolicy(r *schedulertest.Rig) {
	r.Cluster.Do(func(tx *fsm.Tx) error {
		g, _ := fsm.Groups.Edit(tx, "vmservers")
		g.Policy = "load"
		if err := fsm.Groups.Put(tx, g); err != nil {
			return err
		}
		return fsm.Policies.Put(tx, &schema.Policy{Name: "load", Rules: []*schema.PolicyRule{
			{Name: "high", Notifier: schema.NotifierPerf, Selector: "11000006", Actions: []string{"vms-load-balance"}},
			{Name: "low", Notifier: schema.NotifierPerf, Selector: "11000007", Actions: []string{"vms-power-save"}},
		}})
	})
}

// From the load of VMs over samples, event and policy to the job, and back to
// rest: what follows on one crossing is one event and one job.
func TestLoadLeadsToAJob(t *testing.T) {
	r := schedulertest.New(t)
	r.Follow = true
	placementOn(r, func(p *schema.Placement) { p.Low = 0 })
	perfPolicy(r)
	total := func(server string) int64 {
		inv, err := r.World.Hypervisor().Loads(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range inv.Servers {
			if l.Name == server {
				return l.CPUTotalMHz
			}
		}
		return 0
	}("esx01")
	for _, vm := range []string{"web01", "web02", "web03"} {
		r.World.Load(vm, total*3/10)
	}
	r.Start()
	r.Until("the event", func(v *fsm.View) bool {
		es := eventsOf(v, schema.NotifierPerf)
		return len(es) == 1 && es[0].State == schema.EventHandled && len(es[0].Jobs) == 1
	})
	e := eventsOf(r.Rows(), schema.NotifierPerf)[0]
	if e.Target != "esx01" || e.EventId != "11000006" || e.Severity != "warning" || e.Decision != schema.DecisionActed {
		t.Errorf("event %v", e)
	}
	r.MustSucceed(e.Jobs...)
	if r.World.Count("migrate", "") == 0 {
		t.Errorf("nothing was moved\n%s", r.Dump())
	}
	end := r.Clock.Now().Add(20 * planning.Hold(nil))
	r.Until("much later", func(*fsm.View) bool { return r.Clock.Now().After(end) })
	if es := eventsOf(r.Rows(), schema.NotifierPerf); len(es) != 1 {
		t.Errorf("%d events of one crossing\n%s", len(es), r.Dump())
	}
}

func TestNoJobWithoutMeasuredLoads(t *testing.T) {
	r := schedulertest.New(t)
	placementOn(r, nil)
	r.Start()
	id := r.Queue(rearrange(fsm.SeqLoadBalanceVMServer))[0]
	if j := r.Wait(id); j.State != schema.JobFailed || !strings.Contains(j.Error, "measured") {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	r.Cluster.Do(func(tx *fsm.Tx) error {
		m, _ := fsm.Models.Edit(tx, fsm.GroupKey("vmservers", "esx"))
		m.Placement.Enabled = false
		return fsm.Models.Put(tx, m)
	})
	loaded(r, nil)
	id = r.Queue(rearrange(fsm.SeqPowerSaveVMServer))[0]
	if j := r.Wait(id); j.State != schema.JobFailed || !strings.Contains(j.Error, "VM placement is off") {
		t.Errorf("%s: %s", j.State, j.Error)
	}
}

// What doesn't hold any more when its turn comes is given up, and told.
func TestMovesAreVerifiedWhenTheyStart(t *testing.T) {
	r := schedulertest.New(t)
	placementOn(r, nil)
	loaded(r, map[string]int64{"esx01": 3000, "esx02": 100, "esx03": 100, "esx04": 100})
	id := r.Queue(rearrange(fsm.SeqLoadBalanceVMServer))[0]
	r.World.Delay("migrate", time.Minute)
	r.Cluster.Do(func(tx *fsm.Tx) error {
		s, _ := fsm.Subsystems.Edit(tx, schedulertest.Subsystem)
		s.MaxOperations = 1 // one move waits for the other
		return fsm.Subsystems.Put(tx, s)
	})
	r.Start()
	r.Until("the first move", func(v *fsm.View) bool { return stepState(v, id, "migrate") == schema.StepHandled })
	r.Cluster.Do(func(tx *fsm.Tx) error {
		for _, name := range []string{"esx02", "esx03", "esx04"} {
			m, _ := fsm.Machines.Edit(tx, name)
			m.Maintenance = true
			if err := fsm.Machines.Put(tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	j := r.Wait(id)
	if n := r.World.Count("migrate", ""); j.State != schema.JobSucceeded || n != 1 || !strings.Contains(j.Result, "given up") || !strings.Contains(j.Result, "maintenance") {
		t.Errorf("%s after %d moves: %s\n%s", j.State, n, j.Result, r.Dump())
	}
}

// stopped takes all VMs off a VM server and lets it be off.
func stopped(r *schedulertest.Rig, server string) {
	r.Start()
	r.MustSucceed(r.Queue(evacuate(server, false))...)
	r.MustSucceed(r.Queue(power("shutdown", "vmservers", server))...)
	r.Stop()
	r.Cluster.Do(func(tx *fsm.Tx) error { // what was moved long ago
		for m := range fsm.Machines.All(tx) {
			m, _ := fsm.Machines.Edit(tx, m.Name)
			m.Moved, m.Switched = nil, nil
			if err := fsm.Machines.Put(tx, m); err != nil {
				return err
			}
		}
		return nil
	})
}

// noRoomButOn stops a VM server and takes the room on all others away.
func noRoomButOn(server string) func(*schedulertest.Rig) {
	return func(r *schedulertest.Rig) {
		stopped(r, server)
		r.Cluster.Do(func(tx *fsm.Tx) error {
			for _, name := range []string{"esx01", "esx02", "esx03", "esx04"} {
				m, _ := fsm.Machines.Edit(tx, name)
				if name != server {
					m.Capacity = 10
				}
				if err := fsm.Machines.Put(tx, m); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// Power saving mustn't be in the way of new VMs.
func TestNewVMStartsAStoppedServer(t *testing.T) {
	r := schedulertest.New(t)
	noRoomButOn("esx04")(r)
	r.Start()
	named := r.Queue(func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestAddVM(tx, fsm.AddVM{Group: "web", VM: "web21", VMServer: "esx04"})
	})[0]
	if j := r.Wait(named); j.State != schema.JobFailed || !strings.Contains(j.Error, "esx04 is off") {
		t.Errorf("on a VM server that is off, by name: %s %s", j.State, j.Error)
	}
	r.MustSucceed(r.Queue(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestAddVM(tx, fsm.AddVM{Group: "web", VM: "web20"}) })...)
	if m := r.Machine("web20"); m.VmServer != "esx04" || m.Power != schema.PowerOn || r.Machine("esx04").Power != schema.PowerOn {
		t.Errorf("web20 is %s on %s\n%s", m.Power, m.VmServer, r.Dump())
	}
}

// A VM server that holds a template stays on: nothing could be made from it.
func TestPowerSaveKeepsTemplates(t *testing.T) {
	r := schedulertest.New(t)
	placementOn(r, nil)
	loaded(r, map[string]int64{"esx01": 100, "esx02": 100, "esx03": 100, "esx04": 100})
	r.Start()
	r.MustSucceed(r.Queue(rearrange(fsm.SeqPowerSaveVMServer))...)
	for _, name := range []string{"esx01", "esx02", "esx03", "esx04"} {
		if m := r.Machine(name); (m.Power == schema.PowerOn) != (name == "esx01") {
			t.Errorf("%s is %s\n%s", name, m.Power, r.Dump())
		}
	}
}
