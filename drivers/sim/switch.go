package sim

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// SwitchSpec describes a switch whose ports are named p1, p2, ... It is managed
// by SNMP.
type SwitchSpec struct {
	Name     string   `yaml:"name"`
	Ports    int      `yaml:"ports"`    // 0 means 16
	Machines []string `yaml:"machines"` // the first one is at p1, the next at p2, ...
	// Unused is the VLAN that its users keep for ports that are in none; 0 means
	// the default one. What comes there and leaves there isn't in the ledger.
	Unused int `yaml:"unused"`
	// VLANs that it has at the start, beside the default one.
	VLANs []SwitchVLANSpec `yaml:"vlans"`
}

// SwitchVLANSpec describes a port-based VLAN and the machines whose ports are in it.
type SwitchVLANSpec struct {
	Name     string   `yaml:"name"`
	ID       int      `yaml:"id"`
	Machines []string `yaml:"machines"`
}

// VLANs of the demo's switch: that of the databases, and that of ports in none.
const (
	DemoVLAN       = 120
	DemoUnusedVLAN = 4000
)

// maxSwitchPorts bounds a switch.
const maxSwitchPorts = 512

// checkSwitches checks the switches of a world and fills in defaults.
func (w *World) checkSwitches(l *layout, claim func(kind, name string) error) error {
	known := map[string]bool{}
	for _, m := range slices.Concat(l.servers, l.machines) {
		known[m.Name] = true
	}
	for _, spec := range w.Switches {
		if _, err := expandName("switch", spec.Name, 1); err != nil {
			return err
		}
		if err := claim("switch", spec.Name); err != nil {
			return err
		}
		spec.Ports = orDefault(spec.Ports, 16)
		if spec.Ports < 1 || spec.Ports > maxSwitchPorts || len(spec.Machines) > spec.Ports {
			return fmt.Errorf("switch %q: %d ports for %d machines; 1 to %d are possible", spec.Name, spec.Ports, len(spec.Machines), maxSwitchPorts)
		}
		for _, m := range spec.Machines {
			if !known[m] {
				return fmt.Errorf("switch %q: machine %q is not of this world", spec.Name, m)
			}
		}
		if spec.Unused < 0 || spec.Unused > maxVLAN {
			return fmt.Errorf("switch %q: VLAN %d for unused ports is out of range (1 to %d)", spec.Name, spec.Unused, maxVLAN)
		}
		for _, v := range spec.VLANs {
			if v.ID <= defaultVLAN || v.ID > maxVLAN || v.Name == "" {
				return fmt.Errorf("switch %q: VLAN %q: id %d; a name and an id of 2 to %d are possible", spec.Name, v.Name, v.ID, maxVLAN)
			}
			for _, m := range v.Machines {
				if !slices.Contains(spec.Machines, m) {
					return fmt.Errorf("switch %q: VLAN %q: machine %q is at none of its ports", spec.Name, v.Name, m)
				}
			}
		}
		l.switches = append(l.switches, spec)
	}
	return nil
}

// defaultVLAN is where all ports are at first (IEEE 802.1Q, clause 12.10).
const defaultVLAN = 1

// bridge is what a switch forwards: its VLANs and the PVID of each port. It is
// a value that changes as a whole.
type bridge struct {
	ports  int
	unused int // the ledger leaves this VLAN out
	vlans  map[int]vlanEntry
	pvid   []int // of port n+1
	serial int   // snmpSetSerialNo
}

// vlanEntry is a row of dot1qVlanStaticTable. Its lists are never changed in place.
type vlanEntry struct {
	name                        string
	egress, forbidden, untagged []byte // PortLists
}

// newBridge is a switch as its description has it.
func newBridge(spec SwitchSpec) *bridge {
	b := emptyBridge(spec.Ports)
	b.unused = spec.Unused
	for _, v := range spec.VLANs {
		def, list := b.vlans[defaultVLAN], make([]byte, b.octets())
		def.egress = bytes.Clone(def.egress)
		for n, m := range spec.Machines {
			if slices.Contains(v.Machines, m) {
				list[n/8] |= 0x80 >> (n % 8)
				def.egress[n/8] &^= 0x80 >> (n % 8)
				b.pvid[n] = v.ID
			}
		}
		def.untagged = def.egress
		b.vlans[defaultVLAN], b.vlans[v.ID] = def, vlanEntry{name: v.Name, egress: list, untagged: list, forbidden: make([]byte, b.octets())}
	}
	return b
}

