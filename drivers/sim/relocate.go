package sim

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// relocation is a checked request to put a VM elsewhere.
type relocation struct {
	vm       *simulator.VirtualMachine
	from, to *simulator.HostSystem
	pool     types.ManagedObjectReference
	stores   []types.ManagedObjectReference // where the files are afterwards
	move     bool                           // the files change their datastore
	failover bool                           // the server is dead; only the record moves
}

// op is what the relocation amounts to.
func (r *relocation) op() Op {
	switch {
	case r.failover:
		return OpRegister
	case r.move:
		return OpMove
	}
	return OpMigrate
}

func invalidArgument(property string) types.BaseMethodFault {
	return &types.InvalidArgument{InvalidProperty: property}
}

// plan reads a relocate specification and says what it amounts to, without
// judging whether it is possible. Sim.mu must be held.
func (v *vcenter) plan(ctx *simulator.Context, vm *simulator.VirtualMachine, spec types.VirtualMachineRelocateSpec) (*relocation, types.BaseMethodFault) {
	r := &relocation{vm: vm, from: v.hostOf(ctx, vm)}
	r.to = r.from
	ctx.WithLock(vm, func() { r.stores = slices.Clone(vm.Datastore) })
	if spec.Host != nil {
		host, ok := v.reg.Get(*spec.Host).(*simulator.HostSystem)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: *spec.Host}
		}
		r.to = host
	}
	switch {
	case spec.Pool != nil:
		pool, ok := v.reg.Get(*spec.Pool).(*simulator.ResourcePool)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: *spec.Pool}
		}
		owner, ok := v.reg.Get(pool.Owner).(*mo.ComputeResource)
		if !ok || len(owner.Host) == 0 {
			return nil, invalidArgument("spec.pool")
		}
		if spec.Host == nil {
			r.to = v.reg.Get(owner.Host[0]).(*simulator.HostSystem)
		} else if owner.Host[0] != r.to.Self {
			return nil, invalidArgument("spec.pool") // the pool of another server
		}
		r.pool = pool.Self
	case r.to != r.from:
		// The VM would stay in its pool, which is another server's.
		return nil, invalidArgument("spec.pool")
	default:
		r.pool = *v.reg.Get(*r.to.Parent).(*mo.ComputeResource).ResourcePool
	}
	var targets []types.ManagedObjectReference
	if spec.Datastore != nil {
		targets = append(targets, *spec.Datastore)
	}
	for _, d := range spec.Disk {
		targets = append(targets, d.Datastore)
	}
	for _, ref := range targets {
		if _, ok := v.reg.Get(ref).(*simulator.Datastore); !ok {
			return nil, &types.ManagedObjectNotFound{Obj: ref}
		}
		if !slices.Contains(r.stores, ref) {
			r.move = true
		}
	}
	if r.move {
		r.stores = []types.ManagedObjectReference{targets[0]}
	}
	r.failover = r.to != r.from && !v.machineOf(r.from).runsVMs()
	return r, nil
}

// check refuses a relocation that vCenter would refuse. Sim.mu must be held.
func (v *vcenter) check(ctx *simulator.Context, r *relocation) types.BaseMethodFault {
	if fault := v.open(ctx, r.to); fault != nil {
		return fault
	}
	if r.failover && r.move {
		return new(types.HostNotConnected) // nobody can read the files of a dead server
	}
	if !r.failover {
		if fault := v.usable(r.from); fault != nil {
			return fault
		}
	}
	for _, ref := range r.stores {
		if !v.mounts(ctx, r.to, ref) {
			ds := v.reg.Get(ref).(*simulator.Datastore)
			return &types.InaccessibleDatastore{
				InvalidDatastore: types.InvalidDatastore{Datastore: &ref, Name: ds.Name},
				Detail:           "not mounted on " + r.to.Name,
			}
		}
	}
	return nil
}

func (v *vcenter) mounts(ctx *simulator.Context, host *simulator.HostSystem, ds types.ManagedObjectReference) (yes bool) {
	ctx.WithLock(host, func() { yes = slices.Contains(host.Datastore, ds) })
	return yes
}

