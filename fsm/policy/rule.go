package policy

import (
	"time"

	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// RuleFor is the first rule of a policy that is about an event and holds at
// the time, or nil: one that names the event itself goes before one that names
// its category.
func RuleFor(p *schema.Policy, e *schema.Event, at time.Time) *schema.PolicyRule {
	var byCategory *schema.PolicyRule
	for _, r := range p.Rules {
		s, err := catalog.ParseSelector(r.Notifier, r.Selector)
		if err != nil || r.Notifier != e.Notifier || !s.Match(e.Source, idOf(e), categoryOf(e)) || !holds(r, at) {
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

// holds tells whether a rule holds at a time of the week.
func holds(r *schema.PolicyRule, at time.Time) bool {
	h, err := schema.ParseHours(r.Hours)
	return err == nil && h.Contain(at)
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

// Inaccessible tells whether an event says that a machine doesn't answer.
func Inaccessible(e *schema.Event) bool { return catalog.Inaccessible(categoryOf(e)) }

// Since is when what an event tells of happened: when it was received, or, when
// it is decided on anew because it came again, when it last came.
func Since(e *schema.Event) time.Time {
	if e.State == schema.EventNew && e.Again > 0 {
		return e.LastTime.AsTime()
	}
	return e.Received.AsTime()
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
