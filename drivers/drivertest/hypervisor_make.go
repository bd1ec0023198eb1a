package drivertest

import (
	"slices"

	"yagura/drivers"
)

func testClone(s *hyper) {
	tmpl := s.template()
	x := s.otherServer(tmpl.Server)
	spec := drivers.CloneSpec{
		Template: tmpl.Name, Name: "new-01", Server: x.Name, Datacenter: x.Datacenter, CPUs: 3, MemoryMiB: 1536, PowerOn: true,
		Identity: drivers.Identity{
			Hostname: "new-01", Domain: "example.test", DNS: []string{"192.0.2.53"}, Password: "of the guest",
			NICs: []drivers.NICSetting{{Network: tmpl.NICs[0].Network, Address: "192.0.2.77", Prefix: 24, Gateway: "192.0.2.1"}},
		},
	}
	last := s.done(s.d.Clone(s.ctx, call("clone-1"), spec))
	v := s.vm(last.Result)
	if v.Name != "new-01" || v.Server != x.Name || v.Template || v.CPUs != 3 || v.MemoryMiB != 1536 || v.Token != "clone-1" ||
		v.Power != drivers.PowerOn || v.UUID == tmpl.UUID || !slices.Equal(v.Datastores, tmpl.Datastores) || len(v.NICs) != 1 {
		s.Fatalf("the clone is %+v", v)
	}
	s.eventually("the guest's identity", func() bool {
		now := s.vm(last.Result)
		return now.Hostname == "new-01" && slices.Contains(now.IPs, "192.0.2.77")
	})
	again := s.done(s.d.Clone(s.ctx, call("clone-1"), spec))
	if again.Result != last.Result {
		s.Fatalf("the same call again made %s, not %s", again.Result, last.Result)
	}
	task, err := s.d.Clone(s.ctx, call("clone-2"), spec)
	s.refused("clone under a name that is taken", task, err)
	s.effects(1, "clone", "new-01")
	if now := s.vm(tmpl.UUID); !now.Template || now.Token != "" {
		s.Fatalf("the template became %+v", now)
	}

	spec.Name, spec.PowerOn, spec.Identity, spec.CPUs, spec.MemoryMiB = "new-02", false, drivers.Identity{}, 0, 0
	plain := s.vm(s.done(s.d.Clone(s.ctx, call("clone-3"), spec)).Result)
	if plain.Power != drivers.PowerOff || plain.CPUs != tmpl.CPUs || plain.MemoryMiB != tmpl.MemoryMiB || plain.UUID == v.UUID {
		s.Fatalf("the plain clone is %+v", plain)
	}
}

func testCloneRefusals(s *hyper) {
	tmpl := s.template()
	on := s.pick("running VM elsewhere", func(v drivers.VM) bool { return v.Power == drivers.PowerOn && v.Server != tmpl.Server })
	x := s.otherServer(tmpl.Server, on.Server)
	good := drivers.CloneSpec{Template: tmpl.Name, Name: "new", Server: x.Name}
	for what, change := range map[string]func(*drivers.CloneSpec){
		"no name":            func(c *drivers.CloneSpec) { c.Name = "" },
		"a VM as template":   func(c *drivers.CloneSpec) { c.Template = on.Name },
		"another datacenter": func(c *drivers.CloneSpec) { c.Datacenter = "elsewhere" },
		"unknown network": func(c *drivers.CloneSpec) {
			c.Identity = drivers.Identity{Hostname: "new", NICs: []drivers.NICSetting{{Network: "no such network"}}}
		},
	} {
		c := good
		change(&c)
		task, err := s.d.Clone(s.ctx, call("1"), c)
		s.refused(what, task, err)
	}
	c := good
	c.Datastore = s.localStore(s.otherServer(x.Name))
	task, err := s.d.Clone(s.ctx, call("2"), c)
	s.refused("a datastore that the server doesn't mount", task, err)
	s.w.HostDown(s.T, x.Name)
	task, err = s.d.Clone(s.ctx, call("3"), good)
	s.refused("clone to a dead VM server", task, err)
	good.Server = on.Server
	s.w.HostDown(s.T, tmpl.Server)
	task, err = s.d.Clone(s.ctx, call("4"), good)
	s.refused("clone of a template on a dead VM server", task, err)
	s.effects(0, "clone", "")
}

func testDestroy(s *hyper) {
	on, off, tmpl := s.running(), s.stopped(), s.template()
	task, err := s.d.Destroy(s.ctx, call("1"), on.UUID)
	s.refused("destroy of a running VM", task, err)
	task, err = s.d.Destroy(s.ctx, call("2"), tmpl.UUID)
	s.refused("destroy of a template", task, err)
	for range 2 {
		s.done(s.d.Destroy(s.ctx, call("3"), off.UUID))
	}
	s.effects(1, "destroy", off.Name)
	_, err = s.d.VM(s.ctx, off.UUID)
	s.fails(drivers.KindNotFound, "a destroyed VM", drivers.Task{}, err)
	for _, v := range s.inventory().VMs {
		if v.UUID == off.UUID {
			s.Fatal("a destroyed VM is still in the inventory")
		}
	}
}

func testTaskOfAnotherClient(s *hyper) {
	v := s.running()
	task, err := s.d.SetVMPower(s.ctx, call("1"), v.UUID, drivers.OpPowerOff)
	if err != nil {
		s.Fatal(err)
	}
	s.d = s.open()
	s.done(task, nil)
	s.wantPower(v.UUID, drivers.PowerOff)
	s.done(s.d.SetVMPower(s.ctx, call("2"), v.UUID, drivers.OpPowerOff))
	s.effects(1, "power-off", v.Name)
}
