// Package policy decides what an event leads to: a pure function of the event,
// the rows around it and the time. It writes nothing; whoever calls it carries
// the decision out and keeps its reason. It stands between fsm and the two that
// use it: the scheduler decides by it, and the API answers what would be decided.
package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"yagura/fsm/schema"
)

// Decision is what becomes of an event, and why.
type Decision struct {
	Decision string // one of the decisions of package schema
	Reason   string // in a sentence
	Policy   string
	Rule     string
	Brake    Brake         // DecisionBraked: the first one that holds
	Wait     time.Duration // DecisionSuppressed: how long
	Actions  []Action
}

// Action is one action of a rule, and how it is to be carried out. Exactly one
// of Notify, Status and Job says what to do, or Result that nothing is.
type Action struct {
	Slug   string
	Notify bool        // write the event to our event log
	Status string      // hardware status that the target gets
	Job    *schema.Job // job to queue; who asked for it and why is the caller's to fill in
	Why    string      // Job: why this machine was chosen; may be empty
	Result string      // not carried out: the result for the record
	Detail string      // why
}

// Results of actions.
const (
	ResultDone       = "done"
	ResultStarted    = "started"
	ResultNotCarried = "not-carried-out"
	ResultFailed     = "failed"
)

// busyWait is how long an event is put off that says that a machine doesn't
// answer while a job works on it.
const busyWait = time.Minute

// Decide decides on an event.
func Decide(f Facts) Decision {
	what := Describe(f.Event)
	if why := f.nobody(what); why != "" {
		return Decision{Decision: schema.DecisionIgnored, Reason: why}
	}
	d := Decision{Policy: f.Policy.Name}
	rule := f.Rule
	if rule == nil {
		d.Decision = schema.DecisionIgnored
		d.Reason = fmt.Sprintf("policy %s of %s has no rule for %s.", f.Policy.Name, f.From, what)
		return d
	}
	d.Rule = rule.Name
	by := fmt.Sprintf("policy %s of %s, rule %q", f.Policy.Name, f.From, rule.Name)
	asks := by + " asks for " + strings.Join(rule.Actions, ", ")
	silent := Inaccessible(f.Event)
	switch {
	case f.Late != "":
		d.Decision, d.Reason = schema.DecisionIgnored, asks+", but "+f.Late+"."
		return d
	case f.Machine.Maintenance:
		d.Decision, d.Reason = schema.DecisionMaintenance, asks+", but "+f.Machine.Name+" is in maintenance mode."
		return d
	case f.ShutDown != "" && silent:
		d.Decision, d.Reason = schema.DecisionIgnored, asks+", but "+f.Machine.Name+" is off on purpose: "+f.ShutDown+"."
		return d
	case f.Pool && silent:
		d.Decision, d.Reason = schema.DecisionIgnored, asks+", but "+f.Machine.Name+" waits in the pool of group "+f.group()+": that it doesn't answer is no fault."
		return d
	case f.Disarmed != "" && !idle(rule):
		d.Decision, d.Reason = schema.DecisionDisarmed, asks+", but automation is off: "+f.Disarmed+"."
		return d
	case rule.SuppressSeconds > 0 && !f.Due && !idle(rule):
		d.Decision = schema.DecisionSuppressed
		d.Wait = time.Duration(rule.SuppressSeconds) * time.Second
		d.Reason = fmt.Sprintf("%s waits %s for a recovery before it does %s.", by, d.Wait, strings.Join(rule.Actions, ", "))
		return d
	case f.WorkedOnBy != "" && silent && !idle(rule):
		d.Decision, d.Wait = schema.DecisionSuppressed, busyWait
		d.Reason = fmt.Sprintf("%s, but job %s works on %s, which may not answer meanwhile: it is decided on again in %s, unless a recovery comes.", asks, f.WorkedOnBy, f.Machine.Name, busyWait)
		return d
	}
	d.act(&f, by)
	return d
}

// nobody says why no policy is in force for what an event is about, or "".
func (f *Facts) nobody(what string) string {
	m := f.Machine
	switch {
	case m == nil && f.Event.TargetHint == "":
		return what + " names no machine."
	case m == nil:
		return fmt.Sprintf("%s is about %q, and no machine is known by that name or address.", what, f.Event.TargetHint)
	case f.Policy != nil:
		return ""
	case m.Group != "":
		return fmt.Sprintf("no policy is set for group %s, in which %s runs.", m.Group, m.Name)
	case len(m.PoolGroups) > 0:
		return fmt.Sprintf("%s runs in no group, and no policy is set for the group in whose pool it waits (%s).", m.Name, strings.Join(m.PoolGroups, ", "))
	}
	return m.Name + " runs in no group, so no policy is in force for it."
}

// act decides on the actions of the rule, in their order.
func (d *Decision) act(f *Facts, by string) {
	d.Decision = schema.DecisionActed
	if idle(f.Rule) {
		d.Decision = schema.DecisionIgnored
	}
	d.Reason = by + ": " + strings.Join(f.Rule.Actions, ", ") + "."
	if f.Due {
		d.Reason += " No recovery came in time."
	}
	for _, slug := range f.Rule.Actions {
		a := f.action(slug)
		if a.Status != "" && a.Status != schema.HardwareNormal && f.maybeBefore() {
			a = Action{Slug: slug, Result: ResultNotCarried, Detail: "it may tell of the machine before it: " + f.Held}
		}
		if a.Status != "" {
			f.status = a.Status
		}
		if a.Job != nil {
			if brake, why := f.braked(a.Job); brake != "" {
				d.Decision, d.Brake = schema.DecisionBraked, cmp.Or(d.Brake, brake)
				d.Reason += fmt.Sprintf(" The brake holds %s: %s; look what is wrong, then %s.", slug, why, byHand(a.Job))
				a = Action{Slug: slug, Result: ResultNotCarried, Detail: "the brake holds: " + why}
			} else {
				f.jobs = append(f.jobs, a.Job)
			}
		}
		d.Actions = append(d.Actions, a)
	}
	if f.Storm != "" && d.Decision == schema.DecisionActed && slices.ContainsFunc(f.Rule.Actions, acts) {
		d.Decision, d.Brake = schema.DecisionBraked, BrakeStorm // whatever else speaks against it
		d.Reason += " It is part of a " + f.Storm + "."
	}
	// The jobs of one event start in the rule's order, see After: those of
	// different priorities would stand in each other's way.
	top := int32(0)
	for _, j := range f.jobs {
		top = max(top, j.Priority)
	}
	for _, j := range f.jobs {
		j.Priority = top
	}
}

// maybeBefore tells whether an event that asks for a replacement may be late news
// of the machine that had the host a moment ago: the one that has it now isn't
// marked as faulty for it.
func (f *Facts) maybeBefore() bool {
	return f.Held != "" && Inaccessible(f.Event) && slices.Contains(f.Rule.Actions, "replace-machine")
}

// idle tells whether a rule does nothing to the world: it isn't held back.
func idle(rule *schema.PolicyRule) bool {
	return !slices.ContainsFunc(rule.Actions, func(a string) bool { return a != "do-nothing" })
}
