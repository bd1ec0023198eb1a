package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gosnmp/gosnmp"
)

// ESMPRO's trap and its variables, as the shipped rule has them.
const (
	mib     = ".1.3.6.1.4.1.119.2.2.4.4."
	trapOID = mib + "0.1"
)

// Placeholders that each datagram replaces in place, so that its lengths stay.
const (
	targetHolder = "h0000000"
	firstID      = 0x10000000 // request ids keep four bytes
)

// template is an encoded notification whose request id and target are patched.
type template struct {
	bytes      []byte
	id, target int // offsets
}

// newTemplate encodes a v2c inform or trap of ESMPRO.
func newTemplate(kind gosnmp.PDUType, event string) (*template, error) {
	packet := &gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: "public", PDUType: kind, RequestID: firstID, Variables: variables(event, targetHolder)}
	data, err := packet.MarshalMsg()
	if err != nil {
		return nil, err
	}
	t := &template{bytes: data, id: idOffset(data), target: bytes.Index(data, []byte(targetHolder))}
	if t.id < 0 || t.target < 0 {
		return nil, errors.New("the encoded notification isn't as expected")
	}
	return t, nil
}

func variables(event, target string) []gosnmp.SnmpPDU {
	return []gosnmp.SnmpPDU{
		{Name: ".1.3.6.1.2.1.1.3.0", Type: gosnmp.TimeTicks, Value: uint32(1)},
		{Name: ".1.3.6.1.6.3.1.1.4.1.0", Type: gosnmp.ObjectIdentifier, Value: trapOID},
		{Name: mib + "100.1", Type: gosnmp.OctetString, Value: "ESMDSVNT"},
		{Name: mib + "100.2", Type: gosnmp.OctetString, Value: event},
		{Name: mib + "100.3", Type: gosnmp.OctetString, Value: target},
	}
}

// clone is a copy that one sender patches.
func (t *template) clone() *template {
	return &template{bytes: bytes.Clone(t.bytes), id: t.id, target: t.target}
}

// set gives the datagram a request id and a target.
func (t *template) set(id uint32, target int) []byte {
	binary.BigEndian.PutUint32(t.bytes[t.id:], id)
	name := fmt.Appendf(nil, "h%07d", target%10000000)
	copy(t.bytes[t.target:], name)
	return t.bytes
}

// requestID reads the request id out of an answer, 0 when it isn't one.
func requestID(answer []byte) uint32 {
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
