package sim

import (
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// hostFace serves the methods of a VM server that change the world.
type hostFace struct {
	unlocked
	host *simulator.HostSystem
	v    *vcenter
}

// Reference names the server.
func (f *hostFace) Reference() types.ManagedObjectReference { return f.host.Self }

func (f *hostFace) job(ctx *simulator.Context, task string, op Op) *job {
	return &job{
		entity: f.host.Self, name: f.host.Name, task: task, op: op, object: f.host.Name,
		token: opToken(ctx), exclusive: true, host: true,
	}
}

func (f *hostFace) inMaintenance(ctx *simulator.Context) (yes bool) {
	ctx.WithLock(f.host, func() { yes = f.host.Runtime.InMaintenanceMode })
	return yes
}

// running counts the VMs that run on the server.
func (f *hostFace) running(ctx *simulator.Context) int {
	n := 0
	for _, vm := range f.v.vmsOn(ctx, f.host) {
		if f.v.powerOf(ctx, vm) == types.VirtualMachinePowerStatePoweredOn {
			n++
		}
	}
	return n
}

// EnterMaintenanceModeTask waits until no VM runs on the server, for at most
// the timeout, and then sets maintenance mode. Standalone servers have nobody
// who moves the VMs away: the caller must.
func (f *hostFace) EnterMaintenanceModeTask(ctx *simulator.Context, req *types.EnterMaintenanceMode_Task) soap.HasFault {
	j := f.job(ctx, "enterMaintenanceMode", OpMaintenanceOn)
	j.wait = func(cancelled func() bool) types.BaseMethodFault {
		ctx := f.v.call()
		f.v.sim.mu.RLock()
		fault, there := f.v.usable(f.host), f.inMaintenance(ctx)
		f.v.sim.mu.RUnlock()
		if fault != nil || there {
			return fault
		}
		f.v.post(ctx, &types.EnteringMaintenanceModeEvent{HostEvent: f.v.hostEvent(f.host, "entering maintenance mode")})
		return f.v.empty(f, req.Timeout, cancelled)
	}
	j.run = func(ctx *simulator.Context, j *job) (types.AnyType, types.BaseMethodFault) {
		if fault := f.v.usable(f.host); fault != nil {
			return nil, fault
		}
		if f.inMaintenance(ctx) {
			j.noop = true
			return nil, nil
		}
		if f.running(ctx) > 0 { // one was started since the wait ended
			return nil, new(types.InvalidState)
		}
		f.setMaintenance(ctx, true)
		f.v.post(ctx, &types.EnteredMaintenanceModeEvent{HostEvent: f.v.hostEvent(f.host, "entered maintenance mode")})
		return nil, nil
	}
	body := new(methods.EnterMaintenanceMode_TaskBody)
	ref, fault := f.v.start(ctx, j)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.EnterMaintenanceMode_TaskResponse{Returnval: ref}
	}
	return body
}

// empty waits until no VM runs on a server, the task is cancelled or timeout
// seconds have passed; 0 or less means no limit.
func (v *vcenter) empty(f *hostFace, timeout int32, cancelled func() bool) types.BaseMethodFault {
	const forever = 365 * 24 * time.Hour
	limit := time.Duration(timeout) * time.Second
	if limit <= 0 {
		limit = forever
	}
	ctx := v.call()
	var fault types.BaseMethodFault
	// A cancelled task fires no change, so the wait looks up now and then.
	for end := time.Now().Add(limit); ; {
		slice := min(time.Until(end), 250*time.Millisecond)
		done := v.sim.await(v.sim.ctx, slice, func() bool {
			fault = v.usable(f.host)
			return fault != nil || f.running(ctx) == 0
		})
		switch {
		case done:
			return fault
		case cancelled() || v.sim.ctx.Err() != nil:
			return new(types.RequestCanceled)
		case !time.Now().Before(end):
			return new(types.Timedout)
		}
	}
}

func (f *hostFace) setMaintenance(ctx *simulator.Context, on bool) {
	f.v.reg.AtomicUpdate(ctx, f.host, []types.PropertyChange{
		{Name: "runtime.inMaintenanceMode", Val: on},
		{Name: "summary.runtime.inMaintenanceMode", Val: on},
	})
}

