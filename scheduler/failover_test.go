package scheduler_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

func evacuate(server string, failover bool) func(*fsm.Tx) ([]string, error) {
	return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestEvacuate(tx, server, failover) }
}

// onServer counts the VMs that the world has on a VM server.
func onServer(t *testing.T, r *schedulertest.Rig, server string) (names []string) {
	t.Helper()
	inv, err := r.World.Hypervisor().Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range inv.VMs {
		if v.Server == server && !v.Template {
			names = append(names, v.Name)
		}
	}
	return names
}

func TestFailoverOfADeadServer(t *testing.T) {
	r := schedulertest.New(t)
	r.World.HostDown("esx02", false)
	r.Start()
	ids := r.Queue(evacuate("esx02", true))
	r.MustSucceed(ids...)
	if left := onServer(t, r, "esx02"); len(left) > 0 {
		t.Errorf("still on esx02: %v", left)
	}
	for _, vm := range []string{"web04", "web05", "web06"} {
		m := r.Machine(vm)
		if m.Power != schema.PowerOn || m.VmServer == "esx02" || m.Status != schema.StatusReady || !m.Connected {
			t.Errorf("row of %s: %v", vm, m)
		}
		if r.World.Count("register", vm) != 1 || r.World.Count("power-on", vm) != 1 {
			t.Errorf("ledger of %s:\n%s", vm, r.Dump())
		}
	}
	if r.World.Count("host-power-off", "esx02") != 1 {
		t.Error("esx02 wasn't fenced once")
	}
	if v := r.World.Violations(); len(v) > 0 {
		t.Error(v)
	}
	if m := r.Machine("esx02"); m.Power != schema.PowerOff || m.Connected {
		t.Errorf("row of esx02: %v", m)
	}
}

func TestFailoverParksWithoutProofAndGoesOnByTheOperatorsWord(t *testing.T) {
	r := schedulertest.New(t)
	r.World.HostDown("esx03", true)
	r.Start()
	id := r.Queue(evacuate("esx03", true))[0]
	j := r.Wait(id)
	if j.State != schema.JobParked || !strings.Contains(j.Parked, "esx03 can't be proven off") || !strings.Contains(j.Parked, "bmc-esx03") {
		t.Fatalf("the job is %s: %s\n%s", j.State, j.Parked, r.Dump())
	}
	if r.World.Count("", "") != 0 {
		t.Fatalf("the ledger has %v", r.World.Ledger())
	}
	_, err := r.Cluster.Try(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "perhaps") })
	if schema.KindOf(err) != schema.KindInvalid {
		t.Fatalf("an unknown word: %v", err)
	}
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") })
	if j = r.Wait(id); j.State != schema.JobParked {
		t.Fatalf("after asking again it is %s", j.State)
	}
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, fsm.WordOff) })
	r.MustSucceed(id)
	if left := onServer(t, r, "esx03"); len(left) > 0 {
		t.Errorf("still on esx03: %v", left)
	}
}

func TestFailoverMigratesFromALiveServer(t *testing.T) {
	r := schedulertest.New(t)
	r.Start()
	r.MustSucceed(r.Queue(evacuate("esx02", true))...)
	if left := onServer(t, r, "esx02"); len(left) > 0 || r.World.Count("migrate", "") != 3 || r.World.Count("", "") != 3 {
		t.Errorf("still on esx02: %v\n%s", left, r.Dump())
	}
}

func TestFailoverTellsWhatItLeft(t *testing.T) {
	r := schedulertest.New(t)
	r.Cluster.Do(func(tx *fsm.Tx) error {
		for _, s := range []string{"esx01", "esx03", "esx04"} {
			m, _ := fsm.Machines.Edit(tx, s)
			m.Capacity = 40
			if err := fsm.Machines.Put(tx, m); err != nil {
				return err
			}
		}
		m, _ := fsm.Machines.Edit(tx, "web05")
		m.Cost = 50
		return fsm.Machines.Put(tx, m)
	})
	r.World.HostDown("esx02", false)
	r.Start()
	id := r.Queue(evacuate("esx02", true))[0]
	j := r.Wait(id)
	if j.State != schema.JobFailed || !strings.Contains(j.Error, "web05") || !strings.Contains(j.Error, "esx01") || !strings.HasPrefix(j.Result, "2 of 3 VMs") {
		t.Fatalf("%s\n%s", j.Error, r.Dump())
	}
	if m := r.Machine("web05"); m.Status != schema.StatusAbnormal || m.StatusReason == "" {
		t.Errorf("row of web05: %v", m)
	}
	if m := r.Machine("web04"); m.Status != schema.StatusReady || m.Power != schema.PowerOn {
		t.Errorf("row of web04: %v", m)
	}
}

