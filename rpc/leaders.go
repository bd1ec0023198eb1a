package rpc

import (
	"context"
	"sync/atomic"
	"time"

	"yagura/fsm/schema"
)

// reign is the time during which Cluster.Leader gave one answer. ctx ends with
// it, and so do calls that were forwarded to that leader: one that hangs is
// left as soon as the cluster has another.
type reign struct {
	Leader
	ctx context.Context
}

// leaders follows who leads. Calls read it without a lock.
type leaders struct {
	cluster ClusterControl
	now     atomic.Pointer[reign]
	end     context.CancelFunc // of the current reign; run's own
}

func newLeaders(c ClusterControl) *leaders {
	l := &leaders{cluster: c}
	l.follow(c.Leader())
	return l
}

func (l *leaders) follow(leader Leader) {
	ctx, cancel := context.WithCancel(context.Background())
	old := l.end
	l.end = cancel
	l.now.Store(&reign{Leader: leader, ctx: ctx})
	if old != nil {
		old()
	}
}

// run follows the leader until ctx ends.
func (l *leaders) run(ctx context.Context) {
	defer func() { l.end() }()
	for {
		changed := l.cluster.LeaderChanged()
		if leader := l.cluster.Leader(); leader != l.now.Load().Leader {
			l.follow(leader)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// current is the reign now. A manager that has lost leadership knows it here a
// moment later; writes and linear reads are proven by the log, not by this.
func (l *leaders) current() *reign { return l.now.Load() }

// elsewhere tells whether the leader is known to be another manager.
func (s *Server) elsewhere(r *reign) bool { return r.ID != "" && r.ID != s.node }

// leads tells whether this manager leads.
func (s *Server) leads() bool { return s.leaders.current().Self }

// patience is a call's bounded wait for a leader.
type patience struct {
	deadline time.Time
	pause    time.Duration
}

// newPatience ends a little before the caller's deadline: who waits for a leader
// in vain is to hear that, and not to wonder whether something was written.
func (s *Server) newPatience(ctx context.Context) patience {
	now := time.Now()
	p := patience{deadline: now.Add(s.cfg.LeaderWait), pause: 5 * time.Millisecond}
	if at, ok := ctx.Deadline(); ok {
		left := at.Sub(now)
		if last := at.Add(-min(left/4, answerTime)); last.Before(p.deadline) {
			p.deadline = last
		}
	}
	return p
}

// answerTime is left of a caller's time for the answer to travel back.
const answerTime = 500 * time.Millisecond

// wait waits until r is over or, after a failed call to its leader, for a
// moment. It is false when the patience or ctx is at its end.
func (p *patience) wait(ctx context.Context, r *reign, failed bool) bool {
	left := time.Until(p.deadline)
	if left <= 0 {
		return false
	}
	if failed {
		left = min(left, p.pause)
		p.pause = min(2*p.pause, 100*time.Millisecond)
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-r.ctx.Done():
		return true
	case <-timer.C:
		return failed
	case <-ctx.Done():
		return false
	}
}

// noLeader is the error of a call that found no leader in time.
func noLeader(c *call) error {
	what := "nothing was written"
	if c.isRead() {
		what = "only reads with consistency stale work now"
	}
	return schema.Errorf(schema.KindNoLeader, "cluster", "it has no leader, so no quorum is at work: %s", what).
		WithHint("start managers until more than half of them run, or wait for the election")
}
