package vcenter

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// Clone implements drivers.Hypervisor. The call's token goes into the new VM's
// configuration, where a later call and VM.Token find it.
func (d *Driver) Clone(ctx context.Context, call drivers.Call, spec drivers.CloneSpec) (drivers.Task, error) {
	return d.effect(ctx, call, "clone", spec.Name, func(ctx context.Context, c *vim25.Client) (plan, error) {
		there, err := d.cloned(ctx, c, call, spec.Name)
		if err != nil || there.done {
			return there, err
		}
		t, err := d.vmByName(ctx, c, spec.Template)
		if err != nil {
			return plan{}, err
		}
		to, err := d.hostByName(ctx, c, spec.Server)
		if err != nil {
			return plan{}, err
		}
		if err := clonable(t, to, spec); err != nil {
			return plan{}, err
		}
		store, err := cloneTarget(t, to, spec.Datastore)
		if err != nil {
			return plan{}, err
		}
		pool, err := poolOf(ctx, c, to)
		if err != nil {
			return plan{}, err
		}
		config := &types.VirtualMachineConfigSpec{
			NumCPUs: int32(spec.CPUs), MemoryMB: spec.MemoryMiB,
			ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: tokenKey, Value: call.Token}},
		}
		if config.DeviceChange, err = cardChanges(t, to, spec.Identity.NICs); err != nil {
			return plan{}, err
		}
		clone := types.VirtualMachineCloneSpec{
			Location: types.VirtualMachineRelocateSpec{Host: &to.ref, Pool: pool, Datastore: &store},
			Config:   config, PowerOn: spec.PowerOn,
		}
		if clone.Customization, err = customization(t, spec.Identity); err != nil {
			return plan{}, err
		}
		return start(func(ctx context.Context) (*types.CloneVM_TaskResponse, error) {
			return methods.CloneVM_Task(ctx, c, &types.CloneVM_Task{This: t.ref, Folder: t.rec.folder, Name: spec.Name, Spec: clone})
		}, func(r *types.CloneVM_TaskResponse) ref { return r.Returnval }), nil
	})
}

// cloned tells whether a VM of this name was made by this call.
func (d *Driver) cloned(ctx context.Context, c *vim25.Client, call drivers.Call, name string) (plan, error) {
	if name == "" {
		return plan{}, refuse("a VM needs a name")
	}
	f, err := d.vmByName(ctx, c, name)
	var none *notFound
	switch {
	case errors.As(err, &none):
		return plan{}, nil
	case err != nil:
		return plan{}, err
	case f.rec.uuid == "":
		// It has no configuration yet: another clone of this name is under way.
		return plan{}, d.errorf(drivers.KindBusy, request{"clone", name, false}, "a VM of this name is being made")
	case call.Token != "" && f.rec.token == call.Token:
		return plan{done: true, result: f.rec.uuid}, nil
	}
	return plan{}, refuse("a VM called %s exists", name)
}

// clonable holds the rules of cloning (manual 5.2.14, 5.2.19).
func clonable(t *foundVM, to *foundHost, spec drivers.CloneSpec) error {
	dc := t.all.datacenter(t.host().parent)
	switch {
	case !t.rec.template:
		return refuse("VM %s is not a template", spec.Template)
	case t.rec.folder.Value == "":
		return refuse("template %s is in no folder", spec.Template)
	case !to.rec.connected():
		return refuse("VM server %s does not answer", to.rec.name)
	case !t.host().connected():
		return refuse("VM server %s of template %s does not answer", t.host().name, spec.Template)
	case to.rec.maintenance:
		return refuse("VM server %s is in maintenance mode", to.rec.name)
	case to.datacenter() != dc || (spec.Datacenter != "" && spec.Datacenter != dc):
		return refuse("template %s is in datacenter %s, not in that of the VM", spec.Template, dc)
	case spec.CPUs < 0 || spec.MemoryMiB < 0:
		return refuse("processors and memory can't be negative")
	}
	return nil
}

// cloneTarget chooses the datastore of a new VM: the asked one, or the template's.
func cloneTarget(t *foundVM, to *foundHost, want string) (ref, error) {
	if want != "" {
		r, ok := to.store(want)
		if !ok {
			return ref{}, refuse("VM server %s does not mount datastore %s", to.rec.name, want)
		}
		return r, nil
	}
	for _, r := range t.rec.datastores {
		if to.mounts(r) {
			return r, nil
		}
	}
	return ref{}, refuse("VM server %s mounts none of the template's datastores %v; name one", to.rec.name, t.all.names(t.rec.datastores))
}

// cardChanges connects the cards of the new VM to their networks, and adds
// those that the template lacks. The VM server must have each network.
func cardChanges(t *foundVM, to *foundHost, nics []drivers.NICSetting) ([]types.BaseVirtualDeviceConfigSpec, error) {
	var out []types.BaseVirtualDeviceConfigSpec
	for i, n := range nics {
		has := i < len(t.rec.cards)
		if has && (n.Network == "" || t.view().NICs[i].Network == n.Network) {
			continue
		}
		backing, err := to.backing(n.Network)
		if err != nil {
			return nil, err
		}
		if !has {
			card := &types.VirtualVmxnet3{}
			card.Key, card.Backing = int32(-1-i), backing
			out = append(out, &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: card})
			continue
		}
		card := t.rec.cards[i].device
		card.GetVirtualEthernetCard().Backing = backing
		out = append(out, &types.VirtualDeviceConfigSpec{
			Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: card.(types.BaseVirtualDevice),
		})
	}
	return out, nil
}

// backing is what connects a card to a network of the VM server. A distributed
// port group needs more than its name; the template's cards must be on it.
func (f *foundHost) backing(network string) (types.BaseVirtualDeviceBackingInfo, error) {
	for _, r := range f.rec.networks {
		if n := f.all.nodes[r]; n == nil || n.name != network {
			continue
		}
		if r.Type != "Network" {
			return nil, refuse("network %s is a distributed port group; connect the template's card to it", network)
		}
		b := &types.VirtualEthernetCardNetworkBackingInfo{Network: &r}
		b.DeviceName = network
		return b, nil
	}
	return nil, refuse("VM server %s has no network %q", f.rec.name, network)
}

// Destroy implements drivers.Hypervisor. A VM that doesn't exist is gone already.
func (d *Driver) Destroy(ctx context.Context, call drivers.Call, uuid string) (drivers.Task, error) {
	return d.effect(ctx, call, "destroy", uuid, func(ctx context.Context, c *vim25.Client) (plan, error) {
		f, err := d.vmByUUID(ctx, c, uuid)
		var none *notFound
		switch {
		case errors.As(err, &none):
			return done, nil
		case err != nil:
			return plan{}, err
		case f.rec.template:
			return plan{}, refuse("%s is a template", f.rec.name)
		case !f.host().connected():
			return plan{}, refuse("VM server %s of VM %s does not answer", f.host().name, f.rec.name)
		case vmPower(f.rec.power) != drivers.PowerOff:
			return plan{}, refuse("VM %s is %s; stop it first", f.rec.name, vmPower(f.rec.power))
		}
		return start(func(ctx context.Context) (*types.Destroy_TaskResponse, error) {
			return methods.Destroy_Task(ctx, c, &types.Destroy_Task{This: f.ref})
		}, func(r *types.Destroy_TaskResponse) ref { return r.Returnval }), nil
	})
}
