package drivertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"yagura/drivers"
)

// EventWorld is a manager of VM servers under test.
type EventWorld struct {
	// Open returns a new client, as another manager process would have it; it
	// is closed with the test.
	Open func(t *testing.T) drivers.EventSource
	// Server and VM are a VM server that answers and a VM on another one.
	Server, VM string
	// Alarm lets an alarm of Server or VM change its colour.
	Alarm func(t *testing.T, object, alarm, from, to string)
	// HostDown crashes a VM server, HostUp brings it back. Both return when the
	// manager shows it.
	HostDown, HostUp func(t *testing.T, server string)
}

// Alarms of the suite, which every manager has.
const (
	alarmConnection = "Host connection state"
	alarmHeartbeat  = "Virtual Machine Heartbeat"
)

// burst is how many events at once the suite holds a manager to.
const burst = 1000

// RunEventSource runs the suite. world makes a fresh world.
func RunEventSource(t *testing.T, world func(t *testing.T) EventWorld) {
	each(t, 6*patience, []test[*eventSuite]{
		{"NothingOfThePast", testNothingOfThePast},
		{"AlarmsSayAll", testAlarmsSayAll},
		{"ConnectionsOfAServer", testConnections},
		{"AnotherClientGoesOn", testAnotherClientGoesOn},
		{"BurstInPages", testBurstInPages},
		{"TwoFollowers", testTwoFollowers},
		{"AnErrorEndsIt", testErrorEndsIt},
	}, func(t *testing.T, ctx context.Context) *eventSuite {
		w := world(t)
		return &eventSuite{T: t, ctx: ctx, w: w, d: w.Open(t)}
	})
}

type eventSuite struct {
	*testing.T
	ctx context.Context
	w   EventWorld
	d   drivers.EventSource
}

func (s *eventSuite) end() drivers.EventPosition {
	s.Helper()
	p, err := s.d.EventsEnd(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	if p.History == "" || p.Time.IsZero() || p.Now.Before(p.Time) {
		s.Fatalf("the end of the history is %+v", p)
	}
	return p
}

// toldEvents is what a follower of events was told beyond a key.
type toldEvents struct {
	mu     sync.Mutex // guards what follows
	events []drivers.Event
	wrong  string
}

// follow follows from a position until the test ends.
func (s *eventSuite) follow(d drivers.EventSource, since drivers.EventPosition) *toldEvents {
	out := &toldEvents{}
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- d.Events(ctx, since, func(page []drivers.Event) error { return out.take(page, since.Key) })
	}()
	s.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			s.Errorf("following ended with %v", err)
		}
		out.mu.Lock()
		defer out.mu.Unlock()
		if out.wrong != "" {
			s.Error(out.wrong)
		}
	})
	return out
}

func (f *toldEvents) take(page []drivers.Event, after int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(page) == 0 || len(page) > drivers.EventPage {
		f.wrong = fmt.Sprintf("a page has %d events", len(page))
	}
	for _, e := range page {
		if e.Key <= after {
			continue // from shortly before the position
		}
		if n := len(f.events); n > 0 && (f.events[n-1].Key >= e.Key || f.events[n-1].Time.After(e.Time)) {
			f.wrong = fmt.Sprintf("after %+v came %+v", f.events[n-1], e)
		}
		f.events = append(f.events, e)
	}
	return nil
}

// alarms are the changes of one alarm that were told, as "object from to".
func (f *toldEvents) alarms(alarm string) (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		if e.Kind == drivers.EventAlarm && e.Alarm == alarm {
			out = append(out, fmt.Sprintf("%s%s %s %s", e.Server, e.VM, e.From, e.To))
		}
	}
	return out
}

// until waits until just these changes of the heartbeat alarm were told.
func (s *eventSuite) until(f *toldEvents, want ...string) {
	s.Helper()
	waitFor(s.T, s.ctx, fmt.Sprintf("the alarms %v", want), func() bool { return len(f.alarms(alarmHeartbeat)) >= len(want) })
	if got := f.alarms(alarmHeartbeat); fmt.Sprint(got) != fmt.Sprint(want) {
		s.Fatalf("told were %v, want %v", got, want)
	}
}

func testNothingOfThePast(s *eventSuite) {
	s.w.Alarm(s.T, s.w.VM, alarmHeartbeat, "green", "red")
	end := s.end()
	f := s.follow(s.d, end)
	s.w.Alarm(s.T, s.w.VM, alarmHeartbeat, "red", "gray")
	s.until(f, s.w.VM+" red gray")
	if now := s.end(); now.History != end.History || now.Key <= end.Key || now.Time.Before(end.Time) {
		s.Fatalf("after an event the end is %+v, before it was %+v", now, end)
	}
}

