package drivertest

import (
	"yagura/drivers"
)

func (s *hyper) power(uuid string, op drivers.PowerOp, token string) {
	s.Helper()
	s.done(s.d.SetVMPower(s.ctx, call(token), uuid, op))
}

func (s *hyper) wantPower(uuid string, p drivers.PowerState) {
	s.Helper()
	if v := s.vm(uuid); v.Power != p {
		s.Fatalf("VM %s is %s, want %s", v.Name, v.Power, p)
	}
}

func testPowerConverges(s *hyper) {
	v := s.running()
	for _, step := range []struct {
		op      drivers.PowerOp
		state   drivers.PowerState
		effects int // of this operation so far
	}{
		{drivers.OpPowerOn, drivers.PowerOn, 0},
		{drivers.OpPowerOff, drivers.PowerOff, 1},
		{drivers.OpPowerOff, drivers.PowerOff, 1},
		{drivers.OpShutdown, drivers.PowerOff, 0},
		{drivers.OpPowerOn, drivers.PowerOn, 1},
		{drivers.OpPowerOn, drivers.PowerOn, 1},
		{drivers.OpSuspend, drivers.PowerSuspended, 1},
		{drivers.OpSuspend, drivers.PowerSuspended, 1},
		{drivers.OpPowerOn, drivers.PowerOn, 2},
	} {
		s.power(v.UUID, step.op, "t")
		s.wantPower(v.UUID, step.state)
		s.effects(step.effects, string(step.op), v.Name)
	}
}

func testPowerRefusals(s *hyper) {
	off, tmpl := s.stopped(), s.template()
	for _, op := range []drivers.PowerOp{drivers.OpReboot, drivers.OpReset, drivers.OpSuspend} {
		task, err := s.d.SetVMPower(s.ctx, call("1"), off.UUID, op)
		s.refused(string(op)+" of a stopped VM", task, err)
	}
	task, err := s.d.SetVMPower(s.ctx, call("2"), tmpl.UUID, drivers.OpPowerOn)
	s.refused("power-on of a template", task, err)
	on := s.running()
	task, err = s.d.SetVMPower(s.ctx, call("3"), on.UUID, "hibernate")
	s.fails(drivers.KindUnsupported, "an unknown operation", task, err)
	s.w.HostDown(s.T, on.Server)
	for _, op := range []drivers.PowerOp{drivers.OpPowerOff, drivers.OpShutdown, drivers.OpReset} {
		task, err := s.d.SetVMPower(s.ctx, call("4"), on.UUID, op)
		s.refused(string(op)+" on a dead VM server", task, err)
	}
	s.effects(0, "", "")
}

func testRestart(s *hyper) {
	v := s.running()
	before := s.vm(v.UUID).BootTime
	if before.IsZero() {
		s.Fatal("a running VM has no boot time, by which a restart could be proven")
	}
	s.power(v.UUID, drivers.OpReset, "1")
	s.effects(1, "reset", v.Name)
	s.eventually("the boot time of a reset", func() bool { return s.vm(v.UUID).BootTime.After(before) })
	s.wantPower(v.UUID, drivers.PowerOn)
	s.power(v.UUID, drivers.OpReboot, "2")
	s.eventually("the effect of a reboot", func() bool { return s.w.Effects(s.T, "reboot", v.Name) == 1 })
	s.eventually("the VM to be on", func() bool { return s.vm(v.UUID).Power == drivers.PowerOn })
}

func testGracefulShutdown(s *hyper) {
	v := s.running()
	if !s.vm(v.UUID).ToolsRunning {
		s.Fatal("no tools run in the guest")
	}
	s.power(v.UUID, drivers.OpShutdown, "1")
	s.wantPower(v.UUID, drivers.PowerOff)
	s.power(v.UUID, drivers.OpShutdown, "2")
	s.effects(1, "shutdown", v.Name)
	s.effects(0, "power-off", v.Name)
}

func testMaintenance(s *hyper) {
	v := s.running()
	server := v.Server
	task, err := s.d.SetMaintenance(s.ctx, call("1"), server, true)
	s.refused("maintenance under a running VM", task, err)
	s.evacuate(server)
	for range 2 {
		s.done(s.d.SetMaintenance(s.ctx, call("2"), server, true))
	}
	if x, err := s.d.Server(s.ctx, server); err != nil || !x.Maintenance || !x.Connected {
		s.Fatalf("VM server %+v, %v; want maintenance", x, err)
	}
	s.effects(1, "maintenance-on", server)
	task, err = s.d.Relocate(s.ctx, call("3"), drivers.RelocateSpec{VM: v.UUID, Server: server, Mode: drivers.RelocateMigrate})
	s.refused("migrate into maintenance", task, err)
	task, err = s.d.Clone(s.ctx, call("4"), drivers.CloneSpec{Template: s.template().Name, Name: "new", Server: server})
	s.refused("clone into maintenance", task, err)
	for range 2 {
		s.done(s.d.SetMaintenance(s.ctx, call("5"), server, false))
	}
	s.effects(1, "maintenance-off", server)
	s.done(s.d.Relocate(s.ctx, call("6"), drivers.RelocateSpec{VM: v.UUID, Server: server, Mode: drivers.RelocateMigrate}))
}

func testServerPower(s *hyper) {
	x := s.otherServer(s.template().Server)
	s.done(s.d.SetServerPower(s.ctx, call("1"), x.Name, drivers.OpPowerOn))
	task, err := s.d.SetServerPower(s.ctx, call("2"), x.Name, drivers.OpPowerOff)
	s.fails(drivers.KindUnsupported, "power-off by force", task, err)
	for _, op := range []drivers.PowerOp{drivers.OpShutdown, drivers.OpReboot} {
		task, err = s.d.SetServerPower(s.ctx, call("3"), x.Name, op)
		s.refused(string(op)+" under running VMs", task, err)
	}
	s.effects(0, "", "")
	s.evacuate(x.Name)
	s.done(s.d.SetServerPower(s.ctx, call("4"), x.Name, drivers.OpShutdown))
	s.eventually("the server to be gone from its manager", func() bool {
		now, err := s.d.Server(s.ctx, x.Name)
		return err == nil && !now.Connected && now.Power != drivers.PowerOn
	})
	s.done(s.d.SetServerPower(s.ctx, call("5"), x.Name, drivers.OpShutdown))
	s.effects(1, "host-shutdown", x.Name)
	task, err = s.d.SetServerPower(s.ctx, call("6"), x.Name, drivers.OpPowerOn)
	s.refused("waking a server that isn't in standby", task, err)
	s.w.HostUp(s.T, x.Name)
	s.done(s.d.SetServerPower(s.ctx, call("7"), x.Name, drivers.OpReboot))
	s.effects(1, "host-reboot", x.Name)
}
