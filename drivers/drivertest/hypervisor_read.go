package drivertest

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"yagura/drivers"
)

func testInventory(s *hyper) {
	inv := s.inventory()
	if inv.Truncated || inv.Time.IsZero() {
		s.Errorf("the inventory is truncated (%v) or has no time (%v)", inv.Truncated, inv.Time)
	}
	if len(inv.Servers) < 4 {
		s.Fatalf("%d VM servers, want at least 4", len(inv.Servers))
	}
	servers := map[string]drivers.VMServer{}
	for _, x := range inv.Servers {
		servers[x.Name] = x
		shared := slices.ContainsFunc(x.Datastores, func(d drivers.Datastore) bool { return d.Shared })
		if !x.Connected || x.Power != drivers.PowerOn || x.Maintenance || x.Datacenter == "" || x.UUID == "" ||
			x.CPUs == 0 || x.CPUTotalMHz == 0 || x.MemoryMiB == 0 || len(x.Networks) == 0 || !shared {
			s.Errorf("VM server %+v lacks something", x)
		}
		s.localStore(x)
		got, err := s.d.Server(s.ctx, x.Name)
		if err != nil || got.UUID != x.UUID || got.Datacenter != x.Datacenter || !reflect.DeepEqual(got.Datastores, x.Datastores) {
			s.Errorf("Server(%s) = %+v, %v; the inventory says %+v", x.Name, got, err, x)
		}
	}
	seen := map[string]bool{}
	for _, v := range inv.VMs {
		if v.UUID == "" || seen[v.UUID] || servers[v.Server].Datacenter != v.Datacenter || v.Datacenter == "" || v.CPUs == 0 ||
			v.MemoryMiB == 0 || len(v.Datastores) == 0 || !v.Connected || v.ConfigPath == "" {
			s.Errorf("VM %+v lacks something", v)
		}
		seen[v.UUID] = true
		for _, n := range v.NICs {
			if n.MAC == "" || n.MAC != strings.ToLower(n.MAC) || n.Network == "" {
				s.Errorf("VM %s has NIC %+v", v.Name, n)
			}
		}
		byUUID, byName := s.vm(v.UUID), drivers.VM{}
		byName, err := s.d.VMByName(s.ctx, v.Name)
		if err != nil || byUUID.Name != v.Name || byName.UUID != v.UUID || byUUID.Server != v.Server ||
			byName.Template != v.Template || byName.Power != v.Power || byUUID.Datacenter != v.Datacenter {
			s.Errorf("VM %s reads as %+v and %+v, %v", v.Name, byUUID, byName, err)
		}
	}
	s.running()
	s.stopped()
	s.template()
	s.effects(0, "", "")
}

