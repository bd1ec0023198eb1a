package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// world is machines that answer or don't, and a leader that records.
type world struct {
	t *testing.T
	m *Monitor

	mu       sync.Mutex // guards the rest
	targets  []Target
	dead     map[string]bool // don't answer
	cut      bool            // nobody answers: the manager's own network
	lost     bool            // out of touch with the cluster
	refuses  int             // deliveries that fail
	down     map[string]bool // as recorded
	events   []string        // as recorded: machine and event
	blind    []bool
	unable   error
	polls    map[string]int
	unpolled map[string]bool
}

// Probe implements Prober.
func (w *world) Probe(_ context.Context, t Target) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polls[t.Machine]++
	switch {
	case w.unable != nil:
		return &Unable{w.unable}
	case w.cut || w.dead[t.Machine]:
		return errors.New("no reply")
	}
	return nil
}

// Close implements Prober.
func (w *world) Close() error { return nil }

func (w *world) deliver(_ context.Context, events []*schema.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuses > 0 {
		w.refuses--
		return errors.New("no leader")
	}
	for _, e := range events {
		if down := e.EventId == fsm.EventUnreachable; w.down[e.Target] != down { // as the leader decides
			w.down[e.Target] = down
			w.events = append(w.events, e.Target+" "+e.EventId)
		}
	}
	return nil
}

// start runs a monitor of some machines, with polls every 20 ms and 3 misses.
func start(t *testing.T, machines int) *world {
	w := &world{t: t, dead: map[string]bool{}, down: map[string]bool{}, polls: map[string]int{}, unpolled: map[string]bool{}}
	for i := range machines {
		w.targets = append(w.targets, Target{Machine: fmt.Sprintf("ph%02d", i+1), Address: "192.0.2.1", Kind: "test", Interval: 20 * time.Millisecond, Misses: 3})
	}
	w.run()
	return w
}

func (w *world) run() (stop func()) {
	w.m = New(Options{
		Targets: func() []Target {
			w.mu.Lock()
			defer w.mu.Unlock()
			return slices.Clone(w.targets)
		},
		Known: func(machine string) (bool, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return !w.unpolled[machine], w.down[machine]
		},
		InTouch: func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return !w.lost
		},
		Blind: func(b bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.blind = append(w.blind, b)
		},
		Deliver: w.deliver, Probe: w, Log: slog.New(slog.DiscardHandler),
	})
	w.m.refresh = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.m.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	w.t.Cleanup(stop)
	return stop
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// wait waits for a condition, checked with mu held.
func (w *world) wait(what string, cond func() bool) {
	w.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); ; <-tick.C {
		w.mu.Lock()
		ok := cond()
		w.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain for: %s; events %q, blind %v, polls %v", what, w.events, w.blind, w.polls)
		}
	}
}

// rounds waits until each machine has been polled n times more.
func (w *world) rounds(n int) {
	w.t.Helper()
	w.mu.Lock()
	before := map[string]int{}
	for _, t := range w.targets {
		before[t.Machine] = w.polls[t.Machine]
	}
	w.mu.Unlock()
	w.wait(fmt.Sprintf("%d more polls of all", n), func() bool {
		for name, b := range before {
			if w.polls[name] < b+n {
				return false
			}
		}
		return true
	})
}

func (w *world) recorded(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.events, want) {
		w.t.Fatalf("recorded %q, want %q", w.events, want)
	}
}

func TestFaultAndRecovery(t *testing.T) {
	w := start(t, 3)
	w.rounds(5)
	w.recorded()
	w.set(func() { w.dead["ph02"] = true })
	w.wait("the fault", func() bool { return len(w.events) == 1 })
	w.rounds(10)
	w.recorded("ph02 " + fsm.EventUnreachable)
	w.set(func() { w.dead["ph02"] = false })
	w.wait("the recovery", func() bool { return len(w.events) == 2 })
	w.rounds(5)
	w.recorded("ph02 "+fsm.EventUnreachable, "ph02 "+fsm.EventReachable)
}

// TestFewMisses holds that fewer misses than the group's setting are nothing.
func TestFewMisses(t *testing.T) {
	w := start(t, 2)
	w.rounds(1)
	w.set(func() { w.targets[0].Misses = 1000; w.dead["ph01"] = true })
	w.rounds(20)
	w.set(func() { w.dead["ph01"] = false })
	w.rounds(3)
	w.recorded()
}

// TestTakenOver holds that a manager that takes a machine over, or starts anew,
// neither repeats its fault nor misses its recovery.
func TestTakenOver(t *testing.T) {
	w := start(t, 3)
	w.set(func() { w.dead["ph01"] = true })
	w.wait("the fault", func() bool { return len(w.events) == 1 })
	second := &world{t: t, targets: w.targets, dead: map[string]bool{"ph01": true}, down: w.down, events: w.events, polls: map[string]int{}, unpolled: map[string]bool{}}
	w.set(func() { w.targets = nil })
	stop := second.run()
	second.rounds(8)
	second.recorded("ph01 " + fsm.EventUnreachable)
	stop()
	second.set(func() { second.dead["ph01"] = false }) // while nobody polls
	second.run()
	second.wait("the recovery", func() bool { return len(second.events) == 2 })
}

