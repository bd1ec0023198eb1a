package fsm

import (
	"encoding/pem"
	"slices"
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
	s.Address = s.NormalAddress()
	if s.MaxOperations == 0 {
		s.MaxOperations = DefaultOperations
	}
	if s.MaxOperationsPerServer == 0 {
		s.MaxOperationsPerServer = DefaultOperationsPerServer
	}
}

// asURL completes HOST or HOST:PORT to the URL that drivers want.
func asURL(address string) string {
	if address == "" || strings.Contains(address, "://") {
		return address
	}
	return "https://" + address
}

// checkSubsystem holds what names a subsystem against what it does.
func checkSubsystem(r Reader, s *schema.Subsystem) error {
	if err := s.CheckComplete(); err != nil {
		return err
	}
	does := schema.SubsystemDoes(s.Kind)
	for _, u := range subsystemUses(r, s.Name) {
		if u.does != "" && u.does != does {
			return schema.Errorf(schema.KindConflict, "", "kind is %s, which is not %s; %s names it as that", s.Kind, u.does, u.user)
		}
	}
	return nil
}

// subsystemUse is an object that names a subsystem, and what for.
type subsystemUse struct{ user, does string }

func subsystemUses(r Reader, name string) (uses []subsystemUse) {
	for m := range Machines.All(r) {
		if m.Subsystem == name && m.Managed {
			uses = append(uses, subsystemUse{"machine " + m.Name, schema.DoesVMs})
		}
		if m.Kind == schema.MachinePhysical && slices.ContainsFunc(m.Nics, func(n *schema.NIC) bool { return n.Network == name }) {
			uses = append(uses, subsystemUse{"machine " + m.Name, schema.DoesVLANs})
		}
	}
	for i := range SoftwareItems.All(r) {
		if i.Subsystem == name {
			uses = append(uses, subsystemUse{"software " + i.Name, softwareDoes(i)})
		}
	}
	for h := range Hosts.All(r) {
		if slices.ContainsFunc(h.Volumes, func(v *schema.Volume) bool { return v.Subsystem == name }) {
			uses = append(uses, subsystemUse{"host " + GroupKey(h.Group, h.Name), schema.DoesStorage})
		}
	}
	for l := range LoadBalancers.All(r) {
		if l.Subsystem == name {
			uses = append(uses, subsystemUse{"load-balancing group " + l.Name, schema.DoesBalancing})
		}
	}
	return uses
}

// checkPrivateKey looks at a private key in a document before it is sealed. The
// error shows nothing of it.
func checkPrivateKey(field string, spec map[string]any) error {
	text, ok := spec[field].(string)
	if !ok || text == "" {
		return nil
	}
	for rest := []byte(text); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return specError("%s holds no private key", field).WithHint("give the key in PEM form, such as the file that ssh-keygen writes")
		}
		if strings.HasSuffix(b.Type, "PRIVATE KEY") { // a certificate may stand beside it
			return nil
		}
	}
}
