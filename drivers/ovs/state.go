package ovs

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
	"yagura/drivers/internal/netswitch"
)

// Values of Port.vlan_mode.
const (
	modeAccess         = "access"
	modeTrunk          = "trunk"
	modeNativeTagged   = "native-tagged"
	modeNativeUntagged = "native-untagged"
)

// nameKey is what a VLAN's id follows in the keys of Bridge.external_ids.
const nameKey = "yagura-vlan-"

// port is a row of Port.
type port struct {
	id        uuid
	name      string
	tag       int // -1: none
	trunks    []int
	mode      string // empty: by tag and trunks
	protected bool
	up        bool
}

// open tells a port as ovs-vsctl add-port makes it: a trunk of all VLANs.
func (p *port) open() bool {
	return p.tag < 0 && len(p.trunks) == 0 && (p.mode == "" || p.mode == modeTrunk)
}

// all tells whether the port carries tagged frames of every VLAN.
func (p *port) all() bool {
	return len(p.trunks) == 0 && (p.open() || p.mode == modeNativeTagged || p.mode == modeNativeUntagged)
}

// tagged tells whether the port carries tagged frames at all.
func (p *port) tagged() bool {
	return p.mode == modeTrunk || p.mode == modeNativeTagged || p.mode == modeNativeUntagged || p.mode == "" && p.tag < 0
}

// state is a bridge at one moment.
type state struct {
	unused      int
	bridge      uuid
	names       map[int]string // of VLANs, by id
	externalIDs any            // of the bridge, as they were read
	ports       []*port
	want, has   int // configuration that was asked for, and that is applied
}

// read reads the bridge in one transaction.
func (c *conn) read(s *settings) (*state, error) {
	sel := func(table string, columns ...string) operation {
		return operation{"op": "select", "table": table, "where": []any{}, "columns": columns}
	}
	out, err := c.transact(false,
		sel("Open_vSwitch", "next_cfg", "cur_cfg"),
		sel("Bridge", "_uuid", "name", "ports", "external_ids"),
		sel("Port", "_uuid", "name", "tag", "trunks", "vlan_mode", "protected", "interfaces"),
		sel("Interface", "_uuid", "link_state"))
	if err != nil {
		return nil, err
	}
	st := &state{unused: s.unused, names: map[int]string{}}
	if len(out[0].Rows) != 1 {
		return nil, fault.Errorf(drivers.KindUnsupported, "the database isn't set up (ovs-vsctl init)")
	}
	st.want, _ = one[int](out[0].Rows[0]["next_cfg"])
	st.has, _ = one[int](out[0].Rows[0]["cur_cfg"])
	members, err := st.findBridge(out[1], s.bridge)
	if err != nil {
		return nil, err
	}
	up := map[uuid]bool{}
	for _, row := range out[3].Rows {
		id, _ := one[uuid](row["_uuid"])
		link, _ := one[string](row["link_state"])
		up[id] = link == "up"
	}
	for _, row := range out[2].Rows {
		p := &port{tag: -1}
		p.id, _ = one[uuid](row["_uuid"])
		if !slices.Contains(members, p.id) {
			continue
		}
		p.name, _ = one[string](row["name"])
		p.mode, _ = one[string](row["vlan_mode"])
		p.protected, _ = one[bool](row["protected"])
		p.trunks = each[int](row["trunks"])
		slices.Sort(p.trunks)
		if tag, ok := one[int](row["tag"]); ok {
			p.tag = tag
		}
		p.up = slices.ContainsFunc(each[uuid](row["interfaces"]), func(i uuid) bool { return up[i] })
		st.ports = append(st.ports, p)
	}
	slices.SortFunc(st.ports, func(a, b *port) int { return strings.Compare(a.name, b.name) })
	return st, nil
}

// findBridge picks the bridge and returns its ports.
func (st *state) findBridge(o outcome, name string) ([]uuid, error) {
	var all []string
	var members []uuid
	for _, row := range o.Rows {
		n, _ := one[string](row["name"])
		all = append(all, n)
		if name != "" && n != name {
			continue
		}
		st.bridge, _ = one[uuid](row["_uuid"])
		members = each[uuid](row["ports"])
		st.externalIDs, st.names = row["external_ids"], map[int]string{}
		for k, v := range textMap(row["external_ids"]) {
			if digits, ok := strings.CutPrefix(k, nameKey); ok {
				if id, err := strconv.Atoi(digits); err == nil {
					st.names[id] = v
				}
			}
		}
	}
	slices.Sort(all)
	switch {
	case name != "" && !slices.Contains(all, name):
		return nil, fault.Errorf(drivers.KindNotFound, "there is no bridge %q; there are: %s", name, strings.Join(all, ", "))
	case name == "" && len(all) != 1:
		return nil, fault.Errorf(drivers.KindRefused, "there are %d bridges (%s); name one with the option bridge", len(all), strings.Join(all, ", "))
	}
	return members, nil
}

// port finds a port by name.
func (st *state) port(name string) (*port, error) {
	return netswitch.Find(st.ports, name, func(p *port) string { return p.name })
}

// ids are the VLANs that have a name or a port, ascending.
func (st *state) ids() []int {
	known := maps.Clone(st.names)
	for _, p := range st.ports {
		for _, id := range append(p.trunks, p.tag) {
			if _, ok := known[id]; !ok && id > 0 {
				known[id] = ""
			}
		}
	}
	return slices.Sorted(maps.Keys(known))
}

func (st *state) vlans() []drivers.VLAN {
	var out []drivers.VLAN
	for _, id := range st.ids() {
		out = append(out, drivers.VLAN{Name: st.names[id], ID: id})
	}
	return out
}

// view is the port as drivers.Port has it. A trunk without a list carries every
// VLAN: it shows all that the bridge knows.
func (st *state) view(p *port) drivers.Port {
	out := drivers.Port{Name: p.name, Up: p.up}
	if p.tag > 0 && p.mode != modeTrunk && p.tag != st.unused {
		out.VLAN = p.tag
	}
	if !p.tagged() {
		return out
	}
	carried := p.trunks
	if p.all() {
		carried = st.ids()
	}
	for _, id := range carried {
		if id > 0 && id != st.unused && id != out.VLAN {
			out.Also = append(out.Also, id)
		}
	}
	return out
}

// whole is all that the switch shows.
func (st *state) whole() netswitch.View {
	v := netswitch.View{VLANs: st.vlans()}
	for _, p := range st.ports {
		v.Ports = append(v.Ports, st.view(p))
	}
	return v
}
