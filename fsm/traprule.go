package fsm

import "yagura/fsm/schema"

// TrapRules map SNMP notifications to events, by name.
var TrapRules = &Table[*schema.TrapRule]{
	number: 9, name: "traprule",
	key: func(r *schema.TrapRule) string { return r.Name },
}
