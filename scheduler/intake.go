package scheduler

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/policy"
	"yagura/scheduler/sequence"
)

// intakeBatch is how many events are decided on in one batch.
const intakeBatch = 128

// intake decides on events: on new ones at once, on waiting ones when their
// time is over. What an event leads to and that it is handled share one batch.
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
	err := t.update(ctx, "DecideEvents", func(tx *fsm.Tx) error {
		for _, id := range ids {
			if err := t.decideOne(tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return true
	}
	if lost(err) || ctx.Err() != nil {
		return false
	}
	ok := true
	for _, id := range ids {
		err := t.update(ctx, "DecideEvent", func(tx *fsm.Tx) error { return t.decideOne(tx, id) })
		if err != nil && !lost(err) {
			t.log.Error("an event can't be carried out", "event", id, "err", err)
			err = t.update(ctx, "GiveUpEvent", func(tx *fsm.Tx) error {
				e, ok := fsm.Events.Edit(tx, fsm.NumberKey(id))
				if !ok {
					return nil
				}
				e.State, e.Decision, e.Reason = schema.EventHandled, schema.DecisionIgnored, "what it leads to couldn't be carried out: "+err.Error()
				return fsm.Events.Put(tx, e)
			})
		}
		ok = ok && err == nil
	}
	return ok
}

// decideOne decides on an event and carries the decision out.
func (t *leadership) decideOne(tx *fsm.Tx, id string) error {
	e, ok := fsm.Events.Edit(tx, fsm.NumberKey(id))
	if !ok || e.State == schema.EventHandled {
		return nil
	}
	due := e.State == schema.EventWaiting
	if due && e.Due.AsTime().After(t.Clock.Now()) {
		return nil
	}
	if err := endWaiting(tx, e); err != nil {
		return err
	}
	f := factsOf(tx, e)
	f.Due = due
	d := policy.Decide(f)
	e.Decision, e.Reason, e.Policy, e.Rule, e.Due = d.Decision, d.Reason, d.Policy, d.Rule, nil
	if f.Machine != nil {
		e.Group = f.Machine.Group
	}
	if d.Wait > 0 {
		e.State, e.Due = schema.EventWaiting, timestamppb.New(t.Clock.Now().Add(d.Wait))
		return fsm.Events.Put(tx, e)
	}
	e.State, e.Actions = schema.EventHandled, nil
	notify := false
	for _, a := range d.Actions {
		notify = notify || a.Notify
	}
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

// factsOf gathers what a decision on an event depends on.
func factsOf(r fsm.Reader, e *schema.Event) policy.Facts {
	s := fsm.Settings(r)
	f := policy.Facts{Event: e, Brake: int(s.BrakeJobs), GroupBrake: int(s.BrakeJobsPerGroup)}
	m, ok := fsm.Machines.Get(r, e.Target)
	if !ok {
		return f
	}
	f.Machine = m
	if m.Group == "" {
		return f
	}
	f.Policy, f.From = policyOf(r, m)
	if armed, d, where := fsm.ArmedState(r, m.Group); !armed {
		f.Disarmed = fmt.Sprintf("%s disarmed the %s at %s (%s)", d.By, where, d.Since.AsTime().UTC().Format(time.RFC3339), d.Reason)
	}
	for _, j := range fsm.LiveJobs(r) {
		if j.Event == "" {
			continue
		}
		f.Jobs++
		if j.Group == m.Group {
			f.GroupJobs++
		}
	}
	f.MovedBy = movedBy(r, m.Name)
	f.ShutDown = shutDown(r, m)
	f.Placement, f.PlacedBy = placementOf(r, m) != nil, placedBy(r, m)
	return f
}

// policyOf is the policy in force for a machine: its model's, else its group's.
func policyOf(r fsm.Reader, m *schema.Machine) (*schema.Policy, string) {
	if mo, ok := fsm.Models.Get(r, fsm.GroupKey(m.Group, m.Model)); ok && mo.Policy != "" {
		if p, ok := fsm.Policies.Get(r, mo.Policy); ok {
			return p, "model " + m.Group + "/" + m.Model
		}
	}
	if g, ok := fsm.Groups.Get(r, m.Group); ok && g.Policy != "" {
		if p, ok := fsm.Policies.Get(r, g.Policy); ok {
			return p, "group " + m.Group
		}
	}
	return nil, ""
}

// movedBy is the job that takes the VMs off a VM server already.
func movedBy(r fsm.Reader, server string) string {
	for _, j := range fsm.LiveJobs(r) {
		if (j.Sequence == fsm.SeqFailoverVMServer || j.Sequence == fsm.SeqEvacuate) && j.Params[fsm.ParamVMServer] == server {
			return j.Id
		}
	}
	return ""
}

// shutDown says when a job shut a VM server down on which no VM ran any more.
func shutDown(r fsm.Reader, m *schema.Machine) string {
	if m.Kind != schema.MachineVMServer || m.Power != schema.PowerOff || m.Connected || m.Switched == nil {
		return ""
	}
	for vm := range fsm.Machines.By(r, fsm.ByServer, m.Name) {
		if vm.Power == schema.PowerOn {
			return "" // it ran when its VM server went off
		}
	}
	return "a job shut it down at " + m.Switched.AsTime().UTC().Format(time.RFC3339)
}

// placedBy is the job that rearranges the VMs of a VM server's model already.
func placedBy(r fsm.Reader, server *schema.Machine) string {
	for _, j := range fsm.LiveJobs(r) {
		if j.Sequence != fsm.SeqLoadBalanceVMServer && j.Sequence != fsm.SeqPowerSaveVMServer {
			continue
		}
		if m, ok := fsm.Machines.Get(r, j.Params[fsm.ParamVMServer]); ok && m.Group == server.Group && m.Model == server.Model {
			return j.Id
		}
	}
	return ""
}

// endWaiting ends the waiting of faults that event e recovers.
func endWaiting(tx *fsm.Tx, e *schema.Event) error {
	if e.State != schema.EventNew || e.Target == "" {
		return nil
	}
	var over []*schema.Event
	for fault := range fsm.Events.By(tx, fsm.ByState, schema.EventWaiting) {
		if fault.Target != e.Target || fault.Received.AsTime().After(e.LastTime.AsTime()) {
			continue
		}
		p, ok := fsm.Policies.Get(tx, fault.Policy)
		if !ok {
			continue
		}
		if rule := policy.RuleFor(p, fault); rule != nil && policy.Recovers(rule, fault, e) {
			over = append(over, fault)
		}
	}
	for _, fault := range over {
		row, _ := fsm.Events.Edit(tx, fsm.NumberKey(fault.Id))
		row.State, row.Decision, row.Due = schema.EventHandled, schema.DecisionRecovered, nil
		row.Reason = fmt.Sprintf("%s recovered in time: event %s, %s.", row.Target, e.Id, policy.Describe(e))
		if err := fsm.Events.Put(tx, row); err != nil {
			return err
		}
	}
	return nil
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
	case a.Mode != "" || a.Sequence != "":
		j := &schema.Job{
			Sequence: a.Sequence, Params: map[string]string{fsm.ParamVMServer: e.Target}, Targets: []string{e.Target},
			Group: e.Group, Priority: fsm.PriorityRoutine, Event: e.Id, CreatedBy: "policy " + e.Policy,
			Reason: fmt.Sprintf("event %s: %s", e.Id, policy.Describe(e)),
		}
		if a.Mode != "" {
			j.Sequence, j.Priority, j.Params[fsm.ParamMode] = fsm.SeqFailoverVMServer, fsm.PriorityRecovery, a.Mode
		} else {
			j.Reason += ", " + e.Text
		}
		id, err := fsm.QueueJob(tx, j)
		if err != nil {
			return nil, err
		}
		rec.Result, rec.Job, rec.Detail = policy.ResultStarted, id, "job "+id
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
