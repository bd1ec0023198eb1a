package node

import (
	"context"

	"yagura/fsm"
	"yagura/rpc/password"
	"yagura/scheduler"
)

// duties is THE list of the leader's duties.
func (n *Node) duties() []duty {
	return []duty{
		{"scheduler", n.schedule},
		{"housekeeping", n.housekeeping},
	}
}

// schedule runs jobs, event intake and the followers of subsystems. The
// connections to other systems live as long as the term.
func (n *Node) schedule(ctx context.Context, term uint64) error {
	var d DriverSource
	if n.cfg.Drivers != nil {
		d = n.cfg.Drivers(n.store)
	} else {
		d = newRowDrivers(n.store, n.ident.CAPEM, n.runsAccess(), n.log)
	}
	defer d.Close()
	return scheduler.New(scheduler.Config{
		Store: n.store, Drivers: d, Notifiers: notifiers{n.store, n.ident.CAPEM, n.id}, Node: n.id, Log: n.log, Meter: &n.meter, Loads: n.takeLoads, Counts: &n.counts,
	}).Run(ctx, term)
}

// housekeeping lets rows past their retention go, and raises the feature level
// once all managers speak a newer one.
func (n *Node) housekeeping(ctx context.Context, term uint64) error {
	for {
		if err := n.raiseFeature(ctx, term); err != nil {
			return err
		}
		for more := true; more; {
			if _, err := n.store.Update(ctx, n.internal("retention", term), func(tx *fsm.Tx) (err error) {
				more, err = fsm.Retain(tx)
				return err
			}); err != nil {
				return err
			}
		}
		if !pause(ctx, housekeepingInterval) {
			return nil
		}
	}
}

// raiseFeature puts the level in force up to what every manager speaks.
func (n *Node) raiseFeature(ctx context.Context, term uint64) error {
	c, err := n.configuration()
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(c.Servers))
	for _, s := range c.Servers {
		ids = append(ids, string(s.ID))
	}
	_, err = n.store.Update(ctx, n.internal("feature level", term), func(tx *fsm.Tx) error { return fsm.RaiseFeature(tx, ids) })
	return err
}

// bootstrapRows fills a new cluster's database: settings, standard policies,
// trap rules, and the first administrator.
func (n *Node) bootstrapRows(ctx context.Context, term uint64) error {
	plain, err := n.cfg.Admin.password()
	if err != nil {
		return err
	}
	hash, err := password.NewHasher(1).Hash(ctx, plain)
	if err != nil {
		return err
	}
	_, err = n.store.Update(ctx, n.internal("bootstrap", term), func(tx *fsm.Tx) error {
		return fsm.Bootstrap(tx, fsm.BootstrapSpec{Admin: n.cfg.Admin.User, AdminHash: hash})
	})
	return err
}
