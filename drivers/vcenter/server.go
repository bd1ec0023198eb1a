package vcenter

import (
	"context"
	"time"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// hostTaskLimit is how long vCenter may try to change the mode or power of a
// VM server when the call has no deadline.
const hostTaskLimit = 10 * time.Minute

// seconds is the time that a call leaves to a task, in vCenter's unit.
func seconds(call drivers.Call) int32 {
	left := hostTaskLimit
	if !call.Deadline.IsZero() {
		left = min(left, time.Until(call.Deadline))
	}
	return max(1, int32(left/time.Second))
}

// SetMaintenance implements drivers.Hypervisor. vCenter would wait for running
// VMs to leave; the driver refuses instead, since the controller moves them first.
func (d *Driver) SetMaintenance(ctx context.Context, call drivers.Call, server string, on bool) (drivers.Task, error) {
	op := "maintenance-off"
	if on {
		op = "maintenance-on"
	}
	return d.effect(ctx, call, op, server, func(ctx context.Context, c *vim25.Client) (plan, error) {
		f, err := d.hostByName(ctx, c, server)
		if err != nil {
			return plan{}, err
		}
		if !f.rec.connected() {
			return plan{}, refuse("VM server %s does not answer", server)
		}
		if f.rec.maintenance == on {
			return done, nil
		}
		if !on {
			return start(func(ctx context.Context) (*types.ExitMaintenanceMode_TaskResponse, error) {
				return methods.ExitMaintenanceMode_Task(ctx, c, &types.ExitMaintenanceMode_Task{This: f.ref, Timeout: seconds(call)})
			}, func(r *types.ExitMaintenanceMode_TaskResponse) ref { return r.Returnval }), nil
		}
		if err := d.mustBeEmpty(ctx, c, f); err != nil {
			return plan{}, err
		}
		return start(func(ctx context.Context) (*types.EnterMaintenanceMode_TaskResponse, error) {
			return methods.EnterMaintenanceMode_Task(ctx, c, &types.EnterMaintenanceMode_Task{
				This: f.ref, Timeout: seconds(call), EvacuatePoweredOffVms: types.NewBool(false),
			})
		}, func(r *types.EnterMaintenanceMode_TaskResponse) ref { return r.Returnval }), nil
	})
}

// SetServerPower implements drivers.Hypervisor. A VM server that is off rather
// than in standby is out of vCenter's reach; its BMC can start it.
func (d *Driver) SetServerPower(ctx context.Context, call drivers.Call, server string, op drivers.PowerOp) (drivers.Task, error) {
	return d.effect(ctx, call, "host-"+string(op), server, func(ctx context.Context, c *vim25.Client) (plan, error) {
		f, err := d.hostByName(ctx, c, server)
		if err != nil {
			return plan{}, err
		}
		standby := f.rec.power == string(types.HostSystemPowerStateStandBy)
		switch op {
		case drivers.OpPowerOn:
			if f.rec.connected() && !standby {
				return done, nil
			}
			if !standby {
				return plan{}, refuse("VM server %s does not answer and is not in standby; start it through its BMC", server)
			}
			return start(func(ctx context.Context) (*types.PowerUpHostFromStandBy_TaskResponse, error) {
				return methods.PowerUpHostFromStandBy_Task(ctx, c, &types.PowerUpHostFromStandBy_Task{This: f.ref, TimeoutSec: seconds(call)})
			}, func(r *types.PowerUpHostFromStandBy_TaskResponse) ref { return r.Returnval }), nil
		case drivers.OpShutdown, drivers.OpReboot:
		default:
			return plan{}, &unsupported{string(op)}
		}
		asked := f.rec.power == string(types.HostSystemPowerStatePoweredOff) && !f.rec.connected()
		if op == drivers.OpShutdown && (standby || asked) {
			return done, nil
		}
		if !f.rec.connected() {
			return plan{}, refuse("VM server %s does not answer", server)
		}
		if err := d.mustBeEmpty(ctx, c, f); err != nil {
			return plan{}, err
		}
		// Force means "although not in maintenance mode"; that no VM runs is known.
		force := !f.rec.maintenance
		if op == drivers.OpShutdown {
			return start(func(ctx context.Context) (*types.ShutdownHost_TaskResponse, error) {
				return methods.ShutdownHost_Task(ctx, c, &types.ShutdownHost_Task{This: f.ref, Force: force})
			}, func(r *types.ShutdownHost_TaskResponse) ref { return r.Returnval }), nil
		}
		return start(func(ctx context.Context) (*types.RebootHost_TaskResponse, error) {
			return methods.RebootHost_Task(ctx, c, &types.RebootHost_Task{This: f.ref, Force: force})
		}, func(r *types.RebootHost_TaskResponse) ref { return r.Returnval }), nil
	})
}

// mustBeEmpty refuses while a VM runs on a VM server (manual 5.2.7). It goes
// by where the VMs say they are: a server's own list may lag behind.
func (d *Driver) mustBeEmpty(ctx context.Context, c *vim25.Client, f *foundHost) error {
	v, objects, err := d.inView(ctx, c, []string{"VirtualMachine"})
	if err != nil {
		return err
	}
	defer d.discard(ctx, v.Destroy)
	running := ""
	err = retrieve(ctx, c, types.PropertyFilterSpec{
		ObjectSet: objects,
		PropSet:   []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name", "runtime.host", "runtime.powerState"}}},
	}, func(o types.ObjectContent) {
		var v vmRecord
		for _, p := range o.PropSet {
			v.set(p.Name, p.Val)
		}
		if v.host == f.ref && vmPower(v.power) == drivers.PowerOn {
			running = v.name
		}
	})
	if err == nil && running != "" {
		err = refuse("VM %s runs on VM server %s; move or stop it first", running, f.rec.name)
	}
	return err
}

// poolOf finds the resource pool that takes new VMs of a VM server: the root
// pool of its compute resource (the manual asks for no others, 5.2.11).
func poolOf(ctx context.Context, c *vim25.Client, f *foundHost) (*ref, error) {
	var cr mo.ComputeResource
	if err := property.DefaultCollector(c).RetrieveOne(ctx, f.rec.parent, []string{"resourcePool"}, &cr); err != nil {
		return nil, err
	}
	if cr.ResourcePool == nil {
		return nil, refuse("VM server %s has no resource pool", f.rec.name)
	}
	return cr.ResourcePool, nil
}