// RelocateVMTask puts the VM on another server or datastore. If the VM's
// server is dead only the record goes, and the VM is off there.
func (f *vmFace) RelocateVMTask(ctx *simulator.Context, req *types.RelocateVM_Task) soap.HasFault {
	body := new(methods.RelocateVM_TaskBody)
	ref, fault := f.relocate(ctx, "relocate", req.Spec)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.RelocateVM_TaskResponse{Returnval: ref}
	}
	return body
}

// MigrateVMTask is the older way to ask for another server.
func (f *vmFace) MigrateVMTask(ctx *simulator.Context, req *types.MigrateVM_Task) soap.HasFault {
	body := new(methods.MigrateVM_TaskBody)
	var fault types.BaseMethodFault
	var ref types.ManagedObjectReference
	if have := f.v.powerOf(ctx, f.vm); req.State != "" && req.State != have {
		fault = &types.InvalidPowerState{RequestedState: req.State, ExistingState: have}
	} else {
		ref, fault = f.relocate(ctx, "migrate", types.VirtualMachineRelocateSpec{Host: req.Host, Pool: req.Pool})
	}
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.MigrateVM_TaskResponse{Returnval: ref}
	}
	return body
}

func (f *vmFace) relocate(ctx *simulator.Context, task string, spec types.VirtualMachineRelocateSpec) (types.ManagedObjectReference, types.BaseMethodFault) {
	v := f.v
	j := f.job(ctx, task, OpMigrate)
	v.sim.mu.RLock()
	r, fault := v.plan(ctx, f.vm, spec)
	v.sim.mu.RUnlock()
	if fault != nil {
		v.record(j.op, j.object, j.token, resultFailed+faultName(fault), "")
		return types.ManagedObjectReference{}, fault
	}
	j.op = r.op()
	j.run = func(ctx *simulator.Context, j *job) (types.AnyType, types.BaseMethodFault) {
		// The world may have changed during a delay.
		r, fault := v.plan(ctx, f.vm, spec)
		if fault != nil {
			return nil, fault
		}
		j.op = r.op()
		j.detail = fmt.Sprintf("from %s to %s", r.from.Name, r.to.Name)
		if r.failover {
			j.detail += fmt.Sprintf("; %s was %s", r.from.Name, v.machineOf(r.from).phase)
		}
		if fault := v.check(ctx, r); fault != nil {
			return nil, fault
		}
		j.noop = r.to == r.from && !r.move
		if r.move {
			if fault := v.moveFiles(ctx, r); fault != nil {
				return nil, fault
			}
		}
		if !j.noop {
			v.carryOut(ctx, r)
		}
		return nil, nil
	}
	return v.start(ctx, j)
}

// carryOut changes the records: the VM's server, pool and datastores, and the
// lists of VMs of all that it leaves and enters.
func (v *vcenter) carryOut(ctx *simulator.Context, r *relocation) {
	var left []types.ManagedObjectReference
	var died bool
	ctx.WithLock(r.vm, func() {
		left = slices.Clone(r.vm.Datastore)
		changes := []types.PropertyChange{
			{Name: "runtime.host", Val: &r.to.Self},
			{Name: "summary.runtime.host", Val: &r.to.Self},
			{Name: "runtime.connectionState", Val: types.VirtualMachineConnectionStateConnected},
			{Name: "summary.runtime.connectionState", Val: types.VirtualMachineConnectionStateConnected},
		}
		if !r.vm.Config.Template {
			changes = append(changes, types.PropertyChange{Name: "resourcePool", Val: &r.pool})
		}
		if r.move {
			changes = append(changes, types.PropertyChange{Name: "datastore", Val: r.stores})
		}
		if r.failover && r.vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
			died = true
			changes = append(changes, powerChanges(types.VirtualMachinePowerStatePoweredOff)...)
		}
		r.vm.EnvironmentBrowser = *v.reg.Get(*r.to.Parent).(*mo.ComputeResource).EnvironmentBrowser
		ctx.Update(r.vm, changes)
	})
	if died {
		v.showGuest(ctx, r.vm, false)
	}
	v.relist(ctx, r)
	if r.move {
		for _, ref := range left {
			ds := v.reg.Get(ref).(*simulator.Datastore)
			v.relistVM(ctx, ds, &ds.Vm, r.vm.Self, false)
		}
		for _, ref := range r.stores {
			ds := v.reg.Get(ref).(*simulator.Datastore)
			v.relistVM(ctx, ds, &ds.Vm, r.vm.Self, true)
		}
	}
	v.showVMLoad(ctx, r.vm)
	v.showHostLoad(ctx, r.from)
	event := v.vmEvent(ctx, r.vm, r.to)
	if r.failover {
		v.post(ctx, &types.VmRegisteredEvent{VmEvent: event})
		return
	}
	v.post(ctx, &types.VmMigratedEvent{
		VmEvent: event, SourceHost: *hostArgument(r.from), SourceDatacenter: v.dcArgument(), SourceDatastore: v.dsArgument(left[0]),
	})
}

