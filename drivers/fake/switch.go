package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"yagura/drivers"
)

// Ledger operations on switches. The object is "PORT VLAN-ID".
const (
	OpVLANAdd    = "vlan-add"
	OpVLANRemove = "vlan-remove"
)

// Operations that look at switches: of the first two the object is the
// switch, of the last the port.
const (
	OpReadVLANs = "read-vlans"
	OpReadPorts = "read-ports"
	OpReadPort  = "read-port"
)

// netSwitch is a switch as it is, whatever it answers.
type netSwitch struct {
	unused int // VLAN of ports that are in none
	vlans  []drivers.VLAN
	ports  []*drivers.Port // as they were named to AddSwitch
	// refuses: it says no to every change. deaf: it says yes and changes nothing.
	refuses, deaf bool
}

// AddSwitch makes a switch with these ports, none of which is in a VLAN;
// unused is the VLAN for such ports. The names of physical machines' NICs lead
// to it: NIC.Network is its name, NIC.Port that of a port.
func (w *World) AddSwitch(system string, ports []string, unused int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &netSwitch{unused: unused, vlans: []drivers.VLAN{{Name: "unused", ID: unused}}}
	for _, p := range ports {
		s.ports = append(s.ports, &drivers.Port{Name: p, Up: true})
	}
	w.switches[system] = s
}

// SetPort puts a port into VLANs by hand, as a person at the switch would: into
// the port-based one (0: none) and into the further ones. VLANs that the switch
// doesn't have are made, under names of its own.
func (w *World) SetPort(system, port string, vlan int, also ...int) {
	w.switchKnob(system, func(s *netSwitch) {
		p := s.port(port)
		if p == nil {
			panic("fake: switch " + system + " has no port " + port)
		}
		p.VLAN, p.Also = vlan, slices.Sorted(slices.Values(also))
		for _, id := range append([]int{vlan}, also...) {
			if id != 0 && s.vlan(id) == nil {
				s.vlans = append(s.vlans, drivers.VLAN{Name: fmt.Sprintf("vlan%d", id), ID: id})
			}
		}
	})
}

// PortOf is what is true of a port, whatever the switch would say. It leaves no
// trace and meets no hook or fault.
func (w *World) PortOf(system, port string) drivers.Port {
	var out drivers.Port
	w.switchKnob(system, func(s *netSwitch) {
		p := s.port(port)
		if p == nil {
			panic("fake: switch " + system + " has no port " + port)
		}
		out = copyPort(p)
	})
	return out
}

// SwitchRefuses makes a switch say no to every change, or end that.
func (w *World) SwitchRefuses(system string, on bool) {
	w.switchKnob(system, func(s *netSwitch) { s.refuses = on })
}

// SwitchDeaf makes a switch accept every change and apply none, or end that.
// Reading back tells: the change fails.
func (w *World) SwitchDeaf(system string, on bool) {
	w.switchKnob(system, func(s *netSwitch) { s.deaf = on })
}

func (w *World) switchKnob(system string, f func(*netSwitch)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	s := w.switches[system]
	if s == nil {
		panic("fake: no switch " + system)
	}
	f(s)
	w.notify()
}

func (s *netSwitch) port(name string) *drivers.Port {
	if i := slices.IndexFunc(s.ports, func(p *drivers.Port) bool { return p.Name == name }); i >= 0 {
		return s.ports[i]
	}
	return nil
}

func (s *netSwitch) vlan(id int) *drivers.VLAN {
	if i := slices.IndexFunc(s.vlans, func(v drivers.VLAN) bool { return v.ID == id }); i >= 0 {
		return &s.vlans[i]
	}
	return nil
}

// Switch is one client's connection to a switch.
type Switch struct {
	w      *World
	system string
}

var _ drivers.Switch = (*Switch)(nil)

// Switch opens a client on a switch. One that the world doesn't have finds
// nothing.
func (w *World) Switch(system string) *Switch { return &Switch{w, system} }

// Close implements drivers.Switch.
func (c *Switch) Close(context.Context) error { return nil }

// VLANs implements drivers.Switch.
func (c *Switch) VLANs(ctx context.Context) (out []drivers.VLAN, err error) {
	err = c.look(ctx, OpReadVLANs, c.system, func(s *netSwitch) error {
		out = slices.Clone(s.vlans)
		return nil
	})
	slices.SortFunc(out, func(a, b drivers.VLAN) int { return a.ID - b.ID })
	return out, err
}

