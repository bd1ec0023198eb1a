package vcenter

import (
	"context"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// foundVM is a VM as one look found it, with what is around it.
type foundVM struct {
	ref ref
	rec *vmRecord
	all *catalog
}

func (f *foundVM) view() drivers.VM { return f.all.vm(f.ref) }

// host is the record of the VM's server; never nil.
func (f *foundVM) host() *hostRecord { return entry(f.all.hosts, f.rec.host) }

// foundHost is a VM server as one look found it.
type foundHost struct {
	ref ref
	rec *hostRecord
	all *catalog
}

func (f *foundHost) datacenter() string { return f.all.datacenter(f.rec.parent) }

// store finds a datastore that the VM server mounts.
func (f *foundHost) store(name string) (ref, bool) {
	for _, r := range f.rec.datastores {
		if s := f.all.stores[r]; s != nil && s.name == name {
			return r, true
		}
	}
	return ref{}, false
}

// mounts tells whether the VM server mounts a datastore.
func (f *foundHost) mounts(r ref) bool {
	for _, x := range f.rec.datastores {
		if x == r {
			return true
		}
	}
	return false
}

// vmByUUID finds a VM by instance UUID and reads it.
func (d *Driver) vmByUUID(ctx context.Context, c *vim25.Client, uuid string) (*foundVM, error) {
	// A malformed identity would be an invalid argument to vCenter, and no VM has it.
	if uuid == "" {
		return nil, &notFound{"VirtualMachine", "(no UUID)"}
	}
	found, err := object.NewSearchIndex(c).FindByUuid(ctx, nil, uuid, true, types.NewBool(true))
	if _, bad := faultOf(err).(types.BaseInvalidArgument); bad || (err == nil && found == nil) {
		return nil, &notFound{"VirtualMachine", uuid}
	}
	if err != nil {
		return nil, err
	}
	r := found.Reference()
	all, err := d.read(ctx, c, r, vmDetailPaths...)
	if err != nil {
		return nil, err
	}
	return &foundVM{r, entry(all.vms, r), all}, nil
}

// vmByName finds a VM or template by name and reads it.
func (d *Driver) vmByName(ctx context.Context, c *vim25.Client, name string) (*foundVM, error) {
	r, all, err := d.byName(ctx, c, "VirtualMachine", name, vmDetailPaths...)
	if err != nil {
		return nil, err
	}
	return &foundVM{r, entry(all.vms, r), all}, nil
}

// hostByName finds a VM server by name and reads it.
func (d *Driver) hostByName(ctx context.Context, c *vim25.Client, name string) (*foundHost, error) {
	r, all, err := d.byName(ctx, c, "HostSystem", name)
	if err != nil {
		return nil, err
	}
	return &foundHost{r, entry(all.hosts, r), all}, nil
}

// VM implements drivers.Hypervisor.
func (d *Driver) VM(ctx context.Context, uuid string) (drivers.VM, error) {
	var out drivers.VM
	err := d.do(ctx, request{"read-vm", uuid, false}, func(ctx context.Context, c *vim25.Client) error {
		f, err := d.vmByUUID(ctx, c, uuid)
		if err == nil {
			out = f.view()
		}
		return err
	})
	return out, err
}

// VMByName implements drivers.Hypervisor.
func (d *Driver) VMByName(ctx context.Context, name string) (drivers.VM, error) {
	var out drivers.VM
	err := d.do(ctx, request{"read-vm", name, false}, func(ctx context.Context, c *vim25.Client) error {
		f, err := d.vmByName(ctx, c, name)
		if err == nil {
			out = f.view()
		}
		return err
	})
	return out, err
}

// Server implements drivers.Hypervisor.
func (d *Driver) Server(ctx context.Context, name string) (drivers.VMServer, error) {
	var out drivers.VMServer
	err := d.do(ctx, request{"read-server", name, false}, func(ctx context.Context, c *vim25.Client) error {
		f, err := d.hostByName(ctx, c, name)
		if err == nil {
			out = f.all.server(f.ref)
		}
		return err
	})
	return out, err
}
