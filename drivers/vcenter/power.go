package vcenter

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// SetVMPower implements drivers.Hypervisor.
//
// Reboot and Reset are acts: vCenter has no place for a token, so a caller
// that isn't sure compares VM.BootTime before it asks again.
func (d *Driver) SetVMPower(ctx context.Context, call drivers.Call, uuid string, op drivers.PowerOp) (drivers.Task, error) {
	return d.effect(ctx, call, string(op), uuid, func(ctx context.Context, c *vim25.Client) (plan, error) {
		f, err := d.vmByUUID(ctx, c, uuid)
		if err != nil {
			return plan{}, err
		}
		is := vmPower(f.rec.power)
		switch {
		case f.rec.template:
			return plan{}, refuse("VM %s is a template and has no power", f.rec.name)
		case !f.host().connected():
			return plan{}, refuse("VM server %s of VM %s does not answer", f.host().name, f.rec.name)
		case op == drivers.OpPowerOn && is == drivers.PowerOn,
			op == drivers.OpPowerOff && is == drivers.PowerOff,
			op == drivers.OpShutdown && is == drivers.PowerOff,
			op == drivers.OpSuspend && is == drivers.PowerSuspended:
			return done, nil
		case op == drivers.OpPowerOn && f.host().maintenance:
			return plan{}, refuse("VM server %s of VM %s is in maintenance mode", f.host().name, f.rec.name)
		case op != drivers.OpPowerOn && op != drivers.OpPowerOff && is != drivers.PowerOn:
			return plan{}, refuse("VM %s is %s", f.rec.name, is)
		}
		return vmPowerPlan(c, f, op)
	})
}

func vmPowerPlan(c *vim25.Client, f *foundVM, op drivers.PowerOp) (plan, error) {
	switch op {
	case drivers.OpPowerOn:
		return start(func(ctx context.Context) (*types.PowerOnVM_TaskResponse, error) {
			return methods.PowerOnVM_Task(ctx, c, &types.PowerOnVM_Task{This: f.ref})
		}, func(r *types.PowerOnVM_TaskResponse) ref { return r.Returnval }), nil
	case drivers.OpPowerOff:
		return start(func(ctx context.Context) (*types.PowerOffVM_TaskResponse, error) {
			return methods.PowerOffVM_Task(ctx, c, &types.PowerOffVM_Task{This: f.ref})
		}, func(r *types.PowerOffVM_TaskResponse) ref { return r.Returnval }), nil
	case drivers.OpReset:
		return start(func(ctx context.Context) (*types.ResetVM_TaskResponse, error) {
			return methods.ResetVM_Task(ctx, c, &types.ResetVM_Task{This: f.ref})
		}, func(r *types.ResetVM_TaskResponse) ref { return r.Returnval }), nil
	case drivers.OpSuspend:
		return start(func(ctx context.Context) (*types.SuspendVM_TaskResponse, error) {
			return methods.SuspendVM_Task(ctx, c, &types.SuspendVM_Task{This: f.ref})
		}, func(r *types.SuspendVM_TaskResponse) ref { return r.Returnval }), nil
	case drivers.OpShutdown:
		return plan{send: func(ctx context.Context) (ref, string, error) {
			_, err := methods.ShutdownGuest(ctx, c, &types.ShutdownGuest{This: f.ref})
			return ref{}, guestShutdown + f.rec.uuid, err
		}}, nil
	case drivers.OpReboot:
		// vCenter passes the wish on to the guest and reports no more of it.
		return plan{send: func(ctx context.Context) (ref, string, error) {
			_, err := methods.RebootGuest(ctx, c, &types.RebootGuest{This: f.ref})
			return ref{}, "", err
		}}, nil
	}
	return plan{}, &unsupported{string(op)}
}
