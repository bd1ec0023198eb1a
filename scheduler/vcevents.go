package scheduler

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// Events of the connection of a VM to its manager, which the manual doesn't
// list; hand-made policies may name them.
const (
	sourceVMConnection  = "Virtual Machine connection state"
	eventVMDisconnected = "Virtual Machine disconnected"
	eventVMConnected    = "Virtual Machine connected"
	categoryOther       = "other"
)

const (
	targetServer = "VMS" // as alarms name a VM server [4.1.4]
	targetVM     = "VM"
)

// alarmNames finds the manual's name of an alarm [4.1.4] by that which a vCenter
// has for it, in small letters: versions differ in capitals, and one alarm has
// been renamed since.
var alarmNames = func() map[string]string {
	names := map[string]string{"host connection and power state": fsm.AlarmConnection}
	for _, e := range catalog.Events() {
		if e.Notifier == schema.NotifierVMware {
			names[strings.ToLower(e.Source)] = e.Source
		}
	}
	return names
}()

// eventReader records the events of one subsystem [4.1.4].
type eventReader struct {
	t    *leadership
	name string
}

// run reads until ctx ends, calling again whenever contact breaks. A subsystem
// that keeps no events is left alone.
func (r *eventReader) run(ctx context.Context) {
	pause := firstReconnect
	for ctx.Err() == nil {
		begun := r.t.Clock.Now()
		err := r.connection(ctx)
		if ctx.Err() != nil {
			return
		}
		if drivers.KindOf(err) == drivers.KindUnsupported {
			r.t.log.Info("a subsystem has no events to follow", "subsystem", r.name, "err", err)
			return
		}
		if r.t.Clock.Now().Sub(begun) > maxReconnect {
			pause = firstReconnect
		}
		r.noteError(ctx, err)
		r.t.wait(ctx, nil, pause)
		pause = min(2*pause, maxReconnect)
	}
}

// connection reads from the position on until contact breaks.
func (r *eventReader) connection(ctx context.Context) error {
	h, err := r.t.Drivers.Hypervisor(ctx, r.name)
	if err != nil {
		return err
	}
	source, ok := h.(drivers.EventSource)
	if !ok {
		return &drivers.Error{Kind: drivers.KindUnsupported, System: r.name, Op: "events", Object: "history of events", Err: errors.New("it keeps none")}
	}
	end, err := source.EventsEnd(ctx)
	if err != nil {
		return err
	}
	var ahead time.Duration // its clock, of ours
	since := drivers.EventPosition{History: end.History}
	err = r.t.update(ctx, "FollowEvents", func(tx *fsm.Tx) error {
		p, err := fsm.FollowHistory(tx, r.name, fsm.History{Identity: end.History, Key: end.Key, Time: end.Time})
		since.Key, since.Time = p.GetFloor(), p.GetTime().AsTime()
		ahead = end.Now.Sub(tx.Now())
		return err
	})
	if err != nil {
		return err
	}
	return source.Events(ctx, since, func(page []drivers.Event) error { return r.record(ctx, page, ahead) })
}

// record records a page of events, each once, with the position behind them.
// ahead is what the subsystem's clock is ahead of ours.
func (r *eventReader) record(ctx context.Context, page []drivers.Event, ahead time.Duration) error {
	return r.t.update(ctx, "RecordEvents", func(tx *fsm.Tx) error {
		events := make([]fsm.HistoryEvent, len(page))
		for i, e := range page {
			events[i] = historyEvent(e, ahead)
		}
		_, err := fsm.TakeHistory(tx, r.name, events)
		return err
	})
}

// historyEvent translates an event into the form that policies name.
func historyEvent(e drivers.Event, ahead time.Duration) fsm.HistoryEvent {
	target, what := e.Server, targetServer
	if e.VM != "" {
		target, what = e.VM, targetVM
	}
	row := &schema.Event{Notifier: schema.NotifierVMware, Target: target, Text: e.Text, Received: timestamppb.New(e.Time.Add(-ahead))}
	out := fsm.HistoryEvent{Key: e.Key, Time: e.Time, Event: row}
	switch e.Kind {
	case drivers.EventAlarm:
		row.Source = e.Alarm
		if name, ok := alarmNames[strings.ToLower(e.Alarm)]; ok {
			row.Source = name
		}
		from, to := strings.ToLower(e.From), strings.ToLower(e.To)
		row.EventId = catalog.AlarmText(row.Source, what, from, to)
		if row.Source == fsm.AlarmConnection && what == targetServer {
			out.Connection = to
		}
	case drivers.EventServerLost:
		out.Connection = fsm.ColourRed
	case drivers.EventServerDisconnected:
		out.Connection = fsm.ColourGray
	case drivers.EventServerConnected:
		out.Connection = fsm.ColourGreen
	case drivers.EventVMDisconnected:
		row.Source, row.EventId, row.Category, row.Severity = sourceVMConnection, eventVMDisconnected, categoryOther, "warning"
	case drivers.EventVMConnected:
		row.Source, row.EventId, row.Category, row.Severity = sourceVMConnection, eventVMConnected, categoryOther, "info"
	}
	if row.Text == "" {
		row.Text = row.EventId
	}
	return out
}

// noteError keeps with the position why the events can't be read.
func (r *eventReader) noteError(ctx context.Context, cause error) {
	if cause == nil {
		cause = errors.New("it ended the connection")
	}
	r.t.log.Warn("events of a subsystem can't be read", "subsystem", r.name, "err", cause)
	err := r.t.update(ctx, "FollowEvents", func(tx *fsm.Tx) error { return fsm.HistoryFailed(tx, r.name, cause.Error()) })
	if err != nil && !lost(err) {
		r.t.log.Error("a subsystem's position can't be written", "subsystem", r.name, "err", err)
	}
}