func testAlarmsSayAll(s *eventSuite) {
	f := s.follow(s.d, s.end())
	s.w.Alarm(s.T, s.w.VM, alarmHeartbeat, "gray", "green")
	s.w.Alarm(s.T, s.w.Server, alarmConnection, "gray", "red")
	waitFor(s.T, s.ctx, "both alarms", func() bool { return len(f.alarms(alarmHeartbeat)) == 1 && len(f.alarms(alarmConnection)) == 1 })
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		switch e.Alarm {
		case alarmHeartbeat:
			if e.VM != s.w.VM || e.Server != "" || e.From != "gray" || e.To != "green" || e.Text == "" || e.Time.IsZero() {
				s.Errorf("the VM's alarm came as %+v", e)
			}
		case alarmConnection:
			if e.Server != s.w.Server || e.VM != "" || e.From != "gray" || e.To != "red" || e.Text == "" {
				s.Errorf("the VM server's alarm came as %+v", e)
			}
		}
	}
}

func testConnections(s *eventSuite) {
	f := s.follow(s.d, s.end())
	has := func(kind drivers.EventKind) func() bool {
		return func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, e := range f.events {
				if e.Kind == kind && e.Server == s.w.Server {
					return true
				}
			}
			return false
		}
	}
	s.w.HostDown(s.T, s.w.Server)
	waitFor(s.T, s.ctx, "the lost VM server", has(drivers.EventServerLost))
	waitFor(s.T, s.ctx, "its alarm", func() bool { return len(f.alarms(alarmConnection)) == 1 })
	s.w.HostUp(s.T, s.w.Server)
	waitFor(s.T, s.ctx, "its return", has(drivers.EventServerConnected))
	waitFor(s.T, s.ctx, "the end of its alarm", func() bool { return len(f.alarms(alarmConnection)) == 2 })
	if got, want := fmt.Sprint(f.alarms(alarmConnection)), fmt.Sprintf("[%s green red %[1]s red green]", s.w.Server); got != want {
		s.Errorf("the alarm changed as %s, want %s", got, want)
	}
}

func testAnotherClientGoesOn(s *eventSuite) {
	since := s.end()
	first, cancel := context.WithCancel(s.ctx)
	seen := make(chan drivers.Event, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- s.d.Events(first, since, func(page []drivers.Event) error {
			for _, e := range page {
				if e.Key > since.Key && e.Kind == drivers.EventAlarm {
					seen <- e
				}
			}
			return nil
		})
	}()
	s.w.Alarm(s.T, s.w.VM, alarmHeartbeat, "green", "gray")
	var last drivers.Event
	select {
	case last = <-seen:
	case <-s.ctx.Done():
		s.Fatal("the event didn't come")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		s.Fatalf("following ended with %v", err)
	}
	s.w.Alarm(s.T, s.w.VM, alarmHeartbeat, "gray", "red") // nobody follows
	f := s.follow(s.w.Open(s.T), drivers.EventPosition{History: since.History, Key: last.Key, Time: last.Time})
	s.w.Alarm(s.T, s.w.VM, alarmHeartbeat, "red", "green")
	s.until(f, s.w.VM+" gray red", s.w.VM+" red green")
}

func testBurstInPages(s *eventSuite) {
	f := s.follow(s.d, s.end())
	var want []string
	colours := []string{"green", "red"}
	for i := range burst {
		from, to := colours[i%2], colours[(i+1)%2]
		s.w.Alarm(s.T, s.w.VM, alarmHeartbeat, from, to)
		want = append(want, s.w.VM+" "+from+" "+to)
	}
	s.until(f, want...)
}

func testTwoFollowers(s *eventSuite) {
	since := s.end()
	a, b := s.follow(s.d, since), s.follow(s.w.Open(s.T), since)
	s.w.Alarm(s.T, s.w.VM, alarmHeartbeat, "green", "red")
	s.until(a, s.w.VM+" green red")
	s.until(b, s.w.VM+" green red")
}

func testErrorEndsIt(s *eventSuite) {
	since := s.end()
	s.w.Alarm(s.T, s.w.VM, alarmHeartbeat, "green", "red")
	no := errors.New("not now")
	err := s.d.Events(s.ctx, since, func(page []drivers.Event) error {
		for _, e := range page {
			if e.Key > since.Key {
				return no
			}
		}
		return nil
	})
	if !errors.Is(err, no) {
		s.Fatalf("following ended with %v, want the caller's error", err)
	}
	s.until(s.follow(s.d, since), s.w.VM+" green red") // told again
}
