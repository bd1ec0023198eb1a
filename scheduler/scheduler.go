// Package scheduler is the leader's part of Yagura that acts: it runs jobs
// through their action sequences, turns events into jobs by policy, and
// follows the subsystems. All that it knows is rows; a scheduler that starts
// in a new term takes up exactly what the rows say. See DESIGN.md.
package scheduler

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// Drivers opens the way to other systems by the names of rows.
type Drivers = sequence.Drivers

// Config is what a scheduler works with.
type Config struct {
	Store   *fsm.Store
	Drivers Drivers
	// Notifiers sends what waits in the outbox; nil: it goes on waiting.
	Notifiers Notifiers
	Node      string       // this manager's id
	Log       *slog.Logger // nil: slog.Default
	Clock     Clock        // nil: the machine's
	// MaxJobs is how many jobs run side by side; 0 means 64.
	MaxJobs int
	// Meter takes the measured loads; whoever else plans may read it. nil: one of its own.
	Meter *planning.Meter
	// Loads is given each reading of a subsystem's loads; it must be quick. nil: nobody else wants them.
	Loads func(subsystem string, l *drivers.Loads)
	// Counts is told what becomes of events; nil: nobody is.
	Counts *policy.Counts
	// NoFollow leaves the subsystems alone between jobs, and their loads. For tests that count calls.
	NoFollow bool
}

// Scheduler runs jobs while its manager leads.
type Scheduler struct {
	cfg Config
}

const defaultMaxJobs = 64

// New makes a scheduler. It does nothing before Run.
func New(cfg Config) *Scheduler {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Clock == nil {
		cfg.Clock = realClock{}
	}
	if cfg.Meter == nil {
		cfg.Meter = new(planning.Meter)
	}
	if cfg.MaxJobs <= 0 {
		cfg.MaxJobs = defaultMaxJobs
	}
	return &Scheduler{cfg: cfg}
}

// Run does the leader's work in one term. It returns nil once ctx has ended
// and all of its goroutines with it.
func (s *Scheduler) Run(ctx context.Context, term uint64) error {
	t := &leadership{
		Config: s.cfg, number: term, gate: newGate(), conductors: map[string]*conductor{},
		poke: make(chan struct{}, 1), log: s.cfg.Log.With("term", term),
	}
	var wg sync.WaitGroup
	wg.Go(func() { t.dispatch(ctx) })
	wg.Go(func() { t.intake(ctx) })
	if s.cfg.Notifiers != nil {
		wg.Go(func() { t.notify(ctx) })
	}
	if !s.cfg.NoFollow {
		wg.Go(func() { t.followAll(ctx) })
		wg.Go(func() { t.measure(ctx) })
	}
	wg.Wait()
	return nil
}

// leadership is the work of one term.
type leadership struct {
	Config
	number uint64
	log    *slog.Logger
	gate   *gate
	poke   chan struct{} // wakes dispatch: a conductor has ended

	mu         sync.Mutex // guards conductors
	conductors map[string]*conductor
}

// update runs a verb in the name of the scheduler, in this term only.
func (t *leadership) update(ctx context.Context, op string, verb func(*fsm.Tx) error) error {
	_, err := t.Store.Update(ctx, fsm.Why{User: "scheduler", Node: t.Node, Op: op, Internal: true, Term: t.number}, verb)
	return err
}

// wait waits until d has passed; false when ctx or stop ends first.
func (t *leadership) wait(ctx context.Context, stop <-chan struct{}, d time.Duration) bool {
	ch, end := t.Clock.After(d)
	defer end()
	select {
	case <-ch:
		return true
	case <-stop:
	case <-ctx.Done():
	}
	return false
}

// lost tells whether a write failed because this manager doesn't lead any more.
func lost(err error) bool {
	k := schema.KindOf(err)
	return k == schema.KindNoLeader || k == schema.KindOutcomeUnknown || k == schema.KindTimeout
}
