package qbridge

import (
	"fmt"

	"github.com/gosnmp/gosnmp"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
)

// goal is a port in a VLAN, or not in it.
type goal struct {
	vlan drivers.VLAN
	in   bool
}

// factoryVLAN is where IEEE 802.1Q has every port at first. Whoever is there
// was put into no VLAN, also when another one is for unused ports.
const factoryVLAN = 1

// maxName is the longest dot1qVlanStaticName, in octets.
const maxName = 32

// allowed tells why the goal can't be had. It is asked again before each try.
func (g goal) allowed(st *state, p *basePort) error {
	if !g.in {
		return nil
	}
	v, is := g.vlan, st.view(p)
	if is.VLAN == factoryVLAN && v.ID != factoryVLAN {
		is.VLAN = 0
	}
	for _, err := range []error{v.Check(st.unused), v.Clash(st.vlans()), is.Blocks(v)} {
		if err != nil {
			return err
		}
	}
	if len(v.Name) > maxName {
		return fmt.Errorf("the name of VLAN %q is longer than the %d octets that a switch takes", v.Name, maxName)
	}
	if row := st.rows[v.ID]; row != nil && row.forbidden.has(p.num) {
		return fmt.Errorf("the switch forbids port %s in VLAN %d (dot1qVlanForbiddenEgressPorts)", p.name, v.ID)
	}
	return nil
}

// reached tells whether the switch shows the goal, all of it.
func (g goal) reached(st *state, p *basePort) bool {
	row := st.rows[g.vlan.ID]
	if row == nil {
		row = &vlanRow{}
	}
	switch {
	case !g.in && g.vlan.ID == st.unused:
		return true // whoever is in it is in none
	case !g.in:
		return p.pvid != g.vlan.ID && !row.egress.has(p.num) && !row.untagged.has(p.num)
	case row.name != g.vlan.Name || row.status != rowActive:
		return false
	case g.vlan.Management:
		return row.egress.has(p.num) && !row.untagged.has(p.num)
	}
	return p.pvid == g.vlan.ID && row.egress.has(p.num) && row.untagged.has(p.num)
}

// write is one variable to set, and how it was.
type write struct {
	gosnmp.SnmpPDU
	was any
}

// plan lists what to set, in an order that each step of it leaves a state that
// agents allow: a port is tagged in the new VLAN before it is untagged there,
// untagged in one VLAN at a time, and never out of the VLAN of its PVID.
func (st *state) plan(p *basePort, g goal) []write {
	if g.in && g.vlan.Management {
		return st.list(nil, colEgress, g.vlan.ID, p, true)
	}
	from, to := g.vlan.ID, st.unused
	if g.in {
		from, to = st.unused, g.vlan.ID
		if to != factoryVLAN && st.portBased(p, factoryVLAN) {
			from = factoryVLAN
		}
	}
	moves := g.in || st.portBased(p, from)
	var out []write
	if moves {
		out = st.list(out, colEgress, to, p, true)
	}
	out = st.list(out, colUntagged, from, p, false)
	if moves {
		out = st.list(out, colUntagged, to, p, true)
		if p.pvid != to {
			out = append(out, write{gosnmp.SnmpPDU{
				Name: fmt.Sprintf("%s.%d", oidPvid, p.num), Type: gosnmp.Gauge32, Value: uint32(to),
			}, uint32(p.pvid)})
		}
	}
	return st.list(out, colEgress, from, p, false)
}

// portBased tells whether a VLAN is the port's port-based one, at least in
// part. A port that leaves another one stays where it is otherwise.
func (st *state) portBased(p *basePort, id int) bool {
	row := st.rows[id]
	return p.pvid == id || (row != nil && row.untagged.has(p.num))
}

// list appends the change of a port's bit in a PortList, if it is one.
func (st *state) list(out []write, col, id int, p *basePort, in bool) []write {
	row := st.rows[id]
	if row == nil {
		row = &vlanRow{}
	}
	is := row.egress
	if col == colUntagged {
		is = row.untagged
	}
	if is.has(p.num) == in {
		return out
	}
	return append(out, write{gosnmp.SnmpPDU{
		Name: fmt.Sprintf("%s.%d.%d", oidVLAN, col, id), Type: gosnmp.OctetString, Value: []byte(is.with(p.num, in, st.size)),
	}, []byte(is.with(p.num, !in, st.size))})
}