// moveFiles takes the VM's directory to its new datastore and lets the VM's
// configuration say so. vcsim does neither.
func (v *vcenter) moveFiles(ctx *simulator.Context, r *relocation) (fault types.BaseMethodFault) {
	to := v.reg.Get(r.stores[0]).(*simulator.Datastore)
	ctx.WithLock(r.vm, func() {
		var was object.DatastorePath
		if !was.FromString(r.vm.Config.Files.VmPathName) {
			fault = &types.InvalidDatastorePath{DatastorePath: r.vm.Config.Files.VmPathName}
			return
		}
		dir := path.Dir(was.Path)
		target := filepath.Join(v.dir, to.Name, dir)
		if _, err := os.Stat(target); err == nil {
			fault = &types.FileAlreadyExists{FileFault: types.FileFault{File: "[" + to.Name + "] " + dir}}
			return
		}
		if err := os.Rename(filepath.Join(v.dir, was.Datastore, dir), target); err != nil {
			fault = &types.CannotAccessFile{FileFault: types.FileFault{File: was.String()}}
			return
		}
		moved := func(p string) string {
			if rest, ok := strings.CutPrefix(p, "["+was.Datastore+"]"); ok {
				return "[" + to.Name + "]" + rest
			}
			return p
		}
		files := r.vm.Config.Files
		for _, f := range []*string{&files.VmPathName, &files.SnapshotDirectory, &files.SuspendDirectory, &files.LogDirectory} {
			*f = moved(*f)
		}
		// Readers may still be encoding the old devices, so disks are copied.
		devices := slices.Clone(r.vm.Config.Hardware.Device)
		for i, d := range devices {
			if disk, ok := d.(*types.VirtualDisk); ok {
				if b, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
					disk, backing := *disk, *b
					backing.FileName, backing.Datastore = moved(b.FileName), &to.Self
					disk.Backing = &backing
					devices[i] = &disk
				}
			}
		}
		ctx.Update(r.vm, []types.PropertyChange{
			{Name: "config.files", Val: files},
			{Name: "summary.config.vmPathName", Val: files.VmPathName},
			{Name: "config.hardware.device", Val: devices},
		})
	})
	return fault
}

// relist takes the VM out of the lists of its old server and puts it into
// those of its new one.
func (v *vcenter) relist(ctx *simulator.Context, r *relocation) {
	if r.to == r.from {
		return
	}
	for _, side := range []struct {
		host *simulator.HostSystem
		in   bool
	}{{r.from, false}, {r.to, true}} {
		v.relistVM(ctx, side.host, &side.host.Vm, r.vm.Self, side.in)
		cr := v.reg.Get(*side.host.Parent).(*mo.ComputeResource)
		pool := v.reg.Get(*cr.ResourcePool).(*simulator.ResourcePool)
		v.relistVM(ctx, pool, &pool.Vm, r.vm.Self, side.in)
	}
}

// relistVM puts ref into an object's list of VMs, or takes it out, and publishes the list.
func (v *vcenter) relistVM(ctx *simulator.Context, o mo.Reference, list *[]types.ManagedObjectReference, ref types.ManagedObjectReference, in bool) {
	ctx.WithLock(o, func() {
		now := slices.DeleteFunc(slices.Clone(*list), func(r types.ManagedObjectReference) bool { return r == ref })
		if in {
			now = append(now, ref)
		}
		ctx.Update(o, []types.PropertyChange{{Name: "vm", Val: now}})
	})
}
