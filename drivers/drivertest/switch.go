package drivertest

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"yagura/drivers"
)

// SwitchWorld is a switch under test.
type SwitchWorld struct {
	// Open returns a new client, as another manager process would have it. The
	// suite closes it.
	Open func(t *testing.T) drivers.Switch
	// Free names ports that are in no VLAN at the start, three or more.
	Free []string
	// Unused is the id of the VLAN for ports that are in none.
	Unused int
	// Silence makes the switch stop answering.
	Silence func(t *testing.T)
	// Refuse makes the switch say no to every change of a VLAN.
	Refuse func(t *testing.T)
	// Deafen makes the switch accept every change and apply none.
	Deafen func(t *testing.T)
	// Effects counts the changes (vlan-add, vlan-remove) of an object ("PORT
	// VLAN-ID") that reached the switch; empty strings count all.
	Effects func(t *testing.T, op, object string) int
}

// RunSwitch runs the suite. world makes a fresh world.
func RunSwitch(t *testing.T, world func(t *testing.T) SwitchWorld) {
	each(t, 2*patience, []test[*netswitch]{
		{"Reads", testSwitchReads},
		{"PortVLAN", testSwitchPortVLAN},
		{"OnePortVLANAtMost", testSwitchOneVLAN},
		{"ManagementVLANBeside", testSwitchManagement},
		{"ManagementVLANAlone", testSwitchManagementAlone},
		{"NameAndIDOneToOne", testSwitchNames},
		{"Refusals", testSwitchRefusals},
		{"PortsSideBySide", testSwitchSideBySide},
		{"ExpiredCallsDoNothing", testSwitchExpired},
		{"EndedContextDoesNothing", testSwitchEndedContext},
		{"SwitchRefuses", testSwitchRefuses},
		{"ReadBackTellsADeafSwitch", testSwitchDeaf},
		{"SilentSwitch", testSwitchSilent},
	}, func(t *testing.T, ctx context.Context) *netswitch {
		s := &netswitch{T: t, ctx: ctx, w: world(t)}
		s.d = s.open()
		return s
	})
}

// netswitch is one running subtest.
type netswitch struct {
	*testing.T
	ctx context.Context
	w   SwitchWorld
	d   drivers.Switch
}

// The VLANs of the suite. The ids need both bytes of a number.
var (
	vlanWeb  = drivers.VLAN{Name: "web", ID: 300}
	vlanDB   = drivers.VLAN{Name: "db", ID: 20}
	vlanMgmt = drivers.VLAN{Name: "mgmt", ID: 4000, Management: true}
)

func (s *netswitch) open() drivers.Switch { return opened(s.ctx, s.T, s.w.Open) }

func (s *netswitch) port(name string) drivers.Port {
	s.Helper()
	p, err := s.d.Port(s.ctx, name)
	if err != nil {
		s.Fatal(err)
	}
	return p
}

