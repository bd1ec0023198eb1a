package sim

import (
	"slices"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// What vCenter shows of a server that dies or returns. Changes are published
// under leaf names (runtime.connectionState), because vcsim doesn't match a
// change of runtime against a filter on one of its leaves.
//
// vCenter can't know what becomes of the VMs on a server that it doesn't
// reach. It shows them as disconnected, with the power state that it saw last;
// when the server is back, or the record has gone to another server, it shows
// that they are off.

// vmsOn lists the VMs that vCenter has on a server, templates included.
func (v *vcenter) vmsOn(ctx *simulator.Context, host *simulator.HostSystem) []*simulator.VirtualMachine {
	var refs []types.ManagedObjectReference
	ctx.WithLock(host, func() { refs = slices.Clone(host.Vm) })
	out := make([]*simulator.VirtualMachine, 0, len(refs))
	for _, ref := range refs {
		if vm, ok := v.reg.Get(ref).(*simulator.VirtualMachine); ok {
			out = append(out, vm)
		}
	}
	return out
}

// hostGone shows a server as not responding. seen is what vCenter believes
// about its power.
func (v *vcenter) hostGone(m *machine, seen types.HostSystemPowerState) {
	state := types.HostSystemConnectionStateNotResponding
	if m.detached {
		state = types.HostSystemConnectionStateDisconnected
	}
	ctx, host := v.call(), v.hosts[m.name]
	status := types.ManagedEntityStatusRed
	if seen == types.HostSystemPowerStateStandBy || m.detached {
		status = types.ManagedEntityStatusGray
	}
	v.reg.AtomicUpdate(ctx, host, []types.PropertyChange{
		{Name: "runtime.connectionState", Val: state},
		{Name: "runtime.powerState", Val: seen},
		{Name: "summary.runtime.connectionState", Val: state},
		{Name: "summary.runtime.powerState", Val: seen},
		{Name: "overallStatus", Val: status},
		{Name: "summary.overallStatus", Val: status},
	})
	for _, vm := range v.vmsOn(ctx, host) {
		v.reg.AtomicUpdate(ctx, vm, []types.PropertyChange{
			{Name: "runtime.connectionState", Val: types.VirtualMachineConnectionStateDisconnected},
			{Name: "summary.runtime.connectionState", Val: types.VirtualMachineConnectionStateDisconnected},
		})
	}
}

// hostLost shows a server as not responding and tells so in the event stream.
// Sim.mu must be held for writing.
func (v *vcenter) hostLost(m *machine, seen types.HostSystemPowerState) {
	v.hostGone(m, seen)
	ctx, host := v.call(), v.hosts[m.name]
	switch seen {
	case types.HostSystemPowerStateStandBy:
		v.post(ctx, &types.EnteredStandbyModeEvent{HostEvent: v.hostEvent(host, "entered standby")})
		return
	case types.HostSystemPowerStatePoweredOff:
		v.post(ctx, &types.HostShutdownEvent{HostEvent: v.hostEvent(host, "shut down"), Reason: "ordered by a user"})
	}
	event := v.hostEvent(host, "the host doesn't respond")
	v.post(ctx, &types.HostConnectionLostEvent{HostEvent: event})
	v.vmConnections(ctx, host, false)
	v.alarm(ctx, alarmConnection, event.Event, host, host.Name, types.ManagedEntityStatusGreen, types.ManagedEntityStatusRed)
}

// hostBack shows a server as connected again, with the VMs that are still
// recorded on it switched off: whatever ran there died with it. Sim.mu must be
// held for writing.
func (v *vcenter) hostBack(m *machine) {
	ctx, host := v.call(), v.hosts[m.name]
	v.showConnected(ctx, host, true)
	for _, vm := range v.vmsOn(ctx, host) {
		v.showVMBack(ctx, vm, true)
	}
	v.showHostLoad(ctx, host)
	event := v.hostEvent(host, "connected")
	v.post(ctx, &types.HostConnectedEvent{HostEvent: event})
	v.vmConnections(ctx, host, true)
	v.alarm(ctx, alarmConnection, event.Event, host, host.Name, types.ManagedEntityStatusRed, types.ManagedEntityStatusGreen)
}

func (v *vcenter) showConnected(ctx *simulator.Context, host *simulator.HostSystem, booted bool) {
	changes := []types.PropertyChange{
		{Name: "runtime.connectionState", Val: types.HostSystemConnectionStateConnected},
		{Name: "runtime.powerState", Val: types.HostSystemPowerStatePoweredOn},
		{Name: "summary.runtime.connectionState", Val: types.HostSystemConnectionStateConnected},
		{Name: "summary.runtime.powerState", Val: types.HostSystemPowerStatePoweredOn},
		{Name: "overallStatus", Val: types.ManagedEntityStatusGreen},
		{Name: "summary.overallStatus", Val: types.ManagedEntityStatusGreen},
	}
	if booted {
		now := time.Now()
		changes = append(changes, types.PropertyChange{Name: "runtime.bootTime", Val: &now})
	}
	v.reg.AtomicUpdate(ctx, host, changes)
}

// showVMBack shows a VM as reachable, and as off if it died meanwhile.
func (v *vcenter) showVMBack(ctx *simulator.Context, vm *simulator.VirtualMachine, died bool) {
	var off bool
	ctx.WithLock(vm, func() {
		off = died && vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
		changes := []types.PropertyChange{
			{Name: "runtime.connectionState", Val: types.VirtualMachineConnectionStateConnected},
			{Name: "summary.runtime.connectionState", Val: types.VirtualMachineConnectionStateConnected},
		}
		if off {
			changes = append(changes, powerChanges(types.VirtualMachinePowerStatePoweredOff)...)
		}
		ctx.Update(vm, changes)
	})
	if off {
		v.showGuest(ctx, vm, false)
	}
}

func powerChanges(to types.VirtualMachinePowerState) []types.PropertyChange {
	return []types.PropertyChange{
		{Name: "runtime.powerState", Val: to},
		{Name: "summary.runtime.powerState", Val: to},
	}
}

// showGuest shows whether a VM's guest and its tools run.
func (v *vcenter) showGuest(ctx *simulator.Context, vm *simulator.VirtualMachine, running bool) {
	tools, toolsState, guest := types.VirtualMachineToolsRunningStatusGuestToolsNotRunning,
		types.VirtualMachineToolsStatusToolsNotRunning, types.VirtualMachineGuestStateNotRunning
	beat := types.ManagedEntityStatusGray
	if running {
		tools, toolsState, guest = types.VirtualMachineToolsRunningStatusGuestToolsRunning,
			types.VirtualMachineToolsStatusToolsOk, types.VirtualMachineGuestStateRunning
		beat = types.ManagedEntityStatusGreen
	}
	ctx.WithLock(vm, func() {
		changes := []types.PropertyChange{
			{Name: "guest.toolsRunningStatus", Val: string(tools)},
			{Name: "guest.toolsStatus", Val: toolsState},
			{Name: "guest.guestState", Val: string(guest)},
			{Name: "summary.guest.toolsRunningStatus", Val: string(tools)},
			{Name: "summary.guest.toolsStatus", Val: toolsState},
			{Name: "guestHeartbeatStatus", Val: beat},
			{Name: "summary.quickStats.guestHeartbeatStatus", Val: beat},
		}
		if running && vm.Guest.HostName == "" {
			changes = append(changes,
				types.PropertyChange{Name: "guest.hostName", Val: vm.Name},
				types.PropertyChange{Name: "summary.guest.hostName", Val: vm.Name})
		}
		ctx.Update(vm, changes)
	})
}
