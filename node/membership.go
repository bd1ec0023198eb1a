package node

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc"
	"yagura/rpc/api"
)

const (
	membershipInterval = 250 * time.Millisecond
	gossipJoinInterval = 3 * time.Second
	joinTimeout        = 15 * time.Second
	statusTimeout      = time.Second
)

// membershipLoop makes this manager part of a cluster and keeps it so: it
// bootstraps, joins, becomes a voter once it has caught up, and tells the
// leader when its addresses or version have changed.
func (n *Node) membershipLoop(ctx context.Context) {
	n.wg.Go(func() { n.gossipJoinLoop(ctx) })
	var said string
	var known rpc.Leader
	for {
		// The leader's address may come later than its name, by gossip or as a row.
		if l := n.Leader(); l != known {
			known = l
			n.notify()
		}
		changed := n.LeaderChanged()
		err := n.membershipStep(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			n.why.Store(nil)
		} else if text := err.Error(); text != said {
			n.why.Store(&text)
			n.log.Info("not part of the cluster yet", "why", text)
			said = text
		}
		select {
		case <-changed:
		case <-n.gossip.changed:
		case <-time.After(membershipInterval):
		case <-ctx.Done():
			return
		}
	}
}

// gossipJoinLoop looks for the managers of the join list: until it has found
// another one, and again when it is left alone.
func (n *Node) gossipJoinLoop(ctx context.Context) {
	if len(n.cfg.Join) == 0 {
		return
	}
	for {
		if len(n.gossip.alive()) < max(2, n.cfg.BootstrapExpect) {
			n.gossip.join(n.cfg.Join, n.cfg.GossipPort)
		}
		wait := gossipJoinInterval
		if len(n.gossip.alive()) < 2 {
			wait = membershipInterval
		}
		if !pause(ctx, wait) {
			return
		}
	}
}

// membershipStep does what is to be done next. An error says why this manager
// isn't a voter of a cluster yet.
func (n *Node) membershipStep(ctx context.Context) error {
	c, err := n.configuration()
	if err != nil {
		return err
	}
	if len(c.Servers) == 0 {
		return n.enter(ctx)
	}
	n.gossip.update(func(m *meta) { m.State, m.Set = stateMember, "" })
	me, in := member(c, n.id)
	if !in {
		return n.outside(ctx)
	}
	n.removed.Store(false)
	leader := n.Leader()
	if leader.ID == "" || leader.Address == "" {
		return nil // Ready tells
	}
	if !n.caughtUp.Load() {
		if err := n.checkCaughtUp(ctx, leader.ID, leader.Address); err != nil {
			return err
		}
	}
	self := n.managerRow()
	row, ok := fsm.Managers.Get(n.store.View(), n.id)
	if me.Suffrage == raft.Voter && string(me.Address) == self.RaftAddress && ok && sameManager(row, self) {
		return nil
	}
	if n.ready.Load() {
		return n.Join(ctx, self)
	}
	if leader.ID == n.id {
		return nil // our own gate comes first
	}
	return n.askJoin(ctx, leader.Address, self)
}

// enter makes a manager without Raft state part of a cluster: of the one that
// is there already, else of a new one.
func (n *Node) enter(ctx context.Context) error {
	alive := n.gossip.alive()
	for _, m := range alive {
		if m.State != stateMember {
			continue
		}
		if n.layer.open.Load() {
			return nil // asked already (or bootstrapping): the leader's entries are on their way
		}
		self := n.managerRow()
		self.Voter = false
		// Any member passes the call on to the leader.
		if err := n.askJoin(ctx, m.API, self); err != nil {
			continue
		}
		n.layer.open.Store(true)
		n.log.Info("taken into the cluster; catching up")
		return nil
	}
	for _, m := range alive {
		if m.State == stateMember {
			return schema.Errorf(schema.KindNoLeader, "cluster", "it has no leader that could take this manager in")
		}
	}
	if n.cfg.BootstrapExpect == 0 {
		return schema.Errorf(schema.KindUnavailable, "cluster", "no member of it was found").WithHint("check join, gossip_port and the gossip key")
	}
	return n.tryBootstrap(alive)
}

// outside is the state of a manager whose log says that the cluster goes on without it.
func (n *Node) outside(ctx context.Context) error {
	n.removed.Store(true)
	return schema.Errorf(schema.KindConflict, "manager "+n.id, "it was removed from the cluster").
		WithHint("to let it join again stop it, empty its data directory %s and start it", n.cfg.DataDir)
}

