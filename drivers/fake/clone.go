package fake

import (
	"context"
	"fmt"

	"yagura/drivers"
)

// Clone implements drivers.Hypervisor. A call whose token made the VM of this
// name already is finished; a VM of this name with another origin is refused.
func (h *Hypervisor) Clone(ctx context.Context, call drivers.Call, spec drivers.CloneSpec) (drivers.Task, error) {
	w := h.w
	c := change{system: w.system, op: OpClone, object: spec.Name, call: call}
	c.check = func() (bool, string, error) { return w.checkClone(&c, spec) }
	c.apply = func() string { return w.clone(call, spec) }
	return w.run(ctx, c)
}

// checkClone holds the rules of cloning (manual 5.2.14, 5.2.19). The caller holds mu.
func (w *World) checkClone(c *change, spec drivers.CloneSpec) (bool, string, error) {
	refuse := func(format string, args ...any) (bool, string, error) {
		return false, "", c.errorf(drivers.KindRefused, format, args...)
	}
	if spec.Name == "" {
		return refuse("a VM needs a name")
	}
	if m := w.vmByName(spec.Name); m != nil {
		if c.call.Token != "" && m.v.Token == c.call.Token {
			return true, m.v.UUID, nil
		}
		return refuse("a VM of this name exists")
	}
	t := w.vmByName(spec.Template)
	if t == nil {
		return false, "", c.errorf(drivers.KindNotFound, "no such template as %s", spec.Template)
	}
	to := w.hosts[spec.Server]
	if to == nil || !to.hypervisor {
		return false, "", c.errorf(drivers.KindNotFound, "no such VM server as %s", spec.Server)
	}
	from := w.hosts[t.v.Server]
	dc := from.datacenter
	switch {
	case !t.v.Template:
		return refuse("%s is not a template", spec.Template)
	case !to.connected():
		return refuse("VM server %s does not answer", to.name)
	case !from.connected():
		return refuse("VM server %s of the template does not answer", from.name)
	case to.maintenance:
		return refuse("VM server %s is in maintenance mode", to.name)
	case to.datacenter != dc || (spec.Datacenter != "" && spec.Datacenter != dc):
		return refuse("template %s is in datacenter %s", spec.Template, dc)
	case w.datastores[spec.Datastore] == nil && spec.Datastore != "":
		return false, "", c.errorf(drivers.KindNotFound, "no such datastore as %s", spec.Datastore)
	case w.moveTarget(t, to, spec.Datastore) == "":
		return refuse("VM server %s does not mount datastore %s", to.name, spec.Datastore)
	}
	for _, n := range spec.Identity.NICs {
		if n.Network != "" && !contains(to.networks, n.Network) {
			return refuse("VM server %s has no network %s", to.name, n.Network)
		}
	}
	return false, "", nil
}

// clone makes the VM and returns its UUID. The caller holds mu.
func (w *World) clone(call drivers.Call, spec drivers.CloneSpec) string {
	t := w.vmByName(spec.Template)
	w.nextVM++
	m := &vm{v: t.v}
	m.v.UUID = UUIDOf(fmt.Sprintf("clone %d of %s", w.nextVM, spec.Name))
	m.v.Name, m.v.Server, m.v.Token = spec.Name, spec.Server, call.Token
	m.v.Template, m.v.ToolsRunning, m.v.Power = false, true, drivers.PowerOff
	m.v.Datastores = []string{w.moveTarget(t, w.hosts[spec.Server], spec.Datastore)}
	if spec.CPUs > 0 {
		m.v.CPUs = spec.CPUs
	}
	if spec.MemoryMiB > 0 {
		m.v.MemoryMiB = spec.MemoryMiB
	}
	m.v.Hostname, m.v.IPs, m.v.NICs = spec.Identity.Hostname, addresses(spec.Identity), nil
	for i, n := range spec.Identity.NICs {
		m.v.NICs = append(m.v.NICs, drivers.NIC{MAC: fmt.Sprintf("00:50:56:01:%02x:%02x", w.nextVM%256, i), Network: n.Network})
	}
	w.vms[m.v.UUID] = m
	if spec.PowerOn {
		w.startVM(m)
	}
	return m.v.UUID
}

// Destroy implements drivers.Hypervisor. A VM that doesn't exist is gone
// already.
func (h *Hypervisor) Destroy(ctx context.Context, call drivers.Call, uuid string) (drivers.Task, error) {
	w := h.w
	c := h.vmCall(call, OpDestroy, uuid)
	c.check = func() (bool, string, error) {
		m := w.vms[uuid]
		switch {
		case m == nil:
			return true, "", nil
		case m.v.Template:
			return false, "", c.errorf(drivers.KindRefused, "it is a template")
		case !w.hosts[m.v.Server].connected():
			return false, "", c.errorf(drivers.KindRefused, "VM server %s does not answer", m.v.Server)
		case m.v.Power != drivers.PowerOff:
			return false, "", c.errorf(drivers.KindRefused, "it is not stopped")
		}
		return false, "", nil
	}
	c.apply = func() string {
		delete(w.vms, uuid)
		return ""
	}
	return w.run(ctx, c)
}
