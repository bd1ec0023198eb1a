package fake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"yagura/drivers"
)

// alarmConnection is the alarm that the manager has on each VM server's connection.
const alarmConnection = "Host connection state"

// retold is how long before a position events are told again, as by a manager
// whose events may come late.
const retold = time.Minute

var _ drivers.EventSource = (*Hypervisor)(nil)

// EventsEnd implements drivers.EventSource.
func (h *Hypervisor) EventsEnd(ctx context.Context) (drivers.EventPosition, error) {
	var out drivers.EventPosition
	err := h.w.read(ctx, h.w.system, OpEventsEnd, "", func() error {
		out = drivers.EventPosition{History: h.w.system, Now: h.w.now()}
		out.Time = out.Now
		if n := len(h.w.events); n > 0 {
			out.Key, out.Time = h.w.events[n-1].Key, h.w.events[n-1].Time
		}
		return nil
	})
	return out, err
}

// Events implements drivers.EventSource.
func (h *Hypervisor) Events(ctx context.Context, since drivers.EventPosition, fn func([]drivers.Event) error) error {
	w := h.w
	next := -1 // place in w.events
	for {
		var page []drivers.Event
		var changed chan struct{}
		err := w.read(ctx, w.system, OpEvents, "", func() error {
			if next < 0 || next > len(w.events) {
				next = slices.IndexFunc(w.events, func(e drivers.Event) bool { return e.Time.After(since.Time.Add(-retold)) })
				if next < 0 {
					next = len(w.events)
				}
			}
			page = slices.Clone(w.events[next:min(next+drivers.EventPage, len(w.events))])
			next += len(page)
			changed = w.changed
			return nil
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if len(page) > 0 {
			if err := fn(page); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// Alarm posts that an alarm of a VM server or VM has changed its colour.
func (w *World) Alarm(object, alarm, from, to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := drivers.Event{Kind: drivers.EventAlarm, Alarm: alarm, From: from, To: to, Text: fmt.Sprintf("Alarm '%s' on %s changed from %s to %s", alarm, object, from, to)}
	switch x := w.hosts[object]; {
	case x != nil && x.hypervisor:
		e.Server = object
	case w.vmByName(object) != nil:
		e.VM = object
	default:
		panic("fake: no VM server or VM " + object)
	}
	w.post(e)
	w.notify()
}

// PostEvent posts any other event; the world gives it key and time.
func (w *World) PostEvent(e drivers.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.post(e)
	w.notify()
}

// ClearEvents empties the history of events, as with a new database: its keys
// begin anew.
func (w *World) ClearEvents() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events, w.lastEvent = nil, 0
	w.notify()
}

// post appends to the history of events. The caller holds mu.
func (w *World) post(e drivers.Event) {
	w.lastEvent++
	e.Key, e.Time = w.lastEvent, w.now()
	w.events = append(w.events, e)
}

// postConnections posts what has changed of the connections to VM servers. A VM
// server in standby isn't lost. The caller holds mu.
func (w *World) postConnections() {
	var changed []*host
	for _, x := range w.hosts {
		if x.hypervisor && x.lost == x.connected() && !(x.standby && !x.lost) {
			changed = append(changed, x)
		}
	}
	slices.SortFunc(changed, func(a, b *host) int { return strings.Compare(a.name, b.name) })
	for _, x := range changed {
		x.lost = !x.lost
		kind, from, to := drivers.EventServerLost, "green", "red"
		if !x.lost {
			kind, from, to = drivers.EventServerConnected, "red", "green"
		}
		w.post(drivers.Event{Kind: kind, Server: x.name, Text: fmt.Sprintf("%s: %s", x.name, kind)})
		w.post(drivers.Event{
			Kind: drivers.EventAlarm, Server: x.name, Alarm: alarmConnection, From: from, To: to,
			Text: fmt.Sprintf("Alarm '%s' on %s changed from %s to %s", alarmConnection, x.name, from, to),
		})
	}
}
