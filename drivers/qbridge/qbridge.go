package qbridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"yagura/drivers"
)

// Driver puts ports of one switch into VLANs. Its methods may be called from
// any goroutine.
type Driver struct {
	*settings
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
	return &Driver{settings: s, turn: make(chan struct{}, 1)}, nil
}

// Close implements drivers.Switch. There is no session between calls.
func (d *Driver) Close(context.Context) error { return nil }

// VLANs implements drivers.Switch.
func (d *Driver) VLANs(ctx context.Context) (out []drivers.VLAN, err error) {
	err = d.talk(ctx, "read-vlans", d.name, func(c *session) error {
		st, err := c.read(d.unused)
		if err == nil {
			out = st.vlans()
		}
		return err
	})
	return out, err
}

// Ports implements drivers.Switch.
func (d *Driver) Ports(ctx context.Context) (out []drivers.Port, err error) {
	err = d.talk(ctx, "read-ports", d.name, func(c *session) error {
		st, err := c.read(d.unused)
		if err == nil {
			for _, p := range st.ports {
				out = append(out, st.view(p))
			}
		}
		return err
	})
	return out, err
}

// Port implements drivers.Switch.
func (d *Driver) Port(ctx context.Context, name string) (out drivers.Port, err error) {
	err = d.talk(ctx, "read-port", name, func(c *session) error {
		st, err := c.read(d.unused)
		if err != nil {
			return err
		}
		p, err := st.port(name)
		if err == nil {
			out = st.view(p)
		}
		return err
	})
	return out, err
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
		return drivers.Task{}, d.errorOf(op, object, expired(call))
	}
	if !call.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, call.Deadline)
		defer cancel()
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return drivers.Task{}, d.errorOf(op, object, &fault{drivers.KindUnreachable, ctx.Err()})
	}
	err := d.talk(ctx, op, object, func(c *session) error {
		for range tries {
			err := d.attempt(c, call, port, g)
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
		return &fault{drivers.KindRefused, err}
	}
	if g.reached(st, p) {
		return nil
	}
	if call.Expired(time.Now()) {
		return expired(call)
	}
	sent := c.apply(st, p, g)
	if errors.Is(sent, errOvertaken) || isKind(sent, drivers.KindRefused, drivers.KindAuth, drivers.KindBusy) {
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
			return faultf(drivers.KindUnknown, "%w; reading back: %w", sent, err)
		case err != nil:
			return faultf(drivers.KindUnknown, "the change was sent and can't be read back: %w", err)
		case g.reached(st, p):
			return nil
		case sent != nil && !isKind(sent, drivers.KindUnknown):
			return sent
		}
		select {
		case <-wait.Done():
			if sent != nil {
				return sent
			}
			v := st.view(p)
			return faultf(drivers.KindFailed, "the switch took the change, but reads back VLAN %d and %v (PVID %d)", v.VLAN, v.Also, p.pvid)
		case <-time.After(pause):
		}
	}
}

// talk holds a conversation and puts its error into the words of package drivers.
func (d *Driver) talk(ctx context.Context, op, object string, f func(*session) error) error {
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

func isKind(err error, kinds ...drivers.Kind) bool {
	var f *fault
	if !errors.As(err, &f) {
		return false
	}
	for _, k := range kinds {
		if f.kind == k {
			return true
		}
	}
	return false
}
