package vcenter

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/sim"
)

func TestEventSourceConformance(t *testing.T) {
	drivertest.RunEventSource(t, func(t *testing.T) drivertest.EventWorld {
		s := startSim(t, sim.Config{})
		cfg := configFor(t, s)
		cfg.EventPause = 5 * time.Millisecond
		t.Logf("vCenter simulator of govmomi, behind %s", s.VCenterURL())
		return drivertest.EventWorld{
			Open:   func(t *testing.T) drivers.EventSource { return open(t, cfg) },
			Server: "esx02", VM: "web01",
			Alarm: func(t *testing.T, object, alarm, from, to string) {
				if _, err := s.Alarm(object, alarm, from, to); err != nil {
					t.Fatal(err)
				}
			},
			HostDown: func(t *testing.T, server string) {
				if _, err := s.HostDown(server, false); err != nil {
					t.Fatal(err)
				}
			},
			HostUp: func(t *testing.T, server string) { hostUp(t, s, server) },
		}
	})
}

// vCenter has few collectors: each one that was made is destroyed, however
// following ends. A session that ended is unreachable and not denied.
func TestEventCollectorsAreDestroyed(t *testing.T) {
	s := startSim(t, sim.Config{})
	x := newTap(t, s)
	cfg := x.config(t, s)
	cfg.EventPause = 5 * time.Millisecond
	d := open(t, cfg)
	end, err := d.EventsEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		kind   drivers.Kind
	}{
		{"the session ended", answerFault("NotAuthenticated"), drivers.KindUnreachable},
		{"contact broke", cut, drivers.KindUnreachable},
		{"the collector is gone", answerFault("ManagedObjectNotFound"), drivers.KindNotFound},
	} {
		x.on("ReadNextEvents", c.answer)
		err := d.Events(t.Context(), end, func([]drivers.Event) error { return nil })
		if drivers.KindOf(err) != c.kind {
			t.Errorf("%s: following ended with %v, want %s", c.name, err, c.kind)
		}
	}
	x.on("ReadNextEvents", nil)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Alarm("web01", "heartbeat", "green", "red"); err != nil {
		t.Fatal(err)
	}
	err = d.Events(ctx, end, func([]drivers.Event) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended by the caller it returned %v", err)
	}
	if made, gone := x.seen("CreateCollectorForEvents"), x.seen("DestroyCollector"); made != 5 || gone != made {
		t.Errorf("%d collectors were made and %d destroyed, want 5 of each", made, gone)
	}
}

// A collector is renewed while events come: none is left out between two, and
// what is told again has the key that it had.
func TestEventCollectorsAreRenewed(t *testing.T) {
	s := startSim(t, sim.Config{})
	x := newTap(t, s)
	cfg := x.config(t, s)
	cfg.EventPause, cfg.eventLife = time.Millisecond, 20*time.Millisecond
	d := open(t, cfg)
	end, err := d.EventsEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	const want = 40
	told := map[int64]drivers.Event{}
	colours := []string{"green", "red"}
	post := func(i int) {
		if _, err := s.Alarm("web01", "heartbeat", colours[i%2], colours[(i+1)%2]); err != nil {
			t.Error(err)
		}
	}
	post(0)
	err = d.Events(ctx, end, func(page []drivers.Event) error {
		for _, e := range page {
			if e.Key <= end.Key {
				continue
			}
			old, again := told[e.Key]
			if again && old != e {
				t.Errorf("told again, %+v is %+v", old, e)
			}
			told[e.Key] = e
			if again {
				continue
			}
			if len(told) < want {
				post(len(told))
			}
		}
		if len(told) == want && x.seen("CreateCollectorForEvents") > 4 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(told) != want {
		t.Errorf("%d events were told, want %d; following ended with %v", len(told), want, err)
	}
}