// A job that waits for a guest on a dead VM server must not hold up the
// failover of that server.
func TestRecoveryGoesFirst(t *testing.T) {
	r := schedulertest.New(t)
	vmsPolicy(t, r, 0)
	r.World.Inject(fake.Fault{Op: "reboot", Mode: fake.Stuck})
	r.Start()
	slow := r.Queue(power("reboot", "web", "web05"))[0]
	r.Until("the reboot to be under way", func(v *fsm.View) bool { return stepState(v, slow, "reboot-machine") == schema.StepHandled })
	r.World.HostDown("esx02", false)
	record(t, r, "node1", trap(1, inaccessible, "esx02", time.Now()))
	e := awaitEvents(r)[0]
	r.Wait(slow)
	r.World.ClearFaults() // the dead server's tasks end, too
	r.MustSucceed(e.Jobs...)
	if j := r.Job(slow); j.State != schema.JobCancelled || j.CancelBy != "job "+e.Jobs[0] {
		t.Errorf("the reboot is %s, cancelled by %s\n%s", j.State, j.CancelBy, r.Dump())
	}
	if m := r.Machine("web05"); m.Power != schema.PowerOn || m.VmServer == "esx02" || m.Status != schema.StatusReady {
		t.Errorf("web05: %v", m)
	}
}

func TestCancelledFailoverSaysWhatItLeft(t *testing.T) {
	r := schedulertest.New(t)
	r.World.HostDown("esx02", false)
	r.World.Inject(fake.Fault{Op: "power-on", Mode: fake.Stuck})
	r.Start()
	id := r.Queue(evacuate("esx02", true))[0]
	r.Until("all to be moved", func(*fsm.View) bool { return r.World.Count("register", "") == 3 })
	r.Until("a start to be under way", func(v *fsm.View) bool { return stepState(v, id, "start-machine") == schema.StepHandled })
	cancel(r, id)
	r.Until("the end", func(*fsm.View) bool { return r.Job(id).State == schema.JobCancelled })
	for _, vm := range []string{"web04", "web05", "web06"} {
		if m := r.Machine(vm); m.Status != schema.StatusAbnormal || !strings.Contains(m.StatusReason, "pvmutl poweron web "+vm) {
			t.Errorf("%s is %s: %s", vm, m.Status, m.StatusReason)
		}
	}
}

func TestVMServerPower(t *testing.T) {
	r := schedulertest.New(t)
	r.Start()
	r.MustSucceed(r.Queue(evacuate("esx02", false))...)
	r.World.ResetLedger()
	for _, c := range []struct{ op, effect, power string }{
		{"reboot", "host-reboot", schema.PowerOn},
		{"shutdown", "host-shutdown", schema.PowerOff},
		{"poweron", "host-power-on", schema.PowerOn},
	} {
		r.Clock.Advance(time.Second)
		r.MustSucceed(r.Queue(power(c.op, "vmservers", "esx02"))...)
		if m := r.Machine("esx02"); m.Power != c.power || r.World.Count(c.effect, "esx02") != 1 {
			t.Errorf("after %s: %v\n%s", c.op, m, r.Dump())
		}
	}
}

// The VM server dies in the middle of its evacuation: the VMs that couldn't be
// migrated any more are failed over, and the job succeeds.
func TestServerDiesWhileItIsEvacuated(t *testing.T) {
	r := schedulertest.New(t)
	down := false
	var mu sync.Mutex // guards down
	r.World.OnCall(func(op, _ string, phase fake.Phase) error {
		mu.Lock()
		defer mu.Unlock()
		if op == fake.OpMigrate && phase == fake.After && !down {
			down = true
			r.World.HostDown("esx02", false)
		}
		return nil
	})
	r.Start()
	r.MustSucceed(r.Queue(evacuate("esx02", true))...)
	if left := onServer(t, r, "esx02"); len(left) > 0 || r.World.Count(fake.OpMigrate, "") == 0 || r.World.Count(fake.OpRegister, "") == 0 {
		t.Errorf("still on esx02: %v\n%s", left, r.Dump())
	}
	for _, vm := range []string{"web04", "web05", "web06"} {
		if m := r.Machine(vm); m.Power != schema.PowerOn || m.Status != schema.StatusReady {
			t.Errorf("%s: %v", vm, m)
		}
	}
}

// BenchmarkFailover is a VM server with many VMs that dies.
func BenchmarkFailover(b *testing.B) {
	const vms = 200
	for b.Loop() {
		b.StopTimer()
		r := schedulertest.New(b)
		for i := range vms {
			r.World.AddVM(drivers.VM{Name: fmt.Sprintf("many%03d", i), Server: "esx02", Power: drivers.PowerOn, Datastores: []string{"shared01"}})
		}
		r.Cluster.Do(func(tx *fsm.Tx) error {
			m, _ := fsm.Models.Edit(tx, "vmservers/esx")
			m.Capacity = 10000
			return fsm.Models.Put(tx, m)
		})
		r.Start()
		r.MustSucceed(r.Queue(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestCollect(tx, "vc1") })...)
		r.World.HostDown("esx02", false)
		b.StartTimer()
		r.MustSucceed(r.Queue(evacuate("esx02", true))...)
		b.StopTimer()
		r.Stop()
		b.StartTimer()
	}
}
