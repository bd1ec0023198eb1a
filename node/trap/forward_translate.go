package trap

import (
	"bytes"
	"encoding/binary"

	"github.com/gosnmp/gosnmp"
)

// Versions in which a destination wants its traps.
const (
	AsReceived = "as-received" // but v3 as v2c
	AsV1       = "v1"
	AsV2c      = "v2c"
)

// BER tags (RFC 3416, section 3; RFC 1157 for Trap-PDU).
const (
	tagInteger   = 0x02
	tagOctets    = 0x04
	tagOID       = 0x06
	tagSequence  = 0x30
	tagAddress   = 0x40
	tagTicks     = 0x43
	tagCounter64 = 0x46
	tagTrapV1    = 0xa4
	tagTrapV2    = 0xa7
)

// standardTraps is how many traps snmpTraps has: coldStart(1) to egpNeighborLoss(6).
const standardTraps = 6

// Object identifiers as BER writes them.
var (
	berSysUpTime  = []byte{0x2b, 6, 1, 2, 1, 1, 3, 0}       // sysUpTime.0
	berTrapOID    = []byte{0x2b, 6, 1, 6, 3, 1, 1, 4, 1, 0} // snmpTrapOID.0
	berEnterprise = []byte{0x2b, 6, 1, 6, 3, 1, 1, 4, 3, 0} // snmpTrapEnterprise.0
	berAddress    = []byte{0x2b, 6, 1, 6, 3, 18, 1, 3, 0}   // snmpTrapAddress.0
	berCommunity  = []byte{0x2b, 6, 1, 6, 3, 18, 1, 4, 0}   // snmpTrapCommunity.0
	berTraps      = []byte{0x2b, 6, 1, 6, 3, 1, 1, 5}       // snmpTraps
)

// relayed is a received notification in the form in which it is passed on.
type relayed struct {
	v1        bool
	pdu       []byte // with its header; of v3 as the decoder understood it
	community []byte // none of v3
	id        uint32 // request-id of what is made of a v1 trap, which has none
}

func (m *relayed) size() int { return len(m.pdu) + len(m.community) }

// relayedOf copies what is to be passed on of a datagram that was accepted.
func relayedOf(datagram []byte, n *Notification) (*relayed, bool) {
	if n.packet != nil {
		// Of v3 only the decoder knows the plain text.
		p := gosnmp.SnmpPacket{Version: gosnmp.Version2c, PDUType: gosnmp.SNMPv2Trap, RequestID: n.RequestID, Variables: n.packet.Variables}
		b, err := p.MarshalMsg()
		if err != nil {
			return nil, false
		}
		datagram = b
	}
	version, pdu, ok := head(datagram)
	if !ok || version > 1 {
		return nil, false
	}
	_, end, ok := element(datagram, pdu, datagram[pdu])
	if !ok {
		return nil, false
	}
	m := &relayed{v1: version == 0, pdu: bytes.Clone(datagram[pdu:end])}
	if n.packet == nil {
		body, _, _ := element(datagram, 0, tagSequence)
		_, at, _ := element(datagram, body, tagInteger)
		begin, end, _ := element(datagram, at, tagOctets)
		m.community = bytes.Clone(datagram[begin:end])
	}
	return m, true
}

// encode makes the datagram for a destination (RFC 3584, section 3); false for
// what can't be said in its version.
func (m *relayed) encode(version, community string) ([]byte, bool) {
	name := m.community
	if community != "" {
		name = []byte(community)
	}
	v1, pdu, ok := m.v1, m.pdu, true
	switch {
	case m.v1 && version == AsV2c:
		v1 = false
		pdu, ok = m.toV2()
	case !m.v1 && version == AsV1:
		v1 = true
		pdu, ok = m.toV1()
	case !m.v1:
		pdu = bytes.Clone(pdu)
		pdu[0] = tagTrapV2 // of an inform, too: its sender has our answer
	}
	number := byte(1)
	if v1 {
		number = 0
	}
	return ber(tagSequence, ber(tagInteger, []byte{number}), ber(tagOctets, name), pdu), ok
}

// toV2 translates a v1 trap, RFC 3584, section 3.1.
func (m *relayed) toV2() ([]byte, bool) {
	f, ok := fields(m.pdu, tagTrapV1, tagOID, tagAddress, tagInteger, tagInteger, tagTicks, tagSequence)
	if !ok {
		return nil, false
	}
	enterprise, agent, uptime, binds := f[0], f[1], f[4], f[5]
	generic, specific := integer(f[2]), integer(f[3])
	var trap []byte
	switch {
	case generic == enterpriseTrap:
		trap = appendSub(append(bytes.Clone(enterprise), 0), uint32(specific))
	case generic >= 0 && generic < standardTraps:
		trap = append(bytes.Clone(berTraps), byte(generic)+1)
	default:
		return nil, false
	}
	there := map[string]bool{}
	if !eachBind(binds, func(name, _ []byte) { there[string(name)] = true }) {
		return nil, false
	}
	out := append(bind(berSysUpTime, ber(tagTicks, uptime)), bind(berTrapOID, ber(tagOID, trap))...)
	out = append(out, binds...)
	// What a v2c trap has no place for, section 3.1 (4).
	for _, x := range []struct{ name, value []byte }{
		{berAddress, ber(tagAddress, agent)}, {berCommunity, ber(tagOctets, m.community)}, {berEnterprise, ber(tagOID, enterprise)},
	} {
		if !there[string(x.name)] {
			out = append(out, bind(x.name, x.value)...)
		}
	}
	id := binary.BigEndian.AppendUint32(nil, m.id&0x7fffffff)
	return ber(tagTrapV2, ber(tagInteger, id), ber(tagInteger, []byte{0}), ber(tagInteger, []byte{0}), ber(tagSequence, out)), true
}

