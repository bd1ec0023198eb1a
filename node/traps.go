package node

import (
	"context"
	"errors"
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
	cfg.Users = n.trapUsers()
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

// trapUsers are the users of SNMPv3: those of the rows, and those of the config
// file, which win where both have a name. One whose keys can't be read or used
// is left out.
func (n *Node) trapUsers() []trap.User {
	users := slices.Clone(n.cfg.SNMP.Users)
	for row := range fsm.SnmpUsers.All(n.store.View()) {
		if slices.ContainsFunc(n.cfg.SNMP.Users, func(u trap.User) bool { return u.Name == row.Name }) {
			continue
		}
		auth, err := n.store.Sealer().Open(row.AuthKey)
		priv, err2 := n.store.Sealer().Open(row.PrivKey)
		u := trap.User{Name: row.Name, Auth: row.Auth, AuthKey: string(auth), Priv: row.Priv, PrivKey: string(priv), EngineID: row.EngineId}
		if err := errors.Join(err, err2, u.Validate()); err != nil {
			n.log.Error("SNMP user can't be used", "user", row.Name, "err", err)
			continue
		}
		users = append(users, u)
	}
	return users
}

// trapConfigLoop tells the sink its users and limits, now and when they change.
// Users are told only when they did: their keys take long to derive.
func (n *Node) trapConfigLoop(ctx context.Context) {
	var users []trap.User
	for told := false; ; {
		changed := n.store.Watch(fsm.SnmpUsers, fsm.SettingsTable)
		s := fsm.Settings(n.store.View())
		n.traps.SetLimits(n.cfg.SNMP.Limits(int(s.TrapSourceRate), int(s.TrapRate)))
		if now := n.trapUsers(); !told || !slices.Equal(now, users) {
			if err := n.traps.SetUsers(now); err != nil {
				n.log.Error("users of SNMPv3 stay as they were", "err", err)
			} else {
				users, told = now, true
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
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
