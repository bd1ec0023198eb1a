package trap

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gosnmp/gosnmp"
)

// Limits of one notification.
const (
	maxVarbinds = 256
	maxValue    = 4096 // bytes of one value, as text
)

// OIDs of notifications (RFC 3418, RFC 2576).
const (
	oidTrapOID       = "1.3.6.1.6.3.1.1.4.1.0"
	oidSysUpTime     = "1.3.6.1.2.1.1.3.0"
	oidGenericTraps  = "1.3.6.1.6.3.1.1.5"
	oidTrapAddress   = "1.3.6.1.6.3.18.1.3.0"
	oidTrapCommunity = "1.3.6.1.6.3.18.1.4.0"
	enterpriseTrap   = 6 // generic-trap of v1: enterpriseSpecific
)

// Varbind is one variable of a notification, as text.
type Varbind struct {
	OID   string // numeric, without a leading dot
	Value string
}

// Notification is a trap or inform of any version, in one shape.
type Notification struct {
	Version   string // v1 | v2c | v3
	Inform    bool
	RequestID uint32
	TrapOID   string // of v1 as RFC 2576, section 3.1, makes it
	Community string // v1, v2c; or what a proxy put into the varbinds
	User      string // v3
	Uptime    string // sysUpTime as sent, hundredths of seconds; empty in v1
	Agent     string // address of the agent: from the PDU, else the sender's
	Varbinds  []Varbind

	// answer is the response to an inform, ready to be sent.
	answer []byte
	// packet is the message of v3, whose plain text nobody else has; else nil.
	packet *gosnmp.SnmpPacket
}

// Reason is why a datagram was dropped. The texts appear in status and metrics.
type Reason string

// The reasons of drops.
const (
	Malformed      Reason = "malformed"       // no SNMP message
	UnknownVersion Reason = "unknown-version" // not v1, v2c or v3
	NoNotification Reason = "no-notification" // an SNMP message, but no trap or inform
	BadCommunity   Reason = "community"       // not one of those allowed
	Unauthorized   Reason = "authentication"  // v3: unknown user, wrong key, or security level too low
	OutOfWindow    Reason = "not-in-time"     // v3 inform with an old or unknown time; the sender was told ours
	RateLimited    Reason = "rate"            // more than the limit from one sender
	TotalLimited   Reason = "total-rate"      // more than the limit from all senders together
	SpoolFull      Reason = "spool-full"      // the leader hasn't taken events for too long
	Rejected       Reason = "rejected"        // the leader refused the event for good
	Ignored        Reason = "ignored"         // a rule says so
	Overflown      Reason = "socket-overflow" // by the kernel: the socket's buffer was full
)

// Reasons are all reasons.
var Reasons = []Reason{Malformed, UnknownVersion, NoNotification, BadCommunity, Unauthorized, OutOfWindow, RateLimited, TotalLimited, SpoolFull, Rejected, Ignored, Overflown}

// DecodeError says why a datagram is dropped. Reply, when not nil, goes to the
// sender: v3's way to tell engine id and time.
type DecodeError struct {
	Reason Reason
	Reply  []byte
	Err    error
}

