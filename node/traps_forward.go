package node

import (
	"context"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node/trap"
)

// forwardLoop tells the sink which consoles get what it receives, now and when
// the receivers change.
func (n *Node) forwardLoop(ctx context.Context) {
	for {
		changed := n.store.Watch(fsm.Receivers)
		n.traps.Forward(n.destinations())
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// destinations are the receivers of kind snmp. One whose community can't be
// read is left out.
func (n *Node) destinations() []trap.Destination {
	var out []trap.Destination
	for r := range fsm.Receivers.All(n.store.View()) {
		if r.Kind != schema.ReceiverSNMP || r.Disabled {
			continue
		}
		community, err := n.store.Sealer().Open(r.Password)
		if err != nil {
			n.log.Error("traps can't be passed on", "receiver", r.Name, "err", err)
			continue
		}
		out = append(out, trap.Destination{Name: r.Name, Address: r.Address, Version: r.Version, Community: string(community)})
	}
	return out
}