// apply brings the goal about. An error of kind refused, auth or busy says that
// the switch is as it was; errOvertaken, that the state is old.
func (c *session) apply(st *state, p *basePort, g goal) error {
	made, err := c.rows(st, p, g)
	if err == nil {
		err = c.write(st, st.plan(p, g))
	}
	if made != 0 && fault.Is(err, drivers.KindRefused, drivers.KindAuth, drivers.KindBusy) {
		if undo := c.set(rowStatus(made, rowDestroy)); undo != nil {
			return fault.Errorf(drivers.KindFailed, "%w; VLAN %d was made and stays: %w", err, made, undo)
		}
	}
	return err
}

// unusedName is the name of a VLAN for unused ports that the switch lacks.
const unusedName = "unused"

// rows makes the row of the VLAN that the port comes into, or completes it. It
// returns the VLAN's id if it is new.
func (c *session) rows(st *state, p *basePort, g goal) (made int, err error) {
	id, name := g.vlan.ID, g.vlan.Name
	row := st.rows[id]
	if !g.in {
		if row = st.rows[st.unused]; row != nil || !st.portBased(p, id) {
			return 0, nil
		}
		id, name = st.unused, unusedName
		if err := (drivers.VLAN{Name: name, ID: id}).Clash(st.vlans()); err != nil {
			return 0, fault.New(drivers.KindRefused, fmt.Errorf("the VLAN for unused ports is missing: %w", err))
		}
	}
	vname := gosnmp.SnmpPDU{Name: fmt.Sprintf("%s.%d.%d", oidVLAN, colName, id), Type: gosnmp.OctetString, Value: []byte(name)}
	switch {
	case row != nil && row.name == name && row.status == rowActive:
		return 0, nil
	case row != nil && row.status == rowActive:
		return 0, c.set(vname)
	case row != nil:
		return 0, c.set(vname, rowStatus(id, rowActive))
	}
	err = c.set(rowStatus(id, rowCreateAndGo), vname)
	if fault.Is(err, drivers.KindRefused) { // an agent may name only rows that exist
		if err = c.set(rowStatus(id, rowCreateAndGo)); err == nil {
			made, err = id, c.set(vname)
		}
	}
	if err != nil {
		return made, err
	}
	return id, c.exists(id)
}

// exists makes sure that a row is there, so that a refusal to put a port into
// it means what it says.
func (c *session) exists(id int) error {
	res, err := c.g.Get([]string{rowStatus(id, 0).Name})
	if err != nil {
		return c.lost(err, drivers.KindUnknown)
	}
	if res.Error != gosnmp.NoError || len(res.Variables) != 1 || res.Variables[0].Type != gosnmp.Integer {
		return fault.Errorf(drivers.KindFailed, "the switch took VLAN %d and doesn't have it", id)
	}
	return nil
}

func rowStatus(id, value int) gosnmp.SnmpPDU {
	return gosnmp.SnmpPDU{Name: fmt.Sprintf("%s.%d.%d", oidVLAN, colStatus, id), Type: gosnmp.Integer, Value: value}
}

// write sets everything in one request, guarded by the switch's serial number
// where it has one that works (that of net-snmp 5.9 takes no value); an agent
// that doesn't take that gets one variable after the other.
func (c *session) write(st *state, list []write) error {
	if len(list) == 0 {
		return nil
	}
	var vars []gosnmp.SnmpPDU
	for _, w := range list {
		vars = append(vars, w.SnmpPDU)
	}
	if st.hasSerial {
		guard := gosnmp.SnmpPDU{Name: oidSerial, Type: gosnmp.Integer, Value: st.serial}
		err := c.set(append([]gosnmp.SnmpPDU{guard}, vars...)...)
		if !fault.Is(err, drivers.KindRefused) {
			return err
		}
		var now state
		if err := c.readSerial(&now); err != nil {
			return err
		}
		if now.serial != st.serial {
			return errOvertaken
		}
	}
	if err := c.set(vars...); !fault.Is(err, drivers.KindRefused) || len(list) == 1 {
		return err
	}
	for i, w := range list {
		err := c.set(w.SnmpPDU)
		switch {
		case fault.Is(err, drivers.KindUnknown):
			return err // what is there decides
		case err != nil:
			return c.undo(list[:i], err)
		}
	}
	return nil
}

// undo takes back what was set before err.
func (c *session) undo(done []write, err error) error {
	for i := len(done) - 1; i >= 0; i-- {
		back := done[i].SnmpPDU
		back.Value = done[i].was
		if undo := c.set(back); undo != nil {
			return fault.Errorf(drivers.KindFailed, "%w; setting %s back: %w", err, back.Name, undo)
		}
	}
	return err
}
