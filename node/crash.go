package node

import (
	"context"
	"errors"
	"io"
	"slices"
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
	// electionPatience is how long a candidacy may take on a slow disk before
	// another is begun.
	electionPatience = 300 * time.Millisecond
	candidacies      = 5
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
		w := leaderWatch{n: n, id: id, addr: string(addr)}
		if w.hold(ctx) && w.refused(ctx) {
			w.campaign(ctx)
		}
		// The same leader still: don't dial in a tight loop.
		w.wait(ctx, watchBackoff)
	}
}

// leaderWatch watches one leader's process. It goes on while no leader is
// known: that may be the first sign of the process's end.
type leaderWatch struct {
	n    *Node
	id   raft.ServerID
	addr string
}

// superseded tells whether another manager leads now.
func (w *leaderWatch) superseded() bool {
	_, id := w.n.raft.LeaderWithID()
	return id != "" && id != w.id
}

// wait waits; false when another leads, or ctx ends, before the time is over.
func (w *leaderWatch) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		changed := w.n.LeaderChanged()
		if w.superseded() {
			return false
		}
		select {
		case <-t.C:
			return true
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// Watchers is how many managers would notice the end of this process at once.
func (n *Node) Watchers() int { return int(n.layer.watchers.Load()) }

// hold holds a connection until it ends by itself (true), or until there is no
// use for it any more. A dial that fails counts as an end, too.
func (w *leaderWatch) hold(ctx context.Context) bool {
	dctx, cancel := context.WithTimeout(ctx, redialTimeout)
	conn, err := w.n.layer.connect(dctx, w.addr, protoWatch)
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
	for {
		changed := w.n.LeaderChanged()
		if w.superseded() {
			return false
		}
		select {
		case <-ended:
			return ctx.Err() == nil
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// refused tells whether nobody listens at the address: the process is gone.
func (w *leaderWatch) refused(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, redialTimeout)
	defer cancel()
	conn, err := w.n.layer.dial(ctx, "tcp", w.addr)
	if err == nil {
		conn.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// campaign starts an election, unless another follower's turn comes first and
// it wins: voters take turns by id, those last that are still catching up, since
// a leader can do nothing until it has applied all. Who was asked for a vote a moment ago gives
// that candidacy time: a second one in between would spoil the first. When
// nobody has won in candidacies tries, the timers go on.
func (w *leaderWatch) campaign(ctx context.Context) {
	n := w.n
	turn := turn(w.voters(), n.id, n.caughtUp.Load())
	if turn < 0 {
		return
	}
	stagger := time.Duration(turn) * candidateStagger
	if !w.wait(ctx, stagger) {
		return
	}
	for range candidacies {
		asked := time.Since(time.Unix(0, n.transport.voteAsked.Load())) < electionPatience
		if !asked && n.raft.State() == raft.Follower {
			n.log.Info("the leader's process has ended: starting an election", "leader", w.id)
			if err := n.transport.campaign(ctx); err != nil {
				n.log.Warn("election not started; the timers will", "err", err)
				return
			}
		}
		if !w.wait(ctx, electionPatience+stagger) {
			return
		}
	}
}

// voters are the ids of the voters that are left; none while they can't be known.
func (w *leaderWatch) voters() []string {
	c, err := w.n.configuration()
	if err != nil {
		return nil
	}
	var voters []string
	for _, s := range c.Servers {
		if s.Suffrage == raft.Voter && s.ID != w.id {
			voters = append(voters, string(s.ID))
		}
	}
	return voters
}

// turn is a manager's place among the voters, from 0; -1 for none. One that is
// catching up comes after all that aren't, whichever these are.
func turn(voters []string, id string, caughtUp bool) int {
	place := slices.Index(slices.Sorted(slices.Values(voters)), id)
	if place >= 0 && !caughtUp {
		place += len(voters)
	}
	return place
}
