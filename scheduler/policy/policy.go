// Package policy decides what an event leads to: a pure function of the event,
// the rows around it and the policy in force. It reads nothing and writes
// nothing; whoever calls it carries the decision out and keeps its reason.
package policy

import (
	"fmt"
	"strings"
	"time"

	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// Facts are all that a decision depends on.
type Facts struct {
	Event   *schema.Event
	Machine *schema.Machine // the event's target; nil when none is known
	Policy  *schema.Policy  // in force for the target; nil for none
	From    string          // where the policy is set, such as "model web/web-vm"
	// Disarmed says since when, by whom and why automation is off for the
	// target's group; empty while it is on.
	Disarmed string
	// Due says that the time is over for which the event waited for a recovery.
	Due bool
	// Jobs that automation has started and that aren't over: all, and those of
	// the target's group; and how many there may be at most, 0 for no bound.
	Jobs, GroupJobs   int
	Brake, GroupBrake int
	// MovedBy is the job that takes the VMs off the target already, if there is one.
	MovedBy string
	// ShutDown says when a job shut the target down, empty while it isn't off
	// on purpose: that such a machine doesn't answer is no fault.
	ShutDown string
	// Placement tells whether VM placement is on for the target's model, and
	// PlacedBy is the job that rearranges the VMs of that model already.
	Placement bool
	PlacedBy  string
}

// Decision is what becomes of an event, and why.
type Decision struct {
	Decision string // one of the decisions of package schema
	Reason   string // in a sentence
	Policy   string
	Rule     string
	Wait     time.Duration // DecisionSuppressed: how long
	Actions  []Action
}

// Action is one action of a rule, and how it is to be carried out. Exactly one
// of Status, Mode, Sequence and Notify says what to do, or Result that nothing is.
type Action struct {
	Slug     string
	Notify   bool   // write the event to our event log
	Status   string // hardware status that the target gets
	Mode     string // how the VMs are taken off the target
	Sequence string // action sequence that rearranges the VMs of the target's model
	Result   string // not carried out: the result for the record
	Detail   string // why
}

// Results of actions.
const (
	ResultDone       = "done"
	ResultStarted    = "started"
	ResultNotCarried = "not-carried-out"
	ResultFailed     = "failed"
)

// Decide decides on an event.
func Decide(f Facts) Decision {
	e := f.Event
	what := Describe(e)
	switch {
	case f.Machine == nil && e.TargetHint == "":
		return Decision{Decision: schema.DecisionIgnored, Reason: what + " names no machine."}
	case f.Machine == nil:
		return Decision{Decision: schema.DecisionIgnored, Reason: fmt.Sprintf("%s is about %q, and no machine is known by that name or address.", what, e.TargetHint)}
	case f.Machine.Group == "":
		return Decision{Decision: schema.DecisionIgnored, Reason: fmt.Sprintf("%s runs in no group, so no policy is in force for it.", f.Machine.Name)}
	case f.Policy == nil:
		return Decision{Decision: schema.DecisionIgnored, Reason: fmt.Sprintf("no policy is set for group %s, in which %s runs.", f.Machine.Group, f.Machine.Name)}
	}
	rule := RuleFor(f.Policy, e)
	d := Decision{Policy: f.Policy.Name}
	if rule == nil {
		d.Decision = schema.DecisionIgnored
		d.Reason = fmt.Sprintf("policy %s of %s has no rule for %s.", f.Policy.Name, f.From, what)
		return d
	}
	d.Rule = rule.Name
	by := fmt.Sprintf("policy %s of %s, rule %q", f.Policy.Name, f.From, rule.Name)
	switch {
	case f.Machine.Maintenance:
		d.Decision = schema.DecisionMaintenance
		d.Reason = fmt.Sprintf("%s asks for %s, but %s is in maintenance mode.", by, strings.Join(rule.Actions, ", "), f.Machine.Name)
		return d
	case f.ShutDown != "" && inaccessible[categoryOf(e)]:
		d.Decision = schema.DecisionIgnored
		d.Reason = fmt.Sprintf("%s asks for %s, but %s is off on purpose: %s.", by, strings.Join(rule.Actions, ", "), f.Machine.Name, f.ShutDown)
		return d
	case f.Disarmed != "" && !idle(rule):
		d.Decision = schema.DecisionDisarmed
		d.Reason = fmt.Sprintf("%s asks for %s, but automation is off: %s.", by, strings.Join(rule.Actions, ", "), f.Disarmed)
		return d
	case rule.SuppressSeconds > 0 && !f.Due && !idle(rule):
		d.Decision = schema.DecisionSuppressed
		d.Wait = time.Duration(rule.SuppressSeconds) * time.Second
		d.Reason = fmt.Sprintf("%s waits %s for a recovery before it does %s.", by, d.Wait, strings.Join(rule.Actions, ", "))
		return d
	}
	d.Decision = schema.DecisionActed
	if idle(rule) {
		d.Decision = schema.DecisionIgnored
	}
	d.Reason = fmt.Sprintf("%s: %s.", by, strings.Join(rule.Actions, ", "))
	if f.Due {
		d.Reason += " No recovery came in time."
	}
	for _, slug := range rule.Actions {
		a := f.action(slug)
		if a.Mode != "" || a.Sequence != "" {
			if brake := f.braked(); brake != "" {
				d.Decision = schema.DecisionBraked
				d.Reason += " The brake holds: " + brake + "; look what is wrong, then start the job by hand."
				a = Action{Slug: slug, Result: ResultNotCarried, Detail: "the brake holds: " + brake}
			}
		}
		d.Actions = append(d.Actions, a)
	}
	return d
}

// inaccessible are the categories of events that say that a machine doesn't answer.
var inaccessible = map[string]bool{"machine-inaccessible": true, "target-inaccessible": true}

// idle tells whether a rule does nothing to the world: it isn't held back.
func idle(rule *schema.PolicyRule) bool {
	for _, a := range rule.Actions {
		if a != "do-nothing" {
			return false
		}
	}
	return true
}

// action says how one action is to be carried out.
func (f Facts) action(slug string) Action {
	a := Action{Slug: slug}
	switch slug {
	case "notify":
		a.Notify = true
	case "set-status-normal":
		a.Status = schema.HardwareNormal
	case "set-status-degraded":
		a.Status = schema.HardwareDegraded
	case "set-status-failed":
		a.Status = schema.HardwareFailed
	case "vms-move-all-migrate":
		f.moveAll(&a, fsm.ModeMigrate)
	case "vms-move-all-migrate-failover":
		f.moveAll(&a, fsm.ModeMigrateFailover)
	case "vms-move-all-failover":
		f.moveAll(&a, fsm.ModeFailover)
	case "vms-load-balance":
		f.rearrange(&a, fsm.SeqLoadBalanceVMServer)
	case "vms-power-save":
		f.rearrange(&a, fsm.SeqPowerSaveVMServer)
	case "do-nothing":
		a.Result = ResultDone
	default:
		a.Result, a.Detail = ResultNotCarried, "this version can't carry it out; do it by hand"
		if known, ok := catalog.ActionBySlug(slug); ok {
			a.Detail = fmt.Sprintf("this version can't carry it out (%s); do it by hand", known.Text)
		}
	}
	return a
}

// moveAll is an action on all VMs of a VM server [4.2.16-18].
func (f Facts) moveAll(a *Action, mode string) {
	switch {
	case f.Machine.Kind != schema.MachineVMServer:
		a.Result, a.Detail = ResultNotCarried, f.Machine.Name+" is no VM server"
	case f.MovedBy != "":
		a.Result, a.Detail = ResultDone, "job "+f.MovedBy+" does it already"
	default:
		a.Mode = mode
	}
}

// rearrange is an action on all VM servers of a model [4.2.19, 4.2.20].
func (f Facts) rearrange(a *Action, sequence string) {
	switch {
	case f.Machine.Kind != schema.MachineVMServer:
		a.Result, a.Detail = ResultNotCarried, f.Machine.Name+" is no VM server"
	case !f.Placement:
		a.Result, a.Detail = ResultNotCarried, "VM placement is off for the model of "+f.Machine.Name
	case f.MovedBy != "":
		a.Result, a.Detail = ResultNotCarried, "job "+f.MovedBy+" takes the VMs off "+f.Machine.Name
	case f.PlacedBy != "":
		a.Result, a.Detail = ResultDone, "job "+f.PlacedBy+" rearranges the VMs of its model already"
	default:
		a.Sequence = sequence
	}
}

// braked says why automation may start no further job, or "".
func (f Facts) braked() string {
	switch {
	case f.Brake > 0 && f.Jobs >= f.Brake:
		return fmt.Sprintf("%d jobs that automation has started aren't over, %d are allowed", f.Jobs, f.Brake)
	case f.GroupBrake > 0 && f.GroupJobs >= f.GroupBrake:
		return fmt.Sprintf("%d jobs that automation has started for group %s aren't over, %d are allowed", f.GroupJobs, f.Machine.Group, f.GroupBrake)
	}
	return ""
}

// RuleFor is the first rule of a policy that is about an event, or nil: one
// that names the event itself goes before one that names its category.
func RuleFor(p *schema.Policy, e *schema.Event) *schema.PolicyRule {
	var byCategory *schema.PolicyRule
	for _, r := range p.Rules {
		s, err := catalog.ParseSelector(r.Notifier, r.Selector)
		if err != nil || r.Notifier != e.Notifier || !s.Match(e.Source, idOf(e), categoryOf(e)) {
			continue
		}
		if s.Category == "" {
			return r
		}
		if byCategory == nil {
			byCategory = r
		}
	}
	return byCategory
}

// Recovers tells whether event e ends the fault of an event that a rule has
// waiting: by the rule's recovery selector, or by the catalog's counterpart.
func Recovers(rule *schema.PolicyRule, fault, e *schema.Event) bool {
	if rule.Recovery != "" {
		s, err := catalog.ParseSelector(rule.Notifier, rule.Recovery)
		return err == nil && e.Notifier == rule.Notifier && s.Match(e.Source, idOf(e), categoryOf(e))
	}
	want := catalog.RecoveryOf(categoryOf(fault))
	return want != "" && e.Notifier == fault.Notifier && categoryOf(e) == want
}

// categoryOf is an event's category: its own, or the catalog's.
func categoryOf(e *schema.Event) string {
	if e.Category != "" {
		return e.Category
	}
	return catalog.CategoryOf(e.Notifier, e.Source, e.EventId)
}

// idOf is an event's id in the form that selectors have.
func idOf(e *schema.Event) string { return catalog.NormalEventID(e.Notifier, e.EventId) }

// Describe names an event as policies do.
func Describe(e *schema.Event) string {
	if e.Notifier == schema.NotifierESMPRO || e.Notifier == schema.NotifierSNMP {
		return e.Source + "[" + e.EventId + "]"
	}
	return e.EventId
}
