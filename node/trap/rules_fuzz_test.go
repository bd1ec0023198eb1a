package trap

import (
	"testing"

	"yagura/fsm/schema"
)

// FuzzRules holds of any rule, also of one that the database would refuse: it is
// told as a problem or maps what it matches to an event that policies can name,
// and what is explained of it agrees with what it does.
func FuzzRules(f *testing.F) {
	f.Add("1.3.6", "1.3.6.1", "", "^a+$", "SystemMonitorEvent", "${1.3.6.1}", "${agent}|x", "aaa", "1.3.6.1")
	f.Add("", "1.3", "v", "", "${community", "${}", "|", "v", "1.3.1")
	f.Add("1.3.6.1", "1.3", "", "(", "${oid}", "a|b", "${1.3", "\xff", "1.30")
	f.Fuzz(func(t *testing.T, oid, matchOID, value, pattern, notifier, eventID, target, varbind, varbindOID string) {
		rules, problems := Compile([]*schema.TrapRule{{
			Name: "r", Oid: oid, Match: []*schema.VarbindMatch{{Oid: matchOID, Value: value, Regexp: pattern}}, Notifier: notifier, EventId: eventID, Target: target,
		}})
		if len(rules.rules)+len(problems) != 1 {
			t.Fatalf("%d rules and the problems %v of one rule", len(rules.rules), problems)
		}
		n := &Notification{TrapOID: "1.3.6.1.4.1.5.0.1", Agent: "192.0.2.7", Community: "public", Varbinds: []Varbind{{varbindOID, varbind}}}
		e, ok := rules.event(n)
		if !ok || e.EventId == "" || e.Notifier == "" || e.TargetHint == "" {
			t.Fatalf("event %v, wanted %t", e, ok)
		}
		for i := range rules.rules {
			c := &rules.rules[i]
			if why := c.mismatch(n); c.matches(n) != (why == "") || c.matches(n) != (e.Rule == "r") {
				t.Fatalf("it matches: %t, the event's rule is %q, and it is explained by %q", c.matches(n), e.Rule, why)
			}
		}
	})
}
