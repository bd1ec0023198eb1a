package fsm

import "yagura/fsm/schema"

// SoftwareItems are scenarios, templates and local scripts, by name.
var SoftwareItems = &Table[*schema.Software]{
	number: 7, name: "software",
	key: func(s *schema.Software) string { return s.Name },
}