// checkCaughtUp compares what is applied here with what the leader has.
func (n *Node) checkCaughtUp(ctx context.Context, id, addr string) error {
	// Compared are states, not Raft's own count: that one runs ahead of what
	// the state machine has done, and a row must be there when we say ready.
	want := uint64(0)
	if id != n.id {
		ctx, cancel := context.WithTimeout(ctx, statusTimeout)
		defer cancel()
		st, err := callPeer(ctx, n.peers, addr, &api.Empty{}, api.PeerClient.NodeStatus)
		if err != nil {
			return err
		}
		// Until its barrier has passed, a leader may lack rows itself: after a
		// restart of all, nobody has any.
		if !st.Ready {
			return schema.Errorf(schema.KindUnavailable, "manager "+id, "it leads, but isn't ready yet")
		}
		want = st.AppliedIndex
	}
	if have := n.store.View().Index(); have < want {
		return schema.Errorf(schema.KindUnavailable, "manager "+n.id, "catching up: %d of %d log entries", have, want)
	}
	n.caughtUp.Store(true)
	return nil
}

// managerRow describes this manager.
func (n *Node) managerRow() *schema.Manager {
	m := n.meta(false)
	return &schema.Manager{Id: n.id, ApiAddress: m.API, HttpAddress: m.HTTP, RaftAddress: m.Raft, Version: m.Version, Feature: m.Feature, Voter: true}
}

func sameManager(a, b *schema.Manager) bool {
	return a.ApiAddress == b.ApiAddress && a.HttpAddress == b.HttpAddress && a.RaftAddress == b.RaftAddress &&
		a.Version == b.Version && a.Feature == b.Feature && a.Voter == b.Voter
}

func (n *Node) askJoin(ctx context.Context, addr string, m *schema.Manager) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	_, err := callPeer(ctx, n.peers, addr, &api.JoinRequest{Manager: m}, api.PeerClient.Join)
	return err
}

// Join implements rpc.ClusterControl. A manager that isn't a voter yet
// (m.Voter is false) begins with an empty log. If it is known, it was wiped and
// has forgotten its votes: it is removed first and taken in as a stranger.
// With m.Voter it becomes a voter, or its addresses are changed.
func (n *Node) Join(ctx context.Context, m *schema.Manager) error {
	if m == nil || !validID.MatchString(m.Id) || m.RaftAddress == "" || m.ApiAddress == "" {
		return schema.Errorf(schema.KindInvalid, "join", "the manager's id or addresses are missing")
	}
	n.joining.Lock()
	defer n.joining.Unlock()
	if _, err := n.Leading(); err != nil {
		return err
	}
	c, err := n.configuration()
	if err != nil {
		return err
	}
	for _, s := range c.Servers {
		if string(s.Address) == m.RaftAddress && string(s.ID) != m.Id {
			return schema.Errorf(schema.KindConflict, "manager "+m.Id, "its address %s is that of manager %s", m.RaftAddress, s.ID).
				WithHint("if %s is gone for good: pvmutl node remove %s", s.ID, s.ID)
		}
	}
	if level := fsm.Settings(n.store.View()).Feature; m.Feature < level {
		return schema.Errorf(schema.KindConflict, "manager "+m.Id, "it speaks feature level %d, level %d is in force", m.Feature, level).
			WithHint("install the cluster's version on it")
	}
	s, in := member(c, m.Id)
	id, addr := raft.ServerID(m.Id), raft.ServerAddress(m.RaftAddress)
	timeout := configChangeTimeout(ctx)
	switch {
	case m.Voter && !in:
		return schema.Errorf(schema.KindConflict, "manager "+m.Id, "it was removed from the cluster").
			WithHint("empty its data directory to let it join as a new one")
	case m.Voter && (s.Suffrage != raft.Voter || string(s.Address) != m.RaftAddress):
		err = n.raft.AddVoter(id, addr, 0, timeout).Error()
	case !m.Voter:
		if in && m.Id == n.id {
			return schema.Errorf(schema.KindInvalid, "join", "the leader can't join itself")
		}
		if in {
			n.log.Warn("a manager has come back without its data: it is taken in anew", "manager", m.Id)
			err = n.raft.RemoveServer(id, 0, timeout).Error()
		}
		if err == nil {
			err = n.raft.AddNonvoter(id, addr, 0, timeout).Error()
		}
	}
	if err != nil {
		return n.applyError(err)
	}
	_, err = n.store.Update(ctx, n.internal("join", 0), func(tx *fsm.Tx) error { return fsm.PutManager(tx, m) })
	return err
}

// configChangeTimeout is how long a change of membership may wait for Raft's
// main loop.
func configChangeTimeout(ctx context.Context) time.Duration {
	if d, ok := ctx.Deadline(); ok {
		return max(time.Until(d), time.Millisecond)
	}
	return applyTimeout
}

// leave asks the others to go on without this manager.
func (n *Node) leave(ctx context.Context) error {
	if n.raft.State() == raft.Leader {
		if _, err := n.Transfer(ctx, ""); err != nil {
			return err
		}
	}
	l := n.Leader()
	if l.ID == "" || l.ID == n.id {
		return n.errNotLeader()
	}
	_, err := callPeer(ctx, n.peers, l.Address, &api.NodeRequest{Id: n.id}, api.PeerClient.Leave)
	return err
}
