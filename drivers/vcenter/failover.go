package vcenter

import (
	"context"
	"errors"
	"time"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// failoverLook is the pause between two looks at a failover's relocation.
const failoverLook = 100 * time.Millisecond

// failover takes the record of a VM from a dead VM server to a live one. It
// asks vCenter to relocate the record, which keeps all that vCenter knows of
// the VM. A vCenter that wants the dead server's word for that refuses by the
// state of the server; then the record is taken away and made anew from the
// configuration file on the shared datastore, which holds settings and UUIDs.
func (d *Driver) failover(ctx context.Context, call drivers.Call, spec drivers.RelocateSpec) (drivers.Task, error) {
	path := spec.ConfigPath
	task, err := d.effect(ctx, call, "failover", spec.VM, func(ctx context.Context, c *vim25.Client) (plan, error) {
		f, to, err := d.relocation(ctx, c, spec)
		var lost *notFound
		if errors.As(err, &lost) && lost.kind == "VirtualMachine" && path != "" {
			// An earlier failover was cut off between taking away and making anew.
			return d.register(ctx, c, spec, path)
		}
		if err != nil {
			return plan{}, err
		}
		if f.rec.host == to.ref && to.rec.connected() {
			return plan{done: true, result: spec.Server}, nil
		}
		if err := relocatable(f, to, spec.Mode); err != nil {
			return plan{}, err
		}
		path = f.rec.path
		pool, err := poolOf(ctx, c, to)
		if err != nil {
			return plan{}, err
		}
		return relocateTo(c, f.ref, types.VirtualMachineRelocateSpec{Host: &to.ref, Pool: pool}), nil
	})
	if err == nil && task.State == drivers.TaskRunning {
		task, err = d.watch(ctx, task)
	}
	if err == nil && task.State == drivers.TaskFailed && needsLiveServer(task.Err) || needsLiveServer(err) {
		return d.reregister(ctx, call, spec, path)
	}
	return task, err
}

// watch looks at a task for a short while: a vCenter that can't relocate the
// record says so at once.
func (d *Driver) watch(ctx context.Context, task drivers.Task) (drivers.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.FailoverWait)
	defer cancel()
	look, err := drivers.AwaitTask(ctx, d, task.ID, failoverLook)
	if err != nil {
		// The task goes on; that this look failed says nothing about it.
		return task, nil
	}
	return look, nil
}

// needsLiveServer tells whether vCenter refused by the state of the dead server.
func needsLiveServer(err error) bool {
	switch faultOf(err).(type) {
	case types.BaseInvalidState, types.BaseHostCommunication, *types.NotSupported:
		return true
	}
	return false
}

// reregister takes a VM's record away and makes it anew on the target.
func (d *Driver) reregister(ctx context.Context, call drivers.Call, spec drivers.RelocateSpec, path string) (drivers.Task, error) {
	return d.effect(ctx, call, "failover", spec.VM, func(ctx context.Context, c *vim25.Client) (plan, error) {
		f, to, err := d.relocation(ctx, c, spec)
		var lost *notFound
		if errors.As(err, &lost) && lost.kind == "VirtualMachine" && path != "" {
			return d.register(ctx, c, spec, path)
		}
		if err != nil {
			return plan{}, err
		}
		if f.rec.host == to.ref {
			return plan{done: true, result: spec.Server}, nil
		}
		if err := relocatable(f, to, spec.Mode); err != nil {
			return plan{}, err
		}
		if f.rec.folder.Value == "" || path == "" {
			return plan{}, refuse("vCenter does not show where the configuration of VM %s lies", f.rec.name)
		}
		pool, err := poolOf(ctx, c, to)
		if err != nil {
			return plan{}, err
		}
		again := registerPlan(c, f.rec.folder, types.RegisterVM_Task{Path: path, Name: f.rec.name, Pool: pool, Host: &to.ref})
		return plan{send: func(ctx context.Context) (ref, string, error) {
			if _, err := methods.UnregisterVM(ctx, c, &types.UnregisterVM{This: f.ref}); err != nil {
				return ref{}, "", err
			}
			return again.send(ctx)
		}}, nil
	})
}

// register makes the record of a VM that vCenter no longer has; its name is
// in its configuration file.
func (d *Driver) register(ctx context.Context, c *vim25.Client, spec drivers.RelocateSpec, path string) (plan, error) {
	to, err := d.hostByName(ctx, c, spec.Server)
	if err != nil {
		return plan{}, err
	}
	if !to.rec.connected() || to.rec.maintenance {
		return plan{}, refuse("VM server %s does not answer or is in maintenance mode", spec.Server)
	}
	pool, err := poolOf(ctx, c, to)
	if err != nil {
		return plan{}, err
	}
	folder, err := vmFolder(ctx, c, to)
	if err != nil {
		return plan{}, err
	}
	return registerPlan(c, folder, types.RegisterVM_Task{Path: path, Pool: pool, Host: &to.ref}), nil
}

func registerPlan(c *vim25.Client, folder ref, req types.RegisterVM_Task) plan {
	req.This = folder
	return start(func(ctx context.Context) (*types.RegisterVM_TaskResponse, error) {
		return methods.RegisterVM_Task(ctx, c, &req)
	}, func(r *types.RegisterVM_TaskResponse) ref { return r.Returnval })
}

// vmFolder is the folder of a VM server's datacenter that VMs are in.
func vmFolder(ctx context.Context, c *vim25.Client, f *foundHost) (ref, error) {
	r := f.rec.parent
	for range 64 {
		if r.Type == "Datacenter" {
			var dc mo.Datacenter
			err := property.DefaultCollector(c).RetrieveOne(ctx, r, []string{"vmFolder"}, &dc)
			return dc.VmFolder, err
		}
		n := f.all.nodes[r]
		if n == nil {
			break
		}
		r = n.parent
	}
	return ref{}, refuse("VM server %s is in no datacenter", f.rec.name)
}
