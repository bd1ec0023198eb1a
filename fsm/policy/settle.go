package policy

import (
	"yagura/fsm"
	"yagura/fsm/schema"
)

// RecordEvents records events like fsm.RecordEvents, and decides in the same
// batch on those that lead to nothing: an event about a machine that nobody
// knows, or one that no policy has a rule for. That are most events of most
// sites; each is one write then. All others are the scheduler's. The outcome says
// what became of the events once the batch is committed.
func RecordEvents(tx *fsm.Tx, node string, events []*schema.Event) (sequence uint64, out Outcome, err error) {
	had, _ := fsm.Intakes.Get(tx, node)
	for _, e := range events {
		if e.Sequence > had.GetSequence() {
			out.Repeated++ // those that become rows are taken off below
		}
	}
	sequence, err = fsm.RecordSettled(tx, node, events, func(tx *fsm.Tx, e *schema.Event) {
		out.New++
		out.Repeated--
		if settle(tx, e) {
			out.Decided(e.Decision, "")
		}
	})
	return sequence, out, err
}

// settle decides on an event, if it leads to nothing.
func settle(tx *fsm.Tx, e *schema.Event) bool {
	if e.Target != "" && (Inaccessible(e) || !quiet(tx)) {
		return false
	}
	f := Gather(tx, e, tx.Now(), false)
	if f.Rule != nil {
		return false
	}
	d := Decide(f)
	d.Note(&f)
	e.State = schema.EventHandled
	return true
}

// quiet tells whether no fault is there that an event could end: none waits
// for its recovery or to be decided on, and no job of a fault has still to begin.
func quiet(r fsm.Reader) bool {
	for _, state := range []string{schema.EventNew, schema.EventWaiting} {
		if _, ok := fsm.Events.One(r, fsm.ByState, state); ok {
			return false
		}
	}
	for j := range fsm.Jobs.By(r, fsm.ByState, schema.JobQueued) {
		if j.Event != "" {
			return false
		}
	}
	return true
}

// Note notes the decision on the event that it was made about.
func (d *Decision) Note(f *Facts) {
	e := f.Event
	e.Decision, e.Reason, e.Policy, e.Rule, e.Due = d.Decision, d.Reason, d.Policy, d.Rule, nil
	if f.Group != nil {
		e.Group = f.Group.Name
	}
}