// ExitMaintenanceModeTask ends maintenance mode.
func (f *hostFace) ExitMaintenanceModeTask(ctx *simulator.Context, _ *types.ExitMaintenanceMode_Task) soap.HasFault {
	j := f.job(ctx, "exitMaintenanceMode", OpMaintenanceOff)
	j.run = func(ctx *simulator.Context, j *job) (types.AnyType, types.BaseMethodFault) {
		if fault := f.v.usable(f.host); fault != nil {
			return nil, fault
		}
		if !f.inMaintenance(ctx) {
			j.noop = true
			return nil, nil
		}
		f.setMaintenance(ctx, false)
		f.v.post(ctx, &types.ExitMaintenanceModeEvent{HostEvent: f.v.hostEvent(f.host, "left maintenance mode")})
		return nil, nil
	}
	body := new(methods.ExitMaintenanceMode_TaskBody)
	ref, fault := f.v.start(ctx, j)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.ExitMaintenanceMode_TaskResponse{Returnval: ref}
	}
	return body
}

// PowerDownHostToStandByTask puts an empty server to sleep.
func (f *hostFace) PowerDownHostToStandByTask(ctx *simulator.Context, req *types.PowerDownHostToStandBy_Task) soap.HasFault {
	j := f.job(ctx, "powerDownHostToStandBy", OpHostStandby)
	m := f.v.machineOf(f.host)
	j.wait = func(cancelled func() bool) types.BaseMethodFault {
		f.v.sim.mu.RLock()
		standby := m.standby
		f.v.sim.mu.RUnlock()
		if standby {
			return nil
		}
		return f.v.empty(f, req.TimeoutSec, cancelled)
	}
	j.run = func(ctx *simulator.Context, j *job) (types.AnyType, types.BaseMethodFault) {
		if m.standby {
			j.noop = true
			return nil, nil
		}
		if fault := f.v.usable(f.host); fault != nil {
			return nil, fault
		}
		if f.running(ctx) > 0 {
			return nil, new(types.InvalidState)
		}
		f.v.sim.stop(m, types.HostSystemPowerStateStandBy, false)
		return nil, nil
	}
	j.after = f.reached(m, f.v.sim.cfg.StopTime, func() bool { return m.phase == phaseOff })
	body := new(methods.PowerDownHostToStandBy_TaskBody)
	ref, fault := f.v.start(ctx, j)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.PowerDownHostToStandBy_TaskResponse{Returnval: ref}
	}
	return body
}

// reached waits, as long as it should take and some time more, until a machine
// is where a task sent it.
func (f *hostFace) reached(m *machine, takes time.Duration, cond func() bool) func() types.BaseMethodFault {
	return func() types.BaseMethodFault {
		if f.v.sim.await(f.v.sim.ctx, takes+10*time.Second, cond) {
			return nil
		}
		return new(types.HostPowerOpFailed)
	}
}

// PowerUpHostFromStandByTask wakes a server that vCenter put to sleep.
func (f *hostFace) PowerUpHostFromStandByTask(ctx *simulator.Context, _ *types.PowerUpHostFromStandBy_Task) soap.HasFault {
	j := f.job(ctx, "powerUpHostFromStandBy", OpHostPowerOn)
	m := f.v.machineOf(f.host)
	j.run = func(ctx *simulator.Context, j *job) (types.AnyType, types.BaseMethodFault) {
		switch {
		case m.phase == phaseUp || m.phase == phaseBooting:
			j.noop = true
		case !m.standby:
			return nil, new(types.HostPowerOpFailed)
		default:
			f.v.sim.powerOn(m)
			f.v.post(ctx, &types.ExitedStandbyModeEvent{HostEvent: f.v.hostEvent(f.host, "left standby")})
		}
		return nil, nil
	}
	j.after = f.reached(m, f.v.sim.cfg.BootTime, func() bool { return m.phase == phaseUp })
	body := new(methods.PowerUpHostFromStandBy_TaskBody)
	ref, fault := f.v.start(ctx, j)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.PowerUpHostFromStandBy_TaskResponse{Returnval: ref}
	}
	return body
}

