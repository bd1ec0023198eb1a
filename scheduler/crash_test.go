package scheduler_test

import (
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

func TestCrashEverywhere(t *testing.T) {
	off := func(name string) func(*schedulertest.Rig) {
		return func(r *schedulertest.Rig) {
			r.World.SetVMState(name, drivers.PowerOff)
			r.Cluster.Do(func(tx *fsm.Tx) error {
				m, _ := fsm.Machines.Edit(tx, name)
				m.Power = "off"
				return fsm.Machines.Put(tx, m)
			})
		}
	}
	crashEverywhere(t, map[string]schedulertest.Case{
		"StartupMachine": {Setup: off("web01"), Request: power("poweron", "web", "web01")},
		"StartupMachine by optimal start": {
			Setup: func(r *schedulertest.Rig) {
				off("web01")(r)
				r.World.HostMaintenance("esx01", true)
				r.Cluster.Do(func(tx *fsm.Tx) error {
					m, _ := fsm.Machines.Edit(tx, "esx01")
					m.VmMaintenance = true
					return fsm.Machines.Put(tx, m)
				})
			},
			Request: power("poweron", "web", "web01"),
		},
		"ShutdownMachine": {Request: power("shutdown", "web", "web01")},
		"RebootMachine":   {Setup: func(r *schedulertest.Rig) { r.Clock.Advance(1e9) }, Request: power("reboot", "web", "web01")},
		"SuspendMachine":  {Request: power("suspend", "web", "web01")},
		"MoveMachine": {Request: func(tx *fsm.Tx) ([]string, error) {
			return fsm.RequestMigrateVM(tx, fsm.MigrateVM{Group: "web", Host: "web01", VMServer: "esx02"})
		}},
		"FailoverVMServer":       {Setup: func(r *schedulertest.Rig) { r.World.HostDown("esx02", false) }, Request: evacuate("esx02", true)},
		"Evacuate":               {Request: evacuate("esx02", false)},
		"CreateMachineToGroup":   {Request: func(tx *fsm.Tx) ([]string, error) { return fsm.RequestAddVM(tx, fsm.AddVM{Group: "web", VM: "web20"}) }},
		"DeleteVirtualMachine":   {Request: func(tx *fsm.Tx) ([]string, error) { return fsm.RequestDeleteVM(tx, "web", "web01", false) }},
		"MoveFromGroupToManaged": {Request: func(tx *fsm.Tx) ([]string, error) { return fsm.RequestDeleteVM(tx, "web", "web01", true) }},
		"MoveMachine by move": {Setup: localDisk, Request: func(tx *fsm.Tx) ([]string, error) {
			return fsm.RequestMigrateVM(tx, fsm.MigrateVM{Group: "web", Host: "web01", VMServer: "esx02", Move: true})
		}},
		"MoveMachine by deleting and creating anew": {
			Setup: func(r *schedulertest.Rig) {
				localDisk(r)
				r.World.Inject(fake.Fault{Op: fake.OpMove, Mode: fake.FailTask})
			},
			Request: func(tx *fsm.Tx) ([]string, error) {
				return fsm.RequestMigrateVM(tx, fsm.MigrateVM{Group: "web", Host: "web01", VMServer: "esx02", Recreate: true})
			},
		},
		"MoveMachine by failover": {
			Setup: func(r *schedulertest.Rig) { r.World.HostDown("esx01", false) },
			Request: func(tx *fsm.Tx) ([]string, error) {
				id, err := fsm.QueueJob(tx, &schema.Job{Sequence: fsm.SeqMoveMachine, Targets: []string{"web01"}, Params: map[string]string{
					fsm.ParamMachine: "web01", fsm.ParamVMServer: "esx02", fsm.ParamFailover: "true",
				}})
				return []string{id}, err
			},
		},
		"MoveMasterMachineToGroup": {Request: func(tx *fsm.Tx) ([]string, error) {
			return fsm.RequestAddVM(tx, fsm.AddVM{Group: "web", VM: "spare01", Existing: true})
		}},
		"CreateMachineToGroup that fails": {State: schema.JobFailed,
			Setup:   func(r *schedulertest.Rig) { r.World.Inject(fake.Fault{Op: "power-on", Mode: fake.FailTask}) },
			Request: func(tx *fsm.Tx) ([]string, error) { return fsm.RequestAddVM(tx, fsm.AddVM{Group: "web", VM: "web20"}) }},
		"CreateMachineToGroup that starts a VM server": {
			Setup:   noRoomButOn("esx04"),
			Request: func(tx *fsm.Tx) ([]string, error) { return fsm.RequestAddVM(tx, fsm.AddVM{Group: "web", VM: "web20"}) },
		},
		"LoadBalanceVMServer": {
			Setup: func(r *schedulertest.Rig) {
				placementOn(r, nil)
				loaded(r, map[string]int64{"esx01": 3000, "esx02": 100, "esx03": 100, "esx04": 100})
			},
			Request: rearrange(fsm.SeqLoadBalanceVMServer),
		},
		"LoadBalanceVMServer that starts a VM server": {
			Setup: func(r *schedulertest.Rig) {
				placementOn(r, nil)
				stopped(r, "esx04")
				loaded(r, map[string]int64{"esx01": 3000, "esx02": 3000, "esx03": 3000})
			},
			Request: rearrange(fsm.SeqLoadBalanceVMServer),
		},
		"PowerSaveVMServer": {
			Setup: func(r *schedulertest.Rig) {
				placementOn(r, func(p *schema.Placement) { p.ReserveServers = 1 })
				loaded(r, map[string]int64{"esx01": 100, "esx02": 100, "esx03": 100, "esx04": 100})
			},
			Request: rearrange(fsm.SeqPowerSaveVMServer),
		},
		"Collect": {Request: func(tx *fsm.Tx) ([]string, error) { return fsm.RequestCollect(tx, "vc1") }},
	})
}

// crashEverywhere runs each case with effects that are there at once, and with
// effects that take time, so that there are tasks to attach to.
func crashEverywhere(t *testing.T, cases map[string]schedulertest.Case) {
	for name, c := range cases {
		t.Run(name+" at once", func(t *testing.T) {
			t.Parallel()
			schedulertest.CrashEverywhere(t, c)
		})
		if strings.Contains(name, ", ") {
			continue // the plain one will do for that
		}
		slow := c
		slow.Setup = func(r *schedulertest.Rig) {
			if c.Setup != nil {
				c.Setup(r)
			}
			for _, op := range []string{"power-on", "shutdown", "power-off", "reboot", "suspend", "migrate", "move", "register", "clone", "destroy", "host-power-off", "host-shutdown", "host-power-on"} {
				r.World.Delay(op, 200*time.Millisecond)
			}
			for _, op := range slowOps {
				r.World.Delay(op, 200*time.Millisecond)
			}
		}
		t.Run(name+" with tasks", func(t *testing.T) {
			t.Parallel()
			schedulertest.CrashEverywhere(t, slow)
		})
	}
}

// localDisk puts web01 on a datastore that only esx01 mounts.
func localDisk(r *schedulertest.Rig) {
	inv, err := r.World.Hypervisor().Inventory(r.T.Context())
	if err != nil {
		r.T.Fatal(err)
	}
	for _, v := range inv.VMs {
		if v.Name == "web01" {
			v.Datastores = []string{"local01"}
			r.World.AddVM(v)
		}
	}
	r.Cluster.Do(func(tx *fsm.Tx) error {
		m, _ := fsm.Machines.Edit(tx, "web01")
		m.Datastores = []string{"local01"}
		return fsm.Machines.Put(tx, m)
	})
}
