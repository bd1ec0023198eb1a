package node

import (
	"cmp"
	"context"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc"
	"yagura/rpc/api"
)

var _ rpc.ClusterControl = (*Node)(nil)

const (
	transferTimeout = 5 * time.Second
	restoreTimeout  = 2 * time.Minute
	// maxApplyLag is how many committed entries may wait to be applied on a
	// manager that calls itself ready.
	maxApplyLag = 4096
)

// NodeID implements rpc.ClusterControl.
func (n *Node) NodeID() string { return n.id }

// Leader implements rpc.ClusterControl.
func (n *Node) Leader() rpc.Leader {
	_, id := n.raft.LeaderWithID()
	if id == "" {
		return rpc.Leader{}
	}
	if string(id) == n.id {
		return rpc.Leader{ID: n.id, Address: n.apiAddress(), Self: n.ready.Load() && n.raft.State() == raft.Leader}
	}
	l := rpc.Leader{ID: string(id)}
	if m, ok := fsm.Managers.Get(n.store.View(), l.ID); ok {
		l.Address = m.ApiAddress
	} else if m, ok := n.gossip.find(l.ID); ok {
		l.Address = m.API
	}
	return l
}

// LeaderChanged implements rpc.ClusterControl.
func (n *Node) LeaderChanged() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

// ReadIndex implements rpc.ClusterControl. The state of a leader holds every
// write that was acknowledged before the call: its own were applied here before
// the answer went out, those of earlier terms before the barrier passed. So it
// is enough to prove, after the call came, that no other manager leads. Raft's
// own applied index is of no use here: it counts what was handed to the state
// machine, not what that has done.
func (n *Node) ReadIndex(context.Context) (uint64, error) {
	term, err := n.Leading()
	if err != nil {
		return 0, err
	}
	if err := n.Confirm(); err != nil {
		return 0, err
	}
	if now, err := n.Leading(); err != nil || now != term {
		return 0, n.errNotLeader()
	}
	return n.store.View().Index(), nil
}

// LastContact implements rpc.ClusterControl.
func (n *Node) LastContact() time.Duration {
	if n.raft.State() == raft.Leader {
		return 0
	}
	last := n.raft.LastContact()
	if last.IsZero() {
		return -1
	}
	return time.Since(last)
}

// Ready implements rpc.ClusterControl.
func (n *Node) Ready() (bool, string) {
	l := n.Leader()
	switch {
	case n.removed.Load():
		return false, "this manager was removed from the cluster"
	case n.why.Load() != nil:
		return false, *n.why.Load()
	case l.ID == "":
		return false, "no leader is known"
	case l.Address == "":
		return false, "the leader's address isn't known yet"
	case l.ID == n.id && !l.Self:
		return false, "this manager leads, but hasn't passed its barrier yet"
	case !n.caughtUp.Load():
		return false, "catching up with the leader"
	case n.stores.logFailure() != "":
		return false, "its log takes no entries: " + n.stores.logFailure()
	}
	if lag := int64(n.raft.CommitIndex()) - int64(n.raft.AppliedIndex()); lag > maxApplyLag {
		return false, "too many entries wait to be applied"
	}
	return true, ""
}

// Status implements rpc.ClusterControl.
func (n *Node) Status(context.Context) (*api.StatusReply, error) {
	l := n.Leader()
	ok, why := n.Ready()
	r := &api.StatusReply{Node: n.id, Leader: l.ID, LeaderAddress: l.Address, Ready: ok, Reason: why,
		AppliedIndex: n.store.View().Index(), Term: n.raft.CurrentTerm()}
	if n.traps != nil {
		r.TrapsReceived, r.TrapsDropped = n.traps.Received(), n.traps.Dropped()
	}
	return r, nil
}

