package fsm

import "yagura/fsm/schema"

// Subsystems are the other managers that ours works through, by name.
var Subsystems = &Table[*schema.Subsystem]{
	number: 6, name: "subsystem",
	key: func(s *schema.Subsystem) string { return s.Name },
}
