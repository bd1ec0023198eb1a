package qbridge

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gosnmp/gosnmp"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
	"yagura/drivers/internal/netswitch"
)

// Objects that are read and set.
const (
	oidSerial   = ".1.3.6.1.6.3.1.1.6.1.0"      // snmpSetSerialNo (SNMPv2-MIB)
	oidIfDescr  = ".1.3.6.1.2.1.2.2.1.2"        // IF-MIB
	oidIfOper   = ".1.3.6.1.2.1.2.2.1.8"        // ifOperStatus
	oidIfName   = ".1.3.6.1.2.1.31.1.1.1.1"     //
	oidBasePort = ".1.3.6.1.2.1.17.1.4.1.2"     // dot1dBasePortIfIndex (BRIDGE-MIB)
	oidPvid     = ".1.3.6.1.2.1.17.7.1.4.5.1.1" // dot1qPvid, by bridge port
	oidVLAN     = ".1.3.6.1.2.1.17.7.1.4.3.1"   // dot1qVlanStaticEntry, by VLAN
	colName     = 1                             // dot1qVlanStaticName
	colEgress   = 2                             // dot1qVlanStaticEgressPorts
	colForbid   = 3                             // dot1qVlanForbiddenEgressPorts
	colUntagged = 4                             // dot1qVlanStaticUntaggedPorts
	colStatus   = 5                             // dot1qVlanStaticRowStatus
	ifUp        = 1                             // of ifOperStatus
)

// Values of RowStatus (RFC 2579).
const (
	rowActive      = 1
	rowCreateAndGo = 4
	rowDestroy     = 6
)

// vlanRow is a row of dot1qVlanStaticTable.
type vlanRow struct {
	id                          int
	name                        string
	egress, forbidden, untagged portList
	status                      int
}

// basePort is a bridge port.
type basePort struct {
	num, ifIndex int
	name         string
	pvid         int
	up           bool
}

// state is a switch at one moment.
type state struct {
	unused    int
	serial    int // snmpSetSerialNo
	hasSerial bool
	rows      map[int]*vlanRow
	ports     []*basePort // by number
	size      int         // octets of the longest PortList
}

// read reads the switch.
func (c *session) read(unused int) (*state, error) {
	st := &state{unused: unused, rows: map[int]*vlanRow{}}
	if err := c.readSerial(st); err != nil {
		return nil, err
	}
	if err := c.walk(oidVLAN, st.addVLAN); err != nil {
		return nil, err
	}
	if err := c.readPorts(st); err != nil {
		return nil, err
	}
	if len(st.ports) == 0 {
		return nil, fault.Errorf(drivers.KindUnsupported, "the agent has no bridge ports (BRIDGE-MIB, dot1dBasePortTable)")
	}
	if len(st.rows) == 0 {
		return nil, fault.Errorf(drivers.KindUnsupported, "the agent has no VLANs (Q-BRIDGE-MIB, dot1qVlanStaticTable)")
	}
	return st, nil
}

// readSerial is first: what changes between this and a SetRequest that carries
// the number makes that fail.
func (c *session) readSerial(st *state) error {
	res, err := c.g.Get([]string{oidSerial})
	if err != nil {
		return c.lost(err, drivers.KindUnreachable)
	}
	if res.Error == gosnmp.NoError && len(res.Variables) == 1 && res.Variables[0].Type == gosnmp.Integer {
		st.serial, st.hasSerial = number(res.Variables[0]), true
	}
	return nil
}

func (st *state) addVLAN(index []int, v gosnmp.SnmpPDU) {
	if len(index) != 2 || index[1] < 1 || index[1] > 4094 {
		return
	}
	row := st.rows[index[1]]
	if row == nil {
		row = &vlanRow{id: index[1], status: rowActive}
		st.rows[row.id] = row
	}
	list := func() portList {
		b, _ := v.Value.([]byte)
		st.size = max(st.size, len(b))
		return portList(b)
	}
	switch index[0] {
	case colName:
		row.name = text(v)
	case colEgress:
		row.egress = list()
	case colForbid:
		row.forbidden = list()
	case colUntagged:
		row.untagged = list()
	case colStatus:
		row.status = number(v)
	}
}

