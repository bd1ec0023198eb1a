package sim

import (
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// UnregisterVM takes the VM's record out of vCenter; its files stay. The
// record of a VM on a dead server may go whatever its last power state was.
func (f *vmFace) UnregisterVM(ctx *simulator.Context, req *types.UnregisterVM) soap.HasFault {
	v := f.v
	name, token := v.vmName(ctx, f.vm), opToken(ctx)
	v.sim.mu.RLock()
	defer v.sim.mu.RUnlock()
	body := new(methods.UnregisterVMBody)
	refuse := func(fault types.BaseMethodFault) soap.HasFault {
		v.record(OpUnregister, name, token, resultFailed+faultName(fault), "")
		body.Fault_ = simulator.Fault(faultText(fault), fault)
		return body
	}
	v.busyMu.Lock()
	other, busy := v.busy[f.vm.Self]
	v.busyMu.Unlock()
	if busy {
		return refuse(&types.TaskInProgress{Task: other})
	}
	if v.sim.rules.takeFailure(OpUnregister) {
		return refuse(systemFault("failure put in by ctl"))
	}
	host := v.hostOf(ctx, f.vm)
	var path string
	var fault types.BaseMethodFault
	ctx.WithLock(f.vm, func() {
		path = f.vm.Config.Files.VmPathName
		if !v.machineOf(host).runsVMs() && f.vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
			ctx.Update(f.vm, powerChanges(types.VirtualMachinePowerStatePoweredOff))
		}
		if res := f.vm.UnregisterVM(ctx, req); res.Fault() != nil {
			fault = res.Fault().VimFault().(types.BaseMethodFault)
		}
	})
	if fault != nil {
		return refuse(fault)
	}
	v.graveMu.Lock()
	v.graves[path] = f.vm
	v.graveMu.Unlock()
	v.relistVM(ctx, host, &host.Vm, f.vm.Self, false)
	v.showHostLoad(ctx, host)
	v.record(OpUnregister, name, token, ResultOK, "on "+host.Name)
	v.sim.changed.fire()
	body.Res = new(types.UnregisterVMResponse)
	return body
}

// RegisterVMTask makes a record for a VM's files. The settings come back from
// the VM that was unregistered from that path.
func (f *folderFace) RegisterVMTask(ctx *simulator.Context, req *types.RegisterVM_Task) soap.HasFault {
	v := f.v
	body := new(methods.RegisterVM_TaskBody)
	name := req.Name
	if name == "" {
		name = req.Path
	}
	j := &job{
		entity: f.folder.Self, name: f.folder.Name, task: "registerVm", op: OpRegister, object: name, token: opToken(ctx),
		run: func(ctx *simulator.Context, j *job) (types.AnyType, types.BaseMethodFault) {
			host, fault := v.registerTarget(ctx, req)
			if fault != nil {
				return nil, fault
			}
			var ref types.ManagedObjectReference
			ctx.WithLock(f.folder, func() {
				ref = f.folder.RegisterVMTask(ctx, req).(*methods.RegisterVM_TaskBody).Res.Returnval
			})
			result, fault := v.inner(ctx, f.folder, ref)
			if fault != nil {
				return nil, fault
			}
			made := result.(types.ManagedObjectReference)
			j.object = v.exhume(ctx, made, req.Path)
			j.detail = "to " + host.Name
			v.arrived(ctx, made, host)
			return result, nil
		},
	}
	ref, fault := v.start(ctx, j)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.RegisterVM_TaskResponse{Returnval: ref}
	}
	return body
}

