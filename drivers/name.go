package drivers

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// maxName bounds a name, bytes. An iSCSI name, the longest of them, has 223 at most (RFC 7143, 4.2.7.2).
const maxName = 223

// plain are the names that every system and every command line takes as they
// are: no space, no quote, no separator of commands, no dash at the start.
var plain = regexp.MustCompile(`^[A-Za-z0-9_/][A-Za-z0-9._:/@+-]*$`)

// CheckName tells why a name of an object can't be handed to another system.
func CheckName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s has no name", what)
	case len(name) > maxName:
		return fmt.Errorf("the name of %s has more than %d bytes", what, maxName)
	case !plain.MatchString(name):
		return fmt.Errorf("%s has the name %q: only letters, digits and . _ : / @ + - are possible", what, name)
	}
	return nil
}

// Check tells what is wrong with a node.
func (m Member) Check() error {
	if err := CheckName("the node", m.Name); err != nil {
		return err
	}
	if a, err := netip.ParseAddr(m.Address); err != nil || a.Zone() != "" {
		return fmt.Errorf("the node's address %q is not an IP address", m.Address)
	}
	if m.Port < 1 || m.Port > 65535 {
		return fmt.Errorf("the node's port %d is not within 1 and 65535", m.Port)
	}
	return nil
}

// Same tells whether two nodes have the same address and port, however written.
func (m Member) Same(o Member) bool {
	a, err1 := netip.ParseAddr(m.Address)
	b, err2 := netip.ParseAddr(o.Address)
	return err1 == nil && err2 == nil && a.Unmap() == b.Unmap() && m.Port == o.Port
}

// IsISCSI tells whether an initiator is an iSCSI name (RFC 7143, 4.2.7); any
// other is a WWPN of Fibre Channel.
func IsISCSI(initiator string) bool {
	return strings.HasPrefix(initiator, "iqn.") || strings.HasPrefix(initiator, "eui.") || strings.HasPrefix(initiator, "naa.")
}

// CheckInitiators tells what is wrong with the initiators of a machine.
func CheckInitiators(initiators []string) error {
	if len(initiators) == 0 {
		return errors.New("no initiator is given: set the machine's initiators")
	}
	for _, i := range initiators {
		if err := CheckName("an initiator", i); err != nil {
			return err
		}
	}
	return nil
}
