package fake

import (
	"context"

	"yagura/drivers"
)

// SetVMPower implements drivers.Hypervisor. Reboot and Reset are acts rather
// than states: one token causes one restart, however often it is asked for.
func (h *Hypervisor) SetVMPower(ctx context.Context, call drivers.Call, uuid string, op drivers.PowerOp) (drivers.Task, error) {
	w := h.w
	c := h.vmCall(call, string(op), uuid)
	c.check = func() (bool, string, error) { return w.checkVMPower(&c, uuid, op) }
	c.apply = func() string {
		w.setVMPower(w.vms[uuid], op)
		return ""
	}
	c.supersedes = op == drivers.OpPowerOff || op == drivers.OpReset
	return w.run(ctx, c)
}

// checkVMPower holds the rules of power operations on VMs. The caller holds mu.
func (w *World) checkVMPower(c *change, uuid string, op drivers.PowerOp) (bool, string, error) {
	m := w.vms[uuid]
	if m == nil {
		return false, "", c.errorf(drivers.KindNotFound, "no such VM")
	}
	if m.v.Template {
		return false, "", c.errorf(drivers.KindRefused, "a template has no power")
	}
	host := w.hosts[m.v.Server]
	if !host.connected() {
		return false, "", c.errorf(drivers.KindRefused, "VM server %s does not answer", host.name)
	}
	is := m.v.Power
	switch op {
	case drivers.OpPowerOn:
		if is == drivers.PowerOn {
			return true, "", nil
		}
		if host.maintenance {
			return false, "", c.errorf(drivers.KindRefused, "VM server %s is in maintenance mode", host.name)
		}
	case drivers.OpPowerOff:
		return is == drivers.PowerOff, "", nil
	case drivers.OpShutdown:
		if is == drivers.PowerOff {
			return true, "", nil
		}
		return false, "", w.guestAnswers(c, m)
	case drivers.OpSuspend:
		if is == drivers.PowerSuspended {
			return true, "", nil
		}
		if is != drivers.PowerOn {
			return false, "", c.errorf(drivers.KindRefused, "it is not on")
		}
	case drivers.OpReboot, drivers.OpReset:
		if w.restarted(c) {
			return true, "", nil
		}
		if is != drivers.PowerOn {
			return false, "", c.errorf(drivers.KindRefused, "it is not on")
		}
		if op == drivers.OpReboot {
			return false, "", w.guestAnswers(c, m)
		}
	default:
		return false, "", c.errorf(drivers.KindUnsupported, "no such power operation")
	}
	return false, "", nil
}

// guestAnswers refuses what needs a guest that listens. The caller holds mu.
func (w *World) guestAnswers(c *change, m *vm) error {
	if m.v.Power != drivers.PowerOn || !m.v.ToolsRunning {
		return c.errorf(drivers.KindRefused, "the guest can't be asked: no tools are running in it")
	}
	return nil
}

// restarted tells whether the call's token caused this restart before. The caller holds mu.
func (w *World) restarted(c *change) bool {
	if c.call.Token == "" {
		return false
	}
	for _, e := range w.ledger {
		if e.System == c.system && e.Op == c.op && e.Object == c.object && e.Token == c.call.Token {
			return true
		}
	}
	return false
}

// setVMPower brings a power operation about. The caller holds mu.
func (w *World) setVMPower(m *vm, op drivers.PowerOp) {
	switch op {
	case drivers.OpPowerOn, drivers.OpReboot, drivers.OpReset:
		w.startVM(m)
	case drivers.OpPowerOff, drivers.OpShutdown:
		m.v.Power, m.running = drivers.PowerOff, false
	case drivers.OpSuspend:
		m.v.Power, m.running = drivers.PowerSuspended, false
	}
}

// startVM sets a VM running where its record is. The caller holds mu.
func (w *World) startVM(m *vm) {
	if m.stray != "" {
		w.violations = append(w.violations, "VM "+m.v.Name+" started on "+m.v.Server+" while it still runs on "+m.stray)
	}
	m.v.Power, m.running, m.v.BootTime = drivers.PowerOn, true, w.now()
}
