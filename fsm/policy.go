package fsm

import "yagura/fsm/schema"

// Policies are sets of rules from events to actions, by name.
var Policies = &Table[*schema.Policy]{
	number: 8, name: "policy",
	key: func(p *schema.Policy) string { return p.Name },
}
