package scheduler

import (
	"context"
	"slices"
	"sync"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// Limits of operations in flight where the subsystem's row has none.
const (
	defaultOperations          = 8
	defaultOperationsPerServer = 2
)

// gate bounds the operations in flight: for each subsystem, and for each VM
// server. Whoever waits is let through by the priority of its job, then in the
// order of arrival, unless what it needs is used up while a later one needs
// something else.
//
// It is derived from the steps that the conductors have in flight; a new
// leader's conductors fill it again, over the limit if need be.
type gate struct {
	mu      sync.Mutex // guards all below
	inUse   map[string]int
	waiting []*ticket // first come, first served
}

// ticket is one operation's place before the gate.
type ticket struct {
	pass     pass
	priority int32
	ready    chan struct{} // closed once it is let through
	let      bool          // guarded by gate.mu
}

// pass is what one operation counts against, with the limits.
type pass struct {
	keys   [2]string // subsystem, VM server; empty: counts against nothing
	limits [2]int
}

func newGate() *gate { return &gate{inUse: map[string]int{}} }

// passOf is the pass that a step needs. Steps that only read need none.
func passOf(r fsm.Reader, st *schema.Step) pass {
	var p pass
	def, err := sequence.StepOf(st)
	if err != nil || def.Act == nil || def.ReadOnly {
		return p
	}
	subsystem, server := sequence.Keys(st)
	row, ok := fsm.Subsystems.Get(r, subsystem)
	if !ok {
		return p
	}
	p.keys[0], p.limits[0] = "subsystem/"+subsystem, orDefault(row.MaxOperations, defaultOperations)
	if server != "" {
		p.keys[1], p.limits[1] = "server/"+server, orDefault(row.MaxOperationsPerServer, defaultOperationsPerServer)
	}
	return p
}

func orDefault(n int32, byDefault int) int {
	if n > 0 {
		return int(n)
	}
	return byDefault
}

func (p pass) free() bool { return p.keys == [2]string{} }

// fits tells whether p can go through now. The caller holds mu.
func (g *gate) fits(p pass) bool {
	for i, k := range p.keys {
		if k != "" && g.inUse[k] >= p.limits[i] {
			return false
		}
	}
	return true
}

func (g *gate) take(p pass, n int) {
	for _, k := range p.keys {
		if k != "" {
			if g.inUse[k] += n; g.inUse[k] == 0 {
				delete(g.inUse, k)
			}
		}
	}
}

// try goes through the gate if that is possible without waiting.
func (g *gate) try(p pass) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.fits(p) {
		return false
	}
	g.take(p, 1)
	return true
}

// force goes through the gate whatever the limits: the operation is in flight already.
func (g *gate) force(p pass) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.take(p, 1)
}

// enter takes a place before the gate, or goes through at once.
func (g *gate) enter(p pass, priority int32) *ticket {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := &ticket{pass: p, priority: priority, ready: make(chan struct{})}
	at := len(g.waiting)
	for at > 0 && g.waiting[at-1].priority < priority {
		at--
	}
	g.waiting = slices.Insert(g.waiting, at, w)
	g.admit()
	return w
}

// wait waits until the ticket is let through; false when ctx or stop ends
// first, and the place is given up.
func (g *gate) wait(ctx context.Context, stop <-chan struct{}, w *ticket) bool {
	select {
	case <-w.ready:
		return true
	case <-ctx.Done():
	case <-stop:
	}
	g.giveUp(w)
	return false
}

// giveUp takes a ticket back, wherever it is.
func (g *gate) giveUp(w *ticket) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.let {
		g.take(w.pass, -1)
		g.admit()
		return
	}
	g.waiting = slices.DeleteFunc(g.waiting, func(x *ticket) bool { return x == w })
}

// leave ends an operation.
func (g *gate) leave(p pass) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.take(p, -1)
	g.admit()
}

// admit lets through who can go now. The caller holds mu.
func (g *gate) admit() {
	rest := g.waiting[:0]
	for _, w := range g.waiting {
		if g.fits(w.pass) {
			g.take(w.pass, 1)
			w.let = true
			close(w.ready)
			continue
		}
		rest = append(rest, w)
	}
	g.waiting = rest
}
