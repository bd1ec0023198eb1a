package fsm

import (
	"fmt"
	"strconv"
	"strings"

	"yagura/fsm/schema"
)

// Vlans tie VLAN names to ids, one to one [1.8.2], by name.
var Vlans = &Table[*schema.Vlan]{
	number: 21, name: "vlan", since: 2,
	key:   func(v *schema.Vlan) string { return v.Name },
	check: (*schema.Vlan).Validate,
	indexes: []Index[*schema.Vlan]{
		{Name: ByVLANID, Unique: true, Values: func(v *schema.Vlan) []string { return []string{strconv.Itoa(int(v.Id))} }},
	},
}

// ParseVLAN takes an entry of a group's vlans apart: NAME is for the primary
// NIC, NAME:N for NIC N, counted from 1. KindInvalid.
func ParseVLAN(entry string) (name string, nic int, err error) {
	name, number, given := strings.Cut(entry, ":")
	if !given {
		return name, 1, nil
	}
	nic, err = strconv.Atoi(number)
	if err != nil || nic < 1 || nic > maxNICs || name == "" {
		return "", 0, specError("it is %q", entry).WithHint("write it as NAME or NAME:N with the number of a NIC, 1 to %d", maxNICs)
	}
	return name, nic, nil
}

// maxNICs bounds the NICs of a machine.
const maxNICs = 64

// PortVLAN is a VLAN that the switch port of a machine's NIC belongs to.
type PortVLAN struct {
	NIC  int // from 1; 1 is the primary one
	VLAN *schema.Vlan
}

// PortVLANs are the VLANs that the NICs of a machine belong to while it runs
// under a host setting of a group: those of the group [1.8.4], where the host
// setting's own VLAN of a NIC takes the place of the group's port-based one. A
// NIC is in one port-based VLAN at most, and in management VLANs besides [1.8.3].
// host may be nil. KindInvalid for entries that contradict each other.
func PortVLANs(r Reader, g *schema.Group, host *schema.Host) ([]PortVLAN, error) {
	own := map[int]string{}
	for i, n := range host.GetNics() {
		if n.Vlan != "" {
			own[i+1] = n.Vlan
		}
	}
	var out []PortVLAN
	port := map[int]string{} // NIC: its port-based VLAN in the group
	for i, entry := range g.GetVlans() {
		field := fmt.Sprintf("vlans[%d]", i)
		name, nic, err := ParseVLAN(entry)
		if err != nil {
			return nil, inField(field, err)
		}
		v, ok := Vlans.Get(r, name)
		if !ok {
			return nil, noSuch(field, "VLAN", name)
		}
		if v.Kind != schema.VLANManagement {
			if port[nic] != "" {
				return nil, specError("%s: NIC %d is in VLAN %s already; a port belongs to one port-based VLAN", field, nic, port[nic]).
					WithHint("give one of them to another NIC, as %s:N, or make it a management VLAN", name)
			}
			port[nic] = name
			if own[nic] != "" {
				continue
			}
		}
		out = append(out, PortVLAN{nic, v})
	}
	for i := range host.GetNics() {
		name := own[i+1]
		if name == "" {
			continue
		}
		v, ok := Vlans.Get(r, name)
		if !ok {
			return nil, noSuch(fmt.Sprintf("nics[%d].vlan", i), "VLAN", name)
		}
		if v.Kind == schema.VLANManagement {
			return nil, specError("nics[%d].vlan: %s is a management VLAN; a host setting names a port-based one", i, name).
				WithHint("put a management VLAN into the group's vlans")
		}
		out = append(out, PortVLAN{i + 1, v})
	}
	return out, nil
}

// inField puts the field before an error's message.
func inField(field string, err error) error {
	if e, ok := err.(*schema.Error); ok {
		c := *e
		c.Msg = field + ": " + e.Msg
		return &c
	}
	return err
}

func normalVlan(v *schema.Vlan) {
	if v.Kind == "" {
		v.Kind = schema.VLANPort
	}
}

// checkVlan holds the groups that use a VLAN against its kind.
func checkVlan(r Reader, v *schema.Vlan) error {
	for g := range Groups.All(r) {
		for _, entry := range g.Vlans {
			if name, _, _ := ParseVLAN(entry); name != v.Name {
				continue
			}
			if _, err := PortVLANs(r, g, nil); err != nil {
				return schema.Errorf(schema.KindConflict, "", "group %s uses it: %v", g.Name, err)
			}
		}
	}
	if v.Kind != schema.VLANManagement {
		return nil
	}
	for h := range Hosts.All(r) {
		for _, n := range h.Nics {
			if n.Vlan == v.Name {
				return schema.Errorf(schema.KindConflict, "", "kind is management, host %s names it as the VLAN of a NIC", GroupKey(h.Group, h.Name))
			}
		}
	}
	return nil
}
