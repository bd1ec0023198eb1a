package fsm

import "yagura/fsm/schema"

// Vlans tie VLAN names to ids, one to one [1.8.2], by name.
var Vlans = &Table[*schema.Vlan]{
	number: 21, name: "vlan",
	key:   func(v *schema.Vlan) string { return v.Name },
	check: (*schema.Vlan).Validate,
}
