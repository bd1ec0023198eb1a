package fsm

import (
	"slices"
	"strings"

	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// Policies are the named sets of rules, by name.
var Policies = &Table[*schema.Policy]{
	number: 8, name: "policy",
	key:   func(p *schema.Policy) string { return p.Name },
	check: checkPolicy,
}

// Limits of a policy.
const (
	maxRules    = 1000
	maxSuppress = 24 * 60 * 60 // seconds
	maxFlaps    = 1000
)

// policyNotifiers are those that a rule may name. Our own event log isn't among
// them: a policy that acts on what policies do would never end.
var policyNotifiers = []string{schema.NotifierESMPRO, schema.NotifierPerf, schema.NotifierVMware, schema.NotifierSNMP}

// checkPolicy checks a policy by itself. KindInvalid.
func checkPolicy(p *schema.Policy) error {
	o := "policy " + p.Name
	if err := schema.CheckName(o, "the policy's name", p.Name); err != nil {
		return err
	}
	if len(p.Rules) > maxRules {
		return schema.Errorf(schema.KindTooLarge, o, "it has %d rules, the limit is %d", len(p.Rules), maxRules)
	}
	for i, r := range p.Rules {
		if err := checkRule(r); err != nil {
			e := schema.Errorf(schema.KindInvalid, o, "rules[%d] (%s).%s", i, r.Name, err.Msg)
			e.Hint = err.Hint
			return e
		}
	}
	return nil
}

func checkRule(r *schema.PolicyRule) *schema.Error {
	if !slices.Contains(policyNotifiers, r.Notifier) {
		return specError("notifier is %q", r.Notifier).WithHint("it can be %s", strings.Join(policyNotifiers, ", "))
	}
	for field, selector := range map[string]string{"selector": r.Selector, "recovery": r.Recovery} {
		if field == "recovery" && selector == "" {
			continue
		}
		if _, err := catalog.ParseSelector(r.Notifier, selector); err != nil {
			return specError("%s: %v", field, err)
		}
	}
	if len(r.Actions) == 0 {
		return specError("actions is empty").WithHint("do-nothing is an action, too")
	}
	for i, a := range r.Actions {
		if _, ok := catalog.ActionBySlug(a); !ok {
			return specError("actions[%d]: there is no action %q", i, a).WithHint("the actions are %s", strings.Join(catalog.ActionSlugs(), ", "))
		}
	}
	if r.SuppressSeconds < 0 || r.SuppressSeconds > maxSuppress {
		return specError("suppress_seconds is %d", r.SuppressSeconds).WithHint("it can be 0 to %d", maxSuppress)
	}
	if r.FlapCount < 0 || r.FlapCount > maxFlaps {
		return specError("flap_count is %d", r.FlapCount).WithHint("it can be 0 to %d", maxFlaps)
	}
	if r.FlapSeconds < 0 || r.FlapSeconds > maxSuppress {
		return specError("flap_seconds is %d", r.FlapSeconds).WithHint("it can be 0 to %d", maxSuppress)
	}
	if _, err := schema.ParseHours(r.Hours); err != nil {
		return specError("hours: %v", err).WithHint("such as mon-fri 08:00-18:00 Asia/Tokyo")
	}
	return nil
}
