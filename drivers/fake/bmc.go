package fake

import (
	"context"

	"yagura/drivers"
)

// Power is one client's connection to the management controllers.
type Power struct {
	w     *World
	known func(machine string) string
}

var _ drivers.Power = (*Power)(nil)

// Power opens a client on the management controllers.
func (w *World) Power() *Power { return w.PowerOf(func(string) string { return "" }) }

// PowerOf is Power for a client that knows the system UUIDs of machines; ""
// for one that isn't known. known is called with the world locked.
func (w *World) PowerOf(known func(machine string) string) *Power { return &Power{w, known} }

// PowerState implements drivers.Power.
func (p *Power) PowerState(ctx context.Context, machine string) (drivers.PowerState, error) {
	state := drivers.PowerUnknown
	err := p.w.read(ctx, BMCSystem, OpReadPower, machine, func() error {
		x, err := p.bmc(&change{system: BMCSystem, op: OpReadPower, object: machine})
		if err == nil {
			state = x.power
		}
		return err
	})
	if err != nil {
		return drivers.PowerUnknown, err
	}
	return state, nil
}

// SetPower implements drivers.Power. A machine whose operating system is dead
// accepts a shutdown or reboot and ignores it, as real ones do; the task then
// runs until force is used.
func (p *Power) SetPower(ctx context.Context, call drivers.Call, machine string, op drivers.PowerOp) (drivers.Task, error) {
	w := p.w
	c := change{system: BMCSystem, op: HostPrefix + string(op), object: machine, call: call}
	c.check = func() (bool, string, error) {
		x, err := p.bmc(&c)
		if err != nil {
			return false, "", err
		}
		switch op {
		case drivers.OpPowerOn:
			return x.power == drivers.PowerOn, "", nil
		case drivers.OpPowerOff, drivers.OpShutdown:
			return x.power == drivers.PowerOff, "", nil
		case drivers.OpReboot, drivers.OpReset:
			if w.restarted(&c) {
				return true, "", nil
			}
			if x.power != drivers.PowerOn {
				return false, "", c.errorf(drivers.KindRefused, "it is not on")
			}
			return false, "", nil
		}
		return false, "", c.errorf(drivers.KindUnsupported, "a management controller can't do this")
	}
	c.apply = func() string {
		x := w.hosts[machine]
		switch op {
		case drivers.OpPowerOn, drivers.OpReboot, drivers.OpReset:
			w.bootHost(x)
		case drivers.OpPowerOff, drivers.OpShutdown:
			w.stopHost(x)
		}
		return ""
	}
	c.ignored = func() bool {
		x := w.hosts[machine]
		return (op == drivers.OpShutdown || op == drivers.OpReboot) && (x.crashed || x.noOS)
	}
	c.supersedes = op == drivers.OpPowerOff || op == drivers.OpReset
	t, err := w.run(ctx, c)
	t.ID = "" // a management controller has no tasks to ask about
	return t, err
}

// bmc returns the machine of a change if its controller answers and reports no
// other system UUID than the one that is known. The caller holds mu.
func (p *Power) bmc(c *change) (*host, error) {
	x, err := p.w.bmc(c)
	if err != nil {
		return nil, err
	}
	if err := drivers.CheckSystem("bmc-"+c.object, p.known(c.object), x.uuid); err != nil {
		return nil, c.errorf(drivers.KindWrongMachine, "%v", err)
	}
	return x, nil
}

// bmc returns the machine of a change if its controller answers. The caller holds mu.
func (w *World) bmc(c *change) (*host, error) {
	x := w.hosts[c.object]
	switch {
	case x == nil:
		return nil, c.errorf(drivers.KindNotFound, "no such machine")
	case x.bmcDead:
		return nil, c.errorf(drivers.KindUnreachable, "its management controller does not answer")
	}
	return x, nil
}
