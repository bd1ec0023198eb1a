package trap

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"yagura/fsm/schema"
)

// Verdict is what one rule has to do with a notification.
type Verdict struct {
	Rule    string
	Matches bool
	Why     string // why it doesn't match, or why another rule is taken
}

// Explanation is what a datagram would become.
type Explanation struct {
	Notification *Notification
	// Verdicts are those of all rules, in the order in which they are tried.
	Verdicts []Verdict
	// Event is what it becomes; nil when a rule says to ignore it.
	Event *schema.Event
}

// Explain decodes a datagram as a sink with these settings does and says what
// the rules make of it. Nothing is recorded, counted or answered. An inform of
// SNMPv3 is bound to the engine and the time of the manager that it was sent to,
// so none passes here. The error is a *DecodeError.
func Explain(c Config, rules *Rules, datagram []byte, from netip.AddrPort, at time.Time) (*Explanation, error) {
	d, err := NewDecoder(c, Engine{ID: "\x80\x00\x00\x00\x04yagura-test", Start: at})
	if err != nil {
		return nil, &DecodeError{Reason: Unauthorized, Err: err}
	}
	n, err := d.Decode(datagram, from.Addr())
	if err != nil {
		return nil, err
	}
	x := &Explanation{Notification: n}
	taken := ""
	for i := range rules.rules {
		c := &rules.rules[i]
		v := Verdict{Rule: c.Name, Why: c.mismatch(n), Matches: c.matches(n)}
		switch {
		case !v.Matches:
		case taken == "":
			taken = c.Name
		default:
			v.Why = "rule " + taken + " comes first"
		}
		x.Verdicts = append(x.Verdicts, v)
	}
	if e, ok := rules.Map(raw(n, from, at)); ok {
		x.Event = e
	}
	return x, nil
}

// mismatch says why a rule doesn't match; empty when it does.
func (c *rule) mismatch(n *Notification) string {
	if !below(n.TrapOID, c.Oid) {
		return fmt.Sprintf("the notification's OID isn't below %s", c.Oid)
	}
	for i, m := range c.Match {
		under := slices.DeleteFunc(slices.Clone(n.Varbinds), func(v Varbind) bool { return !below(v.OID, m.Oid) })
		switch {
		case len(under) == 0:
			return fmt.Sprintf("it has no varbind below %s", m.Oid)
		case m.Value != "" && !slices.ContainsFunc(under, func(v Varbind) bool { return v.Value == m.Value }):
			return fmt.Sprintf("%s is %q, the rule wants %q", under[0].OID, under[0].Value, m.Value)
		case c.patterns[i] != nil && !slices.ContainsFunc(under, func(v Varbind) bool { return c.patterns[i].MatchString(v.Value) }):
			return fmt.Sprintf("%s is %q, the rule wants what matches %s", under[0].OID, under[0].Value, m.Regexp)
		}
	}
	return ""
}
