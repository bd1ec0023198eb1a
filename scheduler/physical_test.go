package scheduler_test

import (
	"testing"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

func replace(host string) func(*fsm.Tx) ([]string, error) {
	return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestReplace(tx, "shop/db", host) }
}

// replaceByPolicy is the job that a policy queues.
func replaceByPolicy(machine, host string) func(*fsm.Tx) ([]string, error) {
	return func(tx *fsm.Tx) ([]string, error) {
		id, err := fsm.QueueJob(tx, &schema.Job{Sequence: fsm.SeqTakeOverMachine, Targets: []string{machine}, Group: "db", Priority: fsm.PriorityRecovery, Params: map[string]string{
			fsm.ParamMachine: machine, fsm.ParamHost: host, fsm.ParamGroup: "db", fsm.ParamReplace: host,
		}})
		return []string{id}, err
	}
}

func add(a fsm.AddMachine) func(*fsm.Tx) ([]string, error) {
	return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestAddMachine(tx, a) }
}

func remove(group, host string) func(*fsm.Tx) ([]string, error) {
	return func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestRemoveMachine(tx, fsm.RemoveMachine{Group: group, Host: host})
	}
}

func changeUse(host string) func(*fsm.Tx) ([]string, error) {
	return func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestChangeUse(tx, fsm.ChangeUse{Dest: "shop/batch", Source: "shop/db", Host: host})
	}
}

// edit changes a machine's row.
func edit(r *schedulertest.Rig, machine string, change func(*schema.Machine)) {
	r.Cluster.Do(func(tx *fsm.Tx) error {
		m, _ := fsm.Machines.Edit(tx, machine)
		change(m)
		return fsm.Machines.Put(tx, m)
	})
}

func failed(machine string) func(*schedulertest.Rig) {
	return func(r *schedulertest.Rig) {
		edit(r, machine, func(m *schema.Machine) { m.HardwareStatus = schema.HardwareFailed })
	}
}

// dead is a machine that is broken, with its management controller.
func dead(machine string) func(*schedulertest.Rig) {
	return func(r *schedulertest.Rig) {
		failed(machine)(r)
		r.World.HostDown(machine, true)
	}
}

// freeHost adds the host setting db03 with a volume.
func freeHost(r *schedulertest.Rig) {
	r.World.AddVolume(schedulertest.ArraySystem, "vol-db03")
	r.Cluster.Do(func(tx *fsm.Tx) error {
		return fsm.Hosts.Put(tx, &schema.Host{
			Group: "db", Name: "db03", Nics: []*schema.HostNIC{{Addresses: []*schema.Address{{Ip: "192.0.2.203", Prefix: 24}}}},
			Volumes: []*schema.Volume{{Subsystem: schedulertest.ArraySystem, Name: "vol-db03"}},
		})
	})
}

// pooledVM puts spare01 into the pool of web, whose VMs are registered with
// DPM and distributed to.
func pooledVM(r *schedulertest.Rig) {
	r.Cluster.Do(func(tx *fsm.Tx) error {
		g, _ := fsm.Groups.Edit(tx, "web")
		g.RegisterDpm, g.Software = true, &schema.SoftwareSlots{Run: []string{"db-run"}, Standby: []string{"db-standby"}}
		if err := fsm.Groups.Put(tx, g); err != nil {
			return err
		}
		m, _ := fsm.Models.Edit(tx, "web/web-vm")
		m.RegisterDpm = true
		if err := fsm.Models.Put(tx, m); err != nil {
			return err
		}
		if err := fsm.Manage(tx, "spare01"); err != nil {
			return err
		}
		return fsm.AddToPool(tx, "spare01", "web")
	})
}

// balancedWeb puts the VMs of web behind a balancer.
func balancedWeb(r *schedulertest.Rig) {
	r.World.AddPool(schedulertest.BalancerSystem, "www", drivers.Member{Name: "web01", Address: "192.0.2.101", Port: 80})
	r.Cluster.Do(func(tx *fsm.Tx) error {
		if err := fsm.LoadBalancers.Put(tx, &schema.LoadBalancer{Name: "www", Subsystem: schedulertest.BalancerSystem, Port: 80}); err != nil {
			return err
		}
		for _, name := range []string{"web01", "web21"} {
			h, _ := fsm.Hosts.Edit(tx, "web/"+name)
			h.Nics = []*schema.HostNIC{{Addresses: []*schema.Address{{Ip: "192.0.2.1" + name[3:], Prefix: 24}}}}
			if err := fsm.Hosts.Put(tx, h); err != nil {
				return err
			}
		}
		g, _ := fsm.Groups.Edit(tx, "web")
		g.LoadBalancers = []string{"www"}
		return fsm.Groups.Put(tx, g)
	})
}

func setups(all ...func(*schedulertest.Rig)) func(*schedulertest.Rig) {
	return func(r *schedulertest.Rig) {
		for _, f := range all {
			f(r)
		}
	}
}

// busyNode is a node whose connections don't end.
func busyNode(r *schedulertest.Rig) {
	r.Cluster.Do(func(tx *fsm.Tx) error {
		lb, _ := fsm.LoadBalancers.Edit(tx, "db")
		lb.DrainSeconds = 3
		return fsm.LoadBalancers.Put(tx, lb)
	})
	r.World.Balancer(schedulertest.BalancerSystem).SetConnections("db", "db01", 7)
}