func testNotFound(s *hyper) {
	const nobody = "00000000-0000-4000-8000-000000000000"
	v, x := s.running(), s.otherServer()
	_, err := s.d.VM(s.ctx, nobody)
	s.fails(drivers.KindNotFound, "VM", drivers.Task{}, err)
	_, err = s.d.VM(s.ctx, "")
	s.fails(drivers.KindNotFound, "VM without a UUID", drivers.Task{}, err)
	_, err = s.d.VM(s.ctx, "no-uuid-at-all")
	s.fails(drivers.KindNotFound, "VM with a bad UUID", drivers.Task{}, err)
	_, err = s.d.VMByName(s.ctx, "nobody")
	s.fails(drivers.KindNotFound, "VMByName", drivers.Task{}, err)
	_, err = s.d.Server(s.ctx, "nobody")
	s.fails(drivers.KindNotFound, "Server", drivers.Task{}, err)
	task, err := s.d.SetVMPower(s.ctx, call("1"), nobody, drivers.OpPowerOn)
	s.fails(drivers.KindNotFound, "SetVMPower", task, err)
	for _, mode := range []drivers.RelocateMode{drivers.RelocateMigrate, drivers.RelocateMove, drivers.RelocateFailover} {
		task, err = s.d.Relocate(s.ctx, call("2"), drivers.RelocateSpec{VM: nobody, Server: x.Name, Mode: mode})
		s.fails(drivers.KindNotFound, "Relocate of nobody: "+string(mode), task, err)
		task, err = s.d.Relocate(s.ctx, call("3"), drivers.RelocateSpec{VM: v.UUID, Server: "nobody", Mode: mode})
		s.fails(drivers.KindNotFound, "Relocate to nobody: "+string(mode), task, err)
	}
	task, err = s.d.Clone(s.ctx, call("4"), drivers.CloneSpec{Template: "nobody", Name: "new", Server: x.Name})
	s.fails(drivers.KindNotFound, "Clone of nobody", task, err)
	task, err = s.d.Clone(s.ctx, call("5"), drivers.CloneSpec{Template: s.template().Name, Name: "new", Server: "nobody"})
	s.fails(drivers.KindNotFound, "Clone to nobody", task, err)
	task, err = s.d.SetMaintenance(s.ctx, call("6"), "nobody", true)
	s.fails(drivers.KindNotFound, "SetMaintenance", task, err)
	task, err = s.d.SetServerPower(s.ctx, call("7"), "nobody", drivers.OpPowerOn)
	s.fails(drivers.KindNotFound, "SetServerPower", task, err)
	if look, err := s.d.Task(s.ctx, "task-no-such"); err != nil || look.State != drivers.TaskUnknown {
		s.Fatalf("an unknown task is %+v, %v", look, err)
	}
	s.effects(0, "", "")
}

// everyEffect makes each call that would change something.
func (s *hyper) everyEffect(ctx context.Context, c drivers.Call, each func(what string, task drivers.Task, err error)) {
	on, off, tmpl := s.running(), s.stopped(), s.template()
	x := s.otherServer(on.Server, off.Server)
	for _, op := range []drivers.PowerOp{drivers.OpShutdown, drivers.OpPowerOff, drivers.OpReboot, drivers.OpReset, drivers.OpSuspend} {
		task, err := s.d.SetVMPower(ctx, c, on.UUID, op)
		each(string(op), task, err)
	}
	task, err := s.d.SetVMPower(ctx, c, off.UUID, drivers.OpPowerOn)
	each("power-on", task, err)
	task, err = s.d.Relocate(ctx, c, drivers.RelocateSpec{VM: on.UUID, Server: x.Name, Mode: drivers.RelocateMigrate})
	each("migrate", task, err)
	task, err = s.d.Relocate(ctx, c, drivers.RelocateSpec{VM: off.UUID, Server: x.Name, Datastore: s.localStore(x), Mode: drivers.RelocateMove})
	each("move", task, err)
	task, err = s.d.Relocate(ctx, c, drivers.RelocateSpec{VM: on.UUID, Server: x.Name, Mode: drivers.RelocateFailover})
	each("failover", task, err)
	task, err = s.d.Clone(ctx, c, drivers.CloneSpec{Template: tmpl.Name, Name: "new", Server: x.Name})
	each("clone", task, err)
	task, err = s.d.Destroy(ctx, c, off.UUID)
	each("destroy", task, err)
	task, err = s.d.SetMaintenance(ctx, c, x.Name, true)
	each("maintenance", task, err)
	task, err = s.d.SetServerPower(ctx, c, x.Name, drivers.OpShutdown)
	each("host-shutdown", task, err)
}

func testExpired(s *hyper) {
	s.everyEffect(s.ctx, late("late"), func(what string, task drivers.Task, err error) {
		s.fails(drivers.KindExpired, what, task, err)
	})
	s.effects(0, "", "")
}

func testEndedContext(s *hyper) {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	s.everyEffect(ctx, call("ended"), func(what string, task drivers.Task, err error) {
		s.fails(drivers.KindUnreachable, what, task, err)
	})
	s.effects(0, "", "")
}
