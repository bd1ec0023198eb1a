package trap

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"
)

const senderEngine = "\x80\x00\x00\x00\x01\x02\x03\x04"

// signed is an authPriv trap of the user as its sender's engine sends it at a time.
func signed(t *testing.T, u User, engine string, boots, at uint32) []byte {
	t.Helper()
	sp := &gosnmp.UsmSecurityParameters{
		UserName: u.Name, AuthenticationProtocol: authProtocols[u.Auth], AuthenticationPassphrase: u.AuthKey,
		PrivacyProtocol: privProtocols[u.Priv], PrivacyPassphrase: u.PrivKey,
		AuthoritativeEngineID: engine, AuthoritativeEngineBoots: boots, AuthoritativeEngineTime: at, PrivacyParameters: []byte("saltsalt"),
	}
	if err := sp.InitSecurityKeys(); err != nil {
		t.Fatal(err)
	}
	p := &gosnmp.SnmpPacket{
		Version: gosnmp.Version3, MsgFlags: gosnmp.AuthPriv, SecurityModel: gosnmp.UserSecurityModel, SecurityParameters: sp, ContextEngineID: engine,
		MsgID: 1, RequestID: 1, MsgMaxSize: 65507, PDUType: gosnmp.SNMPv2Trap,
		Variables: []gosnmp.SnmpPDU{{Name: "." + oidTrapOID, Type: gosnmp.ObjectIdentifier, Value: "." + trapOID}},
	}
	b, err := p.MarshalMsg()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestChangedUsers changes the users of a running sink: another key, other users,
// and what was refused as old before is refused afterwards, too.
func TestChangedUsers(t *testing.T) {
	l := &leader{}
	s := open(t, l, func(o *Options) { o.Users = nil })
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	user := User{Name: "ups", Auth: "sha256", AuthKey: "authentication", Priv: "aes", PrivKey: "encryption"}
	set := func(users ...User) {
		t.Helper()
		if err := s.SetUsers(users); err != nil {
			t.Fatal(err)
		}
	}
	send := func(what string, want Reason, datagram []byte) {
		t.Helper()
		if got, _ := s.take(datagram, from); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	early, late := signed(t, user, senderEngine, 3, 1000), signed(t, user, senderEngine, 3, 2000)
	send("before there is a user", Unauthorized, early)
	set(user)
	send("a known user", "", early)
	send("a known user", "", late)
	send("a replay", OutOfWindow, early)

	other := User{Name: "other"}
	set(other, user)
	send("a replay after a change of others", OutOfWindow, early)
	changed := user
	changed.AuthKey = "another-authentication"
	set(changed)
	send("the old key", Unauthorized, late)
	send("the new key", "", signed(t, changed, senderEngine, 3, 2001))
	set()
	send("a user who was removed", Unauthorized, signed(t, changed, senderEngine, 3, 2002))
	set(user)
	send("a replay after the user is back", OutOfWindow, early)
	send("of an earlier start of the engine", OutOfWindow, signed(t, user, senderEngine, 2, 5000))

	bound := user
	bound.EngineID = "8000000001020304"
	set(bound)
	send("the engine of the user", "", signed(t, user, senderEngine, 3, 2003))
	send("another engine", Unauthorized, signed(t, user, senderEngine+"\x05", 3, 2003))

	if err := s.SetUsers([]User{{Name: "bad", EngineID: "xyz"}}); err == nil {
		t.Error("an engine id that is none isn't refused")
	}
	send("after users that can't be used", "", signed(t, user, senderEngine, 3, 2004))
}

// TestChangedLimits lowers and lifts the limits of a running sink.
func TestChangedLimits(t *testing.T) {
	l := &leader{}
	now := time.Now()
	s := open(t, l, func(o *Options) {
		o.Rate, o.Burst = 100, 100
		o.Now = func() time.Time { return now }
	})
	burst := func(n int, senders ...string) map[Reason]int {
		got := map[Reason]int{}
		for i := range n {
			r, _ := s.take(packet(false, byte(i), enterprise(3)), netip.AddrPortFrom(netip.MustParseAddr(senders[i%len(senders)]), 1000))
			got[r]++
		}
		return got
	}
	if got := burst(120, "192.0.2.1"); got[""] != 100 || got[RateLimited] != 20 {
		t.Errorf("one sender, as the config file says: %v", got)
	}
	s.SetLimits(s.opt.Limits(50, 10)) // bursts of 200 and 40
	if got := burst(100, "192.0.2.2", "192.0.2.3"); got[""] != 40 || got[TotalLimited] != 60 {
		t.Errorf("two senders with a limit on all: %v", got)
	}
	now = now.Add(time.Second)
	if got := burst(20, "192.0.2.2"); got[""] != 10 || got[TotalLimited] != 10 {
		t.Errorf("a second later: %v", got)
	}
	s.SetLimits(s.opt.Limits(0, 0))
	if got := burst(50, "192.0.2.4"); got[""] != 50 {
		t.Errorf("without a limit on all: %v", got)
	}
	s.SetLimits(s.opt.Limits(1, 0))
	if got := burst(50, "192.0.2.5"); got[""] != 4 || got[RateLimited] != 46 {
		t.Errorf("one a second: %v", got)
	}
}

// TestTotalRateIsCounted sends more than all senders together may, as the config
// file says.
func TestTotalRateIsCounted(t *testing.T) {
	s := open(t, &leader{}, func(o *Options) { o.TotalRate = 0.001 })
	conn, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 10 {
		if _, err := conn.Write(packet(false, byte(i), enterprise(3))); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, "the drops", func() bool { return s.Dropped()[string(TotalLimited)] == 9 })
}

// TestNetSNMPUsersAtRunTime lets net-snmp's programs send as a user whom the sink
// learns of while it runs.
func TestNetSNMPUsersAtRunTime(t *testing.T) {
	l := &leader{}
	s := open(t, l, func(o *Options) { o.Users = nil })
	host, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	to := []string{"-r", "0", "-t", "3", net.JoinHostPort(host, port), "", trapOID}
	user := users[2]
	inform := func(u User, id string) error {
		return netSNMP(t, "snmpinform", slices.Concat(v3(u, "authPriv"), to, binds(id))...)
	}
	if err := inform(user, "0x1"); err == nil {
		t.Error("answered before there is a user")
	}
	if err := s.SetUsers([]User{user}); err != nil {
		t.Fatal(err)
	}
	if err := inform(user, "0x2"); err != nil {
		t.Error(err)
	}
	trap := slices.Concat(v3(user, "authPriv", "-e", "0x8000000001020304"), to, binds("0x3"))
	if err := netSNMP(t, "snmptrap", trap...); err != nil {
		t.Error(err)
	}
	wait(t, "the events", func() bool { return len(l.got()) == 2 })
	changed := user
	changed.AuthKey, changed.PrivKey = strings.ToUpper(user.AuthKey), strings.ToUpper(user.PrivKey)
	if err := s.SetUsers([]User{changed}); err != nil {
		t.Fatal(err)
	}
	before := s.drops[Unauthorized].Load()
	if err := inform(user, "0x4"); err == nil {
		t.Error("the old keys are still good")
	}
	if s.drops[Unauthorized].Load() == before {
		t.Errorf("not counted: %v", s.Dropped())
	}
	if err := inform(changed, "0x5"); err != nil {
		t.Error(err)
	}
	var ids []string
	for _, e := range l.got() {
		ids = append(ids, e.EventId)
	}
	if want := []string{"0x2", "0x3", "0x5"}; !slices.Equal(ids, want) {
		t.Errorf("events %v, want %v", ids, want)
	}
}
