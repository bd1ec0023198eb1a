package fsm

import (
	"strings"

	"yagura/fsm/schema"
)

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
	s.Address = asURL(s.Address, "/sdk")
	if s.MaxOperations == 0 {
		s.MaxOperations = DefaultOperations
	}
	if s.MaxOperationsPerServer == 0 {
		s.MaxOperationsPerServer = DefaultOperationsPerServer
	}
}

// asURL completes HOST or HOST:PORT to the URL that drivers want.
func asURL(address, path string) string {
	if address == "" || strings.Contains(address, "://") {
		return address
	}
	return "https://" + address + path
}

func checkSubsystem(s *schema.Subsystem) error {
	if s.Address == "" {
		return specError("address is missing").WithHint("give a URL such as https://vcenter.example.com/sdk")
	}
	return nil
}
