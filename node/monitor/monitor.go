package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
)

const (
	// maxProbes bounds the polls in flight, maxWait each of them.
	maxProbes = 512
	maxWait   = 2 * time.Second
	// asleep is how much longer a poll may take before it says more of this
	// process than of the machine.
	asleep = time.Second
	// refresh is how often the share is looked at anew.
	refresh = time.Second
	// maxTick and minTick bound the pause between two looks at what is due.
	maxTick = 50 * time.Millisecond
	minTick = 5 * time.Millisecond
	// witnesses is how many others are polled at once when a machine has missed
	// a poll, since nothing tells yet whether that is the machine or this manager.
	witnesses = 3
)

// Options are what a Monitor works with. All functions must be safe for
// concurrent use.
type Options struct {
	// Targets is this manager's share now.
	Targets func() []Target
	// Known is what the database says of a machine now: whether it is to be
	// polled at all, and whether it is known not to answer.
	Known func(machine string) (polled, down bool)
	// InTouch tells whether this manager is in touch with its cluster. What it
	// sees while it isn't says nothing.
	InTouch func() bool
	// Deliver hands events to the leader. Those of a batch that failed are
	// dropped: the next poll sees them again.
	Deliver func(ctx context.Context, events []*schema.Event) error
	// Blind is told when none of the machines of the share answers, so that
	// others poll them, and when that is over.
	Blind func(bool)
	Probe Prober
	Log   *slog.Logger
}

// Stats count what a Monitor does.
type Stats struct {
	Targets, Silent int  // machines of the share, and how many of them missed their polls
	Blind           bool // none of several answers: it is us
	Polls, Unable   uint64
}

// Monitor polls this manager's share of the machines.
//
// Run's goroutine alone decides when to poll and what answers mean; one
// goroutine a poll asks; the outbox's delivers.
type Monitor struct {
	opt Options

	// Run's own:
	polls   map[string]*poll
	waiting map[string]*poll // those of them whose last miss isn't counted yet
	said    string           // why polls can't be made, as logged
	refresh time.Duration

	pool   *Pool[result]
	outbox *Outbox

	targets, silent atomic.Int64
	blind           atomic.Bool
	asked, unable   atomic.Uint64
}

// poll is what is known of a machine of the share.
type poll struct {
	Target
	due     time.Time
	busy    bool
	misses  int       // polls in a row that weren't answered
	counted int       // those of them that are the machine's own fault
	missed  time.Time // when the last of them had been sent
	why     error     // of it
	down    bool      // known in the database
}

type result struct {
	target Target
	sent   time.Time
	err    error
}

// New makes a monitor.
func New(opt Options) *Monitor {
	return &Monitor{
		opt: opt, polls: map[string]*poll{}, waiting: map[string]*poll{}, refresh: refresh,
		pool: NewPool[result](maxProbes), outbox: NewOutbox(opt.Deliver, opt.Log),
	}
}

// Stats tells what it does now.
func (m *Monitor) Stats() Stats {
	return Stats{
		Targets: int(m.targets.Load()), Silent: int(m.silent.Load()), Blind: m.blind.Load(), Polls: m.asked.Load(), Unable: m.unable.Load(),
	}
}

// Run polls until ctx ends, and returns when all of its goroutines have ended.
func (m *Monitor) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { m.outbox.Run(ctx) })
	defer m.pool.Wait()
	var looked time.Time
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-m.pool.Answers:
			m.take(r)
			continue
		case <-tick.C:
		}
		now := time.Now()
		if now.Sub(looked) >= m.refresh {
			looked = now
			m.look(now)
		}
		m.ask(ctx, now)
		tick.Reset(m.pause())
	}
}

// pause is how long until the next look at what is due: a fraction of the
// shortest interval.
func (m *Monitor) pause() time.Duration {
	d := maxTick
	for _, p := range m.polls {
		d = min(d, p.Interval/4)
	}
	return max(d, minTick)
}

// look takes over the share as it is now. A machine that is new in it is first
// polled at a random time within its interval.
func (m *Monitor) look(now time.Time) {
	share := m.opt.Targets()
	seen := make(map[string]bool, len(share))
	for _, t := range share {
		seen[t.Machine] = true
		p := m.polls[t.Machine]
		if p == nil || p.Address != t.Address || p.Kind != t.Kind || p.Port != t.Port || p.Community != t.Community {
			delete(m.waiting, t.Machine)
			p = &poll{due: now.Add(rand.N(t.Interval)), busy: p != nil && p.busy}
			m.polls[t.Machine] = p
		}
		p.Target = t
		_, p.down = m.opt.Known(t.Machine)
	}
	for name := range m.polls {
		if !seen[name] {
			delete(m.polls, name)
			delete(m.waiting, name)
		}
	}
	m.judge()
}

