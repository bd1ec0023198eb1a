package scheduler_test

import (
	"strings"
	"testing"

	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

// collectAll collects everything and returns the jobs by what they read.
func collectAll(t *testing.T, r *schedulertest.Rig) map[string]*schema.Job {
	t.Helper()
	var ids []string
	r.Cluster.Do(func(tx *fsm.Tx) (err error) {
		ids, err = fsm.RequestCollect(tx, "")
		return err
	})
	r.Start()
	out := map[string]*schema.Job{}
	for _, id := range ids {
		j := r.Wait(id)
		out[j.Params[fsm.ParamSubsystem]] = j
	}
	return out
}

// TestCollectReadsEverySubsystem holds that each kind of subsystem is read as
// what it is, and physical machines through their controllers.
func TestCollectReadsEverySubsystem(t *testing.T) {
	r := schedulertest.New(t)
	r.World.BMCDown("ph04", true)
	r.Cluster.Do(func(tx *fsm.Tx) error {
		m, _ := fsm.Machines.Edit(tx, "ph01")
		m.Power, m.Hardware = schema.PowerUnknown, nil
		return fsm.Machines.Put(tx, m)
	})
	jobs := collectAll(t, r)
	for sub, want := range map[string]string{
		schedulertest.Subsystem: "VM servers", schedulertest.SwitchSystem: "4 ports", schedulertest.BalancerSystem: "1 load-balancing groups",
		schedulertest.ArraySystem: "3 volumes", schedulertest.DistSystem: "2 scenarios", "": "4 physical machines, 1 problems: ph04",
	} {
		if j := jobs[sub]; j.GetState() != schema.JobSucceeded || !strings.Contains(j.GetResult(), want) {
			t.Errorf("%q: %s %q %s, want %q", sub, j.GetState(), j.GetResult(), j.GetError(), want)
		}
	}
	if m, _ := fsm.Machines.Get(r.Rows(), "ph01"); m.Power != schema.PowerOn || m.Hardware["manufacturer"] != "fake" {
		t.Errorf("ph01 is %s, %v", m.Power, m.Hardware)
	}
	if m, _ := fsm.Machines.Get(r.Rows(), "ph04"); m.Power != schema.PowerUnknown {
		t.Errorf("ph04, whose controller is silent, is %s", m.Power)
	}
}

// TestCollectTellsWhatIsMissing holds that names in rows which a subsystem
// lacks are told, and that new scenarios become software.
func TestCollectTellsWhatIsMissing(t *testing.T) {
	r := schedulertest.New(t)
	r.World.AddScenario(schedulertest.DistSystem, "fresh")
	r.World.ChangeHardware("ph02", func(p *fake.Physical) { p.UUID = fake.UUIDOf("another") })
	r.Cluster.Do(func(tx *fsm.Tx) error {
		m, _ := fsm.Machines.Edit(tx, "ph03")
		m.Nics[0].Port = "p99"
		h, _ := fsm.Hosts.Edit(tx, "batch/batch01")
		h.Volumes[0].Name = "vol-lost"
		l, _ := fsm.LoadBalancers.Edit(tx, "db")
		l.Pool = "lost"
		for _, err := range []error{fsm.Machines.Put(tx, m), fsm.Hosts.Put(tx, h), fsm.LoadBalancers.Put(tx, l)} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	jobs := collectAll(t, r)
	for sub, want := range map[string]string{
		schedulertest.SwitchSystem: "no port p99, where machine ph03", schedulertest.ArraySystem: "no volume vol-lost, which host setting batch/batch01",
		schedulertest.BalancerSystem: "no group lost", schedulertest.DistSystem: "3 scenarios and scripts, 1 of them new", "": "ph02: it reports the UUID",
	} {
		if j := jobs[sub]; j.GetState() != schema.JobSucceeded || !strings.Contains(j.GetResult(), want) {
			t.Errorf("%q: %s %q, want %q", sub, j.GetState(), j.GetResult(), want)
		}
	}
	if s, ok := fsm.SoftwareItems.Get(r.Rows(), "fresh"); !ok || s.Subsystem != schedulertest.DistSystem {
		t.Errorf("the new scenario is %v", s)
	}
}