// Self implements rpc.ClusterControl.
func (n *Node) Self() *api.Node {
	v := n.store.View()
	m := n.managerRow()
	r := &api.Node{
		Id: n.id, Address: m.ApiAddress, HttpAddress: m.HttpAddress, RaftAddress: m.RaftAddress, Version: m.Version, Feature: m.Feature,
		AppliedIndex: v.Index(), Alive: true, Digest: v.Digest().String(),
	}
	c, err := n.configuration()
	if err == nil {
		s, in := member(c, n.id)
		r.Role = n.role(s, in)
	}
	r.Ready, _ = n.Ready()
	if d := n.LastContact(); d >= 0 {
		r.LastContact = timestamppb.New(time.Now().Add(-d))
	}
	return r
}

// role names a manager's part in the cluster.
func (n *Node) role(s raft.Server, in bool) string {
	_, leader := n.raft.LeaderWithID()
	switch {
	case in && s.ID == leader:
		return "leader"
	case in && s.Suffrage == raft.Voter:
		return "voter"
	}
	return "nonvoter"
}

// Nodes implements rpc.ClusterControl.
func (n *Node) Nodes(ctx context.Context) ([]*api.Node, error) {
	c, err := n.configuration()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	alive := n.gossip.alive()
	out := make([]*api.Node, len(c.Servers))
	var wg sync.WaitGroup
	for i, s := range c.Servers {
		if string(s.ID) == n.id {
			out[i] = n.Self()
			out[i].Role = n.role(s, true)
			continue
		}
		r := &api.Node{Id: string(s.ID), RaftAddress: string(s.Address)}
		if m, ok := fsm.Managers.Get(n.store.View(), r.Id); ok {
			r.Address, r.HttpAddress, r.Version, r.Feature = m.ApiAddress, m.HttpAddress, m.Version, m.Feature
		}
		k := indexOfMeta(alive, r.Id)
		if k >= 0 && r.Address == "" {
			r.Address, r.HttpAddress, r.Version, r.Feature = alive[k].API, alive[k].HTTP, alive[k].Version, alive[k].Feature
		}
		out[i] = r
		if r.Address != "" {
			wg.Go(func() {
				if st, err := callPeer(ctx, n.peers, r.Address, &api.Empty{}, api.PeerClient.NodeStatus); err == nil && st.Id == r.Id {
					out[i] = st
				}
			})
		}
	}
	wg.Wait()
	for i, s := range c.Servers {
		out[i].Role = n.role(s, true)
		out[i].Alive = string(s.ID) == n.id || indexOfMeta(alive, string(s.ID)) >= 0
	}
	slices.SortFunc(out, func(a, b *api.Node) int { return cmp.Compare(a.Id, b.Id) })
	return out, nil
}

// CanRemove implements rpc.ClusterControl.
func (n *Node) CanRemove(id string) error {
	if _, err := n.Leading(); err != nil {
		return err
	}
	c, err := n.configuration()
	if err != nil {
		return err
	}
	if _, in := member(c, id); !in {
		return errNoManager(id)
	}
	if len(c.Servers) == 1 {
		return schema.Errorf(schema.KindConflict, "manager "+id, "it is the only one")
	}
	if id == n.id {
		return schema.Errorf(schema.KindConflict, "manager "+id, "it leads").WithHint("transfer leadership first: pvmutl node transfer")
	}
	return nil
}

func errNoManager(id string) error {
	return schema.Errorf(schema.KindNotFound, "manager "+id, "there is no such manager").WithHint("see pvmutl node list")
}

// Remove implements rpc.ClusterControl.
func (n *Node) Remove(ctx context.Context, id string) error {
	n.joining.Lock()
	defer n.joining.Unlock()
	if err := n.CanRemove(id); err != nil {
		return err
	}
	if err := n.raft.RemoveServer(raft.ServerID(id), 0, configChangeTimeout(ctx)).Error(); err != nil {
		return n.applyError(err)
	}
	_, err := n.store.Update(ctx, n.internal("remove manager", 0), func(tx *fsm.Tx) error {
		if err := fsm.RemoveManager(tx, id); schema.KindOf(err) != schema.KindNotFound {
			return err
		}
		return nil // it never got as far as to tell its addresses
	})
	return err
}

