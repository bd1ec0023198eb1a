package sim

import (
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// vmFace serves the methods of a VM that change the world: each is checked
// against the true state of its server, recorded, and open to delays and
// failures. vcsim calls the exported methods by their SOAP names (by
// reflection), the `_Task` of a name written `Task`.
type vmFace struct {
	unlocked
	vm *simulator.VirtualMachine
	v  *vcenter
}

// Reference names the VM.
func (f *vmFace) Reference() types.ManagedObjectReference { return f.vm.Self }

// host returns the server that vCenter has the VM on.
func (v *vcenter) hostOf(ctx *simulator.Context, vm *simulator.VirtualMachine) *simulator.HostSystem {
	var ref types.ManagedObjectReference
	ctx.WithLock(vm, func() { ref = *vm.Runtime.Host })
	return v.reg.Get(ref).(*simulator.HostSystem)
}

func (v *vcenter) powerOf(ctx *simulator.Context, vm *simulator.VirtualMachine) (p types.VirtualMachinePowerState) {
	ctx.WithLock(vm, func() { p = vm.Runtime.PowerState })
	return p
}

// usable refuses work on a server that vCenter doesn't reach. Sim.mu must be held.
func (v *vcenter) usable(host *simulator.HostSystem) types.BaseMethodFault {
	if !v.machineOf(host).reachable() {
		return new(types.HostNotConnected)
	}
	return nil
}

// open refuses new load on a server that isn't reachable or is in maintenance.
func (v *vcenter) open(ctx *simulator.Context, host *simulator.HostSystem) types.BaseMethodFault {
	if fault := v.usable(host); fault != nil {
		return fault
	}
	var maintenance bool
	ctx.WithLock(host, func() { maintenance = host.Runtime.InMaintenanceMode })
	if maintenance {
		return &types.InvalidHostState{Host: &host.Self}
	}
	return nil
}

// job prepares a task on the VM.
func (f *vmFace) job(ctx *simulator.Context, task string, op Op) *job {
	name := f.v.vmName(ctx, f.vm)
	return &job{entity: f.vm.Self, name: name, task: task, op: op, object: name, token: opToken(ctx), exclusive: true}
}

// powerJob prepares a change of power: refused on a server that vCenter
// doesn't reach, a no-op is an error as in vCenter.
func (f *vmFace) powerJob(ctx *simulator.Context, task string, op Op, to types.VirtualMachinePowerState, do func(*simulator.Context) types.ManagedObjectReference) *job {
	j := f.job(ctx, task, op)
	j.run = func(ctx *simulator.Context, j *job) (types.AnyType, types.BaseMethodFault) {
		host := f.v.hostOf(ctx, f.vm)
		check := f.v.usable(host)
		if to == types.VirtualMachinePowerStatePoweredOn {
			check = f.v.open(ctx, host)
		}
		if check != nil {
			return nil, check
		}
		if have := f.v.powerOf(ctx, f.vm); have == to {
			return nil, &types.InvalidPowerState{RequestedState: to, ExistingState: have}
		}
		var ref types.ManagedObjectReference
		ctx.WithLock(f.vm, func() { ref = do(ctx) })
		if _, fault := f.v.inner(ctx, f.vm, ref); fault != nil {
			return nil, fault
		}
		f.v.showGuest(ctx, f.vm, to == types.VirtualMachinePowerStatePoweredOn)
		f.v.showVMLoad(ctx, f.vm)
		j.detail = "on " + host.Name
		return nil, nil
	}
	return j
}

// PowerOnVMTask switches the VM on.
func (f *vmFace) PowerOnVMTask(ctx *simulator.Context, _ *types.PowerOnVM_Task) soap.HasFault {
	body := new(methods.PowerOnVM_TaskBody)
	ref, fault := f.v.powerOn(ctx, f.vm)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.PowerOnVM_TaskResponse{Returnval: ref}
	}
	return body
}

func (v *vcenter) powerOn(ctx *simulator.Context, vm *simulator.VirtualMachine) (types.ManagedObjectReference, types.BaseMethodFault) {
	f := &vmFace{vm: vm, v: v}
	j := f.powerJob(ctx, "powerOn", OpPowerOn, types.VirtualMachinePowerStatePoweredOn,
		func(ctx *simulator.Context) types.ManagedObjectReference {
			body := vm.PowerOnVMTask(ctx, &types.PowerOnVM_Task{This: vm.Self}).(*methods.PowerOnVM_TaskBody)
			return body.Res.Returnval
		})
	var template bool
	ctx.WithLock(vm, func() { template = vm.Config.Template })
	if template {
		v.record(OpPowerOn, j.object, j.token, resultFailed+"it is a template", "")
		return types.ManagedObjectReference{}, new(types.InvalidState)
	}
	return v.start(ctx, j)
}

// PowerOffVMTask takes the VM's power away.
func (f *vmFace) PowerOffVMTask(ctx *simulator.Context, _ *types.PowerOffVM_Task) soap.HasFault {
	body := new(methods.PowerOffVM_TaskBody)
	ref, fault := f.v.start(ctx, f.powerJob(ctx, "powerOff", OpPowerOff, types.VirtualMachinePowerStatePoweredOff,
		func(ctx *simulator.Context) types.ManagedObjectReference {
			return f.vm.PowerOffVMTask(ctx, &types.PowerOffVM_Task{This: f.vm.Self}).(*methods.PowerOffVM_TaskBody).Res.Returnval
		}))
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.PowerOffVM_TaskResponse{Returnval: ref}
	}
	return body
}