func (s *netswitch) ports() []drivers.Port {
	s.Helper()
	list, err := s.d.Ports(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	return list
}

func (s *netswitch) add(port string, v drivers.VLAN, token string) {
	s.Helper()
	s.done(s.d.AddToVLAN(s.ctx, call(token), port, v))
}

func (s *netswitch) remove(port string, v drivers.VLAN, token string) {
	s.Helper()
	s.done(s.d.RemoveFromVLAN(s.ctx, call(token), port, v))
}

func (s *netswitch) done(task drivers.Task, err error) {
	s.Helper()
	if err != nil || task.State != drivers.TaskDone {
		s.Fatalf("%+v, %v, want a task that is done", task, err)
	}
}

// is checks what VLANs a port is in, as this client and as another one sees it.
func (s *netswitch) is(port string, vlan int, also ...int) {
	s.Helper()
	other, err := s.open().Port(s.ctx, port)
	if err != nil {
		s.Fatal(err)
	}
	for _, p := range []drivers.Port{s.port(port), other} {
		if p.VLAN != vlan || !slices.Equal(p.Also, also) {
			s.Fatalf("port %s is in VLAN %d and %v, want %d and %v", port, p.VLAN, p.Also, vlan, also)
		}
	}
}

func (s *netswitch) fails(k drivers.Kind, what string, err error) {
	s.Helper()
	if err == nil || drivers.KindOf(err) != k {
		s.Fatalf("%s: %v, want %s", what, err, k)
	}
}

func (s *netswitch) effects(n int, op, object string) {
	s.Helper()
	if got := s.w.Effects(s.T, op, object); got != n {
		s.Fatalf("%d effects %q on %q, want %d", got, op, object, n)
	}
}

func testSwitchReads(s *netswitch) {
	seen := map[string]bool{}
	for _, p := range s.ports() {
		if p.Name == "" || seen[p.Name] {
			s.Fatalf("a port without a name, or two of the name %q", p.Name)
		}
		seen[p.Name] = true
		if one := s.port(p.Name); !reflect.DeepEqual(one, p) {
			s.Fatalf("port %s is %+v alone and %+v among all", p.Name, one, p)
		}
	}
	for _, name := range s.w.Free {
		if !seen[name] {
			s.Fatalf("port %s isn't among %v", name, seen)
		}
		s.is(name, 0)
	}
	_, err := s.d.Port(s.ctx, "nobody")
	s.fails(drivers.KindNotFound, "port nobody", err)
	list, err := s.d.VLANs(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	if !slices.IsSortedFunc(list, func(a, b drivers.VLAN) int { return a.ID - b.ID }) {
		s.Fatalf("VLANs in no order: %v", list)
	}
	s.effects(0, "", "")
}

// others is every port but one, to see that they stay as they are.
func (s *netswitch) others(not string) []drivers.Port {
	s.Helper()
	return slices.DeleteFunc(s.ports(), func(p drivers.Port) bool { return p.Name == not })
}

func testSwitchPortVLAN(s *netswitch) {
	first, last := s.w.Free[0], s.w.Free[len(s.w.Free)-1]
	s.remove(last, vlanWeb, "0")
	s.effects(0, "", "")
	s.add(first, vlanWeb, "1")
	before := s.others(last)
	for range 2 {
		s.add(last, vlanWeb, "2")
		s.is(last, vlanWeb.ID)
	}
	s.effects(1, "vlan-add", last+" 300")
	list, err := s.d.VLANs(s.ctx)
	if err != nil || !slices.ContainsFunc(list, func(v drivers.VLAN) bool { return v.Name == vlanWeb.Name && v.ID == vlanWeb.ID }) {
		s.Fatalf("VLANs are %v, %v", list, err)
	}
	for range 2 {
		s.remove(last, vlanWeb, "3")
		s.is(last, 0)
	}
	s.effects(1, "vlan-remove", last+" 300")
	if after := s.others(last); !reflect.DeepEqual(before, after) {
		s.Fatalf("other ports were\n%+v\nand are\n%+v", before, after)
	}
	s.add(last, vlanDB, "4")
	s.is(last, vlanDB.ID)
	s.is(first, vlanWeb.ID)
}

func testSwitchOneVLAN(s *netswitch) {
	p := s.w.Free[0]
	s.add(p, vlanWeb, "1")
	_, err := s.d.AddToVLAN(s.ctx, call("2"), p, vlanDB)
	s.fails(drivers.KindRefused, "a second port-based VLAN", err)
	s.remove(p, vlanDB, "3")
	s.is(p, vlanWeb.ID)
	s.effects(1, "", "")
}

func testSwitchManagement(s *netswitch) {
	p := s.w.Free[1]
	s.add(p, vlanWeb, "1")
	for range 2 {
		s.add(p, vlanMgmt, "2")
		s.is(p, vlanWeb.ID, vlanMgmt.ID)
	}
	s.effects(1, "vlan-add", p+" 4000")
	_, err := s.d.AddToVLAN(s.ctx, call("3"), p, drivers.VLAN{Name: vlanMgmt.Name, ID: vlanMgmt.ID})
	s.fails(drivers.KindRefused, "the management VLAN as port-based VLAN too", err)
	_, err = s.d.AddToVLAN(s.ctx, call("4"), p, drivers.VLAN{Name: vlanWeb.Name, ID: vlanWeb.ID, Management: true})
	s.fails(drivers.KindRefused, "the port-based VLAN as management VLAN too", err)
	s.remove(p, vlanWeb, "5")
	s.is(p, 0, vlanMgmt.ID)
	s.add(p, vlanDB, "6")
	s.is(p, vlanDB.ID, vlanMgmt.ID)
	for range 2 {
		s.remove(p, vlanMgmt, "7")
		s.is(p, vlanDB.ID)
	}
	s.effects(1, "vlan-remove", p+" 4000")
	s.effects(5, "", "")
}

func testSwitchManagementAlone(s *netswitch) {
	p, q := s.w.Free[0], s.w.Free[2]
	s.add(p, vlanMgmt, "1")
	s.add(q, vlanMgmt, "2")
	s.is(p, 0, vlanMgmt.ID)
	second := drivers.VLAN{Name: "mgmt2", ID: 30, Management: true}
	s.add(p, second, "3")
	s.is(p, 0, second.ID, vlanMgmt.ID)
	s.remove(p, vlanMgmt, "4")
	s.is(p, 0, second.ID)
	s.is(q, 0, vlanMgmt.ID)
}

func testSwitchNames(s *netswitch) {
	p, q := s.w.Free[0], s.w.Free[1]
	s.add(p, vlanWeb, "1")
	for what, v := range map[string]drivers.VLAN{
		"a name that has another id":              {Name: vlanWeb.Name, ID: 301},
		"an id that has another name":             {Name: "other", ID: vlanWeb.ID},
		"a management VLAN of a name in use":      {Name: vlanWeb.Name, ID: 302, Management: true},
		"the id in another spelling of the name":  {Name: "Web", ID: vlanWeb.ID},
		"a management VLAN of an id that is used": {Name: "other", ID: vlanWeb.ID, Management: true},
	} {
		_, err := s.d.AddToVLAN(s.ctx, call("2"), q, v)
		s.fails(drivers.KindRefused, what, err)
	}
	s.is(q, 0)
	s.effects(1, "", "")
}

func testSwitchRefusals(s *netswitch) {
	p := s.w.Free[0]
	for _, v := range []drivers.VLAN{
		{Name: "web"}, {Name: "web", ID: -1}, {Name: "web", ID: 4095}, {ID: 300}, {Name: "web", ID: s.w.Unused}, {ID: 30, Management: true},
	} {
		_, err := s.d.AddToVLAN(s.ctx, call("1"), p, v)
		s.fails(drivers.KindRefused, "an impossible VLAN", err)
	}
	_, err := s.d.AddToVLAN(s.ctx, call("2"), "nobody", vlanWeb)
	s.fails(drivers.KindNotFound, "adding port nobody", err)
	_, err = s.d.RemoveFromVLAN(s.ctx, call("3"), "nobody", vlanWeb)
	s.fails(drivers.KindNotFound, "removing port nobody", err)
	s.is(p, 0)
	s.effects(0, "", "")
}
