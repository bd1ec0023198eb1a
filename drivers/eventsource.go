package drivers

import (
	"context"
	"time"
)

// EventPage is how many events an EventSource hands over at once at most.
const EventPage = 25

// EventSource is a manager of VM servers that keeps a history of events, such
// as vCenter. Its events have keys that grow with time, for as long as its
// database lives.
type EventSource interface {
	// EventsEnd tells where the history ends now: the position of one who wants
	// none of the past.
	EventsEnd(ctx context.Context) (EventPosition, error)
	// Events calls fn with the events since a position, oldest first, at most
	// EventPage at a time, and then with those that come, until ctx ends,
	// contact breaks or fn returns an error, which it returns. Each event is
	// told at least once; one from shortly before the position, or from before a
	// break in contact, may be told again: its key tells. fn is never called
	// from two goroutines at once, and events wait while it works.
	Events(ctx context.Context, since EventPosition, fn func([]Event) error) error
}

// EventPosition is a place in a history of events.
type EventPosition struct {
	// History identifies the numbering of the keys, such as the UUID of a
	// vCenter's database; keys of another one mean nothing here.
	History string
	Key     int64     // of the newest event before; 0: there is none
	Time    time.Time // of the newest event before, by the manager's clock
	Now     time.Time // what that clock shows now; of EventsEnd only
}

// EventKind is what an event tells.
type EventKind string

// The kinds of events.
const (
	EventAlarm              EventKind = "alarm"               // an alarm of a VM server or VM has changed its colour
	EventServerLost         EventKind = "server-lost"         // a VM server doesn't answer its manager any more
	EventServerDisconnected EventKind = "server-disconnected" // a person has disconnected a VM server from its manager
	EventServerConnected    EventKind = "server-connected"    // a VM server is connected, anew or again
	EventVMDisconnected     EventKind = "vm-disconnected"     // nobody knows how a VM is, its VM server being away
	EventVMConnected        EventKind = "vm-connected"        // it is known again
)

// Event is an entry of a manager's history.
type Event struct {
	Key    int64
	Time   time.Time // by the manager's clock
	Kind   EventKind
	Server string // VM server, by name, of an event about one
	VM     string // VM, by name, of an event about one
	Alarm  string // name of the alarm, as the manager has it
	From   string // colour that the alarm had: gray, green, yellow or red
	To     string // and that it has
	Text   string // the manager's own
}
