package fsm

import (
	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// AsRecorded is a received event with what it would get when it were recorded
// now: the usual form of its id, category, severity, and the machine that it is about.
func AsRecorded(r Reader, received *schema.Event) *schema.Event {
	e := proto.CloneOf(received)
	e.State, e.Count = schema.EventNew, 1
	e.Time, e.LastTime = e.Received, e.Received
	classify(e)
	resolveTarget(r, e)
	return e
}
