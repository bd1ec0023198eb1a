package fsm

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// Positions are how far the histories of events of other systems are recorded,
// by subsystem.
var Positions = &Table[*schema.Position]{
	number: 26, name: "position", since: 2,
	key: func(p *schema.Position) string { return p.Subsystem },
}

const (
	// maxTaken bounds the keys of a position that stand one by one: as many
	// newer events may overtake one that comes late.
	maxTaken = 256
	// historyLate is how much later than a newer one an event may appear in a
	// history. An event with a key that was taken, and later than that, is
	// another one: the numbers have begun anew.
	historyLate = time.Minute
)

// History is where a subsystem's history of events ends.
type History struct {
	Identity string // of the numbering of its events
	Key      int64  // of the newest event; 0: there is none
	Time     time.Time
}

// HistoryEvent is an event of a subsystem's history. The target of Event is the
// name of the object there.
type HistoryEvent struct {
	Key   int64
	Time  time.Time // by the subsystem's clock
	Event *schema.Event
	// Connection is the colour that the alarm on the connection of a VM server
	// has become, when the event is about that; see RaiseConnection.
	Connection string
}

// FollowHistory says from where on the events of a subsystem are to be read. The
// first time that is the end of its history: what was before is not read. When
// the history is another one than that of the position (its identity has changed,
// or its keys went back), following begins anew, with an entry of the event log:
// after the newest event taken as far as the times tell, else at its end.
// KindNotFound for an unknown subsystem.
func FollowHistory(tx *Tx, subsystem string, end History) (*schema.Position, error) {
	if _, ok := Subsystems.Get(tx, subsystem); !ok {
		return nil, schema.Errorf(schema.KindNotFound, "subsystem "+subsystem, "there is no such subsystem")
	}
	p, ok := Positions.Edit(tx, subsystem)
	switch {
	case !ok:
		p = &schema.Position{Subsystem: subsystem, History: end.Identity, Floor: end.Key, Time: timestamppb.New(end.Time), Begun: timestamppb.New(tx.Now())}
		if err := logHistory(tx, p, "info", "events of subsystem "+subsystem+" are followed from now on; what it has recorded before is not read"); err != nil {
			return nil, err
		}
	case p.History != end.Identity:
		if err := beginAnew(tx, p, end, "it has another history of events than before (a new installation, or another address)"); err != nil {
			return nil, err
		}
	case end.Key < newestTaken(p):
		if err := beginAnew(tx, p, end, fmt.Sprintf("the numbers of its events went back from %d to %d (the history was cleared or restored)", newestTaken(p), end.Key)); err != nil {
			return nil, err
		}
	}
	p.Error = ""
	return p, Positions.Put(tx, p)
}

// HistoryFailed notes why the events of a subsystem can't be read now; that of
// one whose events were never read yet is left to the log.
func HistoryFailed(tx *Tx, subsystem, why string) error {
	p, ok := Positions.Edit(tx, subsystem)
	if !ok {
		return nil
	}
	p.Error = clip(why)
	return Positions.Put(tx, p)
}

// TakeHistory records the events of a subsystem that aren't taken yet, and moves
// its position behind them in the same batch: each is recorded once, however
// often it is read. It returns how many were taken. KindConflict when the
// subsystem isn't followed (any more).
func TakeHistory(tx *Tx, subsystem string, events []HistoryEvent) (taken int, err error) {
	p, ok := Positions.Edit(tx, subsystem)
	if !ok {
		return 0, schema.Errorf(schema.KindConflict, "subsystem "+subsystem, "its events aren't followed")
	}
	for _, e := range events {
		if p.After != nil && !e.Time.After(p.After.AsTime()) {
			continue
		}
		at, known := slices.BinarySearch(p.Taken, e.Key)
		if known || e.Key <= p.Floor {
			if !e.Time.After(p.Time.AsTime().Add(historyLate)) {
				continue
			}
			end := History{Identity: p.History, Key: e.Key, Time: e.Time}
			if err := beginAnew(tx, p, end, fmt.Sprintf("the number %d of an event has come again (the history was cleared or restored)", e.Key)); err != nil {
				return 0, err
			}
			at = 0
		}
		if p.After != nil { // the first one of a history begun anew: those before it have lower keys
			p.Floor, p.After = e.Key-1, nil
		}
		p.Taken = slices.Insert(p.Taken, at, e.Key)
		if over := len(p.Taken) - maxTaken; over > 0 {
			p.Floor, p.Taken = p.Taken[over-1], p.Taken[over:]
		}
		if e.Time.After(p.Time.AsTime()) {
			p.Time = timestamppb.New(e.Time)
		}
		p.Events++
		taken++
		if err := recordHistory(tx, subsystem, e); err != nil {
			return 0, err
		}
	}
	return taken, Positions.Put(tx, p)
}

// recordHistory records one event. An object that isn't this subsystem's machine
// is nobody's: machines of other subsystems may have its name.
func recordHistory(tx *Tx, subsystem string, h HistoryEvent) error {
	e := h.Event
	e.From = subsystem
	if m, ok := Machines.Get(tx, e.Target); !ok || m.Subsystem != subsystem {
		e.Target, e.TargetHint = "", subsystem+"/"+e.Target
	}
	if h.Connection == "" {
		return RaiseEvent(tx, e)
	}
	if last := lastConnection(tx, e); e.EventId == "" && h.Connection == ColourGreen && (last == nil || colourOf(last) == ColourGreen) {
		return nil // a VM server that was connected, such as a new one
	}
	return RaiseConnection(tx, e, h.Connection)
}

// beginAnew lets following begin anew, and tells so. What happened after the
// newest event taken is still read; when the times went back, too, it begins at
// the end.
func beginAnew(tx *Tx, p *schema.Position, end History, why string) error {
	from := "at its end: what happened meanwhile is not read"
	p.Floor, p.Taken, p.After = end.Key, nil, nil
	if end.Time.After(p.Time.AsTime()) {
		from = "after the newest event that was read"
		p.Floor, p.After = 0, p.Time
	} else {
		p.Time = timestamppb.New(end.Time)
	}
	p.History, p.Begun, p.Events = end.Identity, timestamppb.New(tx.Now()), 0
	p.Note = "begun anew " + from + ", since " + why
	return logHistory(tx, p, "warning", fmt.Sprintf("events of subsystem %s: %s", p.Subsystem, p.Note))
}

func logHistory(tx *Tx, p *schema.Position, severity, text string) error {
	entry, _ := catalog.LogEntry("notification", "other")
	return LogEvent(tx, &schema.Event{EventId: entry.ID, Severity: severity, Text: text, TargetHint: p.Subsystem, Operation: "notification", Phase: "other"})
}

// newestTaken is the highest key that was taken.
func newestTaken(p *schema.Position) int64 {
	if n := len(p.Taken); n > 0 {
		return p.Taken[n-1]
	}
	return p.Floor
}

// historyOf tells how a subsystem's events are followed; nil when they aren't.
func historyOf(r Reader, subsystem string) *schema.EventHistory {
	p, ok := Positions.Get(r, subsystem)
	if !ok {
		return nil
	}
	return &schema.EventHistory{Since: p.Begun, Recorded: p.Events, Key: newestTaken(p), Time: p.Time, Note: p.Note, Error: p.Error}
}
