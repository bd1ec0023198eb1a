package node

import (
	"context"

	"yagura/fsm"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
	"yagura/node/monitor"
	"yagura/rpc/api"
)

// newMonitor makes the monitor of machines in operation.
func (n *Node) newMonitor() *monitor.Monitor {
	return monitor.New(monitor.Options{
		Targets: n.monitorShare, Known: n.monitorKnown, InTouch: n.inTouch, Probe: n.probes, Log: n.log,
		Deliver: func(ctx context.Context, events []*schema.Event) error {
			_, err := n.recordEvents(ctx, n.id+fsm.MonitorStream, events)
			return err
		},
		// Others poll the share of a manager that hears nobody.
		Blind: func(blind bool) { n.gossip.update(func(m *meta) { m.Blind = blind }) },
	})
}

// monitorLoop polls this manager's share of the machines.
func (n *Node) monitorLoop(ctx context.Context) {
	n.monitor.Run(ctx)
	if err := n.probes.Close(); err != nil {
		n.log.Debug("monitoring: closing sockets", "err", err)
	}
}

// monitorShare is what this manager polls: its part among the members of the
// cluster that are alive and hear their machines. It counts itself in whatever it
// hears, or it would never learn that it hears again.
func (n *Node) monitorShare() []monitor.Target {
	if !n.inTouch() {
		return nil
	}
	v := n.store.View()
	return monitor.Share(monitor.Targets(v, n.store.Sealer().Open), n.lookers(v), n.id)
}

// lookers are the managers among which machines are shared out, this one included.
func (n *Node) lookers(v *fsm.View) []string {
	var live []string
	for _, m := range n.gossip.alive() {
		if _, known := fsm.Managers.Get(v, m.ID); m.ID == n.id || known && m.State == stateMember && !m.Blind {
			live = append(live, m.ID)
		}
	}
	return live
}

// monitorKnown is what the database says of a machine.
func (n *Node) monitorKnown(name string) (polled, down bool) {
	m, ok := fsm.Machines.Get(n.store.View(), name)
	if !ok {
		return false, false
	}
	return fsm.Polled(m), fsm.Unreachable(m)
}

// inTouch tells whether this manager has caught up with its cluster and knows
// its leader. One that is cut off loses sight of the leader within its timers,
// and a leader that is cut off stops leading.
func (n *Node) inTouch() bool {
	return n.caughtUp.Load() && !n.removed.Load() && n.Leader().ID != ""
}

// recordEvents has the leader record events of a stream, here or there.
func (n *Node) recordEvents(ctx context.Context, stream string, events []*schema.Event) (uint64, error) {
	l := n.Leader()
	switch {
	case l.Self:
		var seq uint64
		var out policy.Outcome
		_, err := n.store.Update(ctx, n.internal("record events", 0), func(tx *fsm.Tx) (err error) {
			seq, out, err = policy.RecordEvents(tx, stream, events)
			return err
		})
		if err == nil {
			n.counts.Add(out)
		}
		return seq, err
	case l.Address == "" || l.ID == n.id:
		return 0, n.errNotLeader()
	}
	rep, err := callPeer(ctx, n.peers, l.Address, &api.RecordEventsRequest{Node: stream, Events: events}, api.PeerClient.RecordEvents)
	if err != nil {
		return 0, err
	}
	return rep.Sequence, nil
}
