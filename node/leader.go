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
	// housekeepingInterval is how often rows past their retention go. Under full
	// load thousands of rows a second become too many: waiting for a minute
	// filled the heap with them, and the collector took half of the processor.
	housekeepingInterval = 3 * time.Second
)

// duty is work that the leader does during its whole term. It ends with ctx,
// all of its goroutines with it.
type duty struct {
	name string
	run  func(ctx context.Context, term uint64) error
}

// leadLoop follows Raft's word on leadership: each term's work runs under one
// context, which ends with the term.
func (n *Node) leadLoop(ctx context.Context) {
	t := noTerm()
	defer func() {
		t.end(n)
		<-t.over
	}()
	for {
		select {
		case leads := <-n.raft.LeaderCh():
			// Only the latest value is kept by Raft: a second "true" means
			// that leadership was lost and won again in between.
			t.end(n)
			if leads {
				t = n.startTerm(ctx, t.over)
			}
		case <-ctx.Done():
			return
		}
	}
}

// term is a time of leadership of this process.
type term struct {
	ctx    context.Context
	cancel context.CancelFunc
	over   <-chan struct{} // closed when its duties, and those of the terms before, have ended
}

// noTerm is the term before the first.
func noTerm() term {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	over := make(chan struct{})
	close(over)
	return term{ctx, cancel, over}
}

func (n *Node) startTerm(ctx context.Context, before <-chan struct{}) term {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	t := term{ctx, cancel, over}
	go func() {
		defer close(over)
		n.lead(t, before)
		<-before
	}()
	return t
}

// end ends a term: writes in its name stop at once, its duties soon.
func (t term) end(n *Node) {
	n.mu.Lock()
	t.cancel()
	n.term.Store(0)
	n.ready.Store(false)
	n.mu.Unlock()
	n.notify()
}

// advance takes the next step of a term, unless the term has ended.
func (t term) advance(n *Node, step func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t.ctx.Err() != nil {
		return false
	}
	step()
	return true
}

// lead is one term: barrier, ready gate, and the duties when those of the term
// before have ended. Calls are served before that: a duty that ends slowly, at a
// system that hangs, mustn't keep them waiting.
func (n *Node) lead(t term, before <-chan struct{}) {
	ctx := t.ctx
	number, ok := n.barrier(ctx)
	if !ok || !t.advance(n, func() { n.term.Store(number) }) {
		return
	}
	log := n.log.With("term", number)
	for {
		err := n.readyGate(ctx, number)
		if err == nil {
			break
		}
		log.Warn("leading, but not ready", "err", err)
		if !pause(ctx, dutyPause) {
			return
		}
	}
	if !t.advance(n, func() { n.ready.Store(true) }) {
		return
	}
	n.notify()
	log.Info("leading")
	<-before
	duties := n.duties()
	done := make(chan struct{}, len(duties))
	for _, d := range duties {
		go func() {
			n.keepRunning(ctx, d, number)
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