// toV1 translates a v2c trap or inform, RFC 3584, section 3.2. Counter64 has no
// form in v1.
func (m *relayed) toV1() ([]byte, bool) {
	f, ok := fields(m.pdu, m.pdu[0], tagInteger, tagInteger, tagInteger, tagSequence)
	if !ok {
		return nil, false
	}
	var trap, enterprise, rest []byte
	uptime, agent, fits := []byte{0}, []byte{0, 0, 0, 0}, true
	ok = eachBind(f[3], func(name, value []byte) {
		begin, end, _ := element(value, 0, value[0])
		content := value[begin:end]
		switch {
		case bytes.Equal(name, berSysUpTime) && value[0] == tagTicks:
			uptime = content
			return
		case bytes.Equal(name, berTrapOID) && value[0] == tagOID:
			trap = content
			return
		case bytes.Equal(name, berEnterprise) && value[0] == tagOID:
			enterprise = content
		case bytes.Equal(name, berAddress) && value[0] == tagAddress && len(content) == 4:
			agent = content
		case value[0] == tagCounter64:
			fits = false
		}
		rest = append(rest, bind(name, value)...)
	})
	if !ok || !fits || len(trap) < 2 {
		return nil, false
	}
	generic, specific := byte(enterpriseTrap), []byte{0}
	if n := len(berTraps); len(trap) == n+1 && bytes.HasPrefix(trap, berTraps) && trap[n] >= 1 && trap[n] <= standardTraps {
		generic = trap[n] - 1
		if enterprise == nil {
			enterprise = berTraps
		}
	} else {
		var last []byte
		enterprise, last = cutSub(trap)
		if above, zero := cutSub(enterprise); len(above) > 0 && len(zero) == 1 && zero[0] == 0 {
			enterprise = above
		}
		if len(enterprise) == 0 {
			return nil, false
		}
		specific = subInteger(last)
	}
	return ber(tagTrapV1, ber(tagOID, enterprise), ber(tagAddress, agent), ber(tagInteger, []byte{generic}), ber(tagInteger, specific),
		ber(tagTicks, uptime), ber(tagSequence, rest)), true
}

// ber makes an element.
func ber(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := make([]byte, 0, n+4)
	switch {
	case n < 0x80:
		out = append(out, tag, byte(n))
	case n <= 0xff:
		out = append(out, tag, 0x81, byte(n))
	case n <= 0xffff:
		out = append(out, tag, 0x82, byte(n>>8), byte(n))
	default:
		out = append(out, tag, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// bind makes a varbind; value has its header.
func bind(name, value []byte) []byte { return ber(tagSequence, ber(tagOID, name), value) }

// fields gives the contents of the elements of one, which must have these tags.
func fields(b []byte, tag byte, tags ...byte) ([][]byte, bool) {
	at, end, ok := element(b, 0, tag)
	if !ok {
		return nil, false
	}
	var out [][]byte
	for _, t := range tags {
		begin, next, ok := element(b[:end], at, t)
		if !ok {
			return nil, false
		}
		out = append(out, b[begin:next])
		at = next
	}
	return out, at == end
}

// eachBind calls for each varbind, with the value's header; false when they
// aren't well formed.
func eachBind(b []byte, do func(name, value []byte)) bool {
	for at := 0; at < len(b); {
		begin, end, ok := element(b, at, tagSequence)
		if !ok {
			return false
		}
		name, value, ok := element(b[:end], begin, tagOID)
		if !ok || value >= end {
			return false
		}
		if _, last, ok := element(b[:end], value, b[value]); !ok || last != end {
			return false
		}
		do(b[name:value], b[value:end])
		at = end
	}
	return true
}

// integer reads an INTEGER's content; -1 for one that is no 32-bit number.
func integer(b []byte) int64 {
	if len(b) == 0 || len(b) > 5 {
		return -1
	}
	n := int64(int8(b[0]))
	for _, x := range b[1:] {
		n = n<<8 | int64(x)
	}
	return n
}

// appendSub adds a sub-identifier to an OID's content.
func appendSub(oid []byte, sub uint32) []byte {
	for shift := 28; shift > 0; shift -= 7 {
		if sub>>shift != 0 {
			oid = append(oid, 0x80|byte(sub>>shift)&0x7f)
		}
	}
	return append(oid, byte(sub)&0x7f)
}

// cutSub splits off the last sub-identifier of an OID's content.
func cutSub(oid []byte) (above, last []byte) {
	at := len(oid) - 1
	for at > 0 && oid[at-1]&0x80 != 0 {
		at--
	}
	at = max(at, 0)
	return oid[:at], oid[at:]
}

// subInteger makes an INTEGER's content of a sub-identifier.
func subInteger(sub []byte) []byte {
	n := uint32(0)
	for _, x := range sub {
		n = n<<7 | uint32(x&0x7f)
	}
	b := binary.BigEndian.AppendUint32(nil, n)
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}
