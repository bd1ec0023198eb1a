package ovs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
	"yagura/drivers/internal/netswitch"
)

// Driver puts ports of one bridge into VLANs. Its methods may be called from
// any goroutine.
type Driver struct {
	*settings
	netswitch.Reader
}

var _ drivers.Switch = (*Driver)(nil)

// Open checks the settings. It sends nothing yet.
func Open(c Config) (*Driver, error) {
	s, err := c.check()
	if err != nil {
		return nil, err
	}
	d := &Driver{settings: s}
	d.Reader = netswitch.Reader{System: s.name, Look: d.look}
	return d, nil
}

// Close implements drivers.Switch. There is no session between calls.
func (d *Driver) Close(context.Context) error { return nil }

// look reads the bridge as it is in force.
func (d *Driver) look(ctx context.Context) (v netswitch.View, err error) {
	err = d.talk(ctx, func(c *conn) error {
		st, err := c.read(d.settings)
		if err == nil && st.has < st.want {
			err = c.applied(st.want, d.settle)
		}
		if err == nil {
			v = st.whole()
		}
		return err
	})
	return v, err
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
		return drivers.Task{}, fault.At(d.name, op, object, fault.Expired(call))
	}
	ctx, cancel := call.Context(ctx)
	defer cancel()
	comment := fmt.Sprintf("yagura: %s %s %s", op, object, call.Token)
	err := d.talk(ctx, func(c *conn) error {
		for range tries {
			err := d.attempt(c, call, port, g, comment)
			if !errors.Is(err, errOvertaken) {
				return err
			}
		}
		return fault.Errorf(drivers.KindBusy, "%d times: %w", tries, errOvertaken)
	})
	if err != nil {
		return drivers.Task{}, fault.At(d.name, op, object, err)
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
		return fault.New(drivers.KindRefused, err)
	}
	if g.reached(st, p) {
		if st.has < st.want {
			return c.applied(st.want, d.settle)
		}
		return nil
	}
	if call.Expired(time.Now()) {
		return fault.Expired(call)
	}
	ch, err := c.apply(st, p, g, comment)
	if err != nil {
		return err
	}
	if err := c.applied(ch.cfg, d.settle); err != nil {
		if undo := c.takeBack(ch); undo != nil {
			return fault.Errorf(drivers.KindUnknown, "%w; taking the change back: %v", err, undo)
		}
		return fault.New(drivers.KindFailed, err)
	}
	if !g.in {
		c.pause(flush)
	}
	if st, err = c.read(d.settings); err == nil {
		p, err = st.port(name)
	}
	if err != nil {
		return fault.Errorf(drivers.KindUnknown, "the change was sent and can't be read back: %w", err)
	}
	if !g.reached(st, p) {
		v := st.view(p)
		return fault.Errorf(drivers.KindFailed, "the switch took the change, but reads back VLAN %d and %v", v.VLAN, v.Also)
	}
	return nil
}

// talk holds a conversation.
func (d *Driver) talk(ctx context.Context, f func(*conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxTalk)
	defer cancel()
	c, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	return f(c)
}
