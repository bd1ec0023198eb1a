package main

import (
	"encoding/binary"
	"net/netip"

	"yagura/fsm/schema"
)

// datagram is the payload of a UDP packet.
type datagram struct {
	from netip.AddrPort
	port uint16 // that it was sent to
	data []byte
}

// Link types of captures (LINKTYPE_ values of libpcap).
const (
	linkNull     = 0 // BSD loopback
	linkEthernet = 1
	linkRaw      = 101
	linkSLL      = 113 // Linux cooked, of a capture on "any"
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)

// Blocks of pcapng.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockSimple    = 3
	blockEnhanced  = 6
)

// EtherTypes.
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	etherVLAN = 0x8100
)

const (
	pcapHeader       = 24
	pcapRecordHeader = 16
	protocolUDP      = 17
)

// capture is the UDP packets of a capture file as it is read.
type capture struct{ datagrams []datagram }

// isCapture tells a capture file by its first bytes.
func isCapture(b []byte) bool {
	return pcapOrder(b) != nil || len(b) >= 4 && binary.BigEndian.Uint32(b) == blockSection
}

// readCapture takes the UDP packets out of a pcap or pcapng file. Packets of
// other protocols, and fragments, are left out. KindCorrupt for a damaged
// file, KindInvalid for a capture of something without IP.
func readCapture(b []byte) ([]datagram, error) {
	var c capture
	read := c.pcapng
	if pcapOrder(b) != nil {
		read = c.pcap
	}
	if err := read(b); err != nil {
		return nil, err
	}
	return c.datagrams, nil
}

func cutCapture() error {
	return schema.Errorf(schema.KindCorrupt, "capture", "it is damaged, or ends in the middle of a packet").WithHint("capture anew, or copy the whole file")
}

// pcapOrder is the byte order of a pcap file; nil when it is none.
func pcapOrder(b []byte) binary.ByteOrder {
	if len(b) < pcapHeader {
		return nil
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if m := order.Uint32(b); m == 0xa1b2c3d4 || m == 0xa1b23c4d { // times in micro- or nanoseconds
			return order
		}
	}
	return nil
}

func (c *capture) pcap(b []byte) error {
	order := pcapOrder(b)
	link := order.Uint32(b[20:]) & 0x0fffffff
	for b = b[pcapHeader:]; len(b) > 0; {
		if len(b) < pcapRecordHeader {
			return cutCapture()
		}
		size := uint64(order.Uint32(b[8:]))
		if b = b[pcapRecordHeader:]; size > uint64(len(b)) {
			return cutCapture()
		}
		if err := c.frame(link, b[:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

func (c *capture) pcapng(b []byte) error {
	var order binary.ByteOrder = binary.LittleEndian
	var links []uint32 // of the section's interfaces
	for len(b) > 0 {
		if len(b) < 12 {
			return cutCapture()
		}
		if binary.BigEndian.Uint32(b) == blockSection { // the same in both orders
			links, order = nil, binary.LittleEndian
			if binary.BigEndian.Uint32(b[8:]) == 0x1a2b3c4d {
				order = binary.BigEndian
			}
		}
		size := uint64(order.Uint32(b[4:]))
		if size < 12 || size%4 != 0 || size > uint64(len(b)) {
			return cutCapture()
		}
		body := b[8 : size-4]
		switch order.Uint32(b) {
		case blockInterface:
			if len(body) < 8 {
				return cutCapture()
			}
			links = append(links, uint32(order.Uint16(body)))
		case blockSimple:
			if len(body) < 4 || len(links) == 0 {
				return cutCapture()
			}
			if err := c.frame(links[0], body[4:4+min(int64(order.Uint32(body)), int64(len(body)-4))]); err != nil {
				return err
			}
		case blockEnhanced:
			if len(body) < 20 || uint64(order.Uint32(body)) >= uint64(len(links)) || uint64(order.Uint32(body[12:])) > uint64(len(body)-20) {
				return cutCapture()
			}
			if err := c.frame(links[order.Uint32(body)], body[20:20+order.Uint32(body[12:])]); err != nil {
				return err
			}
		}
		b = b[size:]
	}
	return nil
}

// frame takes the UDP packet out of a captured frame, if there is one in it.
func (c *capture) frame(link uint32, b []byte) error {
	header, kind := 0, 0 // bytes before IP; where its EtherType is, 0: nowhere
	switch link {
	case linkRaw, linkIPv4, linkIPv6:
	case linkNull:
		header = 4
	case linkEthernet:
		header, kind = 14, 12
		for len(b) >= header+4 && binary.BigEndian.Uint16(b[kind:]) == etherVLAN {
			header, kind = header+4, kind+4
		}
	case linkSLL:
		header, kind = 16, 14
	case linkSLL2:
		header = 20
		if len(b) >= header && !ipType(binary.BigEndian.Uint16(b)) {
			return nil
		}
	default:
		return schema.Errorf(schema.KindInvalid, "capture", "its link type, %d, isn't known", link).WithHint("capture on an Ethernet interface, or on any")
	}
	if len(b) <= header || kind > 0 && !ipType(binary.BigEndian.Uint16(b[kind:])) {
		return nil
	}
	if d, ok := udpOf(b[header:]); ok {
		c.datagrams = append(c.datagrams, d)
	}
	return nil
}

func ipType(t uint16) bool { return t == etherIPv4 || t == etherIPv6 }

// udpOf reads a whole UDP packet of IPv4 or IPv6.
func udpOf(b []byte) (datagram, bool) {
	var from netip.Addr
	switch {
	case b[0]>>4 == 4 && len(b) >= 20:
		header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
		if b[9] != protocolUDP || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 || header < 20 || total < header || total > len(b) {
			return datagram{}, false
		}
		from, b = netip.AddrFrom4([4]byte(b[12:16])), b[header:total]
	case b[0]>>4 == 6 && len(b) >= 40:
		total := 40 + int(binary.BigEndian.Uint16(b[4:]))
		if b[6] != protocolUDP || total > len(b) {
			return datagram{}, false
		}
		from, b = netip.AddrFrom16([16]byte(b[8:24])), b[40:total]
	default:
		return datagram{}, false
	}
	if len(b) < 8 {
		return datagram{}, false
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	if size < 8 || size > len(b) {
		return datagram{}, false
	}
	return datagram{from: netip.AddrPortFrom(from, binary.BigEndian.Uint16(b)), port: binary.BigEndian.Uint16(b[2:]), data: b[8:size]}, true
}
