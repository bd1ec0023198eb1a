package sim

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosnmp/gosnmp"
)

// Objects of the switch's agent: SNMPv2-MIB, IF-MIB (RFC 2863), BRIDGE-MIB (RFC
// 4188), Q-BRIDGE-MIB (RFC 4363).
const (
	oidSystem    = ".1.3.6.1.2.1.1"
	oidIfEntry   = ".1.3.6.1.2.1.2.2.1"
	oidIfXEntry  = ".1.3.6.1.2.1.31.1.1.1"
	oidBridge    = ".1.3.6.1.2.1.17.1"
	oidQBase     = ".1.3.6.1.2.1.17.7.1.1"
	oidVLANEntry = ".1.3.6.1.2.1.17.7.1.4.3.1"
	oidPvid      = ".1.3.6.1.2.1.17.7.1.4.5.1.1"
	oidSetSerial = ".1.3.6.1.6.3.1.1.6.1.0"
)

// Columns of dot1qVlanStaticEntry and values of its row status (RFC 2579).
const (
	colName, colEgress, colForbidden, colUntagged, colStatus = 1, 2, 3, 4, 5

	rowActive, rowCreateAndGo, rowDestroy = 1, 4, 6
)

// ifOffset is what interface indexes have over the numbers of bridge ports,
// which are another thing.
const ifOffset = 100

// variable is one instance of the MIB.
type variable struct {
	oid []int
	pdu gosnmp.SnmpPDU
}

// mib lists all instances in order. links tells which ports have link, by
// number less one. Netswitch.mu is held.
func (w *netSwitch) mib(links []bool) []variable {
	var out []variable
	add := func(typ gosnmp.Asn1BER, value any, oid string, index ...int) {
		for _, i := range index {
			oid += "." + strconv.Itoa(i)
		}
		id, err := parseOID(oid)
		if err != nil {
			panic("sim: OID " + oid)
		}
		out = append(out, variable{id, gosnmp.SnmpPDU{Name: oid, Type: typ, Value: value}})
	}
	octets := func(v string, oid string, index ...int) { add(gosnmp.OctetString, []byte(v), oid, index...) }
	b := w.bridge
	octets("Simulated switch", oidSystem, 1, 0)
	add(gosnmp.ObjectIdentifier, ".1.3.6.1.4.1.8072.3.2.255", oidSystem, 2, 0)
	add(gosnmp.TimeTicks, uint32(time.Since(w.start)/(10*time.Millisecond)), oidSystem, 3, 0)
	octets(w.spec.Name, oidSystem, 5, 0)
	add(gosnmp.Integer, b.serial, oidSetSerial)
	add(gosnmp.Integer, b.ports, oidBridge, 2, 0)
	add(gosnmp.Integer, 1, oidQBase, 1, 0)                    // dot1qVlanVersionNumber
	add(gosnmp.Integer, maxVLAN, oidQBase, 2, 0)              // dot1qMaxVlanId
	add(gosnmp.Gauge32, uint32(maxVLAN), oidQBase, 3, 0)      // dot1qMaxSupportedVlans
	add(gosnmp.Gauge32, uint32(len(b.vlans)), oidQBase, 4, 0) // dot1qNumVlans
	add(gosnmp.Integer, 2, oidQBase, 5, 0)                    // dot1qGvrpStatus: disabled
	for n := range b.ports {
		num, oper, alias := n+1, 2, ""
		if links[n] {
			oper = 1
		}
		if n < len(w.spec.Machines) {
			alias = w.spec.Machines[n]
		}
		add(gosnmp.Integer, num+ifOffset, oidIfEntry, 1, num+ifOffset)
		octets("Simulated port "+strconv.Itoa(num), oidIfEntry, 2, num+ifOffset)
		add(gosnmp.Integer, 6, oidIfEntry, 3, num+ifOffset) // ethernetCsmacd
		add(gosnmp.Integer, 1, oidIfEntry, 7, num+ifOffset) // ifAdminStatus: up
		add(gosnmp.Integer, oper, oidIfEntry, 8, num+ifOffset)
		octets(portName(n), oidIfXEntry, 1, num+ifOffset)
		octets(alias, oidIfXEntry, 18, num+ifOffset)
		add(gosnmp.Integer, num, oidBridge, 4, 1, 1, num)
		add(gosnmp.Integer, num+ifOffset, oidBridge, 4, 1, 2, num)
		add(gosnmp.Gauge32, uint32(b.pvid[n]), oidPvid, num)
	}
	for id, v := range b.vlans {
		octets(v.name, oidVLANEntry, colName, id)
		octets(string(v.egress), oidVLANEntry, colEgress, id)
		octets(string(v.forbidden), oidVLANEntry, colForbidden, id)
		octets(string(v.untagged), oidVLANEntry, colUntagged, id)
		add(gosnmp.Integer, rowActive, oidVLANEntry, colStatus, id)
	}
	slices.SortFunc(out, func(x, y variable) int { return slices.Compare(x.oid, y.oid) })
	return out
}

