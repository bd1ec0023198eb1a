package fake

import (
	"context"

	"yagura/drivers"
)

// SetMaintenance implements drivers.Hypervisor. A VM server on which VMs run
// is refused, where a real manager would wait for them to leave.
func (h *Hypervisor) SetMaintenance(ctx context.Context, call drivers.Call, server string, on bool) (drivers.Task, error) {
	w := h.w
	op := OpMaintenanceOff
	if on {
		op = OpMaintenanceOn
	}
	c := change{system: w.system, op: op, object: server, call: call}
	c.check = func() (bool, string, error) {
		x, err := w.liveServer(&c)
		if err != nil {
			return false, "", err
		}
		if x.maintenance == on {
			return true, "", nil
		}
		if on {
			err = w.empty(&c, x)
		}
		return false, "", err
	}
	c.apply = func() string {
		w.hosts[server].maintenance = on
		return ""
	}
	return w.run(ctx, c)
}

// SetServerPower implements drivers.Hypervisor.
func (h *Hypervisor) SetServerPower(ctx context.Context, call drivers.Call, server string, op drivers.PowerOp) (drivers.Task, error) {
	w := h.w
	c := change{system: w.system, op: HostPrefix + string(op), object: server, call: call}
	c.check = func() (bool, string, error) { return w.checkServerPower(&c, op) }
	c.apply = func() string {
		x := w.hosts[server]
		switch op {
		case drivers.OpPowerOn, drivers.OpReboot:
			w.bootHost(x)
		case drivers.OpShutdown:
			w.stopHost(x)
			x.stopped = true
		}
		return ""
	}
	return w.run(ctx, c)
}

// checkServerPower holds the rules of VM server power (manual 5.2.7, 5.2.19). The caller holds mu.
func (w *World) checkServerPower(c *change, op drivers.PowerOp) (bool, string, error) {
	x := w.hosts[c.object]
	if x == nil || !x.hypervisor {
		return false, "", c.errorf(drivers.KindNotFound, "no such VM server")
	}
	switch op {
	case drivers.OpPowerOn:
		if x.connected() {
			return true, "", nil
		}
		if !x.standby {
			return false, "", c.errorf(drivers.KindRefused, "it does not answer and is not in standby")
		}
		return false, "", nil
	case drivers.OpShutdown:
		if x.standby || x.stopped {
			return true, "", nil
		}
	case drivers.OpReboot:
		if w.restarted(c) {
			return true, "", nil
		}
	default:
		return false, "", c.errorf(drivers.KindUnsupported, "a VM server's manager can't do this")
	}
	if _, err := w.liveServer(c); err != nil {
		return false, "", err
	}
	return false, "", w.empty(c, x)
}

// liveServer returns the VM server of a change if it answers. The caller holds mu.
func (w *World) liveServer(c *change) (*host, error) {
	x := w.hosts[c.object]
	if x == nil || !x.hypervisor {
		return nil, c.errorf(drivers.KindNotFound, "no such VM server")
	}
	if !x.connected() {
		return nil, c.errorf(drivers.KindRefused, "VM server %s does not answer", x.name)
	}
	return x, nil
}

// empty refuses while VMs run on a VM server. The caller holds mu.
func (w *World) empty(c *change, x *host) error {
	for _, m := range w.vms {
		if m.v.Server == x.name && m.running {
			return c.errorf(drivers.KindRefused, "VM %s runs on it", m.v.Name)
		}
	}
	return nil
}

// stopHost takes a machine's power away: all that ran on it has ended. The caller holds mu.
func (w *World) stopHost(x *host) {
	x.power, x.crashed = drivers.PowerOff, false
	w.endVMs(x)
}

// bootHost starts a machine. Its VMs stay off; one that was taken elsewhere
// doesn't come back. The caller holds mu.
func (w *World) bootHost(x *host) {
	w.endVMs(x)
	x.power, x.boot = drivers.PowerOn, w.now()
	x.crashed, x.isolated, x.standby, x.stopped = false, false, false, false
	for _, m := range w.vms {
		if m.v.Server == x.name && m.v.Power == drivers.PowerOn {
			m.v.Power = drivers.PowerOff
		}
	}
}

// endVMs ends what runs on a machine; its manager learns it when the machine
// is back. The caller holds mu.
func (w *World) endVMs(x *host) {
	for _, m := range w.vms {
		if m.v.Server == x.name {
			m.running = false
		}
		if m.stray == x.name {
			m.stray = ""
		}
	}
}
