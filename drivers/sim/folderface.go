package sim

import (
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// tokenKey is the setting of a VM (extraConfig) that carries the token of the
// call that made it.
const tokenKey = "yagura.token"

func extraToken(config *types.VirtualMachineConfigSpec) string {
	if config == nil {
		return ""
	}
	for _, o := range config.ExtraConfig {
		if v := o.GetOptionValue(); v.Key == tokenKey {
			if s, ok := v.Value.(string); ok {
				return s
			}
		}
	}
	return ""
}

// CloneVMTask makes a VM from this VM or template.
func (f *vmFace) CloneVMTask(ctx *simulator.Context, req *types.CloneVM_Task) soap.HasFault {
	v := f.v
	body := new(methods.CloneVM_TaskBody)
	token := opToken(ctx)
	if t := extraToken(req.Spec.Config); t != "" {
		token = t
	}
	j := &job{
		entity: f.vm.Self, name: v.vmName(ctx, f.vm), task: "clone", op: OpClone, object: req.Name, token: token,
		run: func(ctx *simulator.Context, j *job) (types.AnyType, types.BaseMethodFault) {
			host, fault := v.cloneTarget(ctx, f.vm, &req.Spec.Location)
			if fault != nil {
				return nil, fault
			}
			if _, ok := v.reg.Get(req.Folder).(*simulator.Folder); !ok {
				return nil, &types.ManagedObjectNotFound{Obj: req.Folder}
			}
			j.detail = "from " + j.name + " on " + host.Name
			var ref types.ManagedObjectReference
			var early *soap.Fault
			ctx.WithLock(f.vm, func() {
				res := f.vm.CloneVMTask(ctx, req).(*methods.CloneVM_TaskBody)
				if early = res.Fault(); early == nil {
					ref = res.Res.Returnval
				}
			})
			if early != nil {
				return nil, systemFault(early.String)
			}
			result, fault := v.inner(ctx, f.vm, ref)
			if fault != nil {
				return nil, fault
			}
			v.freshMACs(ctx, result.(types.ManagedObjectReference))
			v.arrived(ctx, result.(types.ManagedObjectReference), host)
			return result, nil
		},
	}
	ref, fault := v.start(ctx, j)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.CloneVM_TaskResponse{Returnval: ref}
	}
	return body
}

// freshMACs gives a clone's network cards addresses of their own, as vCenter
// does; vcsim leaves it those of its template.
func (v *vcenter) freshMACs(ctx *simulator.Context, ref types.ManagedObjectReference) {
	vm, ok := v.reg.Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return
	}
	ctx.WithLock(vm, func() {
		// The template still holds the old devices, so cards are copied.
		devices := slices.Clone(vm.Config.Hardware.Device)
		for i, d := range devices {
			if nic, ok := d.(*types.VirtualVmxnet3); ok {
				card := *nic
				card.MacAddress = nameMAC("clone", vm.Config.InstanceUuid, i)
				devices[i] = &card
			}
		}
		ctx.Update(vm, []types.PropertyChange{{Name: "config.hardware.device", Val: devices}})
	})
}

// cloneTarget checks where a clone is to go, and fills in what vCenter
// derives: the server from the pool, the datastore from the template.
func (v *vcenter) cloneTarget(ctx *simulator.Context, vm *simulator.VirtualMachine, loc *types.VirtualMachineRelocateSpec) (*simulator.HostSystem, types.BaseMethodFault) {
	if fault := v.usable(v.hostOf(ctx, vm)); fault != nil {
		return nil, fault // the template's server is dead
	}
	if loc.Pool == nil {
		return nil, invalidArgument("spec.location.pool")
	}
	r, fault := v.plan(ctx, vm, *loc)
	if fault != nil {
		return nil, fault
	}
	if loc.Host == nil {
		loc.Host = &r.to.Self
	}
	if loc.Datastore == nil {
		loc.Datastore = &r.stores[0]
	}
	return r.to, v.check(ctx, r)
}