// TestOwnNetwork holds that a manager that hears nobody raises nothing, says so,
// and stops saying so.
func TestOwnNetwork(t *testing.T) {
	w := start(t, 5)
	w.rounds(3)
	for range 3 {
		w.set(func() { w.cut, w.blind = true, nil })
		w.wait("it to say so", func() bool { return slices.Equal(w.blind, []bool{true}) })
		w.rounds(10)
		w.recorded()
		if s := w.m.Stats(); !s.Blind || s.Silent == 0 || s.Targets != 5 {
			t.Errorf("stats %+v", s)
		}
		w.set(func() { w.cut = false })
		w.wait("it to be over", func() bool { return slices.Equal(w.blind, []bool{true, false}) })
		w.rounds(5)
		w.recorded()
	}
}

// TestKnownDead holds that machines that are known not to answer are no sign of
// a broken network, and that the others still are a sign of a working one.
func TestKnownDead(t *testing.T) {
	w := start(t, 4)
	w.set(func() { w.dead["ph01"], w.down["ph01"] = true, true; w.dead["ph02"], w.down["ph02"] = true, true })
	w.rounds(8)
	w.recorded()
	w.set(func() { w.dead["ph03"] = true })
	w.wait("the fault", func() bool { return len(w.events) == 1 })
	w.recorded("ph03 " + fsm.EventUnreachable)
	w.set(func() { w.dead["ph04"] = true }) // the last one: nobody is left to ask
	w.wait("its fault", func() bool { return len(w.events) == 2 })
	if len(w.blind) > 0 {
		t.Errorf("blind %v", w.blind)
	}
}

// TestAlone holds that the only machine of a share is believed.
func TestAlone(t *testing.T) {
	w := start(t, 1)
	w.rounds(2)
	w.set(func() { w.dead["ph01"] = true })
	w.wait("the fault", func() bool { return len(w.events) == 1 })
}

// TestOutOfTouch holds that what is seen without the cluster counts for nothing, afterwards too.
func TestOutOfTouch(t *testing.T) {
	w := start(t, 3)
	w.rounds(2)
	w.set(func() { w.lost, w.dead["ph01"] = true, true })
	w.rounds(10)
	w.set(func() { w.dead["ph01"] = false })
	w.rounds(2)
	w.set(func() { w.lost = false })
	w.rounds(5)
	w.recorded()
}

// TestNotExpected holds that a machine of which nobody expects an answer starts
// from nothing when one is expected again.
func TestNotExpected(t *testing.T) {
	w := start(t, 3)
	w.rounds(2)
	w.set(func() { w.unpolled["ph01"], w.dead["ph01"] = true, true })
	w.rounds(10)
	w.recorded()
	w.set(func() { w.dead["ph01"] = false })
	w.rounds(2)
	w.set(func() { w.unpolled["ph01"] = false })
	w.rounds(5)
	w.recorded()
}

// TestDeliveryFails holds that what couldn't be told is told later.
func TestDeliveryFails(t *testing.T) {
	w := start(t, 3)
	w.set(func() { w.refuses, w.dead["ph01"] = 3, true })
	w.wait("the fault", func() bool { return len(w.events) == 1 })
	w.recorded("ph01 " + fsm.EventUnreachable)
}

// TestUnable holds that polls that can't be made are no misses.
func TestUnable(t *testing.T) {
	w := start(t, 3)
	w.rounds(2)
	w.set(func() { w.unable = errors.New("no socket") })
	w.rounds(10)
	w.set(func() { w.unable = nil })
	w.rounds(2)
	w.recorded()
	if s := w.m.Stats(); s.Unable < 20 {
		t.Errorf("stats %+v", s)
	}
}

// TestStopped holds that a poll that ended long after its time, as after a
// stop of the process, is no miss.
func TestStopped(t *testing.T) {
	target := Target{Machine: "ph01", Interval: time.Second, Misses: 1}
	told := 0
	m := New(Options{
		Targets: func() []Target { return []Target{target} }, Known: func(string) (bool, bool) { return true, false }, InTouch: func() bool { return true },
		Blind: func(bool) {}, Log: slog.New(slog.DiscardHandler),
	})
	m.look(time.Now())
	for _, late := range []time.Duration{time.Minute, 0} {
		m.take(result{target: target, sent: time.Now().Add(-late), err: errors.New("no reply")})
		if n := len(m.outbox.Batch()); late > 0 && n > 0 {
			t.Errorf("told after %s", late)
		} else {
			told += n
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

// TestMany holds that ten thousand machines are polled without falling behind,
// with a bound on what is under way.
func TestMany(t *testing.T) {
	w := start(t, 0)
	w.set(func() {
		for i := range 10000 {
			w.targets = append(w.targets, Target{Machine: fmt.Sprintf("ph%05d", i), Kind: "test", Interval: 2 * time.Second, Misses: 3})
		}
	})
	w.wait("all to be polled", func() bool { return len(w.polls) == 10000 })
	w.recorded()
}