// ask sends the polls that are due, as far as there is room.
func (m *Monitor) ask(ctx context.Context, now time.Time) {
	for _, p := range m.polls {
		if p.busy || now.Before(p.due) {
			continue
		}
		t := p.Target
		if !m.pool.Go(ctx, min(t.Interval, maxWait), func(ctx context.Context) result { return result{t, now, m.opt.Probe.Probe(ctx, t)} }) {
			return // the rest stays due
		}
		p.busy, p.due = true, Next(now, p.Interval)
		m.asked.Add(1)
	}
}

// take learns from the result of a poll.
func (m *Monitor) take(r result) {
	p := m.polls[r.target.Machine]
	if p == nil {
		return
	}
	p.busy = false
	if p.Target != r.target {
		return // the settings have changed meanwhile
	}
	var own *Unable
	if errors.As(r.err, &own) {
		m.unable.Add(1)
		if text := own.Error(); text != m.said {
			m.said = text
			m.opt.Log.Error("machines can't be polled", "kind", p.Kind, "err", own)
		}
		return
	}
	polled, down := m.opt.Known(p.Machine)
	p.down = down
	delete(m.waiting, p.Machine)
	if !polled || !m.opt.InTouch() {
		p.misses, p.counted = 0, 0
		return
	}
	if r.err == nil {
		p.misses, p.counted = 0, 0
		if down {
			m.tell(p, fsm.EventReachable, fmt.Sprintf("%s answers again (%s)", p.Address, p.Kind))
		}
		for _, w := range m.waiting {
			if !r.sent.Before(w.missed) {
				m.count(w)
			}
		}
		return
	}
	if time.Since(r.sent) > maxWait+asleep {
		return // this process was stopped: the answer may have come and gone
	}
	p.misses++
	p.missed, p.why = r.sent, r.err
	if down {
		return
	}
	m.waiting[p.Machine] = p
	if !m.callWitnesses(p) {
		m.count(p)
	}
}

// count counts a miss, once it is known to be the machine's own: another one has
// answered a poll that was sent after the one that was missed, or there is no
// other. A manager whose own network is broken hears nobody, and counts of all
// misses meanwhile the last one at most.
func (m *Monitor) count(p *poll) {
	delete(m.waiting, p.Machine)
	if p.counted++; p.counted >= p.Misses {
		m.tell(p, fsm.EventUnreachable, fmt.Sprintf("%s: no answer to %d polls (%s): %v", p.Address, p.counted, p.Kind, p.why))
	}
}

// callWitnesses polls some of the other machines that should answer at once,
// and tells whether there are any.
func (m *Monitor) callWitnesses(p *poll) bool {
	n, now := 0, time.Now()
	for _, o := range m.polls {
		if o == p || o.down {
			continue
		}
		o.due = now
		if n++; n == witnesses {
			break
		}
	}
	return n > 0
}

// judge tells whether this manager is blind: several machines should answer, none
// does, and one has missed all of its polls.
func (m *Monitor) judge() {
	expected, heard, silent := 0, 0, 0
	for _, p := range m.polls {
		if p.misses >= p.Misses {
			silent++
		}
		if p.down {
			continue
		}
		expected++
		if p.misses == 0 {
			heard++
		}
	}
	m.targets.Store(int64(len(m.polls)))
	m.silent.Store(int64(silent))
	blind := expected > 1 && heard == 0 && silent > 0
	if m.blind.Swap(blind) == blind {
		return
	}
	if blind {
		m.opt.Log.Error("none of the machines polled here answers: this manager's own network is taken to be broken, and nothing is raised", "machines", expected)
	} else {
		m.opt.Log.Info("machines polled here answer again")
	}
	m.opt.Blind(blind)
}

// tell queues an event for the leader. The newest of a machine counts.
func (m *Monitor) tell(p *poll, id, text string) {
	m.outbox.Put(p.Machine, &schema.Event{
		Notifier: schema.NotifierESMPRO, Source: fsm.MonitorSource, EventId: id, Target: p.Machine, Text: text, From: p.Address,
		Received: timestamppb.Now(),
	})
}
