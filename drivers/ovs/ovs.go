package ovs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"yagura/drivers"
)

// Driver puts ports of one bridge into VLANs. Its methods may be called from
// any goroutine.
type Driver struct{ *settings }

var _ drivers.Switch = (*Driver)(nil)

// Open checks the settings. It sends nothing yet.
func Open(c Config) (*Driver, error) {
	s, err := c.check()
	if err != nil {
		return nil, err
	}
	return &Driver{s}, nil
}

// Close implements drivers.Switch. There is no session between calls.
func (d *Driver) Close(context.Context) error { return nil }

// VLANs implements drivers.Switch: VLANs that have a name or a port.
func (d *Driver) VLANs(ctx context.Context) (out []drivers.VLAN, err error) {
	err = d.look(ctx, "read-vlans", d.name, func(st *state) error {
		out = st.vlans()
		return nil
	})
	return out, err
}

// Ports implements drivers.Switch.
func (d *Driver) Ports(ctx context.Context) (out []drivers.Port, err error) {
	err = d.look(ctx, "read-ports", d.name, func(st *state) error {
		for _, p := range st.ports {
			out = append(out, st.view(p))
		}
		return nil
	})
	return out, err
}

// Port implements drivers.Switch.
func (d *Driver) Port(ctx context.Context, name string) (out drivers.Port, err error) {
	err = d.look(ctx, "read-port", name, func(st *state) error {
		p, err := st.port(name)
		if err == nil {
			out = st.view(p)
		}
		return err
	})
	return out, err
}

// look reads the bridge as it is in force.
func (d *Driver) look(ctx context.Context, op, object string, f func(*state) error) error {
	return d.talk(ctx, op, object, func(c *conn) error {
		st, err := c.read(d.settings)
		if err == nil && st.has < st.want {
			err = c.applied(st.want, d.settle)
		}
		if err != nil {
			return err
		}
		return f(st)
	})
}

// AddToVLAN implements drivers.Switch. A port as ovs-vsctl add-port makes it,
// without a tag, becomes an access port.
func (d *Driver) AddToVLAN(ctx context.Context, call drivers.Call, port string, vlan drivers.VLAN) (drivers.Task, error) {
	return d.change(ctx, call, "vlan-add", port, goal{vlan: vlan, in: true})
}

// RemoveFromVLAN implements drivers.Switch. A trunk of all VLANs becomes an
// access port.
func (d *Driver) RemoveFromVLAN(ctx context.Context, call drivers.Call, port string, vlan drivers.VLAN) (drivers.Task, error) {
	return d.change(ctx, call, "vlan-remove", port, goal{vlan: vlan})
}

// tries bounds how often a change starts over because somebody else changed
// the port or the names in between.
const tries = 10

func (d *Driver) change(ctx context.Context, call drivers.Call, op, port string, g goal) (drivers.Task, error) {
	object := fmt.Sprintf("%s %d", port, g.vlan.ID)
	if call.Expired(time.Now()) {
		return drivers.Task{}, d.errorOf(op, object, expired(call))
	}
	if !call.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, call.Deadline)
		defer cancel()
	}
	comment := fmt.Sprintf("yagura: %s %s %s", op, object, call.Token)
	err := d.talk(ctx, op, object, func(c *conn) error {
		for range tries {
			err := d.attempt(c, call, port, g, comment)
			if !errors.Is(err, errOvertaken) {
				return err
			}
		}
		return faultf(drivers.KindBusy, "%d times: %w", tries, errOvertaken)
	})
	if err != nil {
		return drivers.Task{}, err
	}
	return drivers.Done(""), nil
}

// flush is how long flows that the datapath has learned may outlive the
// configuration that allowed them (other_config:max-revalidator, 500 ms). A port
// that is to be fenced isn't out of its VLAN before.
const flush = 500 * time.Millisecond

// attempt reads the bridge, changes what isn't as wanted, waits until that is
// in force, and reads it again.
func (d *Driver) attempt(c *conn, call drivers.Call, name string, g goal, comment string) error {
	st, err := c.read(d.settings)
	if err != nil {
		return err
	}
	p, err := st.port(name)
	if err != nil {
		return err
	}
	if err := g.allowed(st, p); err != nil {
		return &fault{drivers.KindRefused, err}
	}
	if g.reached(st, p) {
		if st.has < st.want {
			return c.applied(st.want, d.settle)
		}
		return nil
	}
	if call.Expired(time.Now()) {
		return expired(call)
	}
	ch, err := c.apply(st, p, g, comment)
	if err != nil {
		return err
	}
	if err := c.applied(ch.cfg, d.settle); err != nil {
		if undo := c.takeBack(ch); undo != nil {
			return faultf(drivers.KindUnknown, "%w; taking the change back: %v", err, undo)
		}
		return &fault{drivers.KindFailed, err}
	}
	if !g.in {
		c.pause(flush)
	}
	if st, err = c.read(d.settings); err == nil {
		p, err = st.port(name)
	}
	if err != nil {
		return faultf(drivers.KindUnknown, "the change was sent and can't be read back: %w", err)
	}
	if !g.reached(st, p) {
		v := st.view(p)
		return faultf(drivers.KindFailed, "the switch took the change, but reads back VLAN %d and %v", v.VLAN, v.Also)
	}
	return nil
}

// talk holds a conversation and puts its error into the words of package drivers.
func (d *Driver) talk(ctx context.Context, op, object string, f func(*conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxTalk)
	defer cancel()
	c, err := d.open(ctx)
	if err == nil {
		defer c.close()
		err = f(c)
	}
	if err == nil {
		return nil
	}
	return d.errorOf(op, object, err)
}

func (d *Driver) errorOf(op, object string, err error) error {
	k := drivers.KindUnknown
	var f *fault
	if errors.As(err, &f) {
		k = f.kind
	}
	return &drivers.Error{Kind: k, System: d.name, Op: op, Object: object, Err: err}
}

func expired(call drivers.Call) error {
	return faultf(drivers.KindExpired, "the call's deadline %s has passed", call.Deadline.UTC().Format(time.RFC3339))
}
