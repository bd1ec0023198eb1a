package fsm

import "yagura/fsm/schema"

// Subsystems are the other managers that ours works through, by name.
var Subsystems = &Table[*schema.Subsystem]{
	number: 6, name: "subsystem",
	key:   func(s *schema.Subsystem) string { return s.Name },
	check: (*schema.Subsystem).Validate,
}

// Defaults of a subsystem.
const (
	DefaultOperations          = 8 // operations in flight at most
	DefaultOperationsPerServer = 2 // and per VM server
)

func normalSubsystem(s *schema.Subsystem) {
	if s.Kind == "" {
		s.Kind = "vcenter"
	}
	if s.MaxOperations == 0 {
		s.MaxOperations = DefaultOperations
	}
	if s.MaxOperationsPerServer == 0 {
		s.MaxOperationsPerServer = DefaultOperationsPerServer
	}
}

func checkSubsystem(s *schema.Subsystem) error {
	if s.Address == "" {
		return specError("address is missing").WithHint("give a URL such as https://vcenter.example.com/sdk")
	}
	return nil
}

// SetSubsystemError notes why the last contact with a subsystem failed; empty
// when it went well. Nothing is written when it is noted already.
func SetSubsystemError(tx *Tx, subsystem, text string) error {
	s, ok := Subsystems.Edit(tx, subsystem)
	if !ok {
		return schema.Errorf(schema.KindNotFound, "subsystem "+subsystem, "there is no such subsystem")
	}
	s.Error = text
	return Subsystems.Put(tx, s)
}
