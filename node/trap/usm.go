package trap

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gosnmp/gosnmp"
)

// Names of the protocols of Config.
var (
	authProtocols = map[string]gosnmp.SnmpV3AuthProtocol{
		"": gosnmp.NoAuth, "md5": gosnmp.MD5, "sha": gosnmp.SHA, "sha224": gosnmp.SHA224, "sha256": gosnmp.SHA256, "sha384": gosnmp.SHA384, "sha512": gosnmp.SHA512,
	}
	privProtocols = map[string]gosnmp.SnmpV3PrivProtocol{
		"": gosnmp.NoPriv, "des": gosnmp.DES, "aes": gosnmp.AES, "aes192": gosnmp.AES192, "aes256": gosnmp.AES256,
	}
)

// Report variables (RFC 3414, section 5).
const (
	oidNotInTimeWindows = ".1.3.6.1.6.3.15.1.1.2.0"
	oidUnknownEngineIDs = ".1.3.6.1.6.3.15.1.1.4.0"
	timeWindow          = 150 // seconds (RFC 3414, section 2.2.3)
)

// Engine is the SNMP engine that senders of v3 informs authenticate to. For v3
// traps the sender's own engine is the authority.
type Engine struct {
	ID    string // 5 to 32 bytes
	Boots uint32 // how often it was started
	Start time.Time
	Now   func() time.Time
}

func (e *Engine) time() uint32 { return uint32(e.Now().Sub(e.Start) / time.Second) }

// usm is the user-based security model (RFC 3414) of the receiver.
type usm struct {
	engine   Engine
	probe    *gosnmp.GoSNMP // knows no user: reads discovery requests
	users    atomic.Pointer[userTable]
	unknown  uint32 // reports sent, as the report tells
	untimely uint32
	clocks   *clocks
}

// userTable is the users at one time. It never changes.
type userTable struct {
	levels  map[string]gosnmp.SnmpV3MsgFlags // least security level, by user
	engines map[string]string                // of users that may sign for one engine only
	reader  *gosnmp.GoSNMP
}

func newUSM(users []User, e Engine) (*usm, error) {
	u := &usm{engine: e, clocks: newClocks()}
	if u.engine.Now == nil {
		u.engine.Now = time.Now
	}
	u.probe = &gosnmp.GoSNMP{Version: gosnmp.Version3, SecurityModel: gosnmp.UserSecurityModel, MaxOids: maxVarbinds}
	return u, u.setUsers(users)
}

// setUsers derives the keys of users, which takes milliseconds for each, and
// puts them into force. Any goroutine may call it.
func (u *usm) setUsers(users []User) error {
	t := &userTable{levels: map[string]gosnmp.SnmpV3MsgFlags{}, engines: map[string]string{}}
	table := gosnmp.NewSnmpV3SecurityParametersTable(gosnmp.Logger{})
	for _, x := range users {
		sp := &gosnmp.UsmSecurityParameters{
			UserName:                 x.Name,
			AuthenticationProtocol:   authProtocols[strings.ToLower(x.Auth)],
			AuthenticationPassphrase: x.AuthKey,
			PrivacyProtocol:          privProtocols[strings.ToLower(x.Priv)],
			PrivacyPassphrase:        x.PrivKey,
			AuthoritativeEngineID:    u.engine.ID,
		}
		level := gosnmp.NoAuthNoPriv
		if x.Auth != "" {
			level = gosnmp.AuthNoPriv
		}
		if x.Priv != "" {
			level = gosnmp.AuthPriv
		}
		t.levels[x.Name] = level
		if x.EngineID != "" {
			id, err := hex.DecodeString(x.EngineID)
			if err != nil {
				return fmt.Errorf("user %s: engine id: %w", x.Name, err)
			}
			t.engines[x.Name] = string(id)
		}
		if err := table.Add(x.Name, sp); err != nil {
			return fmt.Errorf("user %s: %w", x.Name, err)
		}
	}
	t.reader = &gosnmp.GoSNMP{Version: gosnmp.Version3, SecurityModel: gosnmp.UserSecurityModel, MaxOids: maxVarbinds}
	t.reader.SetTrapSecurityParametersTable(table)
	u.users.Store(t)
	return nil
}