// physicalCases are the flows of physical machines and pools. Those with a comma
// in the name vary another one.
var physicalCases = map[string]schedulertest.Case{
	"TakeOverMachine":                       {Request: replace("db01")},
	"TakeOverMachine, of a dead machine":    {Setup: dead("ph01"), Request: replace("db01")},
	"TakeOverMachine, with connections":     {Setup: busyNode, Request: replace("db01")},
	"TakeOverMachine, from the common pool": {Setup: failed("ph03"), Request: replace("db01")},
	"TakeOverMachine, of one that doesn't listen": {
		Setup: func(r *schedulertest.Rig) { r.World.NoOS("ph01") }, Request: replaceByPolicy("ph01", "db01"),
	},
	"ChangeServerGroup":           {Request: changeUse("db02")},
	"ChangeServerGroup, searched": {Request: changeUse("")},
	"MoveFromPoolToGroup":         {Setup: freeHost, Request: add(fsm.AddMachine{Group: "shop/db"})},
	"MoveFromPoolToGroup, of a machine that is on": {
		Setup: setups(freeHost, func(r *schedulertest.Rig) {
			r.World.AddPhysical("ph03", fake.Physical{Power: drivers.PowerOn, NICs: r.World.Machine("ph03").NICs})
			edit(r, "ph03", func(m *schema.Machine) { m.Power = schema.PowerOn })
		}),
		MayRepeat: true, Request: add(fsm.AddMachine{Group: "shop/db"}),
	},
	"MoveFromManagedToGroup": {Setup: setups(freeHost, failed("ph03")), Request: add(fsm.AddMachine{Group: "shop/db"})},
	"MoveMasterMachineToGroup, of a physical machine": {
		Setup: freeHost, Request: add(fsm.AddMachine{Group: "shop/db", Machine: "ph04", Master: true}),
	},
	"MoveFromGroupToPool": {Request: remove("shop/db", "db01")},
	"MoveFromGroupToManaged of a physical machine": {
		Setup: func(r *schedulertest.Rig) {
			edit(r, "ph01", func(m *schema.Machine) { m.Master, m.Origin, m.PoolGroups = true, "", nil })
		},
		Request: remove("shop/db", "db01"),
	},
	"MoveFromManagedToPool": {Request: func(tx *fsm.Tx) ([]string, error) { return fsm.RequestPool(tx, "db", "ph04", true) }},
	"MoveFromPoolToManaged": {Request: func(tx *fsm.Tx) ([]string, error) { return fsm.RequestPool(tx, "db", "ph03", false) }},
	"MoveFromPoolToGroup of a VM": {
		Setup: setups(pooledVM, balancedWeb), Request: add(fsm.AddMachine{Group: "shop/web", NetInfo: "web21"}),
	},
	"MoveFromPoolToGroup of a VM, that is on": {
		Setup: setups(pooledVM, func(r *schedulertest.Rig) {
			r.World.SetVMState("spare01", "on")
			edit(r, "spare01", func(m *schema.Machine) { m.Power = schema.PowerOn })
		}),
		Request: add(fsm.AddMachine{Group: "shop/web", NetInfo: "web20"}),
	},
	"MoveFromGroupToPool of a VM": {
		Setup: setups(pooledVM, balancedWeb, func(r *schedulertest.Rig) {
			edit(r, "web01", func(m *schema.Machine) { m.PoolGroups, m.Origin = []string{"web"}, "web" })
		}),
		Request: remove("shop/web", "web01"),
	},
	"DeleteManagedVirtualMachine": {
		Setup: func(r *schedulertest.Rig) {
			r.World.SetVMState("spare01", "on")
			edit(r, "spare01", func(m *schema.Machine) { m.Power, m.Managed = schema.PowerOn, true })
		},
		Request: func(tx *fsm.Tx) ([]string, error) { return fsm.RequestDestroyVM(tx, "spare01") },
	},
	"CreateMachineToGroup, with a balancer": {Setup: balancedWeb, Request: func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestAddVM(tx, fsm.AddVM{Group: "web", VM: "web20"})
	}},
}

// slowOps are the effects of the physical world that take time.
var slowOps = []string{
	fake.OpVLANAdd, fake.OpVLANRemove, fake.OpLBAdd, fake.OpLBDrain, fake.OpLBRemove, fake.OpConnect, fake.OpDisconnect, fake.OpDistribute, fake.OpPersonalize,
}

func TestPhysicalCrashEverywhere(t *testing.T) { crashEverywhere(t, physicalCases) }

// Managers die while a failed replacement goes on, or is taken back.
func TestCrashEverywhereAfterAFailure(t *testing.T) {
	hasFailed := func(r *schedulertest.Rig) {
		r.World.Inject(fake.Fault{Op: "host-power-on", Object: "ph03", Mode: fake.FailTask, Times: 1})
		r.Start()
		r.Wait(r.Queue(replace("db01"))[0])
		r.Stop()
	}
	crashEverywhere(t, map[string]schedulertest.Case{
		"TakeOverMachine, resumed": {
			Setup:   hasFailed,
			Request: func(tx *fsm.Tx) ([]string, error) { return []string{"00001"}, fsm.ResumeJob(tx, "1", "") },
		},
		"TakeOverMachine, rolled back": {
			Setup: hasFailed, State: schema.JobCancelled,
			Request: func(tx *fsm.Tx) ([]string, error) { return []string{"00001"}, fsm.RollbackJob(tx, "1") },
		},
	})
}
