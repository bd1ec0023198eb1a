package node

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"yagura/fsm"
	"yagura/fsm/schema"
)

const (
	barrierTimeout = 5 * time.Second
	retryPause     = 50 * time.Millisecond
	// A duty that fails is started again after a pause that grows.
	dutyPause    = 200 * time.Millisecond
	maxDutyPause = 10 * time.Second
	// housekeepingInterval is how often rows past their retention go.
	housekeepingInterval = time.Minute
)

// duty is work that the leader does during its whole term. It ends with ctx,
// all of its goroutines with it.
type duty struct {
	name string
	run  func(ctx context.Context, term uint64) error
}

// leadLoop follows Raft's word on leadership: each term's duties run under one
// context, which ends with the term; those of the next term begin when these
// have ended.
func (n *Node) leadLoop(ctx context.Context) {
	stop := func() {}
	defer func() { stop() }()
	for {
		select {
		case leads := <-n.raft.LeaderCh():
			// Only the latest value is kept by Raft: a second "true" means
			// that leadership was lost and won again in between.
			stop()
			stop = func() {}
			if leads {
				stop = n.startTerm(ctx)
			}
		case <-ctx.Done():
			return
		}
	}
}

// startTerm begins a term and returns what ends it.
func (n *Node) startTerm(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.lead(ctx)
	}()
	return func() {
		n.term.Store(0)
		n.ready.Store(false)
		n.notify()
		cancel()
		<-done
		n.term.Store(0)
		n.ready.Store(false)
	}
}

// lead is one term: barrier, ready gate, duties.
func (n *Node) lead(ctx context.Context) {
	term, ok := n.barrier(ctx)
	if !ok {
		return
	}
	log := n.log.With("term", term)
	n.term.Store(term)
	for {
		err := n.readyGate(ctx, term)
		if err == nil {
			break
		}
		log.Warn("leading, but not ready", "err", err)
		if !pause(ctx, dutyPause) {
			return
		}
	}
	n.ready.Store(true)
	n.notify()
	log.Info("leading")
	duties := n.duties()
	done := make(chan struct{}, len(duties))
	for _, d := range duties {
		go func() {
			n.keepRunning(ctx, d, term)
			done <- struct{}{}
		}()
	}
	for range duties {
		<-done
	}
	log.Info("leading no more")
}

// barrier waits until everything of earlier terms is applied here, and gives
// the term that this holds for.
func (n *Node) barrier(ctx context.Context) (uint64, bool) {
	for {
		before := n.raft.CurrentTerm()
		err := n.raft.Barrier(barrierTimeout).Error()
		if err == nil && n.raft.CurrentTerm() == before && n.raft.State() == raft.Leader {
			return before, ctx.Err() == nil
		}
		if ctx.Err() != nil || n.raft.State() != raft.Leader {
			return 0, false // the leadership loop hears of it, too
		}
		n.log.Warn("barrier not passed yet", "err", err)
		if !pause(ctx, retryPause) {
			return 0, false
		}
	}
}

// readyGate makes a new cluster usable: settings, standard policies and rules,
// and the first administrator.
func (n *Node) readyGate(ctx context.Context, term uint64) error {
	if fsm.Settings(n.store.View()).Cluster != "" {
		return nil
	}
	return n.bootstrapRows(ctx, term)
}

// keepRunning runs a duty until ctx ends, again after each failure.
func (n *Node) keepRunning(ctx context.Context, d duty, term uint64) {
	wait := dutyPause
	for ctx.Err() == nil {
		begun := time.Now()
		err := d.run(ctx, term)
		if ctx.Err() != nil {
			return
		}
		if schema.KindOf(err) != schema.KindNoLeader {
			n.log.Error("leader's duty failed; it starts again", "duty", d.name, "term", term, "err", err)
		}
		if time.Since(begun) > maxDutyPause {
			wait = dutyPause
		}
		if !pause(ctx, wait) {
			return
		}
		wait = min(2*wait, maxDutyPause)
	}
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// internal is the reason trail of a housekeeping write of the leader.
func (n *Node) internal(op string, term uint64) fsm.Why {
	return fsm.Why{User: "system", Node: n.id, Op: op, Internal: true, Term: term}
}
