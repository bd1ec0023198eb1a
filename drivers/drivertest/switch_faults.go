package drivertest

import (
	"context"
	"sync"

	"yagura/drivers"
)

// testSwitchSideBySide changes several ports of one VLAN at once, as jobs on
// different machines do. No change may undo another.
func testSwitchSideBySide(s *netswitch) {
	each := func(change func(port string) (drivers.Task, error)) {
		s.Helper()
		errs := make([]error, len(s.w.Free))
		var wg sync.WaitGroup
		for i, p := range s.w.Free {
			wg.Go(func() { _, errs[i] = change(p) })
		}
		wg.Wait()
		for i, err := range errs {
			if err != nil {
				s.Fatalf("port %s: %v", s.w.Free[i], err)
			}
		}
	}
	each(func(p string) (drivers.Task, error) { return s.d.AddToVLAN(s.ctx, call(p), p, vlanWeb) })
	each(func(p string) (drivers.Task, error) { return s.d.AddToVLAN(s.ctx, call(p), p, vlanMgmt) })
	for _, p := range s.w.Free {
		s.is(p, vlanWeb.ID, vlanMgmt.ID)
	}
	each(func(p string) (drivers.Task, error) { return s.d.RemoveFromVLAN(s.ctx, call(p), p, vlanWeb) })
	for _, p := range s.w.Free {
		s.is(p, 0, vlanMgmt.ID)
	}
}

// bothWays tries to take p out of the VLAN web and q into it, and wants an
// error of this kind.
func (s *netswitch) bothWays(ctx context.Context, c drivers.Call, k drivers.Kind, p, q string) {
	s.Helper()
	_, err := s.d.AddToVLAN(ctx, c, q, vlanWeb)
	s.fails(k, "adding "+q, err)
	_, err = s.d.AddToVLAN(ctx, c, q, vlanMgmt)
	s.fails(k, "adding "+q+" to a management VLAN", err)
	_, err = s.d.RemoveFromVLAN(ctx, c, p, vlanWeb)
	s.fails(k, "removing "+p, err)
}

func testSwitchExpired(s *netswitch) {
	p, q := s.w.Free[0], s.w.Free[1]
	s.add(p, vlanWeb, "1")
	s.bothWays(s.ctx, late("2"), drivers.KindExpired, p, q)
	s.is(p, vlanWeb.ID)
	s.is(q, 0)
	s.effects(1, "", "")
}

func testSwitchEndedContext(s *netswitch) {
	p, q := s.w.Free[0], s.w.Free[1]
	s.add(p, vlanWeb, "1")
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	s.bothWays(ctx, call("2"), drivers.KindUnreachable, p, q)
	_, err := s.d.Ports(ctx)
	s.fails(drivers.KindUnreachable, "reading the ports", err)
	s.is(p, vlanWeb.ID)
	s.is(q, 0)
	s.effects(1, "", "")
}

func testSwitchRefuses(s *netswitch) {
	p, q := s.w.Free[0], s.w.Free[1]
	s.add(p, vlanWeb, "1")
	s.w.Refuse(s.T)
	s.bothWays(s.ctx, call("2"), drivers.KindRefused, p, q)
	s.add(p, vlanWeb, "3")
	s.remove(q, vlanWeb, "4")
	s.is(p, vlanWeb.ID)
	s.is(q, 0)
}

func testSwitchDeaf(s *netswitch) {
	p, q := s.w.Free[0], s.w.Free[1]
	s.add(p, vlanWeb, "1")
	s.w.Deafen(s.T)
	s.bothWays(s.ctx, call("2"), drivers.KindFailed, p, q)
	s.is(p, vlanWeb.ID)
	s.is(q, 0)
}

func testSwitchSilent(s *netswitch) {
	p, q := s.w.Free[0], s.w.Free[1]
	s.add(p, vlanWeb, "1")
	s.w.Silence(s.T)
	s.bothWays(s.ctx, call("2"), drivers.KindUnreachable, p, q)
	_, err := s.d.Port(s.ctx, p)
	s.fails(drivers.KindUnreachable, "reading a port", err)
	_, err = s.d.VLANs(s.ctx)
	s.fails(drivers.KindUnreachable, "reading the VLANs", err)
	s.effects(1, "", "")
}