func parseOID(s string) ([]int, error) {
	parts := strings.Split(strings.TrimPrefix(s, "."), ".")
	out := make([]int, len(parts))
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil {
			return nil, err
		}
		out[i] = n
	}
	return out, nil
}

// Limits of Q-BRIDGE-MIB.
const (
	maxVLAN     = 4094
	maxVLANName = 32
)

// assign makes next of b with all variables set, as one (RFC 3416, section
// 4.2.5). It returns the error and the index of the variable, from 1.
func (b *bridge) assign(vars []gosnmp.SnmpPDU) (next *bridge, code gosnmp.SNMPError, index uint8) {
	next = b.clone()
	// A row is made before its columns are set, wherever it stands in the request.
	for _, rows := range []bool{true, false} {
		for i, v := range vars {
			column, id, ok := vlanColumn(v.Name)
			if (ok && column == colStatus) != rows {
				continue
			}
			code := gosnmp.NotWritable
			switch port, isPort := strings.CutPrefix(v.Name, oidPvid+"."); {
			case ok && column == colStatus:
				code = next.setRow(id, v)
			case ok:
				code = next.setColumn(column, id, v)
			case isPort:
				code = next.setPvid(port, v)
			case v.Name == oidSetSerial:
				code = next.setSerial(v)
			}
			if code != gosnmp.NoError {
				return nil, code, uint8(i + 1)
			}
		}
	}
	if !next.consistent() {
		return nil, gosnmp.InconsistentValue, uint8(len(vars))
	}
	return next, gosnmp.NoError, 0
}

func vlanColumn(name string) (column, id int, ok bool) {
	rest, inside := strings.CutPrefix(name, oidVLANEntry+".")
	index, err := parseOID(rest)
	if !inside || err != nil || len(index) != 2 || index[1] < 1 || index[1] > maxVLAN {
		return 0, 0, false
	}
	return index[0], index[1], true
}

func (b *bridge) setRow(id int, v gosnmp.SnmpPDU) gosnmp.SNMPError {
	_, there := b.vlans[id]
	if v.Type != gosnmp.Integer {
		return gosnmp.WrongType
	}
	switch value := gosnmp.ToBigInt(v.Value).Int64(); {
	case value == rowCreateAndGo && !there:
		empty := make([]byte, b.octets())
		b.vlans[id] = vlanEntry{egress: empty, forbidden: empty, untagged: empty}
	case value == rowActive && there:
	case value == rowDestroy && id != defaultVLAN:
		delete(b.vlans, id)
	case value < 1 || value > rowDestroy:
		return gosnmp.WrongValue
	default:
		return gosnmp.InconsistentValue
	}
	return gosnmp.NoError
}

func (b *bridge) setColumn(column, id int, v gosnmp.SnmpPDU) gosnmp.SNMPError {
	row, there := b.vlans[id]
	value, isOctets := v.Value.([]byte)
	switch {
	case column < colName || column > colUntagged:
		return gosnmp.NotWritable
	case !there:
		return gosnmp.InconsistentName
	case v.Type != gosnmp.OctetString || !isOctets:
		return gosnmp.WrongType
	case column == colName && len(value) > maxVLANName, column != colName && len(value) != b.octets():
		return gosnmp.WrongLength
	case column != colName && b.beyond(value):
		return gosnmp.WrongValue
	}
	switch column {
	case colName:
		row.name = string(value)
	case colEgress:
		row.egress = value
	case colForbidden:
		row.forbidden = value
	case colUntagged:
		row.untagged = value
	}
	b.vlans[id] = row
	return gosnmp.NoError
}

// beyond tells whether a PortList names ports that aren't there.
func (b *bridge) beyond(list []byte) bool {
	for n := b.ports; n < len(list)*8; n++ {
		if inList(list, n) {
			return true
		}
	}
	return false
}

func (b *bridge) setPvid(port string, v gosnmp.SnmpPDU) gosnmp.SNMPError {
	n, err := strconv.Atoi(port)
	switch {
	case err != nil || n < 1 || n > b.ports:
		return gosnmp.NoCreation
	case v.Type != gosnmp.Gauge32:
		return gosnmp.WrongType
	}
	b.pvid[n-1] = int(gosnmp.ToBigInt(v.Value).Int64())
	return gosnmp.NoError
}

// setSerial is a TestAndIncr (RFC 2579).
func (b *bridge) setSerial(v gosnmp.SnmpPDU) gosnmp.SNMPError {
	switch {
	case v.Type != gosnmp.Integer:
		return gosnmp.WrongType
	case gosnmp.ToBigInt(v.Value).Int64() != int64(b.serial):
		return gosnmp.InconsistentValue
	}
	b.serial++
	return gosnmp.NoError
}