// Ports implements drivers.Switch.
func (c *Switch) Ports(ctx context.Context) (out []drivers.Port, err error) {
	err = c.look(ctx, OpReadPorts, c.system, func(s *netSwitch) error {
		for _, p := range s.ports {
			out = append(out, copyPort(p))
		}
		return nil
	})
	return out, err
}

// Port implements drivers.Switch.
func (c *Switch) Port(ctx context.Context, name string) (out drivers.Port, err error) {
	err = c.look(ctx, OpReadPort, name, func(s *netSwitch) error {
		p := s.port(name)
		if p == nil {
			return errNoPort
		}
		out = copyPort(p)
		return nil
	})
	return out, err
}

var errNoPort = errors.New("the switch has no such port")

// look reads the switch; an error of f means that something isn't there.
func (c *Switch) look(ctx context.Context, op, object string, f func(*netSwitch) error) error {
	return c.w.read(ctx, c.system, op, object, func() error {
		err := errors.New("no such switch")
		if s := c.w.switches[c.system]; s != nil {
			err = f(s)
		}
		if err != nil {
			err = &drivers.Error{Kind: drivers.KindNotFound, System: c.system, Op: op, Object: object, Err: err}
		}
		return err
	})
}

func copyPort(p *drivers.Port) drivers.Port {
	out := *p
	out.Also = slices.Clone(p.Also)
	return out
}

// AddToVLAN implements drivers.Switch.
func (c *Switch) AddToVLAN(ctx context.Context, call drivers.Call, port string, vlan drivers.VLAN) (drivers.Task, error) {
	return c.change(ctx, call, OpVLANAdd, port, vlan, (*netSwitch).checkAdd, func(s *netSwitch, p *drivers.Port) {
		if s.vlan(vlan.ID) == nil {
			s.vlans = append(s.vlans, vlan)
		}
		if vlan.Management {
			p.Also = slices.Sorted(slices.Values(append(p.Also, vlan.ID)))
		} else {
			p.VLAN = vlan.ID
		}
	})
}

// RemoveFromVLAN implements drivers.Switch.
func (c *Switch) RemoveFromVLAN(ctx context.Context, call drivers.Call, port string, vlan drivers.VLAN) (drivers.Task, error) {
	gone := func(_ *netSwitch, _ *change, p *drivers.Port, vlan drivers.VLAN) (bool, error) {
		return !p.Has(vlan.ID), nil
	}
	return c.change(ctx, call, OpVLANRemove, port, vlan, gone, func(_ *netSwitch, p *drivers.Port) {
		if p.VLAN == vlan.ID {
			p.VLAN = 0
		}
		p.Also = slices.DeleteFunc(p.Also, func(id int) bool { return id == vlan.ID })
	})
}

// change brings about what apply does, unless check says that it is there or
// why not. A task that still runs has no id: the port tells its end.
func (c *Switch) change(
	ctx context.Context, call drivers.Call, op, port string, vlan drivers.VLAN,
	check func(*netSwitch, *change, *drivers.Port, drivers.VLAN) (bool, error), apply func(*netSwitch, *drivers.Port),
) (drivers.Task, error) {
	ch := change{system: c.system, op: op, object: fmt.Sprintf("%s %d", port, vlan.ID), call: call}
	ch.check = func() (bool, string, error) {
		s := c.w.switches[c.system]
		if s == nil {
			return false, "", ch.errorf(drivers.KindNotFound, "no such switch")
		}
		p := s.port(port)
		if p == nil {
			return false, "", ch.errorf(drivers.KindNotFound, "%w", errNoPort)
		}
		there, err := check(s, &ch, p, vlan)
		switch {
		case there || err != nil:
			return there, "", err
		case s.refuses:
			return false, "", ch.errorf(drivers.KindRefused, "the switch refuses to be changed")
		case s.deaf:
			return false, "", ch.errorf(drivers.KindFailed, "the switch accepted the change, but the port is in VLAN %d and in %v still", p.VLAN, p.Also)
		}
		return false, "", nil
	}
	ch.apply = func() string {
		s := c.w.switches[c.system]
		apply(s, s.port(port))
		return ""
	}
	t, err := c.w.run(ctx, ch)
	t.ID = ""
	return t, err
}

// checkAdd holds the rules of adding a port to a VLAN. The caller holds mu.
func (s *netSwitch) checkAdd(c *change, p *drivers.Port, vlan drivers.VLAN) (bool, error) {
	for _, err := range []error{vlan.Check(s.unused), vlan.Clash(s.vlans), p.Blocks(vlan)} {
		if err != nil {
			return false, c.errorf(drivers.KindRefused, "%w", err)
		}
	}
	return p.In(vlan), nil
}
