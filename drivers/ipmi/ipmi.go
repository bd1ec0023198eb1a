package ipmi

import (
	"context"
	"time"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/command/chassis"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
)

// Driver switches machines. Its methods may be called from any goroutine.
type Driver struct {
	name    string
	machine func(name string) (Machine, bool)
	timeout time.Duration
}

var (
	_ drivers.Power    = (*Driver)(nil)
	_ drivers.Hardware = (*Driver)(nil)
)

// New makes a driver. name appears in errors. machine says how to reach a
// machine's BMC; it is asked at every call, so that new settings count at once,
// and must be safe for concurrent use. timeout bounds a call; 0: DefaultTimeout.
func New(name string, machine func(name string) (Machine, bool), timeout time.Duration) *Driver {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &Driver{name: name, machine: machine, timeout: timeout}
}

// PowerState implements drivers.Power.
func (d *Driver) PowerState(ctx context.Context, machine string) (drivers.PowerState, error) {
	state := drivers.PowerUnknown
	err := d.talk(ctx, "read-power", machine, func(ctx context.Context, b bmc) (err error) {
		if err = b.confirm(ctx); err == nil {
			state, err = power(ctx, b.client)
		}
		return err
	})
	return state, err
}

// power reads the power (section 28.2).
func power(ctx context.Context, c *client.Client) (drivers.PowerState, error) {
	s, err := c.GetChassisStatus(ctx)
	switch {
	case err != nil:
		return drivers.PowerUnknown, err
	case s.PowerIsOn:
		return drivers.PowerOn, nil
	}
	return drivers.PowerOff, nil
}

// controls are the values of Chassis Control that bring an operation about (section 28.3).
var controls = map[drivers.PowerOp]chassis.ChassisControl{
	drivers.OpPowerOn:  chassis.ChassisControlPowerUp,
	drivers.OpPowerOff: chassis.ChassisControlPowerDown,
	drivers.OpShutdown: chassis.ChassisControlSoftShutdown,
	drivers.OpReset:    chassis.ChassisControlHardReset,
}

// goals are the states in which operations end. A restart isn't among them: no
// state tells that it took place.
var goals = map[drivers.PowerOp]drivers.PowerState{
	drivers.OpPowerOn:  drivers.PowerOn,
	drivers.OpPowerOff: drivers.PowerOff,
	drivers.OpShutdown: drivers.PowerOff,
}

// SetPower implements drivers.Power. IPMI has no graceful restart: OpReboot is
// KindUnsupported. OpReset is an act, and IPMI has no place for a token, so a
// caller that isn't sure must not ask again.
func (d *Driver) SetPower(ctx context.Context, call drivers.Call, machine string, op drivers.PowerOp) (drivers.Task, error) {
	if call.Expired(time.Now()) {
		return drivers.Task{}, d.expired(call, op, machine)
	}
	if !call.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, call.Deadline)
		defer cancel()
	}
	out := drivers.Task{State: drivers.TaskRunning}
	err := d.talk(ctx, string(op), machine, func(ctx context.Context, b bmc) error {
		if err := b.confirm(ctx); err != nil {
			return err
		}
		is, err := power(ctx, b.client)
		if err != nil {
			return err
		}
		wanted := goals[op]
		if is == wanted {
			out = drivers.Done("")
			return nil
		}
		control, err := choose(op, is)
		if err != nil {
			return err
		}
		if call.Expired(time.Now()) {
			return d.expired(call, op, machine)
		}
		if _, err := b.client.ChassisControl(ctx, control); err != nil {
			return &sent{err}
		}
		if wanted == "" {
			out = drivers.Done("")
			return nil
		}
		// The effect is on its way whatever this look says or fails to say.
		if is, err := power(ctx, b.client); err == nil && is == wanted {
			out = drivers.Done("")
		}
		return nil
	})
	if err != nil {
		return drivers.Task{}, err
	}
	return out, nil
}

// choose finds the control that brings op about from a state.
func choose(op drivers.PowerOp, is drivers.PowerState) (chassis.ChassisControl, error) {
	if (op == drivers.OpReboot || op == drivers.OpReset) && is == drivers.PowerOff {
		return 0, fault.Errorf(drivers.KindRefused, "the machine is off")
	}
	control, ok := controls[op]
	if !ok {
		return 0, fault.Errorf(drivers.KindUnsupported, "IPMI has no %s; shut the machine down and start it instead", op)
	}
	return control, nil
}

func (d *Driver) expired(call drivers.Call, op drivers.PowerOp, machine string) error {
	return &drivers.Error{
		Kind: drivers.KindExpired, System: d.name, Op: string(op), Object: machine,
		Err: call.Late(),
	}
}
