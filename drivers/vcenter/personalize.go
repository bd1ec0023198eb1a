package vcenter

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

var _ drivers.Personalizer = (*Driver)(nil)

// Personalize implements drivers.Personalizer. vCenter hands the identity to
// the guest at its next start; while one waits for that the task of another
// fails (CustomizationPending).
func (d *Driver) Personalize(ctx context.Context, call drivers.Call, uuid string, id drivers.Identity) (drivers.Task, error) {
	return d.effect(ctx, call, "personalize", uuid, func(ctx context.Context, c *vim25.Client) (plan, error) {
		f, err := d.vmByUUID(ctx, c, uuid)
		if err != nil {
			return plan{}, err
		}
		switch {
		case f.rec.template:
			return plan{}, refuse("%s is a template", f.rec.name)
		case !f.host().connected():
			return plan{}, refuse("VM server %s of VM %s does not answer", f.host().name, f.rec.name)
		case vmPower(f.rec.power) != drivers.PowerOff:
			return plan{}, refuse("VM %s is %s; stop it first", f.rec.name, vmPower(f.rec.power))
		}
		spec, err := customization(f, id)
		if err != nil {
			return plan{}, err
		}
		if spec == nil {
			return done, nil
		}
		return start(func(ctx context.Context) (*types.CustomizeVM_TaskResponse, error) {
			return methods.CustomizeVM_Task(ctx, c, &types.CustomizeVM_Task{This: f.ref, Spec: *spec})
		}, func(r *types.CustomizeVM_TaskResponse) ref { return r.Returnval }), nil
	})
}
