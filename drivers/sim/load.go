package sim

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// load is what ctl set for a VM or server, in percent of its size.
type load struct {
	percent int
	status  types.ManagedEntityStatus // colour of its CPU alarm
	// borne tells of a server that its running VMs bear the load, of a VM that
	// it bears a part of what was set for the server that it was on then: mhz
	// and mib, which go with it wherever it is moved.
	borne    bool
	mhz, mib int64
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

func (v *vcenter) loadOf(name string) (load, bool) {
	v.loadMu.Lock()
	defer v.loadMu.Unlock()
	l, ok := v.loads[name]
	return l, ok
}

// spread lets the running VMs of a server bear in equal parts what was set for
// the server. When none runs it is the server's own.
func (v *vcenter) spread(ctx *simulator.Context, host *simulator.HostSystem, percent int) {
	var on []*simulator.VirtualMachine
	for _, vm := range v.vmsOn(ctx, host) {
		ctx.WithLock(vm, func() {
			if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
				on = append(on, vm)
			}
		})
	}
	if len(on) == 0 {
		return
	}
	cpuSize, memSize := sizeOf(host)
	parts := int64(len(on))
	mhz := max(cpuSize*int64(percent)/100-cpuSize*idlePercent/100, 0)
	mib := max(memSize*int64(percent)/100-memSize*idlePercent/100, 0)
	v.loadMu.Lock()
	l := v.loads[host.Name]
	l.borne = true
	v.loads[host.Name] = l
	for i, vm := range on {
		part := load{status: types.ManagedEntityStatusGreen, borne: true, mhz: mhz / parts, mib: mib / parts}
		if i == 0 {
			part.mhz, part.mib = part.mhz+mhz%parts, part.mib+mib%parts
		}
		if old, ok := v.loads[vm.Name]; ok {
			part.status = old.status
		}
		v.loads[vm.Name] = part
	}
	v.loadMu.Unlock()
	for _, vm := range on {
		v.publishVMLoad(ctx, vm, host)
	}
}

// sizeOf is what a server has: MHz and MiB.
func sizeOf(host *simulator.HostSystem) (mhz, mib int64) {
	hw := host.Summary.Hardware
	return int64(hw.CpuMhz) * int64(hw.NumCpuCores), hw.MemorySize >> 20
}

// clearLoads forgets all loads and returns them by name.
func (v *vcenter) clearLoads() map[string]load {
	v.loadMu.Lock()
	defer v.loadMu.Unlock()
	was := v.loads
	v.loads = map[string]load{}
	return was
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
		l, ok := v.loadOf(vm.Name)
		if !ok {
			l.percent = idlePercent
		}
		mhz := vm.Config.Hardware.NumCPU * host.Summary.Hardware.CpuMhz * int32(l.percent) / 100
		mib := vm.Config.Hardware.MemoryMB * int32(l.percent) / 100
		if l.borne {
			mhz, mib = int32(l.mhz), int32(l.mib)
		}
		if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
			mhz, mib = 0, 0
		}
		ctx.Update(vm, []types.PropertyChange{
			{Name: "summary.quickStats.overallCpuUsage", Val: mhz},
			{Name: "summary.quickStats.overallCpuDemand", Val: mhz},
			{Name: "summary.quickStats.guestMemoryUsage", Val: mib},
			{Name: "summary.quickStats.hostMemoryUsage", Val: mib},
		})
	})
}

// showHostLoad publishes what a server uses: what its running VMs use and a
// little of its own, or what was set for it while no VM ran on it.
func (v *vcenter) showHostLoad(ctx *simulator.Context, host *simulator.HostSystem) {
	cpuSize, memSize := sizeOf(host)
	var mhz, mib int64
	if l, ok := v.loadOf(host.Name); ok && !l.borne {
		mhz, mib = cpuSize*int64(l.percent)/100, memSize*int64(l.percent)/100
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
