package node

import (
	"context"
	"path/filepath"
	"slices"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node/trap"
)

// openTraps opens the trap sink, unless it is off.
func (n *Node) openTraps() error {
	if n.cfg.SNMP.Off() {
		return nil
	}
	cfg := n.cfg.SNMP
	if cfg.Bind == "" {
		cfg.Bind = n.cfg.Bind
	}
	sink, err := trap.Open(trap.Options{
		Config: cfg, Dir: filepath.Join(n.cfg.DataDir, "traps"), Node: n.id, Log: n.log,
		Rules: n.trapRules, Deliver: n.deliverEvents,
	})
	if err != nil {
		return err
	}
	n.traps = sink
	return nil
}

func (n *Node) closeTraps() error {
	if n.traps == nil {
		return nil
	}
	return n.traps.Close()
}

// trapLoop makes the sink try again when the leader changes.
func (n *Node) trapLoop(ctx context.Context) {
	for {
		changed := n.LeaderChanged()
		n.traps.Retry()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// trapRules gives the mapping rules as the local replica has them, nil before
// it has caught up and the cluster has its first rows. The sink's delivering goroutine alone calls it.
func (n *Node) trapRules() *trap.Rules {
	if !n.caughtUp.Load() || fsm.Settings(n.store.View()).Cluster == "" {
		return nil
	}
	if n.rules != nil {
		select {
		case <-n.rulesChanged:
		default:
			return n.rules
		}
	}
	n.rulesChanged = n.store.Watch(fsm.TrapRules)
	rules, problems := trap.Compile(slices.Collect(fsm.TrapRules.All(n.store.View())))
	for _, p := range problems {
		n.log.Error("trap rule can't be used", "err", p)
	}
	n.rules = rules
	return rules
}

// deliverEvents implements trap.Deliver.
func (n *Node) deliverEvents(ctx context.Context, events []*schema.Event) (uint64, error) {
	return n.recordEvents(ctx, n.id, events)
}
