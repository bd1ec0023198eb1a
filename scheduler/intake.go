package scheduler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// intakeBatch is how many events are decided on in one batch.
const intakeBatch = 128

// intake decides on events: on new ones at once, on waiting ones when their
// time is over; and it ends storms. What an event leads to and that it is handled share one batch.
func (t *leadership) intake(ctx context.Context) {
	for {
		changed := t.Store.Watch(fsm.Events)
		v := t.Store.View()
		ids, due := t.undecided(v)
		if len(ids) > 0 {
			if t.decide(ctx, ids) {
				continue
			}
			due = t.Clock.Now().Add(retryAfter) // a write failed
		}
		over, at := policy.StormOver(fsm.Settings(v), t.Clock.Now())
		if over {
			if t.update(ctx, "EndStorm", t.endStorm) == nil {
				continue
			}
			at = t.Clock.Now().Add(retryAfter)
		}
		if !at.IsZero() && (due.IsZero() || at.Before(due)) {
			due = at
		}
		var timer <-chan time.Time
		end := func() {}
		if !due.IsZero() {
			timer, end = t.Clock.After(due.Sub(t.Clock.Now()))
		}
		select {
		case <-ctx.Done():
			end()
			return
		case <-changed:
		case <-timer:
		}
		end()
	}
}

// undecided are the events to decide on now, oldest first, and when the next
// waiting one is due.
func (t *leadership) undecided(v *fsm.View) (ids []string, due time.Time) {
	for e := range fsm.Events.By(v, fsm.ByState, schema.EventNew) {
		if ids = append(ids, e.Id); len(ids) == intakeBatch {
			return ids, due
		}
	}
	now := t.Clock.Now()
	for e := range fsm.Events.By(v, fsm.ByState, schema.EventWaiting) {
		at := e.Due.AsTime()
		switch {
		case !at.After(now):
			if len(ids) < intakeBatch {
				ids = append(ids, e.Id)
			}
		case due.IsZero() || at.Before(due):
			due = at
		}
	}
	return ids, due
}

