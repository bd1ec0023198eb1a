package qbridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
	"yagura/drivers/internal/netswitch"
)

// Driver puts ports of one switch into VLANs. Its methods may be called from
// any goroutine.
type Driver struct {
	*settings
	netswitch.Reader
	// turn is held by the call that changes the switch: a PortList is written
	// as a whole, so two at once would undo each other.
	turn chan struct{}
}

var _ drivers.Switch = (*Driver)(nil)

// Open checks the settings. It sends nothing yet.
func Open(c Config) (*Driver, error) {
	s, err := c.check()
	if err != nil {
		return nil, err
	}
	d := &Driver{settings: s, turn: make(chan struct{}, 1)}
	d.Reader = netswitch.Reader{System: s.name, Look: d.look}
	return d, nil
}

// Close implements drivers.Switch. There is no session between calls.
func (d *Driver) Close(context.Context) error { return nil }

// look reads the switch.
func (d *Driver) look(ctx context.Context) (v netswitch.View, err error) {
	err = d.talk(ctx, func(c *session) error {
		st, err := c.read(d.unused)
		if err == nil {
			v = st.whole()
		}
		return err
	})
	return v, err
}

// AddToVLAN implements drivers.Switch.
func (d *Driver) AddToVLAN(ctx context.Context, call drivers.Call, port string, vlan drivers.VLAN) (drivers.Task, error) {
	return d.change(ctx, call, "vlan-add", port, goal{vlan: vlan, in: true})
}

// RemoveFromVLAN implements drivers.Switch.
func (d *Driver) RemoveFromVLAN(ctx context.Context, call drivers.Call, port string, vlan drivers.VLAN) (drivers.Task, error) {
	return d.change(ctx, call, "vlan-remove", port, goal{vlan: vlan})
}

// tries bounds how often a change starts over because somebody else changed
// the switch in between.
const tries = 4

var errOvertaken = errors.New("somebody else changed the switch")

func (d *Driver) change(ctx context.Context, call drivers.Call, op, port string, g goal) (drivers.Task, error) {
	object := fmt.Sprintf("%s %d", port, g.vlan.ID)
	if call.Expired(time.Now()) {
		return drivers.Task{}, fault.At(d.name, op, object, fault.Expired(call))
	}
	ctx, cancel := call.Context(ctx)
	defer cancel()
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return drivers.Task{}, fault.At(d.name, op, object, fault.New(drivers.KindUnreachable, ctx.Err()))
	}
	err := d.talk(ctx, func(c *session) error {
		for range tries {
			err := d.attempt(c, call, port, g)
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

// attempt reads the switch, changes what isn't as wanted, and reads it again.
func (d *Driver) attempt(c *session, call drivers.Call, port string, g goal) error {
	st, err := c.read(d.unused)
	if err != nil {
		return err
	}
	p, err := st.port(port)
	if err != nil {
		return err
	}
	if err := g.allowed(st, p); err != nil {
		return fault.New(drivers.KindRefused, err)
	}
	if g.reached(st, p) {
		return nil
	}
	if call.Expired(time.Now()) {
		return fault.Expired(call)
	}
	sent := c.apply(st, p, g)
	if errors.Is(sent, errOvertaken) || fault.Is(sent, drivers.KindRefused, drivers.KindAuth, drivers.KindBusy) {
		return sent
	}
	return d.readBack(c, port, g, sent)
}

// readBack waits until the switch shows the goal; sent is what the change came
// to, nil when the agent said yes.
func (d *Driver) readBack(c *session, port string, g goal, sent error) error {
	wait, cancel := context.WithTimeout(c.g.Context, d.settle)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		st, err := c.read(d.unused)
		var p *basePort
		if err == nil {
			p, err = st.port(port)
		}
		switch {
		case err != nil && sent != nil:
			return fault.Errorf(drivers.KindUnknown, "%w; reading back: %w", sent, err)
		case err != nil:
			return fault.Errorf(drivers.KindUnknown, "the change was sent and can't be read back: %w", err)
		case g.reached(st, p):
			return nil
		case sent != nil && !fault.Is(sent, drivers.KindUnknown):
			return sent
		}
		select {
		case <-wait.Done():
			if sent != nil {
				return sent
			}
			v := st.view(p)
			return fault.Errorf(drivers.KindFailed, "the switch took the change, but reads back VLAN %d and %v (PVID %d)", v.VLAN, v.Also, p.pvid)
		case <-time.After(pause):
		}
	}
}

// talk holds a conversation.
func (d *Driver) talk(ctx context.Context, f func(*session) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxTalk)
	defer cancel()
	c, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	return f(c)
}
