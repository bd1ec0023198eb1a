package vcenter

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// Relocate implements drivers.Hypervisor.
func (d *Driver) Relocate(ctx context.Context, call drivers.Call, spec drivers.RelocateSpec) (drivers.Task, error) {
	switch spec.Mode {
	case drivers.RelocateFailover:
		return d.failover(ctx, call, spec)
	case drivers.RelocateMigrate, drivers.RelocateMove:
	default:
		return drivers.Task{}, d.errorf(drivers.KindUnsupported, request{string(spec.Mode), spec.VM, false}, "no such way to relocate")
	}
	return d.effect(ctx, call, string(spec.Mode), spec.VM, func(ctx context.Context, c *vim25.Client) (plan, error) {
		f, to, err := d.relocation(ctx, c, spec)
		if err != nil {
			return plan{}, err
		}
		there := f.rec.host == to.ref && !f.rec.template
		if there && (spec.Mode == drivers.RelocateMigrate || spec.Datastore == "" || onlyOn(f, spec.Datastore)) {
			return plan{done: true, result: spec.Server}, nil
		}
		if err := relocatable(f, to, spec.Mode); err != nil {
			return plan{}, err
		}
		where := types.VirtualMachineRelocateSpec{Host: &to.ref}
		if where.Pool, err = poolOf(ctx, c, to); err != nil {
			return plan{}, err
		}
		if spec.Mode == drivers.RelocateMove {
			store, err := moveTarget(f, to, spec.Datastore)
			if err != nil {
				return plan{}, err
			}
			where.Datastore = &store
		}
		return relocateTo(c, f.ref, where), nil
	})
}

func relocateTo(c *vim25.Client, vm ref, where types.VirtualMachineRelocateSpec) plan {
	return start(func(ctx context.Context) (*types.RelocateVM_TaskResponse, error) {
		return methods.RelocateVM_Task(ctx, c, &types.RelocateVM_Task{This: vm, Spec: where})
	}, func(r *types.RelocateVM_TaskResponse) ref { return r.Returnval })
}

// relocation reads the VM and the target of a relocation.
func (d *Driver) relocation(ctx context.Context, c *vim25.Client, spec drivers.RelocateSpec) (*foundVM, *foundHost, error) {
	f, err := d.vmByUUID(ctx, c, spec.VM)
	if err != nil {
		return nil, nil, err
	}
	to, err := d.hostByName(ctx, c, spec.Server)
	return f, to, err
}

// relocatable holds the rules of relocation (manual 1.11.10, 5.2.3, 5.2.4,
// 5.2.6, 5.2.19). vCenter checks more, such as processors and networks.
func relocatable(f *foundVM, to *foundHost, mode drivers.RelocateMode) error {
	from, is := f.host(), vmPower(f.rec.power)
	switch {
	case f.rec.template:
		return refuse("%s is a template and stays where it is", f.rec.name)
	case !to.rec.connected():
		return refuse("VM server %s does not answer", to.rec.name)
	case to.rec.maintenance:
		return refuse("VM server %s is in maintenance mode", to.rec.name)
	case f.all.datacenter(from.parent) != to.datacenter():
		return refuse("VM server %s is in datacenter %s, VM %s in %s", to.rec.name, to.datacenter(), f.rec.name, f.all.datacenter(from.parent))
	case mode != drivers.RelocateFailover && !from.connected():
		return refuse("VM server %s of VM %s does not answer", from.name, f.rec.name)
	case mode == drivers.RelocateFailover && from.connected():
		return refuse("VM server %s of VM %s is alive", from.name, f.rec.name)
	case mode == drivers.RelocateMigrate && is == drivers.PowerSuspended:
		return refuse("VM %s is suspended; resume it first", f.rec.name)
	case mode == drivers.RelocateMove && is != drivers.PowerOff:
		return refuse("VM %s is %s; only a stopped VM can be moved", f.rec.name, is)
	}
	if mode == drivers.RelocateMove {
		return nil
	}
	for _, r := range f.rec.datastores {
		if !to.mounts(r) {
			return refuse("VM server %s does not mount datastore %v of VM %s", to.rec.name, f.all.names([]ref{r}), f.rec.name)
		}
	}
	return nil
}

// onlyOn tells whether a VM lies on this datastore alone.
func onlyOn(f *foundVM, store string) bool {
	names := f.all.names(f.rec.datastores)
	return len(names) == 1 && names[0] == store
}

// moveTarget chooses the datastore of a moved VM: the asked one, or one where
// it is already, or the one with the most room.
func moveTarget(f *foundVM, to *foundHost, want string) (ref, error) {
	if want != "" {
		r, ok := to.store(want)
		if !ok {
			return ref{}, refuse("VM server %s does not mount datastore %s", to.rec.name, want)
		}
		return r, nil
	}
	for _, r := range f.rec.datastores {
		if to.mounts(r) {
			return r, nil
		}
	}
	var best ref
	room := int64(-1)
	for _, r := range to.rec.datastores {
		if s := to.all.stores[r]; s != nil && s.free > room {
			best, room = r, s.free
		}
	}
	if room < 0 {
		return ref{}, refuse("VM server %s mounts no datastore", to.rec.name)
	}
	return best, nil
}
