package drivertest

import (
	"slices"

	"yagura/drivers"
)

func testMigrate(s *hyper) {
	for _, v := range []drivers.VM{s.running(), s.stopped()} {
		to := s.otherServer(v.Server)
		spec := drivers.RelocateSpec{VM: v.UUID, Server: to.Name, Mode: drivers.RelocateMigrate}
		for range 2 {
			s.done(s.d.Relocate(s.ctx, call("1"), spec))
			if now := s.vm(v.UUID); now.Server != to.Name || now.Power != v.Power || !slices.Equal(now.Datastores, v.Datastores) {
				s.Fatalf("after the migration the VM is %+v; before it was %+v", now, v)
			}
		}
		s.effects(1, "migrate", v.Name)
	}
}

func testMigrateRefusals(s *hyper) {
	v, tmpl, off := s.running(), s.template(), s.stopped()
	dead := s.otherServer(v.Server, off.Server, tmpl.Server)
	live := s.otherServer(v.Server, off.Server, dead.Name)
	migrate := func(vm drivers.VM, to string) (drivers.Task, error) {
		return s.d.Relocate(s.ctx, call("m"), drivers.RelocateSpec{VM: vm.UUID, Server: to, Mode: drivers.RelocateMigrate})
	}
	task, err := s.d.Relocate(s.ctx, call("1"), drivers.RelocateSpec{VM: v.UUID, Server: live.Name, Mode: "teleport"})
	s.fails(drivers.KindUnsupported, "an unknown mode", task, err)
	task, err = migrate(tmpl, live.Name)
	s.refused("migrate of a template", task, err)

	s.done(s.d.Relocate(s.ctx, call("2"), drivers.RelocateSpec{
		VM: off.UUID, Server: off.Server, Datastore: s.localStore(s.server(off.Server)), Mode: drivers.RelocateMove,
	}))
	task, err = migrate(off, live.Name)
	s.refused("migrate without shared storage", task, err)

	s.power(v.UUID, drivers.OpSuspend, "3")
	task, err = migrate(v, live.Name)
	s.refused("migrate of a suspended VM", task, err)
	s.power(v.UUID, drivers.OpPowerOn, "4")

	s.w.HostDown(s.T, dead.Name)
	task, err = migrate(v, dead.Name)
	s.refused("migrate to a dead VM server", task, err)
	s.effects(0, "migrate", "")
}

func (s *hyper) server(name string) drivers.VMServer {
	s.Helper()
	x, err := s.d.Server(s.ctx, name)
	if err != nil {
		s.Fatalf("VM server %s: %v", name, err)
	}
	return x
}

func testMove(s *hyper) {
	on, off := s.running(), s.stopped()
	to := s.otherServer(on.Server, off.Server)
	store := s.localStore(to)
	task, err := s.d.Relocate(s.ctx, call("1"), drivers.RelocateSpec{VM: on.UUID, Server: to.Name, Datastore: store, Mode: drivers.RelocateMove})
	s.refused("move of a running VM", task, err)
	task, err = s.d.Relocate(s.ctx, call("2"), drivers.RelocateSpec{
		VM: off.UUID, Server: to.Name, Datastore: s.localStore(s.server(off.Server)), Mode: drivers.RelocateMove,
	})
	s.refused("move to a datastore that the server doesn't mount", task, err)
	for range 2 {
		s.done(s.d.Relocate(s.ctx, call("3"), drivers.RelocateSpec{VM: off.UUID, Server: to.Name, Datastore: store, Mode: drivers.RelocateMove}))
		if now := s.vm(off.UUID); now.Server != to.Name || !slices.Equal(now.Datastores, []string{store}) || now.Power != drivers.PowerOff {
			s.Fatalf("after the move the VM is %+v", now)
		}
	}
	s.effects(1, "move", off.Name)
}

func testFailover(s *hyper) {
	v := s.running()
	to := s.otherServer(v.Server)
	s.w.HostDown(s.T, v.Server)
	if x := s.server(v.Server); x.Connected || x.Power == drivers.PowerOn {
		s.Fatalf("a dead VM server shows as %+v", x)
	}
	if now := s.vm(v.UUID); now.Connected || now.Server != v.Server {
		s.Fatalf("a VM of a dead VM server shows as %+v", now)
	}
	task, err := s.d.Relocate(s.ctx, call("1"), drivers.RelocateSpec{VM: v.UUID, Server: to.Name, Mode: drivers.RelocateMigrate})
	s.refused("migrate away from a dead VM server", task, err)
	task, err = s.d.Destroy(s.ctx, call("2"), v.UUID)
	s.refused("destroy on a dead VM server", task, err)

	for range 2 {
		s.done(s.d.Relocate(s.ctx, call("3"), drivers.RelocateSpec{
			VM: v.UUID, Server: to.Name, Mode: drivers.RelocateFailover, ConfigPath: v.ConfigPath,
		}))
		now := s.vm(v.UUID)
		if now.Server != to.Name || !now.Connected || now.Power != drivers.PowerOff || now.Name != v.Name ||
			now.CPUs != v.CPUs || now.MemoryMiB != v.MemoryMiB || len(now.NICs) != len(v.NICs) || !slices.Equal(now.Datastores, v.Datastores) {
			s.Fatalf("after the failover the VM is %+v; before it was %+v", now, v)
		}
	}
	s.effects(1, "register", v.Name)
	s.power(v.UUID, drivers.OpPowerOn, "4")
	s.effects(1, "power-on", v.Name)

	s.w.HostUp(s.T, v.Server)
	if now := s.vm(v.UUID); now.Server != to.Name || now.Power != drivers.PowerOn {
		s.Fatalf("after the dead VM server's return the VM is %+v", now)
	}
}

func testFailoverRefusals(s *hyper) {
	v := s.running()
	to := s.otherServer(v.Server)
	spec := drivers.RelocateSpec{VM: v.UUID, Server: to.Name, Mode: drivers.RelocateFailover}
	task, err := s.d.Relocate(s.ctx, call("1"), spec)
	s.refused("failover away from a live VM server", task, err)
	s.w.HostDown(s.T, v.Server)
	s.w.HostDown(s.T, to.Name)
	task, err = s.d.Relocate(s.ctx, call("2"), spec)
	s.refused("failover to a dead VM server", task, err)
	spec.Server = v.Server
	task, err = s.d.Relocate(s.ctx, call("3"), spec)
	s.refused("failover to the dead VM server itself", task, err)
	s.effects(0, "register", "")
}