// stopJob prepares a shutdown or reboot. Without force vCenter wants
// maintenance mode first; with force the VMs on the server die.
func (f *hostFace) stopJob(ctx *simulator.Context, task string, op Op, force, again bool) *job {
	j := f.job(ctx, task, op)
	j.run = func(ctx *simulator.Context, j *job) (types.AnyType, types.BaseMethodFault) {
		if fault := f.v.usable(f.host); fault != nil {
			return nil, fault
		}
		if !force && !f.inMaintenance(ctx) {
			return nil, &types.InvalidHostState{Host: &f.host.Self}
		}
		seen := types.HostSystemPowerStatePoweredOff
		if again {
			seen = types.HostSystemPowerStateUnknown
		}
		f.v.sim.stop(f.v.machineOf(f.host), seen, again)
		return nil, nil
	}
	return j
}

// ShutdownHostTask shuts the server down.
func (f *hostFace) ShutdownHostTask(ctx *simulator.Context, req *types.ShutdownHost_Task) soap.HasFault {
	body := new(methods.ShutdownHost_TaskBody)
	ref, fault := f.v.start(ctx, f.stopJob(ctx, "shutdown", OpHostShutdown, req.Force, false))
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.ShutdownHost_TaskResponse{Returnval: ref}
	}
	return body
}

// RebootHostTask restarts the server.
func (f *hostFace) RebootHostTask(ctx *simulator.Context, req *types.RebootHost_Task) soap.HasFault {
	body := new(methods.RebootHost_TaskBody)
	ref, fault := f.v.start(ctx, f.stopJob(ctx, "reboot", OpHostReboot, req.Force, true))
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.RebootHost_TaskResponse{Returnval: ref}
	}
	return body
}

// DisconnectHostTask takes the server out of vCenter's hands; its VMs run on.
func (f *hostFace) DisconnectHostTask(ctx *simulator.Context, _ *types.DisconnectHost_Task) soap.HasFault {
	j := f.job(ctx, "disconnect", OpDisconnect)
	m := f.v.machineOf(f.host)
	j.run = func(ctx *simulator.Context, j *job) (types.AnyType, types.BaseMethodFault) {
		if m.detached {
			j.noop = true
			return nil, nil
		}
		m.detached, m.detachedAt = true, m.turn
		f.v.hostGone(m, types.HostSystemPowerStateUnknown)
		f.v.post(ctx, &types.HostDisconnectedEvent{HostEvent: f.v.hostEvent(f.host, "disconnected"), Reason: "user"})
		return nil, nil
	}
	body := new(methods.DisconnectHost_TaskBody)
	ref, fault := f.v.start(ctx, j)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.DisconnectHost_TaskResponse{Returnval: ref}
	}
	return body
}

// ReconnectHostTask takes the server back into vCenter's hands.
func (f *hostFace) ReconnectHostTask(ctx *simulator.Context, _ *types.ReconnectHost_Task) soap.HasFault {
	j := f.job(ctx, "reconnect", OpReconnect)
	m := f.v.machineOf(f.host)
	j.run = func(ctx *simulator.Context, j *job) (types.AnyType, types.BaseMethodFault) {
		switch {
		case m.phase != phaseUp:
			return nil, new(types.HostConnectFault)
		case !m.detached:
			j.noop = true
			return nil, nil
		}
		m.detached = false
		if m.turn != m.detachedAt { // it went down and came back meanwhile
			f.v.hostBack(m)
			return nil, nil
		}
		f.v.showConnected(ctx, f.host, false)
		for _, vm := range f.v.vmsOn(ctx, f.host) {
			f.v.showVMBack(ctx, vm, false)
		}
		f.v.post(ctx, &types.HostConnectedEvent{HostEvent: f.v.hostEvent(f.host, "connected")})
		return nil, nil
	}
	body := new(methods.ReconnectHost_TaskBody)
	ref, fault := f.v.start(ctx, j)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.ReconnectHost_TaskResponse{Returnval: ref}
	}
	return body
}
