package sim

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// load is what ctl set for a VM or server, in percent of its size.
type load struct {
	percent int
	status  types.ManagedEntityStatus // colour of its CPU alarm
}

// idlePercent is the load of a running VM, and of a server's own work, that
// nothing was set for.
const idlePercent = 2

// Thresholds of vCenter's default CPU alarms, percent.
const (
	cpuYellow = 75
	cpuRed    = 90
)

func loadStatus(percent int) types.ManagedEntityStatus {
	switch {
	case percent >= cpuRed:
		return types.ManagedEntityStatusRed
	case percent >= cpuYellow:
		return types.ManagedEntityStatusYellow
	}
	return types.ManagedEntityStatusGreen
}

// setLoad sets a load and returns the alarm colours before and after.
func (v *vcenter) setLoad(name string, percent int) (from, to types.ManagedEntityStatus) {
	v.loadMu.Lock()
	defer v.loadMu.Unlock()
	from = types.ManagedEntityStatusGreen
	if l, ok := v.loads[name]; ok {
		from = l.status
	}
	to = loadStatus(percent)
	v.loads[name] = load{percent: percent, status: to}
	return from, to
}

func (v *vcenter) loadOf(name string) (int, bool) {
	v.loadMu.Lock()
	defer v.loadMu.Unlock()
	l, ok := v.loads[name]
	return l.percent, ok
}

// clearLoads forgets all loads and returns the names that had one.
func (v *vcenter) clearLoads() []string {
	v.loadMu.Lock()
	defer v.loadMu.Unlock()
	var names []string
	for name := range v.loads {
		names = append(names, name)
	}
	return names
}

func (v *vcenter) forgetLoad(name string) {
	v.loadMu.Lock()
	defer v.loadMu.Unlock()
	delete(v.loads, name)
}

// showVMLoad publishes what a VM uses: its set or idle share of its CPUs and
// memory while it runs, nothing while it doesn't.
func (v *vcenter) showVMLoad(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	host := v.hostOf(ctx, vm)
	v.publishVMLoad(ctx, vm, host)
	v.showHostLoad(ctx, host)
}

func (v *vcenter) publishVMLoad(ctx *simulator.Context, vm *simulator.VirtualMachine, host *simulator.HostSystem) {
	ctx.WithLock(vm, func() {
		percent, ok := v.loadOf(vm.Name)
		if !ok {
			percent = idlePercent
		}
		if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
			percent = 0
		}
		mhz := vm.Config.Hardware.NumCPU * host.Summary.Hardware.CpuMhz * int32(percent) / 100
		mib := vm.Config.Hardware.MemoryMB * int32(percent) / 100
		ctx.Update(vm, []types.PropertyChange{
			{Name: "summary.quickStats.overallCpuUsage", Val: mhz},
			{Name: "summary.quickStats.overallCpuDemand", Val: mhz},
			{Name: "summary.quickStats.guestMemoryUsage", Val: mib},
			{Name: "summary.quickStats.hostMemoryUsage", Val: mib},
		})
	})
}

// showHostLoad publishes what a server uses: what was set for it, or else what
// its running VMs use and a little of its own.
func (v *vcenter) showHostLoad(ctx *simulator.Context, host *simulator.HostSystem) {
	hw := host.Summary.Hardware
	cpuSize := int64(hw.CpuMhz) * int64(hw.NumCpuCores)
	memSize := hw.MemorySize >> 20
	var mhz, mib int64
	if percent, ok := v.loadOf(host.Name); ok {
		mhz, mib = cpuSize*int64(percent)/100, memSize*int64(percent)/100
	} else {
		mhz, mib = cpuSize*idlePercent/100, memSize*idlePercent/100
		for _, vm := range v.vmsOn(ctx, host) {
			ctx.WithLock(vm, func() {
				if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
					mhz += int64(vm.Summary.QuickStats.OverallCpuUsage)
					mib += int64(vm.Summary.QuickStats.HostMemoryUsage)
				}
			})
		}
	}
	v.reg.AtomicUpdate(ctx, host, []types.PropertyChange{
		{Name: "summary.quickStats.overallCpuUsage", Val: int32(min(mhz, cpuSize))},
		{Name: "summary.quickStats.overallMemoryUsage", Val: int32(min(mib, memSize))},
	})
}
