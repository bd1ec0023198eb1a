// Package trapload makes the SNMP notifications that benchmarks and campaigns
// send, at a rate, without encoding each.
package trapload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gosnmp/gosnmp"
)

// ESMPRO's trap and its variables, as the shipped rule has them.
const (
	MIB     = ".1.3.6.1.4.1.119.2.2.4.4."
	TrapOID = MIB + "0.1"
)

// FirstID is the lowest request id: those above keep four bytes.
const FirstID = 0x10000000

// targetHolder is what each datagram replaces in place, so that its lengths stay.
const targetHolder = "h0000000"

// Template is an encoded notification whose request id and target are patched.
type Template struct {
	bytes      []byte
	id, target int // offsets
}

// NewTemplate encodes a v2c inform or trap of ESMPRO.
func NewTemplate(kind gosnmp.PDUType, event string) (*Template, error) {
	data, err := Encode(kind, FirstID, event, targetHolder)
	if err != nil {
		return nil, err
	}
	t := &Template{bytes: data, id: idOffset(data), target: bytes.Index(data, []byte(targetHolder))}
	if t.id < 0 || t.target < 0 {
		return nil, errors.New("the encoded notification isn't as expected")
	}
	return t, nil
}

// Encode encodes a v2c inform or trap of ESMPRO about a machine.
func Encode(kind gosnmp.PDUType, id uint32, event, target string) ([]byte, error) {
	p := &gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: "public", PDUType: kind, RequestID: id, Variables: Variables(event, target)}
	return p.MarshalMsg()
}

// Variables are the variable bindings of ESMPRO's event about a machine.
func Variables(event, target string) []gosnmp.SnmpPDU {
	return []gosnmp.SnmpPDU{
		{Name: ".1.3.6.1.2.1.1.3.0", Type: gosnmp.TimeTicks, Value: uint32(1)},
		{Name: ".1.3.6.1.6.3.1.1.4.1.0", Type: gosnmp.ObjectIdentifier, Value: TrapOID},
		{Name: MIB + "100.1", Type: gosnmp.OctetString, Value: "ESMDSVNT"},
		{Name: MIB + "100.2", Type: gosnmp.OctetString, Value: event},
		{Name: MIB + "100.3", Type: gosnmp.OctetString, Value: target},
	}
}

// Clone is a copy that one sender patches.
func (t *Template) Clone() *Template {
	return &Template{bytes: bytes.Clone(t.bytes), id: t.id, target: t.target}
}

// Set gives the datagram a request id and the target TargetName(target), and
// returns it; the next call changes it.
func (t *Template) Set(id uint32, target int) []byte {
	binary.BigEndian.PutUint32(t.bytes[t.id:], id)
	copy(t.bytes[t.target:], TargetName(target))
	return t.bytes
}

// TargetName is the name of the machine of a number; there are ten million.
func TargetName(target int) string { return fmt.Sprintf("h%07d", target%10000000) }

// RequestID reads the request id out of an answer, 0 when it isn't one.
func RequestID(answer []byte) uint32 {
	i := idOffset(answer)
	if i < 0 {
		return 0
	}
	return binary.BigEndian.Uint32(answer[i:])
}

// idOffset is where the four bytes of the request id begin in a message of
// community public, -1 when it has none of that length.
func idOffset(data []byte) int {
	const community = "\x04\x06public"
	i := bytes.Index(data, []byte(community))
	if i < 0 {
		return -1
	}
	i += len(community) + 1 // the tag of the PDU
	if i < len(data) && data[i]&0x80 != 0 {
		i += int(data[i] & 0x7f) // long form of the length
	}
	i++
	if len(data) < i+6 || data[i] != 0x02 || data[i+1] != 0x04 {
		return -1
	}
	return i + 2
}