// decide decides on events, together in one batch; when that can't be written
// each by itself, so that one event's trouble holds up none of the others.
func (t *leadership) decide(ctx context.Context, ids []string) bool {
	var out policy.Outcome
	err := t.update(ctx, "DecideEvents", func(tx *fsm.Tx) error {
		out = policy.Outcome{}
		for _, id := range ids {
			if err := t.decideOne(tx, id, &out); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		t.Counts.Add(out)
		return true
	}
	if lost(err) || ctx.Err() != nil {
		return false
	}
	ok := true
	for _, id := range ids {
		err := t.update(ctx, "DecideEvent", func(tx *fsm.Tx) error {
			out = policy.Outcome{}
			return t.decideOne(tx, id, &out)
		})
		if err != nil && !lost(err) {
			t.log.Error("an event can't be carried out", "event", id, "err", err)
			err = t.update(ctx, "GiveUpEvent", func(tx *fsm.Tx) error {
				out = policy.Outcome{}
				e, ok := fsm.Events.Edit(tx, fsm.NumberKey(id))
				if !ok {
					return nil
				}
				e.State, e.Decision, e.Reason = schema.EventHandled, schema.DecisionIgnored, "what it leads to couldn't be carried out: "+err.Error()
				out.Decided(e.Decision, "")
				return fsm.Events.Put(tx, e)
			})
		}
		if err == nil {
			t.Counts.Add(out)
		}
		ok = ok && err == nil
	}
	return ok
}

// decideOne decides on an event, carries the decision out and counts it in out.
func (t *leadership) decideOne(tx *fsm.Tx, id string, out *policy.Outcome) error {
	e, ok := fsm.Events.Edit(tx, fsm.NumberKey(id))
	if !ok || e.State == schema.EventHandled {
		return nil
	}
	now := t.Clock.Now()
	due := e.State == schema.EventWaiting
	if due && e.Due.AsTime().After(now) {
		return nil
	}
	if err := endWaiting(tx, e, out); err != nil {
		return err
	}
	if err := t.watchStorm(tx, e, out); err != nil {
		return err
	}
	f := policy.Gather(tx, e, now, due)
	d := policy.Decide(f)
	d.Note(&f)
	out.Decided(d.Decision, d.Brake)
	if d.Wait > 0 {
		e.State, e.Due = schema.EventWaiting, timestamppb.New(now.Add(d.Wait))
		return fsm.Events.Put(tx, e)
	}
	e.State, e.Actions = schema.EventHandled, nil
	notify := slices.ContainsFunc(d.Actions, func(a policy.Action) bool { return a.Notify })
	for _, a := range d.Actions {
		rec, err := carryOut(tx, e, a, notify)
		if err != nil {
			return err
		}
		e.Actions = append(e.Actions, rec)
		if rec.Job != "" {
			e.Jobs = append(e.Jobs, rec.Job)
		}
	}
	return fsm.Events.Put(tx, e)
}

// endWaiting ends the waiting of faults that event e recovers, and withdraws
// the jobs that these have led to and that have not begun: nobody wants to have a
// machine replaced that is well again.
func endWaiting(tx *fsm.Tx, e *schema.Event, out *policy.Outcome) error {
	if e.State != schema.EventNew || e.Target == "" {
		return nil
	}
	var over []*schema.Event
	for fault := range fsm.Events.By(tx, fsm.ByState, schema.EventWaiting) {
		if recovers(tx, fault, e) {
			over = append(over, fault)
		}
	}
	why := fmt.Sprintf("%s recovered in time: event %s, %s", e.Target, e.Id, policy.Describe(e))
	for _, fault := range over {
		row, _ := fsm.Events.Edit(tx, fsm.NumberKey(fault.Id))
		row.State, row.Decision, row.Due, row.Reason = schema.EventHandled, schema.DecisionRecovered, nil, why+"."
		if err := fsm.Events.Put(tx, row); err != nil {
			return err
		}
		out.Decided(row.Decision, "")
	}
	_, err := withdrawAll(tx, out, schema.DecisionRecovered, "the recovery", why, func(fault *schema.Event) bool {
		return fault.State == schema.EventHandled && recovers(tx, fault, e)
	})
	return err
}

// recovers tells whether event e ends a fault that was decided on.
func recovers(r fsm.Reader, fault, e *schema.Event) bool {
	if fault.Target != e.Target || policy.Since(fault).After(e.LastTime.AsTime()) {
		return false
	}
	p, ok := fsm.Policies.Get(r, fault.Policy)
	if !ok {
		return false
	}
	rule := policy.RuleFor(p, fault, policy.Since(fault))
	return rule != nil && policy.Recovers(rule, fault, e)
}

// carryOut does what can be done in a batch, and queues a job for the rest.
func carryOut(tx *fsm.Tx, e *schema.Event, a policy.Action, notify bool) (*schema.ActionRecord, error) {
	rec := &schema.ActionRecord{Action: a.Slug, Result: a.Result, Detail: a.Detail}
	switch {
	case a.Result != "":
	case a.Notify:
		rec.Result, rec.Detail = policy.ResultDone, "written to the event log"
		return rec, sequence.Notify(tx, e, "event %s: %s about %s%s", e.Id, policy.Describe(e), e.Target, after(": ", e.Text))
	case a.Status != "":
		m, ok := fsm.Machines.Edit(tx, e.Target)
		if !ok {
			rec.Result, rec.Detail = policy.ResultFailed, "the machine is gone"
			return rec, nil
		}
		m.HardwareStatus = a.Status
		if err := fsm.Machines.Put(tx, m); err != nil {
			return nil, err
		}
		rec.Result, rec.Detail = policy.ResultDone, e.Target+" is "+a.Status
	case a.Job != nil:
		a.Job.Event, a.Job.CreatedBy = e.Id, "policy "+e.Policy
		a.Job.Reason = fmt.Sprintf("event %s: %s%s", e.Id, policy.Describe(e), after(", ", e.Text))
		id, err := fsm.QueueJob(tx, a.Job)
		if err != nil {
			return nil, err
		}
		rec.Result, rec.Job, rec.Detail = policy.ResultStarted, id, "job "+id+after(": ", a.Why)
	}
	if notify && rec.Action != "do-nothing" {
		if err := sequence.Notify(tx, e, "event %s: action %s on %s: %s%s", e.Id, rec.Action, e.Target, rec.Result, after(", ", rec.Detail)); err != nil {
			return nil, err
		}
	}
	return rec, nil
}

// after puts a separator before a text, unless there is none.
func after(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}