// registerTarget checks where a VM is to be registered, and fills the server
// in from the pool.
func (v *vcenter) registerTarget(ctx *simulator.Context, req *types.RegisterVM_Task) (*simulator.HostSystem, types.BaseMethodFault) {
	var host *simulator.HostSystem
	var fault types.BaseMethodFault
	if req.AsTemplate {
		var ok bool
		if req.Host == nil {
			return nil, invalidArgument("host")
		}
		if host, ok = v.reg.Get(*req.Host).(*simulator.HostSystem); !ok {
			return nil, &types.ManagedObjectNotFound{Obj: *req.Host}
		}
	} else if host, fault = v.hostFor(req.Pool, req.Host); fault != nil {
		return nil, fault
	}
	if fault := v.open(ctx, host); fault != nil {
		return nil, fault
	}
	var path object.DatastorePath
	if !path.FromString(req.Path) {
		return nil, &types.InvalidDatastorePath{DatastorePath: req.Path}
	}
	ds := v.datastoreNamed(ctx, path.Datastore)
	if ds == nil || !v.mounts(ctx, host, ds.Self) {
		return nil, &types.InvalidDatastore{Name: path.Datastore}
	}
	req.Host = &host.Self
	return host, nil
}

func (v *vcenter) datastoreNamed(ctx *simulator.Context, name string) *simulator.Datastore {
	dc := v.reg.Get(v.dc).(*simulator.Datacenter)
	var found *simulator.Datastore
	ctx.WithLock(dc, func() {
		for _, ref := range dc.Datastore {
			if ds, ok := v.reg.Get(ref).(*simulator.Datastore); ok && ds.Name == name {
				found = ds
			}
		}
	})
	return found
}

// exhume gives a registered VM the settings that it had when the record for
// that path was taken out, and returns its name.
func (v *vcenter) exhume(ctx *simulator.Context, ref types.ManagedObjectReference, path string) string {
	vm := v.reg.Get(ref).(*simulator.VirtualMachine)
	v.graveMu.Lock()
	old := v.graves[path]
	delete(v.graves, path)
	v.graveMu.Unlock()
	if old == nil {
		return v.vmName(ctx, vm)
	}
	var name string
	ctx.WithLock(vm, func() {
		name = vm.Name
		config, guest, sum := *old.Config, *old.Guest, old.Summary.Config
		config.Name, config.Template = name, vm.Config.Template
		sum.Name, sum.Template = name, vm.Config.Template
		ctx.Update(vm, []types.PropertyChange{
			{Name: "config", Val: &config},
			{Name: "guest", Val: &guest},
			{Name: "summary.config", Val: sum},
			{Name: "network", Val: old.Network},
			{Name: "datastore", Val: old.Datastore},
			{Name: "layout", Val: old.Layout},
			{Name: "layoutEx", Val: old.LayoutEx},
			{Name: "storage", Val: old.Storage},
		})
	})
	return name
}

// ReconfigVMTask changes the VM's settings.
func (f *vmFace) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	body := new(methods.ReconfigVM_TaskBody)
	ref, fault := f.v.start(ctx, f.plainJob(ctx, "reconfigure", OpReconfigure, func(ctx *simulator.Context) types.ManagedObjectReference {
		return f.vm.ReconfigVMTask(ctx, req).(*methods.ReconfigVM_TaskBody).Res.Returnval
	}))
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.ReconfigVM_TaskResponse{Returnval: ref}
	}
	return body
}

// RenameTask changes the VM's name.
func (f *vmFace) RenameTask(ctx *simulator.Context, req *types.Rename_Task) soap.HasFault {
	body := new(methods.Rename_TaskBody)
	ref, fault := f.v.start(ctx, f.plainJob(ctx, "rename", OpRename, func(ctx *simulator.Context) types.ManagedObjectReference {
		return f.vm.RenameTask(ctx, req).(*methods.Rename_TaskBody).Res.Returnval
	}))
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.Rename_TaskResponse{Returnval: ref}
	}
	return body
}

// plainJob prepares a task of vcsim's own that needs no more than a live server.
func (f *vmFace) plainJob(ctx *simulator.Context, task string, op Op, do func(*simulator.Context) types.ManagedObjectReference) *job {
	j := f.job(ctx, task, op)
	j.run = func(ctx *simulator.Context, _ *job) (types.AnyType, types.BaseMethodFault) {
		if fault := f.v.usable(f.v.hostOf(ctx, f.vm)); fault != nil {
			return nil, fault
		}
		var ref types.ManagedObjectReference
		ctx.WithLock(f.vm, func() { ref = do(ctx) })
		return f.v.inner(ctx, f.vm, ref)
	}
	return j
}
