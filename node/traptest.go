package node

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node/trap"
	"yagura/rpc/api"
)

// testTrap tells what a datagram would become here, up to the event.
func (n *Node) testTrap(datagram []byte, from netip.AddrPort) (*api.TestTrapReply, error) {
	rules, problems := trap.Compile(slices.Collect(fsm.TrapRules.All(n.store.View())))
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	cfg := n.cfg.SNMP
	cfg.Users = n.trapUsers()
	x, err := trap.Explain(cfg, rules, datagram, from, time.Now())
	var dropped *trap.DecodeError
	if errors.As(err, &dropped) {
		return &api.TestTrapReply{Dropped: string(dropped.Reason), Why: dropped.Error()}, nil
	}
	if err != nil {
		return nil, schema.Errorf(schema.KindInternal, "datagram", "%v", err)
	}
	reply := &api.TestTrapReply{
		Version: x.Notification.Version, Inform: x.Notification.Inform, User: x.Notification.User, Agent: x.Notification.Agent,
		TrapOid: x.Notification.TrapOID, Event: x.Event,
	}
	for _, v := range x.Notification.Varbinds {
		reply.Varbinds = append(reply.Varbinds, &api.Varbind{Oid: v.OID, Value: v.Value})
	}
	for _, v := range x.Verdicts {
		reply.Rules = append(reply.Rules, &api.RuleVerdict{Rule: v.Rule, Matches: v.Matches, Why: v.Why})
	}
	if x.Event == nil {
		reply.Dropped, reply.Why = string(trap.Ignored), "a rule says to ignore it"
	}
	return reply, nil
}