// Leave implements rpc.ClusterControl.
func (n *Node) Leave(ctx context.Context, id string) error {
	err := n.Remove(ctx, id)
	if schema.KindOf(err) == schema.KindNotFound {
		return nil
	}
	return err
}

// CanTransfer implements rpc.ClusterControl.
func (n *Node) CanTransfer(id string) error {
	_, err := n.successor(id)
	return err
}

// successor is the server that leadership can be handed to, the zero value
// when id is empty and Raft chooses.
func (n *Node) successor(id string) (raft.Server, error) {
	if n.raft.State() != raft.Leader {
		return raft.Server{}, n.errNotLeader()
	}
	if id == "" {
		return raft.Server{}, nil
	}
	c, err := n.configuration()
	if err != nil {
		return raft.Server{}, err
	}
	s, in := member(c, id)
	switch {
	case !in:
		return s, errNoManager(id)
	case s.Suffrage != raft.Voter:
		return s, schema.Errorf(schema.KindConflict, "manager "+id, "it is no voter yet; it can't lead")
	}
	return s, nil
}

// Transfer implements rpc.ClusterControl.
func (n *Node) Transfer(ctx context.Context, id string) (string, error) {
	to, err := n.successor(id)
	if err != nil {
		return "", err
	}
	var f raft.Future
	switch id {
	case "":
		f = n.raft.LeadershipTransfer()
	case n.id:
		return id, nil
	default:
		f = n.raft.LeadershipTransferToServer(to.ID, to.Address)
	}
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	if err := waitFuture(ctx, f); err != nil {
		return "", schema.Errorf(schema.KindUnavailable, "leadership transfer", "%v; this manager still leads", err).WithHint("see whether the other manager is alive and has caught up")
	}
	for {
		changed := n.LeaderChanged()
		if l := n.Leader(); l.ID != "" && l.ID != n.id {
			return l.ID, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", schema.Errorf(schema.KindTimeout, "leadership transfer", "the new leader isn't known yet").WithHint("see pvmutl node list")
		}
	}
}

// waitFuture waits for a future of Raft that Raft answers within its own
// timeouts; the goroutine ends with that answer.
func waitFuture(ctx context.Context, f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SaveSnapshot implements rpc.ClusterControl.
func (n *Node) SaveSnapshot(_ context.Context, w io.Writer) error {
	return n.store.View().WriteSnapshot(w)
}

// RestoreSnapshot implements rpc.ClusterControl. The file is copied and checked
// whole before Raft sees it.
func (n *Node) RestoreSnapshot(ctx context.Context, why fsm.Why, r io.Reader) error {
	if _, err := n.Leading(); err != nil {
		return err
	}
	f, err := os.CreateTemp(n.cfg.DataDir, "restore-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	size, err := io.Copy(f, r)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	info, err := fsm.InspectSnapshot(f, nil)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return schema.Errorf(schema.KindTimeout, "restore", "%v; nothing was changed", err)
	}
	n.log.Warn("restoring a snapshot over the state of the cluster", "bytes", size)
	managers := slices.Collect(fsm.Managers.All(n.store.View()))
	// The state keeps the index of the backup; Raft goes on above both.
	if err := n.raft.Restore(&raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Index: info.Header.Index, Size: size}, f, restoreTimeout); err != nil {
		return n.applyError(err)
	}
	// The backup's managers may be long gone. This write also takes the state's
	// index above all that readers have seen, and is what the audit trail tells
	// of the restore.
	_, err = n.store.Update(ctx, why, func(tx *fsm.Tx) error {
		tx.Note("cluster")
		for m := range fsm.Managers.All(tx) {
			if err := fsm.Managers.Delete(tx, m.Id); err != nil {
				return err
			}
		}
		for _, m := range managers {
			if err := fsm.Managers.Put(tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}
