package fsm

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// AlarmConnection is the alarm on the connection of a VM server, and Colour...
// what it may be [4.1.4]. Gray and red both mean that it doesn't answer.
const (
	AlarmConnection = "Host connection state"
	ColourGreen     = "green"
	ColourGray      = "gray"
	ColourRed       = "red"
)

// connectionWindow is the time within which the same news of a VM server's
// connection is one. It comes by three ways, each of which may be late: the
// manager's event, its alarm, and its inventory.
const connectionWindow = 2 * time.Minute

// RaiseConnection records that the alarm on the connection of a VM server,
// e.Target, has become another colour. EventId may be empty: what it was before
// is then taken from the newest event on it. The same news by another way is
// counted in the event that told it first, so that one death leads to one action;
// news that is older than what is known of that VM server is recorded and leads to
// nothing.
func RaiseConnection(tx *Tx, e *schema.Event, colour string) error {
	e.Notifier, e.Source = schema.NotifierVMware, AlarmConnection
	last := lastConnection(tx, e)
	if e.EventId == "" {
		from := ColourGreen
		if colour == ColourGreen {
			from = ColourRed
		}
		if last != nil && colourOf(last) != colour {
			from = colourOf(last)
		}
		e.EventId = catalog.AlarmText(AlarmConnection, "VMS", from, colour)
	}
	if e.Text == "" {
		e.Text = e.EventId
	}
	if last == nil {
		return RaiseEvent(tx, e)
	}
	at := tx.Now()
	if e.Received != nil && e.Received.AsTime().Before(at) {
		at = e.Received.AsTime()
	}
	old := at.Before(last.LastTime.AsTime())
	// What the inventory shows has no time: it may have happened as long ago as
	// what was just read of the manager's events.
	justTold := e.Received == nil && !at.After(last.Time.AsTime().Add(connectionWindow))
	switch {
	case colourOf(last) != colour && old:
		return recordPast(tx, e, last)
	case colourOf(last) != colour || last.EventId == e.EventId && within(last, at):
		return RaiseEvent(tx, e)
	case old || justTold || !at.After(last.LastTime.AsTime().Add(connectionWindow)):
		return countInto(tx, last, at)
	}
	return RaiseEvent(tx, e)
}

// lastConnection is the event that tells the newest of a VM server's
// connection; nil when there is none.
func lastConnection(tx *Tx, e *schema.Event) (last *schema.Event) {
	origin := originOf(&schema.Event{Notifier: schema.NotifierVMware, Source: AlarmConnection, Target: e.Target, TargetHint: e.TargetHint})
	looked := 0
	for old := range tx.eventsOf(origin) {
		if looked++; looked > coalesceLook {
			break
		}
		if last == nil || old.LastTime.AsTime().After(last.LastTime.AsTime()) {
			last = old
		}
	}
	return last
}

// colourOf is the colour that an alarm has become.
func colourOf(e *schema.Event) string {
	return e.EventId[strings.LastIndexByte(e.EventId, ' ')+1:]
}

// countInto counts another piece of the same news.
func countInto(tx *Tx, e *schema.Event, at time.Time) error {
	row, _ := Events.Edit(tx, numberKey(e.Id))
	row.Count++
	if at.After(row.LastTime.AsTime()) {
		row.LastTime = timestamppb.New(at)
	}
	return Events.Put(tx, row)
}

// recordPast records an event of a time before one that is known: nothing
// follows from it.
func recordPast(tx *Tx, e, known *schema.Event) error {
	number := numberKey(fmt.Sprint(tx.nextEvent()))
	if err := RaiseEvent(tx, e); err != nil {
		return err
	}
	row, ok := Events.Edit(tx, number)
	if !ok {
		return nil // it was counted in an earlier one
	}
	row.State, row.Decision = schema.EventHandled, schema.DecisionRecorded
	row.Reason = fmt.Sprintf("it is of the time before event %s, which tells how %s is now", known.Id, row.Target)
	return Events.Put(tx, row)
}