// Error implements error.
func (e *DecodeError) Error() string {
	if e.Err == nil {
		return string(e.Reason)
	}
	return string(e.Reason) + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

func drop(r Reason, format string, args ...any) *DecodeError {
	return &DecodeError{Reason: r, Err: fmt.Errorf(format, args...)}
}

// Decoder reads datagrams. Decode may be used by one goroutine at a time,
// SetUsers by any.
type Decoder struct {
	communities map[string]bool // nil: any
	plain       *gosnmp.GoSNMP
	usm         *usm
}

// NewDecoder makes a decoder for the users and communities of the settings.
func NewDecoder(c Config, e Engine) (*Decoder, error) {
	d := &Decoder{plain: &gosnmp.GoSNMP{Version: gosnmp.Version2c, MaxOids: maxVarbinds}}
	if len(c.Communities) > 0 {
		d.communities = map[string]bool{}
		for _, name := range c.Communities {
			d.communities[name] = true
		}
	}
	var err error
	d.usm, err = newUSM(c.Users, e)
	return d, err
}

// SetUsers puts other users of SNMPv3 in place of the present ones, from the next
// datagram on. What is known of the time of engines stays: what was taken or too
// old before isn't taken again.
func (d *Decoder) SetUsers(users []User) error { return d.usm.setUsers(users) }

// Decode reads one datagram. The error is a *DecodeError.
func (d *Decoder) Decode(datagram []byte, from netip.Addr) (n *Notification, err error) {
	defer func() {
		// The decoder of the library is fed by anybody who reaches the port.
		if p := recover(); p != nil {
			n, err = nil, drop(Malformed, "%v", p)
		}
	}()
	version, pdu, ok := head(datagram)
	if !ok {
		return nil, drop(Malformed, "no SNMP message")
	}
	var p *gosnmp.SnmpPacket
	switch version {
	case 0, 1:
		// The library writes into what it decodes.
		if p, err = d.plain.UnmarshalTrap(append([]byte(nil), datagram...), false); err != nil {
			return nil, &DecodeError{Reason: Malformed, Err: err}
		}
		if d.communities != nil && !d.communities[p.Community] {
			return nil, drop(BadCommunity, "community not allowed")
		}
	case 3:
		if p, err = d.usm.unmarshal(datagram); err != nil {
			return nil, err
		}
	default:
		return nil, drop(UnknownVersion, "version %d", version)
	}
	n, err = notification(p, from)
	if err != nil {
		return nil, err
	}
	if version == 3 {
		n.packet = p
	}
	if n.Inform {
		if version == 3 {
			n.answer, err = d.usm.respond(p)
		} else {
			// The response is the request with another tag (RFC 3416, section
			// 4.2.7): taken as bytes, no value can be changed on the way.
			n.answer = append([]byte(nil), datagram...)
			n.answer[pdu] = byte(gosnmp.GetResponse)
		}
		if err != nil {
			return nil, &DecodeError{Reason: Malformed, Err: err}
		}
	}
	return n, nil
}

// head reads the version of a message and finds the PDU of a v1 or v2c one.
func head(b []byte) (version, pdu int, ok bool) {
	body, next, ok := element(b, 0, 0x30)
	if !ok || next != len(b) {
		return 0, 0, false
	}
	v, next, ok := element(b, body, 0x02)
	if !ok || next-v < 1 || next-v > 4 {
		return 0, 0, false
	}
	for _, x := range b[v:next] {
		version = version<<8 | int(x)
	}
	if version > 1 {
		return version, 0, true
	}
	_, pdu, ok = element(b, next, 0x04)
	return version, pdu, ok && pdu < len(b)
}

// element reads the header of a BER element: where its value begins and ends.
func element(b []byte, at int, tag byte) (begin, end int, ok bool) {
	if at+2 > len(b) || b[at] != tag {
		return 0, 0, false
	}
	size, begin := int(b[at+1]), at+2
	if size&0x80 != 0 {
		n := size & 0x7f
		if n == 0 || n > 3 || begin+n > len(b) {
			return 0, 0, false
		}
		size = 0
		for _, x := range b[begin : begin+n] {
			size = size<<8 | int(x)
		}
		begin += n
	}
	end = begin + size
	return begin, end, end <= len(b)
}

// notification brings a message into one shape.
func notification(p *gosnmp.SnmpPacket, from netip.Addr) (*Notification, error) {
	n := &Notification{RequestID: p.RequestID, Community: p.Community, Agent: from.Unmap().String()}
	switch p.Version {
	case gosnmp.Version1:
		n.Version = "v1"
	case gosnmp.Version2c:
		n.Version = "v2c"
	default:
		n.Version = "v3"
		if s, ok := p.SecurityParameters.(*gosnmp.UsmSecurityParameters); ok {
			n.User = s.UserName
		}
	}
	switch {
	case p.PDUType == gosnmp.Trap && p.Version == gosnmp.Version1:
		n.TrapOID = v1TrapOID(p)
		if a, err := netip.ParseAddr(p.AgentAddress); err == nil && !a.IsUnspecified() {
			n.Agent = a.String()
		}
	case p.PDUType == gosnmp.SNMPv2Trap && p.Version != gosnmp.Version1:
	case p.PDUType == gosnmp.InformRequest && p.Version != gosnmp.Version1:
		n.Inform = true
	default:
		return nil, drop(NoNotification, "PDU type %v", p.PDUType)
	}
	if len(p.Variables) > maxVarbinds {
		return nil, drop(Malformed, "%d varbinds, the limit is %d", len(p.Variables), maxVarbinds)
	}
	for _, v := range p.Variables {
		oid, value := strings.TrimPrefix(v.Name, "."), valueText(v)
		switch oid {
		case oidTrapOID:
			n.TrapOID = value
		case oidTrapAddress:
			if a, err := netip.ParseAddr(value); err == nil && !a.IsUnspecified() {
				n.Agent = a.String()
			}
		case oidTrapCommunity:
			n.Community = value
		case oidSysUpTime:
			n.Uptime = value
		default:
			n.Varbinds = append(n.Varbinds, Varbind{oid, value})
		}
	}
	if n.TrapOID == "" {
		return nil, drop(Malformed, "no snmpTrapOID")
	}
	return n, nil
}

// v1TrapOID translates a v1 trap's fields (RFC 2576, section 3.1).
func v1TrapOID(p *gosnmp.SnmpPacket) string {
	if p.GenericTrap != enterpriseTrap {
		return oidGenericTraps + "." + strconv.Itoa(p.GenericTrap+1)
	}
	return strings.TrimPrefix(p.Enterprise, ".") + ".0." + strconv.Itoa(p.SpecificTrap)
}

// valueText makes a value readable: texts as they are, other octets in hex.
func valueText(v gosnmp.SnmpPDU) string {
	var s string
	switch x := v.Value.(type) {
	case nil:
		return ""
	case []byte:
		s = octets(x)
	case string:
		s = strings.TrimPrefix(x, ".")
		if v.Type != gosnmp.ObjectIdentifier {
			s = octets([]byte(x))
		}
	default:
		s = fmt.Sprint(x)
	}
	if len(s) > maxValue {
		s = strings.ToValidUTF8(s[:maxValue], "")
	}
	return s
}

func octets(b []byte) string {
	b = trimZero(b)
	if utf8.Valid(b) && !strings.ContainsFunc(string(b), func(r rune) bool {
		return !unicode.IsPrint(r) && r != '\n' && r != '\r' && r != '\t'
	}) {
		return string(b)
	}
	return "0x" + hex.EncodeToString(b)
}

// trimZero takes off the zero byte that C programs send at the end of a text.
func trimZero(b []byte) []byte {
	if n := len(b); n > 1 && b[n-1] == 0 {
		return b[:n-1]
	}
	return b
}
