package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"yagura/fsm/schema"
)

// udp4 is an IPv4 packet of UDP from 192.0.2.7:50000.
func udp4(port uint16, payload string) []byte {
	b := make([]byte, 28, 28+len(payload))
	b[0], b[9] = 0x45, protocolUDP
	binary.BigEndian.PutUint16(b[2:], uint16(28+len(payload)))
	copy(b[12:], []byte{192, 0, 2, 7, 192, 0, 2, 9})
	binary.BigEndian.PutUint16(b[20:], 50000)
	binary.BigEndian.PutUint16(b[22:], port)
	binary.BigEndian.PutUint16(b[24:], uint16(8+len(payload)))
	return append(b, payload...)
}

// udp6 is the same of IPv6, from 2001:db8::7.
func udp6(port uint16, payload string) []byte {
	b := make([]byte, 48, 48+len(payload))
	b[0], b[6] = 0x60, protocolUDP
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	copy(b[8:], []byte{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7})
	copy(b[40:], udp4(port, payload)[20:28])
	return append(b, payload...)
}

// ether puts a packet into an Ethernet frame, with this many VLAN tags.
func ether(packet []byte, tags int) []byte {
	b := make([]byte, 12)
	for range tags {
		b = append(b, 0x81, 0, 0, 5)
	}
	kind := []byte{8, 0}
	if packet[0]>>4 == 6 {
		kind = []byte{0x86, 0xdd}
	}
	return append(append(b, kind...), packet...)
}

func pcapFile(order binary.AppendByteOrder, link uint32, frames ...[]byte) []byte {
	b := order.AppendUint32(nil, 0xa1b2c3d4)
	b = append(order.AppendUint16(order.AppendUint16(b, 2), 4), make([]byte, 8)...)
	b = order.AppendUint32(order.AppendUint32(b, 65535), link)
	for _, f := range frames {
		b = append(b, make([]byte, 8)...)
		b = order.AppendUint32(order.AppendUint32(b, uint32(len(f))), uint32(len(f)))
		b = append(b, f...)
	}
	return b
}

func pcapngFile(order binary.AppendByteOrder, link uint16, frames ...[]byte) []byte {
	block := func(b []byte, kind uint32, body []byte) []byte {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		size := uint32(12 + len(body))
		b = order.AppendUint32(order.AppendUint32(b, kind), size)
		return order.AppendUint32(append(b, body...), size)
	}
	section := append(order.AppendUint32(nil, 0x1a2b3c4d), 1, 0, 0, 0)
	b := block(nil, blockSection, append(section, bytes.Repeat([]byte{0xff}, 8)...))
	b = block(b, blockInterface, append(order.AppendUint16(nil, link), make([]byte, 6)...))
	b = block(b, 0x0bad, []byte("a block that nobody knows"))
	for i, f := range frames {
		size := order.AppendUint32(nil, uint32(len(f)))
		if i == 0 {
			b = block(b, blockSimple, append(size, f...))
			continue
		}
		head := append(make([]byte, 12), size...)
		b = block(b, blockEnhanced, append(append(head, size...), f...))
	}
	return b
}

func TestReadCapture(t *testing.T) {
	tcp, fragment := udp4(162, "0tcp"), udp4(162, "0frag")
	tcp[9], fragment[7] = 6, 3
	frames := [][]byte{ether(udp4(162, "0one"), 0), ether(udp6(10162, "0two"), 0), ether(tcp, 0), ether(fragment, 0), ether(udp4(162, "0three"), 2), {1, 2}}
	cooked := append(make([]byte, 14), append([]byte{8, 0}, udp4(162, "0any")...)...)
	cooked2 := append(append([]byte{8, 0}, make([]byte, 18)...), udp4(162, "0any2")...)
	for name, c := range map[string]struct {
		file []byte
		want []string
	}{
		"pcap":            {pcapFile(binary.LittleEndian, linkEthernet, frames...), []string{"0one", "0two", "0three"}},
		"pcap, other end": {pcapFile(binary.BigEndian, linkEthernet, frames...), []string{"0one", "0two", "0three"}},
		"pcapng":          {pcapngFile(binary.LittleEndian, linkEthernet, frames...), []string{"0one", "0two", "0three"}},
		"pcapng, other":   {pcapngFile(binary.BigEndian, linkEthernet, frames...), []string{"0one", "0two", "0three"}},
		"cooked":          {pcapFile(binary.LittleEndian, linkSLL, cooked), []string{"0any"}},
		"cooked, 2":       {pcapFile(binary.LittleEndian, linkSLL2, cooked2), []string{"0any2"}},
		"raw":             {pcapFile(binary.LittleEndian, linkRaw, udp4(162, "0raw")), []string{"0raw"}},
		"loopback":        {pcapFile(binary.LittleEndian, linkNull, append([]byte{2, 0, 0, 0}, udp4(162, "0null")...)), []string{"0null"}},
	} {
		list, err := readCapture(c.file)
		var got []string
		for _, d := range list {
			got = append(got, string(d.data))
		}
		if err != nil || !isCapture(c.file) || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
			continue
		}
		if from := list[0].from.String(); from != "192.0.2.7:50000" || list[0].port != 162 {
			t.Errorf("%s: from %s to port %d", name, from, list[0].port)
		}
		// Cut anywhere, it is refused or gives what was whole: never more.
		for n := range c.file {
			if !isCapture(c.file[:n]) {
				continue
			}
			if list, err := readCapture(c.file[:n]); err == nil && len(list) > len(c.want) || err != nil && schema.KindOf(err) != schema.KindCorrupt {
				t.Fatalf("%s cut at %d: %d packets, %v", name, n, len(list), err)
			}
		}
	}
	if _, err := readCapture(pcapFile(binary.LittleEndian, 147, udp4(162, "0"))); schema.KindOf(err) != schema.KindInvalid {
		t.Errorf("a link type that nobody knows: %v", err)
	}
}

func TestDatagramsOfTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	capture := write("traps.pcap", pcapFile(binary.LittleEndian, linkRaw, udp4(162, "0a"), udp4(10162, "0b"), udp4(53, "no SNMP")))
	for _, c := range []struct {
		arg, from string
		port      uint16
		want      int
		kind      schema.Kind
	}{
		{arg: capture, want: 2},
		{arg: capture, port: 162, want: 1},
		{arg: capture, port: 53, kind: schema.KindNotFound},
		{arg: "3003020101", want: 1},
		{arg: "0x30:03 02:01:01", from: "192.0.2.7", want: 1},
		{arg: "300302010", kind: schema.KindInvalid},
		{arg: "", kind: schema.KindInvalid},
		{arg: "nosuch.pcap", kind: schema.KindInvalid},
		{arg: "3003020101", from: "here", kind: schema.KindInvalid},
		{arg: write("text", []byte("no capture")), kind: schema.KindInvalid},
		{arg: write("empty", nil), kind: schema.KindInvalid},
	} {
		list, err := datagrams(c.arg, c.from, c.port)
		if len(list) != c.want || schema.KindOf(err) != c.kind {
			t.Errorf("%q from %q to %d: %d datagrams, %v", c.arg, c.from, c.port, len(list), err)
		}
	}
}
