package drivers

import (
	"fmt"
	"slices"
)

// The rules below are the same for every switch: drivers ask them before they
// send anything. Their errors are refusals (KindRefused).

// Check tells what is wrong with the VLAN for a switch that puts ports without
// one into the VLAN unused.
func (v VLAN) Check(unused int) error {
	switch {
	case v.ID < 1 || v.ID > 4094:
		return fmt.Errorf("VLAN id %d is out of range (1 to 4094)", v.ID)
	case v.Name == "":
		return fmt.Errorf("VLAN %d has no name", v.ID)
	case v.ID == unused:
		return fmt.Errorf("VLAN %d is the switch's VLAN for unused ports; give VLAN %s another id, or the switch another option unused_vlan", v.ID, v.Name)
	}
	return nil
}

// Clash tells whether a switch that has these VLANs knows the VLAN's name under
// another id, or its id under another name. A VLAN without a name on the
// switch may get this one.
func (v VLAN) Clash(has []VLAN) error {
	for _, h := range has {
		switch {
		case h.ID == v.ID && h.Name != v.Name && h.Name != "":
			return fmt.Errorf("the switch's VLAN %d is named %q, not %q; give it the same name on both sides", v.ID, h.Name, v.Name)
		case h.ID != v.ID && h.Name == v.Name:
			return fmt.Errorf("the switch's VLAN %q has the id %d, not %d; give it the same id on both sides", v.Name, h.ID, v.ID)
		}
	}
	return nil
}

// Has tells whether the port is in the VLAN with this id, port-based or not.
func (p Port) Has(id int) bool { return p.VLAN == id || slices.Contains(p.Also, id) }

// In tells whether the port is in the VLAN as AddToVLAN wants it.
func (p Port) In(v VLAN) bool {
	if v.Management {
		return slices.Contains(p.Also, v.ID)
	}
	return p.VLAN == v.ID
}

// Blocks tells why the port can't come into the VLAN: it is in another
// port-based one, or in this one in the other way.
func (p Port) Blocks(v VLAN) error {
	switch {
	case p.In(v):
		return nil
	case p.Has(v.ID) && v.Management:
		return fmt.Errorf("port %s has VLAN %d as its port-based VLAN, so it can't be its management VLAN; remove it first", p.Name, v.ID)
	case p.Has(v.ID):
		return fmt.Errorf("port %s has VLAN %d beside its port-based VLAN; remove it there first", p.Name, v.ID)
	case !v.Management && p.VLAN != 0:
		return fmt.Errorf("port %s is in VLAN %d; a port is in one port-based VLAN at most: remove it there first", p.Name, p.VLAN)
	}
	return nil
}
