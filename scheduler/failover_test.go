package scheduler_test

import (
	"strings"
	"testing"

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
