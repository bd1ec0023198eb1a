package drivertest

import "yagura/drivers"

// testLoads holds that the loads name the VM servers that answer and the VMs
// that run on them, within what there is, and change nothing.
func testLoads(s *hyper) {
	inv := s.inventory()
	loads, err := s.d.Loads(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	if loads.Time.IsZero() {
		s.Errorf("the loads have no time")
	}
	servers := map[string]drivers.ServerLoad{}
	for _, l := range loads.Servers {
		servers[l.Name] = l
	}
	for _, x := range inv.Servers {
		l, ok := servers[x.Name]
		if !ok || l.CPUTotalMHz != x.CPUTotalMHz || l.MemTotalMiB != x.MemoryMiB || l.CPUMHz < 0 || l.CPUMHz > l.CPUTotalMHz || l.MemMiB < 0 || l.MemMiB > l.MemTotalMiB {
			s.Errorf("load of VM server %s is %+v; the inventory says %+v", x.Name, l, x)
		}
	}
	vms := map[string]drivers.VMLoad{}
	for _, l := range loads.VMs {
		vms[l.Name] = l
	}
	on := 0
	for _, v := range inv.VMs {
		l, ok := vms[v.Name]
		if running := v.Power == drivers.PowerOn; ok != running || running && (l.Server != v.Server || l.CPUMHz != v.CPUMHz || l.MemMiB < 0) {
			s.Errorf("load of VM %s is %+v (told: %v); the inventory says %+v", v.Name, l, ok, v)
		}
		if ok {
			on++
		}
	}
	if len(loads.Servers) != len(inv.Servers) || len(loads.VMs) != on || on == 0 {
		s.Errorf("%d VM servers and %d VMs have a load, of %d and %d", len(loads.Servers), len(loads.VMs), len(inv.Servers), len(inv.VMs))
	}
	s.effects(0, "", "")
}
