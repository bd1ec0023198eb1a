package node

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// redialTimeout bounds the question whether the leader's process is still
	// there. No answer means a hang or a cut: Raft's timers deal with these.
	redialTimeout = time.Second
	watchBackoff  = 200 * time.Millisecond
	// candidateStagger keeps followers that saw the leader's end at the same
	// moment from splitting the vote.
	candidateStagger = 60 * time.Millisecond
)

// watchLeader finds out at once that the leader's process has ended, instead of
// after Raft's timeouts. It holds a connection to the leader on which nothing
// is sent. When it closes, and a redial is refused because nobody listens
// there any more, this manager asks itself to campaign (Raft's TimeoutNow).
//
// It is safe, since an election is all that it starts: a leader that did live
// on would lose its office at worst. It is an addition to the timers.
func (n *Node) watchLeader(ctx context.Context) {
	for ctx.Err() == nil {
		changed := n.LeaderChanged()
		addr, id := n.raft.LeaderWithID()
		if id == "" || string(id) == n.id || !n.layer.open.Load() {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		if ended := n.holdWatch(ctx, string(addr), changed); ended && n.refused(ctx, string(addr)) {
			n.campaign(ctx, id, changed)
		}
		// The same leader still: don't dial in a tight loop.
		select {
		case <-time.After(watchBackoff):
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// Watchers is how many managers would notice the end of this process at once.
func (n *Node) Watchers() int { return int(n.layer.watchers.Load()) }

// holdWatch holds a connection until it ends by itself (true), or until there
// is no use for it any more. A dial that fails counts as an end, too.
func (n *Node) holdWatch(ctx context.Context, addr string, changed <-chan struct{}) bool {
	dctx, cancel := context.WithTimeout(ctx, redialTimeout)
	conn, err := n.layer.connect(dctx, addr, protoWatch)
	cancel()
	if err != nil {
		return ctx.Err() == nil
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, conn) // until the connection ends
	}()
	defer func() {
		conn.Close()
		<-ended
	}()
	select {
	case <-ended:
		return ctx.Err() == nil
	case <-changed:
	case <-ctx.Done():
	}
	return false
}

// refused tells whether nobody listens at the address: the process is gone.
func (n *Node) refused(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, redialTimeout)
	defer cancel()
	conn, err := n.layer.dial(ctx, "tcp", addr)
	if err == nil {
		conn.Close()
		return false
	}
	var op *net.OpError
	return errors.Is(err, syscall.ECONNREFUSED) && errors.As(err, &op)
}

// campaign starts an election, unless another follower's turn comes first and
// it wins: voters take turns by id.
func (n *Node) campaign(ctx context.Context, dead raft.ServerID, changed <-chan struct{}) {
	c, err := n.configuration()
	if err != nil {
		return
	}
	var voters []string
	for _, s := range c.Servers {
		if s.Suffrage == raft.Voter && s.ID != dead {
			voters = append(voters, string(s.ID))
		}
	}
	slices.SortFunc(voters, strings.Compare)
	turn := slices.Index(voters, n.id)
	if turn < 0 {
		return
	}
	if turn > 0 {
		select {
		case <-time.After(time.Duration(turn) * candidateStagger):
		case <-changed:
			return
		case <-ctx.Done():
			return
		}
	}
	if _, id := n.raft.LeaderWithID(); id != dead || n.raft.State() != raft.Follower {
		return
	}
	n.log.Info("the leader's process has ended: starting an election", "leader", dead)
	var resp raft.TimeoutNowResponse
	if err := n.transport.TimeoutNow(raft.ServerID(n.id), n.layer.addr, &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.id), Addr: []byte(n.layer.addr)}}, &resp); err != nil {
		n.log.Warn("election not started; the timers will", "err", err)
	}
}
