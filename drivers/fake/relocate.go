package fake

import (
	"context"

	"yagura/drivers"
)

// Relocate implements drivers.Hypervisor.
func (h *Hypervisor) Relocate(ctx context.Context, call drivers.Call, spec drivers.RelocateSpec) (drivers.Task, error) {
	w := h.w
	op := map[drivers.RelocateMode]string{
		drivers.RelocateMigrate: OpMigrate, drivers.RelocateMove: OpMove, drivers.RelocateFailover: OpRegister,
	}[spec.Mode]
	if op == "" {
		op = string(spec.Mode)
	}
	c := h.vmCall(call, op, spec.VM)
	c.check = func() (bool, string, error) { return w.checkRelocate(&c, spec) }
	c.apply = func() string {
		w.relocate(w.vms[spec.VM], spec)
		return spec.Server
	}
	return w.run(ctx, c)
}

// checkRelocate holds the rules of relocation (manual 1.11.10, 5.2.3, 5.2.4,
// 5.2.6, 5.2.19). The caller holds mu.
func (w *World) checkRelocate(c *change, spec drivers.RelocateSpec) (bool, string, error) {
	refuse := func(format string, args ...any) (bool, string, error) {
		return false, "", c.errorf(drivers.KindRefused, format, args...)
	}
	m := w.vms[spec.VM]
	if m == nil {
		return false, "", c.errorf(drivers.KindNotFound, "no such VM")
	}
	to := w.hosts[spec.Server]
	if to == nil || !to.hypervisor {
		return false, "", c.errorf(drivers.KindNotFound, "no such VM server as %s", spec.Server)
	}
	from := w.hosts[m.v.Server]
	switch {
	case m.v.Template:
		return refuse("a template stays where it is")
	case !to.connected():
		return refuse("VM server %s does not answer", to.name)
	case from == to && (spec.Mode != drivers.RelocateMove || spec.Datastore == "" || contains(m.v.Datastores, spec.Datastore)):
		return true, to.name, nil
	case to.maintenance:
		return refuse("VM server %s is in maintenance mode", to.name)
	case to.datacenter != from.datacenter:
		return refuse("VM server %s is in datacenter %s, the VM in %s", to.name, to.datacenter, from.datacenter)
	}
	switch spec.Mode {
	case drivers.RelocateMigrate, drivers.RelocateFailover:
		if spec.Mode == drivers.RelocateMigrate && !from.connected() {
			return refuse("VM server %s does not answer", from.name)
		}
		if spec.Mode == drivers.RelocateFailover && from.connected() {
			return refuse("VM server %s is alive", from.name)
		}
		if spec.Mode == drivers.RelocateMigrate && m.v.Power == drivers.PowerSuspended {
			return refuse("it is suspended; resume it first")
		}
		for _, d := range m.v.Datastores {
			if !contains(to.datastores, d) {
				return refuse("VM server %s does not mount datastore %s", to.name, d)
			}
		}
	case drivers.RelocateMove:
		if !from.connected() {
			return refuse("VM server %s does not answer", from.name)
		}
		if m.v.Power != drivers.PowerOff {
			return refuse("only a stopped VM can be moved")
		}
		if w.moveTarget(m, to, spec.Datastore) == "" {
			return refuse("VM server %s mounts no datastore for it", to.name)
		}
	default:
		return false, "", c.errorf(drivers.KindUnsupported, "no such way to relocate")
	}
	return false, "", nil
}

// moveTarget chooses the datastore of a moved VM: the asked one, or the one
// where it is, or the one with the most room. The caller holds mu.
func (w *World) moveTarget(m *vm, to *host, want string) string {
	if want != "" {
		if contains(to.datastores, want) {
			return want
		}
		return ""
	}
	best := ""
	for _, d := range to.datastores {
		if contains(m.v.Datastores, d) {
			return d
		}
		if best == "" || w.datastores[d].free > w.datastores[best].free {
			best = d
		}
	}
	return best
}

// relocate takes a VM to another VM server. The caller holds mu.
func (w *World) relocate(m *vm, spec drivers.RelocateSpec) {
	switch spec.Mode {
	case drivers.RelocateMove:
		m.v.Datastores = []string{w.moveTarget(m, w.hosts[spec.Server], spec.Datastore)}
	case drivers.RelocateFailover:
		if m.running {
			m.stray = m.v.Server
		}
		if m.v.Power == drivers.PowerOn {
			m.v.Power = drivers.PowerOff
		}
		m.running = false
	}
	m.v.Server = spec.Server
}
