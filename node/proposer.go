package node

import (
	"errors"

	"github.com/hashicorp/raft"

	"yagura/fsm"
	"yagura/fsm/schema"
)

var _ fsm.Proposer = (*Node)(nil)

// Leading implements fsm.Proposer: the term after this manager's barrier.
func (n *Node) Leading() (uint64, error) {
	term := n.term.Load()
	if term == 0 || n.raft.State() != raft.Leader {
		return 0, n.errNotLeader()
	}
	return term, nil
}

// Propose implements fsm.Proposer.
//
// Raft's queue of calls has no buffer here (BatchApplyCh is off: the store's
// group commit sends one entry at a time and makes the batches itself), so an
// entry is either refused at once or taken by the main loop, which answers each
// one that it took, at a shutdown, too.
func (n *Node) Propose(data []byte) (uint64, any, error) {
	f := n.raft.Apply(data, applyTimeout)
	if err := f.Error(); err != nil {
		return 0, nil, n.applyError(err)
	}
	return f.Index(), f.Response(), nil
}

// applyError tells entries that were certainly not appended from those that
// may have been.
func (n *Node) applyError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return n.errNotLeader()
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return schema.Errorf(schema.KindNoLeader, "cluster", "the leader is too busy or its disk too slow; nothing was written").WithHint("try again")
	case errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrAbortedByRestore), errors.Is(err, raft.ErrRaftShutdown):
	default:
		n.log.Error("log entry failed", "err", err) // the disk, for one; Raft steps down
	}
	return schema.Errorf(schema.KindOutcomeUnknown, "cluster", "leadership was lost while the write was being committed: %v", err).
		WithHint("ask again with the same request id")
}

// Confirm implements fsm.Proposer: a quorum still follows this manager.
func (n *Node) Confirm() error {
	if err := n.raft.VerifyLeader().Error(); err != nil {
		return n.errNotLeader()
	}
	return nil
}

func (n *Node) errNotLeader() error {
	l := n.Leader()
	e := schema.Errorf(schema.KindNoLeader, "manager "+n.id, "it doesn't lead; nothing was written")
	if l.ID == "" || l.ID == n.id {
		return e.WithHint("no leader is known: a majority of the managers must be up; try again")
	}
	return e.WithHint("the leader is %s at %s", l.ID, l.Address)
}