// SuspendVMTask suspends the VM.
func (f *vmFace) SuspendVMTask(ctx *simulator.Context, _ *types.SuspendVM_Task) soap.HasFault {
	body := new(methods.SuspendVM_TaskBody)
	ref, fault := f.v.start(ctx, f.powerJob(ctx, "suspend", OpSuspend, types.VirtualMachinePowerStateSuspended,
		func(ctx *simulator.Context) types.ManagedObjectReference {
			return f.vm.SuspendVMTask(ctx, &types.SuspendVM_Task{This: f.vm.Self}).(*methods.SuspendVM_TaskBody).Res.Returnval
		}))
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.SuspendVM_TaskResponse{Returnval: ref}
	}
	return body
}

// ResetVMTask resets a running VM by force.
func (f *vmFace) ResetVMTask(ctx *simulator.Context, _ *types.ResetVM_Task) soap.HasFault {
	body := new(methods.ResetVM_TaskBody)
	j := f.job(ctx, "reset", OpReset)
	j.run = func(ctx *simulator.Context, j *job) (types.AnyType, types.BaseMethodFault) {
		host := f.v.hostOf(ctx, f.vm)
		if fault := f.v.usable(host); fault != nil {
			return nil, fault
		}
		if fault := f.mustRun(ctx); fault != nil {
			return nil, fault
		}
		f.v.post(ctx, &types.VmResettingEvent{VmEvent: f.v.vmEvent(ctx, f.vm, host)})
		f.booted(ctx)
		return nil, nil
	}
	ref, fault := f.v.start(ctx, j)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.ResetVM_TaskResponse{Returnval: ref}
	}
	return body
}

func (f *vmFace) mustRun(ctx *simulator.Context) types.BaseMethodFault {
	if have := f.v.powerOf(ctx, f.vm); have != types.VirtualMachinePowerStatePoweredOn {
		return &types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOn, ExistingState: have}
	}
	return nil
}

func (f *vmFace) booted(ctx *simulator.Context) {
	now := time.Now()
	f.v.reg.AtomicUpdate(ctx, f.vm, []types.PropertyChange{
		{Name: "runtime.bootTime", Val: &now},
		{Name: "summary.runtime.bootTime", Val: &now},
	})
	f.v.showGuest(ctx, f.vm, true)
}

// askGuest checks that the guest can be asked, and makes it do something after
// its time. vCenter answers at once and makes no task.
func (f *vmFace) askGuest(ctx *simulator.Context, op Op, do func(ctx *simulator.Context, host *simulator.HostSystem)) types.BaseMethodFault {
	name, token := f.v.vmName(ctx, f.vm), opToken(ctx)
	check := func(ctx *simulator.Context) (*simulator.HostSystem, types.BaseMethodFault) {
		host := f.v.hostOf(ctx, f.vm)
		if fault := f.v.usable(host); fault != nil {
			return nil, fault
		}
		if fault := f.mustRun(ctx); fault != nil {
			return nil, fault
		}
		var tools string
		ctx.WithLock(f.vm, func() { tools = f.vm.Guest.ToolsRunningStatus })
		if tools != string(types.VirtualMachineToolsRunningStatusGuestToolsRunning) {
			return nil, new(types.ToolsUnavailable)
		}
		return host, nil
	}
	s := f.v.sim
	s.mu.RLock()
	_, fault := check(ctx)
	s.mu.RUnlock()
	if fault == nil && s.rules.takeFailure(op) {
		fault = systemFault("failure put in by ctl")
	}
	if fault != nil {
		f.v.record(op, name, token, resultFailed+faultName(fault), "")
		return fault
	}
	later := ownContext(ctx)
	s.spawn(func() {
		if !pause(s.ctx, s.cfg.GuestTime+s.rules.delayOf(op)) {
			return
		}
		s.mu.RLock()
		defer s.mu.RUnlock()
		result := ResultOK
		if host, fault := check(later); fault != nil {
			result = resultFailed + faultName(fault)
		} else {
			do(later, host)
		}
		f.v.record(op, name, token, result, "")
		s.changed.fire()
	})
	return nil
}

// ShutdownGuest asks the guest to shut down.
func (f *vmFace) ShutdownGuest(ctx *simulator.Context, _ *types.ShutdownGuest) soap.HasFault {
	body := new(methods.ShutdownGuestBody)
	fault := f.askGuest(ctx, OpShutdown, func(ctx *simulator.Context, host *simulator.HostSystem) {
		event := f.v.vmEvent(ctx, f.vm, host)
		f.v.post(ctx, &types.VmGuestShutdownEvent{VmEvent: event})
		f.v.reg.AtomicUpdate(ctx, f.vm, powerChanges(types.VirtualMachinePowerStatePoweredOff))
		f.v.showGuest(ctx, f.vm, false)
		f.v.showVMLoad(ctx, f.vm)
		f.v.post(ctx, &types.VmPoweredOffEvent{VmEvent: event})
	})
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = new(types.ShutdownGuestResponse)
	}
	return body
}

// RebootGuest asks the guest to restart.
func (f *vmFace) RebootGuest(ctx *simulator.Context, _ *types.RebootGuest) soap.HasFault {
	body := new(methods.RebootGuestBody)
	fault := f.askGuest(ctx, OpReboot, func(ctx *simulator.Context, host *simulator.HostSystem) {
		f.v.post(ctx, &types.VmGuestRebootEvent{VmEvent: f.v.vmEvent(ctx, f.vm, host)})
		f.booted(ctx)
	})
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = new(types.RebootGuestResponse)
	}
	return body
}