// unmarshal reads a v3 message. Discovery requests and informs with a wrong
// idea of the time end in a *DecodeError with a report.
func (u *usm) unmarshal(datagram []byte) (*gosnmp.SnmpPacket, error) {
	t := u.users.Load()
	p, err := t.reader.UnmarshalTrap(append([]byte(nil), datagram...), true)
	if err != nil {
		if d, derr := u.probe.UnmarshalTrap(append([]byte(nil), datagram...), true); derr == nil && isDiscovery(d) {
			u.unknown++
			return nil, u.report(d, gosnmp.NoAuthNoPriv, oidUnknownEngineIDs, u.unknown)
		}
		return nil, &DecodeError{Reason: Unauthorized, Err: err}
	}
	sp, ok := p.SecurityParameters.(*gosnmp.UsmSecurityParameters)
	if !ok || p.SecurityModel != gosnmp.UserSecurityModel {
		return nil, drop(Unauthorized, "security model %d", p.SecurityModel)
	}
	if want, known := t.levels[sp.UserName]; !known || p.MsgFlags&gosnmp.AuthPriv < want {
		return nil, drop(Unauthorized, "user %q: unknown, or its security level is too low", sp.UserName)
	}
	if p.PDUType != gosnmp.InformRequest {
		if id, bound := t.engines[sp.UserName]; bound && id != sp.AuthoritativeEngineID {
			return nil, drop(Unauthorized, "user %q may not sign for engine %x", sp.UserName, sp.AuthoritativeEngineID)
		}
		// The sender is the authority: only an old message can be told.
		if p.MsgFlags&gosnmp.AuthNoPriv != 0 && !u.clocks.accept(sp.AuthoritativeEngineID, sp.AuthoritativeEngineBoots, sp.AuthoritativeEngineTime) {
			return nil, drop(OutOfWindow, "an old message of engine %x", sp.AuthoritativeEngineID)
		}
		return p, nil
	}
	if sp.AuthoritativeEngineID != u.engine.ID {
		u.unknown++
		return nil, u.report(p, gosnmp.NoAuthNoPriv, oidUnknownEngineIDs, u.unknown)
	}
	if p.MsgFlags&gosnmp.AuthNoPriv != 0 && !u.inTime(sp) {
		u.untimely++
		return nil, u.report(p, gosnmp.AuthNoPriv, oidNotInTimeWindows, u.untimely)
	}
	return p, nil
}

// isDiscovery tells a request for our engine id (RFC 3414, section 4).
func isDiscovery(p *gosnmp.SnmpPacket) bool {
	sp, ok := p.SecurityParameters.(*gosnmp.UsmSecurityParameters)
	return ok && p.MsgFlags&gosnmp.Reportable != 0 && p.MsgFlags&gosnmp.AuthPriv == gosnmp.NoAuthNoPriv && sp.AuthoritativeEngineID == "" && sp.UserName == ""
}

func (u *usm) inTime(sp *gosnmp.UsmSecurityParameters) bool {
	if sp.AuthoritativeEngineBoots != u.engine.Boots {
		return false
	}
	d := int64(sp.AuthoritativeEngineTime) - int64(u.engine.time())
	return d >= -timeWindow && d <= timeWindow
}

// report tells the sender our engine id and time.
func (u *usm) report(p *gosnmp.SnmpPacket, level gosnmp.SnmpV3MsgFlags, oid string, count uint32) *DecodeError {
	reason := OutOfWindow
	if oid == oidUnknownEngineIDs {
		reason = NoNotification
	}
	out := &DecodeError{Reason: reason}
	if p.MsgFlags&gosnmp.Reportable == 0 {
		return out
	}
	sp := p.SecurityParameters.Copy().(*gosnmp.UsmSecurityParameters)
	r := *p
	r.PDUType, r.MsgFlags = gosnmp.Report, level
	r.Error, r.ErrorIndex = gosnmp.NoError, 0
	r.ContextEngineID, r.ContextName = u.engine.ID, ""
	r.Variables = []gosnmp.SnmpPDU{{Name: oid, Type: gosnmp.Counter32, Value: count}}
	out.Reply, out.Err = u.seal(&r, sp)
	return out
}

// respond builds the response to an inform, at the inform's security level.
func (u *usm) respond(p *gosnmp.SnmpPacket) ([]byte, error) {
	sp := p.SecurityParameters.Copy().(*gosnmp.UsmSecurityParameters)
	r := *p
	r.PDUType, r.MsgFlags = gosnmp.GetResponse, p.MsgFlags&gosnmp.AuthPriv
	r.Error, r.ErrorIndex = gosnmp.NoError, 0
	return u.seal(&r, sp)
}

func (u *usm) seal(p *gosnmp.SnmpPacket, sp *gosnmp.UsmSecurityParameters) ([]byte, error) {
	sp.AuthoritativeEngineID, sp.AuthoritativeEngineBoots, sp.AuthoritativeEngineTime = u.engine.ID, u.engine.Boots, u.engine.time()
	sp.AuthenticationParameters = ""
	if p.MsgFlags&gosnmp.AuthPriv == gosnmp.AuthPriv {
		// A salt must never come twice under one key and time.
		sp.PrivacyParameters = make([]byte, 8)
		rand.Read(sp.PrivacyParameters)
	} else {
		sp.PrivacyParameters = nil
	}
	p.SecurityParameters = sp
	return p.MarshalMsg()
}