// maxPort bounds the numbers of bridge ports (dot1dBasePort is at most 65535).
const maxPort = 65535

func (c *session) readPorts(st *state) error {
	byIf, byNum := map[int]*basePort{}, map[int]*basePort{}
	err := c.walk(oidBasePort, func(index []int, v gosnmp.SnmpPDU) {
		if len(index) == 1 && index[0] >= 1 && index[0] <= maxPort {
			p := &basePort{num: index[0], ifIndex: number(v)}
			byIf[p.ifIndex], byNum[p.num] = p, p
			st.ports = append(st.ports, p)
		}
	})
	if err != nil {
		return err
	}
	names, descriptions := map[int]string{}, map[int]string{}
	for _, col := range []struct {
		oid string
		f   func(p *basePort, v gosnmp.SnmpPDU)
		by  map[int]*basePort
	}{
		{oidPvid, func(p *basePort, v gosnmp.SnmpPDU) { p.pvid = number(v) }, byNum},
		{oidIfName, func(p *basePort, v gosnmp.SnmpPDU) { names[p.num] = text(v) }, byIf},
		{oidIfDescr, func(p *basePort, v gosnmp.SnmpPDU) { descriptions[p.num] = text(v) }, byIf},
		{oidIfOper, func(p *basePort, v gosnmp.SnmpPDU) { p.up = number(v) == ifUp }, byIf},
	} {
		err := c.walk(col.oid, func(index []int, v gosnmp.SnmpPDU) {
			if len(index) == 1 && col.by[index[0]] != nil {
				col.f(col.by[index[0]], v)
			}
		})
		if err != nil {
			return err
		}
	}
	st.namePorts(names, descriptions)
	slices.SortFunc(st.ports, func(a, b *basePort) int { return a.num - b.num })
	return nil
}

// namePorts gives each port its ifName, else its ifDescr, else its number; a
// name that two ports have is none.
func (st *state) namePorts(names, descriptions map[int]string) {
	for _, by := range []map[int]string{names, descriptions} {
		count := map[string]int{}
		for _, n := range by {
			count[n]++
		}
		for _, p := range st.ports {
			if n := by[p.num]; p.name == "" && n != "" && count[n] == 1 {
				p.name = n
			}
		}
	}
	for _, p := range st.ports {
		if p.name == "" {
			p.name = strconv.Itoa(p.num)
		}
	}
}

func number(v gosnmp.SnmpPDU) int {
	return int(gosnmp.ToBigInt(v.Value).Int64())
}

func text(v gosnmp.SnmpPDU) string {
	b, _ := v.Value.([]byte)
	return strings.TrimRight(string(b), "\x00")
}

// port finds a port by name.
func (st *state) port(name string) (*basePort, error) {
	return netswitch.Find(st.ports, name, func(p *basePort) string { return p.name })
}

// ids are the VLANs that the switch has, ascending.
func (st *state) ids() []int {
	out := make([]int, 0, len(st.rows))
	for id := range st.rows {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// view is the port as drivers.Port has it. Where the PVID and the membership
// disagree the port counts as being in both VLANs: it reaches somebody there.
func (st *state) view(p *basePort) drivers.Port {
	out := drivers.Port{Name: p.name, Up: p.up}
	if p.pvid != st.unused {
		out.VLAN = p.pvid
	}
	var others []int
	for _, id := range st.ids() {
		row := st.rows[id]
		if id == st.unused || id == out.VLAN || !row.egress.has(p.num) {
			continue
		}
		if out.VLAN == 0 && row.untagged.has(p.num) {
			out.VLAN = id
		} else {
			others = append(others, id)
		}
	}
	out.Also = others
	return out
}

// vlans are the VLANs as drivers.VLAN has them.
func (st *state) vlans() []drivers.VLAN {
	var out []drivers.VLAN
	for _, id := range st.ids() {
		out = append(out, drivers.VLAN{Name: st.rows[id].name, ID: id})
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
