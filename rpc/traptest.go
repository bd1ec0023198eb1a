package rpc

import (
	"context"
	"net/netip"

	"yagura/fsm"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// TestTrap tells what a datagram would become: the sink's own decoder and the
// rules in force make the event, and the function that decides on real ones decides.
func (e eventsService) TestTrap(ctx context.Context, req *api.TestTrapRequest) (*api.TestTrapReply, error) {
	from, err := sender(req.From)
	if err != nil {
		return nil, err
	}
	if len(req.Datagram) == 0 {
		return nil, schema.Errorf(schema.KindInvalid, "datagram", "it is empty")
	}
	reply, err := e.s.cfg.TestTrap(req.Datagram, from)
	if err != nil || reply.Event == nil {
		return reply, err
	}
	v := e.s.view(ctx)
	reply.Event = fsm.AsRecorded(v, reply.Event)
	d, then := policy.Foresee(v, e.s.cfg.Now(), reply.Event)
	reply.Decision = policyDecision(d)
	if then != nil {
		reply.Then = policyDecision(*then)
	}
	return reply, nil
}

// sender reads the address that a datagram is to have come from.
func sender(text string) (netip.AddrPort, error) {
	if text == "" {
		text = "127.0.0.1"
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a.Unmap(), 162), nil
	}
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		return ap, schema.Errorf(schema.KindInvalid, "sender "+text, "it is no IP address").WithHint("write 192.0.2.7 or 192.0.2.7:50000")
	}
	return ap, nil
}
