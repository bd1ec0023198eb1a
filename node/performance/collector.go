package performance

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"yagura/fsm/schema"
	"yagura/node/monitor"
)

const (
	// maxLooks bounds the looks in flight, maxWait each of them.
	maxLooks = 128
	maxWait  = 15 * time.Second
	// refresh is how often the share is looked at anew, tick how often at what is due.
	refresh = time.Second
	tick    = 50 * time.Millisecond
	// forget is how long the samples of a machine are kept that this manager
	// doesn't sample any more: another one does, whose own begin then.
	forget = 6 * time.Hour
)

// Options are what a Collector works with. All functions must be safe for
// concurrent use.
type Options struct {
	// Targets is this manager's share of the physical machines now.
	Targets func() []Target
	// Known is what the database says of a machine now: the row, nil when its
	// samples raise no events, and the thresholds in force.
	Known func(machine string) (*schema.Machine, []*schema.Threshold)
	// Deliver hands events to the leader. What failed is told again with the next sample.
	Deliver func(ctx context.Context, events []*schema.Event) error
	Sampler Sampler
	Log     *slog.Logger
}

// Collector samples this manager's share of the machines and keeps the newest samples.
//
// Run's goroutine alone decides when to look; one goroutine a look asks; the
// outbox's delivers. Any may take samples in.
type Collector struct {
	opt    Options
	outbox *monitor.Outbox

	// Run's own:
	share map[string]*watch
	pool  *monitor.Pool[result]

	mu       sync.Mutex // guards machines and all in it
	machines map[string]*record

	targets atomic.Int64
	samples atomic.Uint64
	bad     map[Reason]*atomic.Uint64
}

// watch is when a machine of the share is looked at.
type watch struct {
	Target
	due    time.Time
	busy   bool
	before *Counters
}

type result struct {
	target Target
	at     time.Time
	got    Reading
}

// record is what is kept of a machine.
type record struct {
	rings   map[string]*ring // by metric
	taken   time.Time        // when the newest reading came
	streaks map[streakKey]*streak
	problem string // what was no sample in the newest reading, empty: nothing
}

// New makes a collector.
func New(opt Options) *Collector {
	c := &Collector{
		opt: opt, outbox: monitor.NewOutbox(opt.Deliver, opt.Log), share: map[string]*watch{}, pool: monitor.NewPool[result](maxLooks),
		machines: map[string]*record{}, bad: map[Reason]*atomic.Uint64{},
	}
	for _, r := range Reasons() {
		c.bad[r] = new(atomic.Uint64)
	}
	return c
}

// Stats count what a Collector does.
type Stats struct {
	Targets  int // physical machines of the share
	Machines int // of which samples are kept
	Samples  uint64
	Bad      map[Reason]uint64 // answers that were no samples
}

// Stats tells what it does now.
func (c *Collector) Stats() Stats {
	s := Stats{Targets: int(c.targets.Load()), Samples: c.samples.Load(), Bad: map[Reason]uint64{}}
	for r, n := range c.bad {
		s.Bad[r] = n.Load()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Machines = len(c.machines)
	return s
}

// Run samples until ctx ends, and returns when all of its goroutines have ended.
func (c *Collector) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.outbox.Run(ctx) })
	defer c.pool.Wait()
	var looked time.Time
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-c.pool.Answers:
			c.take(r)
		case now := <-clock.C:
			if now.Sub(looked) >= refresh {
				looked = now
				c.look(now)
			}
			c.ask(ctx, now)
		}
	}
}

// look takes over the share as it is now. A machine that is new in it is first
// asked at a random time within its interval, but soon, since CPU takes two looks.
func (c *Collector) look(now time.Time) {
	targets := c.opt.Targets()
	seen := make(map[string]bool, len(targets))
	for _, t := range targets {
		seen[t.Machine] = true
		w := c.share[t.Machine]
		if w == nil || w.Target != t {
			w = &watch{due: now.Add(rand.N(min(t.Interval, refresh))), busy: w != nil && w.busy}
			c.share[t.Machine] = w
		}
		w.Target = t
	}
	for name := range c.share {
		if !seen[name] {
			delete(c.share, name)
		}
	}
	c.targets.Store(int64(len(c.share)))
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, r := range c.machines {
		if now.Sub(r.taken) > forget {
			delete(c.machines, name)
		}
	}
}

// ask looks at the machines that are due, as far as there is room.
func (c *Collector) ask(ctx context.Context, now time.Time) {
	for _, w := range c.share {
		if w.busy || now.Before(w.due) {
			continue
		}
		t, before := w.Target, w.before
		asked := c.pool.Go(ctx, maxWait, func(ctx context.Context) result {
			got := c.opt.Sampler.Sample(ctx, t, before)
			return result{t, time.Now(), got}
		})
		if !asked {
			return // the rest stays due
		}
		w.busy, w.due = true, monitor.Next(now, w.Interval)
	}
}

// take takes a look's reading in, unless the machine isn't this manager's any more.
func (c *Collector) take(r result) {
	w := c.share[r.target.Machine]
	if w == nil {
		return
	}
	w.busy = false
	if w.Target != r.target {
		return // the settings have changed meanwhile
	}
	w.before = r.got.Counters
	c.Put(r.target.Machine, r.at, r.target.Interval, r.got)
}

// Put takes the reading of a machine at a time in, and raises what is beyond the
// machine's thresholds. Readings of the same machine come in the order of time.
func (c *Collector) Put(machine string, at time.Time, interval time.Duration, got Reading) {
	for _, b := range got.Bad {
		c.bad[b.Reason].Add(1)
	}
	c.samples.Add(uint64(len(got.Values)))
	m, thresholds := c.opt.Known(machine) // before mu, which is the innermost lock
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.machines[machine]
	if r == nil {
		r = &record{rings: map[string]*ring{}, streaks: map[streakKey]*streak{}}
		c.machines[machine] = r
	}
	r.taken = at
	for metric, v := range got.Values {
		if r.rings[metric] == nil {
			r.rings[metric] = new(ring)
		}
		r.rings[metric].add(Sample{at, v.Percent})
	}
	c.complain(machine, r, got.Bad)
	c.judge(m, thresholds, at, r, got, interval)
}

// complain tells once of answers that are no samples, and when that is over.
func (c *Collector) complain(machine string, r *record, bad []Bad) {
	before := r.problem
	r.problem = ""
	for i, b := range bad {
		if i > 0 {
			r.problem += "; "
		}
		r.problem += string(b.Reason) + ": " + b.Text
	}
	switch {
	case r.problem != "" && before == "":
		c.opt.Log.Warn("a machine's answers are no samples", "machine", machine, "err", r.problem)
	case r.problem == "" && before != "":
		c.opt.Log.Info("a machine's answers are samples again", "machine", machine)
	}
}

// Samples are the samples of a machine from a time on, by metric, oldest first,
// and what was no sample in the newest reading.
func (c *Collector) Samples(machine string, from time.Time) (samples map[string][]Sample, problem string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.machines[machine]
	if r == nil {
		return nil, ""
	}
	out := map[string][]Sample{}
	for metric, ring := range r.rings {
		if s := ring.since(from); len(s) > 0 {
			out[metric] = s
		}
	}
	return out, r.problem
}
