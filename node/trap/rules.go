package trap

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

// notifierSNMP is that of notifications that no rule maps.
const notifierSNMP = "SNMP"

// Rules are mapping rules, ready to be used. They never change.
type Rules struct{ rules []rule }

type rule struct {
	*schema.TrapRule
	patterns []*regexp.Regexp // of Match, nil where none
}

// Compile prepares rules. A rule that can't be used is left out and told in
// problems; the database refuses such rules, so it is one of a newer version.
func Compile(rows []*schema.TrapRule) (r *Rules, problems []error) {
	r = &Rules{}
	for _, row := range rows {
		c := rule{TrapRule: row, patterns: make([]*regexp.Regexp, len(row.Match))}
		var err error
		for i, m := range row.Match {
			if m.Regexp != "" && err == nil {
				c.patterns[i], err = regexp.Compile(m.Regexp)
			}
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("trap rule %s: %w", row.Name, err))
			continue
		}
		r.rules = append(r.rules, c)
	}
	slices.SortStableFunc(r.rules, func(a, b rule) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Name, b.Name))
	})
	return r, problems
}

// raw keeps a notification in the shape of an event until it is mapped, which
// is when the leader can take it: a manager that was just started may not have
// the rules in force yet.
func raw(n *Notification, from netip.AddrPort, at time.Time) *schema.Event {
	e := &schema.Event{
		Received: timestamppb.New(at), From: from.String(), TargetHint: n.Agent, EventId: n.TrapOID, Source: n.Community,
		Varbinds: make(map[string]string, len(n.Varbinds)),
	}
	for _, v := range n.Varbinds {
		e.Varbinds[v.OID] = v.Value
	}
	return e
}

// Map maps what raw kept; ok is false when a rule says to ignore it.
func (r *Rules) Map(kept *schema.Event) (e *schema.Event, ok bool) {
	n := &Notification{TrapOID: kept.EventId, Agent: kept.TargetHint, Community: kept.Source}
	for _, oid := range slices.Sorted(maps.Keys(kept.Varbinds)) {
		n.Varbinds = append(n.Varbinds, Varbind{oid, kept.Varbinds[oid]})
	}
	e, ok = r.event(n)
	if !ok {
		return nil, false
	}
	e.Sequence, e.Received, e.From, e.Varbinds, e.Requests = kept.Sequence, kept.Received, kept.From, kept.Varbinds, kept.Requests
	return e, true
}

// event maps a notification to an event by the first rule that matches; ok is
// false when that rule says to ignore it. A notification that no rule knows
// becomes an event, too: of notifier SNMP, with its OID as event id.
func (r *Rules) event(n *Notification) (e *schema.Event, ok bool) {
	e = &schema.Event{TargetHint: n.Agent, Notifier: notifierSNMP, Source: notifierSNMP, EventId: n.TrapOID}
	for i := range r.rules {
		c := &r.rules[i]
		if !c.matches(n) {
			continue
		}
		if c.Ignore {
			return nil, false
		}
		e.Rule = c.Name
		e.Notifier = cmp.Or(expand(c.Notifier, n), e.Notifier)
		e.Source = expand(c.Source, n)
		e.EventId = cmp.Or(expand(c.EventId, n), e.EventId)
		e.TargetHint = cmp.Or(expand(c.Target, n), e.TargetHint)
		e.Severity = c.Severity // empty: the leader makes it out by the event's id
		e.Text = expand(c.Text, n)
		return e, true
	}
	e.Text = "no rule maps this notification"
	return e, true
}

func (c *rule) matches(n *Notification) bool {
	if !below(n.TrapOID, c.Oid) {
		return false
	}
	for i, m := range c.Match {
		if !slices.ContainsFunc(n.Varbinds, func(v Varbind) bool {
			return below(v.OID, m.Oid) && (m.Value == "" || m.Value == v.Value) && (c.patterns[i] == nil || c.patterns[i].MatchString(v.Value))
		}) {
			return false
		}
	}
	return true
}

// below tells whether oid is prefix or lies under it.
func below(oid, prefix string) bool {
	rest, ok := strings.CutPrefix(oid, prefix)
	return ok && (rest == "" || rest[0] == '.' || prefix == "")
}

// expand fills in a template: the first of its |-separated alternatives that
// isn't empty.
func expand(template string, n *Notification) string {
	for alt := range strings.SplitSeq(template, "|") {
		if text := strings.TrimSpace(fill(alt, n)); text != "" {
			return text
		}
	}
	return ""
}

// fill replaces the variables of one alternative: ${agent}, ${community},
// ${oid}, and the first varbind under an OID.
func fill(s string, n *Notification) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "${")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return b.String()
		}
		switch name {
		case "agent":
			b.WriteString(n.Agent)
		case "community":
			b.WriteString(n.Community)
		case "oid":
			b.WriteString(n.TrapOID)
		default:
			if i := slices.IndexFunc(n.Varbinds, func(v Varbind) bool { return below(v.OID, name) }); i >= 0 {
				b.WriteString(n.Varbinds[i].Value)
			}
		}
		s = after
	}
}