// emptyBridge is a switch with all ports in the default VLAN.
func emptyBridge(ports int) *bridge {
	b := &bridge{ports: ports, vlans: map[int]vlanEntry{}, pvid: make([]int, ports), serial: 1}
	all := make([]byte, b.octets())
	for n := range b.pvid {
		b.pvid[n] = defaultVLAN
		all[n/8] |= 0x80 >> (n % 8)
	}
	b.vlans[defaultVLAN] = vlanEntry{name: "default", egress: all, untagged: all, forbidden: make([]byte, b.octets())}
	return b
}

// octets is the length of each PortList.
func (b *bridge) octets() int { return (b.ports + 7) / 8 }

func (b *bridge) clone() *bridge {
	c := *b
	c.vlans, c.pvid = maps.Clone(b.vlans), slices.Clone(b.pvid)
	return &c
}

// inList tells whether port n+1 is in a PortList.
func inList(list []byte, n int) bool { return n/8 < len(list) && list[n/8]&(0x80>>(n%8)) != 0 }

// ids are the VLANs, ascending.
func (b *bridge) ids() []int { return slices.Sorted(maps.Keys(b.vlans)) }

// consistent tells whether the switch can be like that: an untagged member is a
// member, a port is untagged in one VLAN at most and a member of the VLAN of
// its PVID, and none is where it is forbidden.
func (b *bridge) consistent() bool {
	for n, pvid := range b.pvid {
		untagged := 0
		for _, v := range b.vlans {
			if inList(v.untagged, n) {
				untagged++
				if !inList(v.egress, n) {
					return false
				}
			}
			if inList(v.egress, n) && inList(v.forbidden, n) {
				return false
			}
		}
		if own, ok := b.vlans[pvid]; !ok || !inList(own.egress, n) || untagged > 1 {
			return false
		}
	}
	return true
}

// move is a port that came into a VLAN or left it.
type move struct {
	op     Op
	object string // as in the ledger
	detail string
}

// moves lists what is different in next, but for the default VLAN and the
// unused one, where ports are that are in none.
func (b *bridge) moves(next *bridge) []move {
	ids := slices.Compact(slices.Sorted(slices.Values(slices.Concat(b.ids(), next.ids()))))
	var out []move
	for _, id := range ids {
		was, is := b.vlans[id], next.vlans[id]
		if id == defaultVLAN || id == b.unused || bytes.Equal(was.egress, is.egress) {
			continue
		}
		for n := range b.ports {
			m := move{op: OpVLANAdd, object: fmt.Sprintf("%s %d", portName(n), id), detail: "tagged"}
			if inList(is.untagged, n) || inList(was.untagged, n) {
				m.detail = "untagged"
			}
			switch before, after := inList(was.egress, n), inList(is.egress, n); {
			case before == after:
				continue
			case before:
				m.op = OpVLANRemove
			}
			out = append(out, m)
		}
	}
	// A port leaves before it comes.
	slices.SortStableFunc(out, func(x, y move) int { return bytes.Compare([]byte(y.op), []byte(x.op)) })
	return out
}

// portName is the name of port n+1.
func portName(n int) string { return "p" + strconv.Itoa(n+1) }

// SwitchStatus is the truth about a switch.
type SwitchStatus struct {
	Name    string       `json:"name"`
	Address string       `json:"address"` // HOST:PORT of its SNMP agent
	Answers bool         `json:"answers"`
	VLANs   []VLANStatus `json:"vlans"`
}

// VLANStatus is a VLAN of a switch and its ports, but for those in none.
type VLANStatus struct {
	ID       int      `json:"id"`
	Name     string   `json:"name"`
	Untagged []string `json:"untagged"` // ports
	Tagged   []string `json:"tagged"`
}

func (w *netSwitch) status() SwitchStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := SwitchStatus{Name: w.spec.Name, Address: w.address(), Answers: !w.mute}
	for _, id := range w.bridge.ids() {
		v := VLANStatus{ID: id, Name: w.bridge.vlans[id].name, Untagged: []string{}, Tagged: []string{}}
		for n := range w.bridge.ports {
			switch {
			case inList(w.bridge.vlans[id].untagged, n):
				v.Untagged = append(v.Untagged, portName(n))
			case inList(w.bridge.vlans[id].egress, n):
				v.Tagged = append(v.Tagged, portName(n))
			}
		}
		st.VLANs = append(st.VLANs, v)
	}
	return st
}