// arrived completes what vcsim leaves out when a VM is new on a server.
func (v *vcenter) arrived(ctx *simulator.Context, ref types.ManagedObjectReference, host *simulator.HostSystem) {
	vm, ok := v.reg.Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return
	}
	v.relistVM(ctx, host, &host.Vm, ref, true)
	v.showGuest(ctx, vm, v.powerOf(ctx, vm) == types.VirtualMachinePowerStatePoweredOn)
	v.showVMLoad(ctx, vm)
}

// DestroyTask deletes the VM and its files. It must be off.
func (f *vmFace) DestroyTask(ctx *simulator.Context, _ *types.Destroy_Task) soap.HasFault {
	v := f.v
	body := new(methods.Destroy_TaskBody)
	j := f.job(ctx, "destroy", OpDestroy)
	j.run = func(ctx *simulator.Context, _ *job) (types.AnyType, types.BaseMethodFault) {
		host := v.hostOf(ctx, f.vm)
		if fault := v.usable(host); fault != nil {
			return nil, fault
		}
		var ref types.ManagedObjectReference
		ctx.WithLock(f.vm, func() {
			ref = f.vm.DestroyTask(ctx, &types.Destroy_Task{This: f.vm.Self}).(*methods.Destroy_TaskBody).Res.Returnval
		})
		if _, fault := v.inner(ctx, f.vm, ref); fault != nil {
			return nil, fault
		}
		v.relistVM(ctx, host, &host.Vm, f.vm.Self, false)
		v.forgetLoad(j.object)
		v.showHostLoad(ctx, host)
		return nil, nil
	}
	ref, fault := v.start(ctx, j)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.Destroy_TaskResponse{Returnval: ref}
	}
	return body
}

// folderFace serves the methods of a folder that make VMs.
type folderFace struct {
	unlocked
	folder *simulator.Folder
	v      *vcenter
}

// Reference names the folder.
func (f *folderFace) Reference() types.ManagedObjectReference { return f.folder.Self }

// hostFor returns the server that a pool and an optional server name.
func (v *vcenter) hostFor(pool, host *types.ManagedObjectReference) (*simulator.HostSystem, types.BaseMethodFault) {
	if pool == nil {
		return nil, invalidArgument("pool")
	}
	p, ok := v.reg.Get(*pool).(*simulator.ResourcePool)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: *pool}
	}
	owner, ok := v.reg.Get(p.Owner).(*mo.ComputeResource)
	if !ok || len(owner.Host) == 0 {
		return nil, invalidArgument("pool")
	}
	if host != nil && *host != owner.Host[0] {
		return nil, invalidArgument("host")
	}
	return v.reg.Get(owner.Host[0]).(*simulator.HostSystem), nil
}

// CreateVMTask makes an empty VM.
func (f *folderFace) CreateVMTask(ctx *simulator.Context, req *types.CreateVM_Task) soap.HasFault {
	v := f.v
	body := new(methods.CreateVM_TaskBody)
	token := opToken(ctx)
	if t := extraToken(&req.Config); t != "" {
		token = t
	}
	j := &job{
		entity: f.folder.Self, name: f.folder.Name, task: "createVm", op: OpCreate, object: req.Config.Name, token: token,
		run: func(ctx *simulator.Context, _ *job) (types.AnyType, types.BaseMethodFault) {
			host, fault := v.hostFor(&req.Pool, req.Host)
			if fault == nil {
				fault = v.open(ctx, host)
			}
			if fault != nil {
				return nil, fault
			}
			req.Host = &host.Self
			var ref types.ManagedObjectReference
			ctx.WithLock(f.folder, func() {
				ref = f.folder.CreateVMTask(ctx, req).(*methods.CreateVM_TaskBody).Res.Returnval
			})
			result, fault := v.inner(ctx, f.folder, ref)
			if fault != nil {
				return nil, fault
			}
			v.arrived(ctx, result.(types.ManagedObjectReference), host)
			return result, nil
		},
	}
	ref, fault := v.start(ctx, j)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
	} else {
		body.Res = &types.CreateVM_TaskResponse{Returnval: ref}
	}
	return body
}
