package trap

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gosnmp/gosnmp"
)

func packetOf(t *testing.T, p gosnmp.SnmpPacket) *relayed {
	t.Helper()
	b, err := p.MarshalMsg()
	if err != nil {
		t.Fatal(err)
	}
	m, ok := relayedOf(b, &Notification{})
	if !ok {
		t.Fatal("the message isn't understood")
	}
	m.id = 7
	return m
}

func parse(t *testing.T, b []byte) *gosnmp.SnmpPacket {
	t.Helper()
	p, err := (&gosnmp.GoSNMP{Version: gosnmp.Version2c}).UnmarshalTrap(bytes.Clone(b), false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTranslation of RFC 3584, section 3, both ways.
func TestTranslation(t *testing.T) {
	const enterprise = ".1.3.6.1.4.1.119.2.300"
	text := gosnmp.SnmpPDU{Name: enterprise + ".1", Type: gosnmp.OctetString, Value: []byte("text\x00")}
	for _, c := range []struct {
		enterprise        string
		generic, specific int
		trap              string
		back              string // enterprise of the way back
		backSpecific      int
	}{
		{enterprise, 0, 0, ".1.3.6.1.6.3.1.1.5.1", enterprise, 0},
		{enterprise, 3, 0, ".1.3.6.1.6.3.1.1.5.4", enterprise, 0},
		{enterprise, 5, 0, ".1.3.6.1.6.3.1.1.5.6", enterprise, 0},
		{enterprise, 6, 1, enterprise + ".0.1", enterprise, 1},
		{enterprise, 6, 300, enterprise + ".0.300", enterprise, 300},
		{enterprise, 6, 0, enterprise + ".0.0", enterprise, 0},
		{enterprise, 6, 2147483647, enterprise + ".0.2147483647", enterprise, 2147483647},
		{".1.3.6.1.4.1.99.128", 6, 5, ".1.3.6.1.4.1.99.128.0.5", ".1.3.6.1.4.1.99.128", 5},
		{enterprise + ".0", 6, 4, enterprise + ".0.0.4", enterprise + ".0", 4},
	} {
		name := fmt.Sprintf("%s %d %d", c.enterprise, c.generic, c.specific)
		m := packetOf(t, gosnmp.SnmpPacket{Version: gosnmp.Version1, Community: "public", PDUType: gosnmp.Trap, SnmpTrap: gosnmp.SnmpTrap{
			Enterprise: c.enterprise, AgentAddress: "192.0.2.7", GenericTrap: c.generic, SpecificTrap: c.specific, Timestamp: 4711}, Variables: []gosnmp.SnmpPDU{text}})
		b, ok := m.encode(AsV2c, "")
		if !ok {
			t.Errorf("%s: no v2c", name)
			continue
		}
		p := parse(t, b)
		var got []string
		for _, v := range p.Variables {
			if x, ok := v.Value.([]byte); ok {
				v.Value = string(x)
			}
			got = append(got, fmt.Sprintf("%s=%v", v.Name, v.Value))
		}
		want := []string{"." + oidSysUpTime + "=4711", "." + oidTrapOID + "=" + c.trap, text.Name + "=text\x00",
			"." + oidTrapAddress + "=192.0.2.7", "." + oidTrapCommunity + "=public", ".1.3.6.1.6.3.1.1.4.3.0=" + c.enterprise}
		if !slices.Equal(got, want) || p.PDUType != gosnmp.SNMPv2Trap || p.Version != gosnmp.Version2c || p.RequestID != 7 || p.Community != "public" {
			t.Errorf("%s: %q\nwant %q", name, got, want)
		}
		back, ok := relayedOf(b, &Notification{})
		if !ok {
			t.Errorf("%s: what was made isn't understood", name)
			continue
		}
		if b, ok = back.encode(AsV1, "other"); !ok {
			t.Errorf("%s: no v1", name)
			continue
		}
		p = parse(t, b)
		if p.Enterprise != c.back || p.GenericTrap != c.generic || p.SpecificTrap != c.backSpecific || p.AgentAddress != "192.0.2.7" || p.Timestamp != 4711 || p.Community != "other" || len(p.Variables) != 4 {
			t.Errorf("%s: back it is %s %d %d %s %d, %d varbinds", name, p.Enterprise, p.GenericTrap, p.SpecificTrap, p.AgentAddress, p.Timestamp, len(p.Variables))
		}
	}
	for _, c := range []struct {
		trap, enterprise  string
		generic, specific int
	}{
		{".1.3.6.1.6.3.1.1.5.1", ".1.3.6.1.6.3.1.1.5", 0, 0},
		{".1.3.6.1.6.3.1.1.5.7", ".1.3.6.1.6.3.1.1.5", 6, 7},
		{".1.3.6.1.4.1.99.5", ".1.3.6.1.4.1.99", 6, 5},
		{".1.3.6.1.4.1.99.0.5", ".1.3.6.1.4.1.99", 6, 5},
		{".1.3.6.1.4.1.99.128.5", ".1.3.6.1.4.1.99.128", 6, 5},
	} {
		m := packetOf(t, gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: "public", PDUType: gosnmp.InformRequest, RequestID: 3, Variables: []gosnmp.SnmpPDU{
			{Name: "." + oidSysUpTime, Type: gosnmp.TimeTicks, Value: uint32(9)}, {Name: "." + oidTrapOID, Type: gosnmp.ObjectIdentifier, Value: c.trap}, text}})
		b, ok := m.encode(AsV1, "")
		if !ok {
			t.Errorf("%s: no v1", c.trap)
			continue
		}
		p := parse(t, b)
		if p.Enterprise != c.enterprise || p.GenericTrap != c.generic || p.SpecificTrap != c.specific || p.AgentAddress != "0.0.0.0" || p.Timestamp != 9 || len(p.Variables) != 1 {
			t.Errorf("%s: %s %d %d %s", c.trap, p.Enterprise, p.GenericTrap, p.SpecificTrap, p.AgentAddress)
		}
		// As received it stays what it is, but for the inform's tag.
		b, _ = m.encode(AsReceived, "")
		if !bytes.HasSuffix(b, m.pdu[1:]) || b[len(b)-len(m.pdu)] != tagTrapV2 {
			t.Errorf("%s: as received it is %x of %x", c.trap, b, m.pdu)
		}
	}
	m := packetOf(t, gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: "public", PDUType: gosnmp.SNMPv2Trap, Variables: []gosnmp.SnmpPDU{
		{Name: "." + oidTrapOID, Type: gosnmp.ObjectIdentifier, Value: enterprise}, {Name: enterprise + ".1", Type: gosnmp.Counter64, Value: uint64(1)}}})
	if _, ok := m.encode(AsV1, ""); ok {
		t.Error("a Counter64 went into v1")
	}
}

// console is net-snmp's snmptrapd.
type console struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(b)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

func freePort(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().String()
}

func snmptrapd(t *testing.T) (*console, string) {
	t.Helper()
	address, c := freePort(t), &console{}
	cmd := exec.Command("snmptrapd", "-f", "-n", "-C", "--disableAuthorization=yes", "-Lo", "-On", "-OQ",
		"-F", "%P|%N|%w|%q|%A|%v\n", "-p", t.TempDir()+"/pid", "udp:"+address)
	cmd.Env = append(os.Environ(), "MIBS=", "SNMP_PERSISTENT_DIR="+t.TempDir(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	cmd.Stdout, cmd.Stderr = c, c
	if cmd.Err != nil {
		cmd.Path, cmd.Err = "/usr/sbin/snmptrapd", nil
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	wait(t, "snmptrapd", func() bool { return strings.Contains(c.String(), "NET-SNMP version") })
	return c, address
}

// TestForwardToSnmptrapd sends with net-snmp and receives with net-snmp, the
// sink between them.
func TestForwardToSnmptrapd(t *testing.T) {
	l := &leader{}
	s := open(t, l, nil)
	plain, plainAt := snmptrapd(t)
	two, twoAt := snmptrapd(t)
	one, oneAt := snmptrapd(t)
	s.Forward([]Destination{{"plain", plainAt, AsReceived, "console"}, {"two", twoAt, AsV2c, "console"}, {"one", oneAt, AsV1, "console"}, {"self", s.Addr().String(), AsReceived, "x"}})
	to := s.Addr().String()
	v1 := []string{"-v1", "-c", "public", to, "1.3.6.1.4.1.119.2.2.4.4", "192.0.2.7", "6", "1", ""}
	for _, c := range []struct {
		name   string
		args   []string
		one    string
		others []string // of what goes out as v2c
		plain  string
	}{
		{"v1", v1, "192.0.2.7", []string{oidTrapOID, trapOID, oidTrapAddress, "192.0.2.7", oidTrapCommunity, "public"}, ".1.3.6.1.4.1.119.2.2.4.4|6|.1|192.0.2.7"},
		{"v2c", []string{"-v2c", "-c", "public", to, "", trapOID}, "0.0.0.0", []string{oidTrapOID, trapOID}, oidTrapOID},
		{"v3", v3(users[2], "authPriv", "-e", "0x8000000001020304", to, "", trapOID), "0.0.0.0", []string{oidTrapOID, trapOID}, oidTrapOID},
	} {
		id := "forwarded-" + c.name
		// A value of each kind that v1 has.
		args := slices.Concat(c.args, binds(id), []string{data + ".9", "i", "-300", data + ".10", "a", "192.0.2.9", data + ".11", "u", "4000000000", data + ".12", "o", "1.3.6.1.4.1.99", data + ".13", "x", "00ff80"})
		if err := netSNMP(t, "snmptrap", args...); err != nil {
			t.Fatal(err)
		}
		line := func(to *console) (found string) {
			wait(t, c.name+" at a console", func() bool {
				for _, l := range strings.Split(to.String(), "\n") {
					if strings.Contains(l, id) {
						found = l
					}
				}
				return found != ""
			})
			return found
		}
		values := []string{"ESMDSVNT", "esx02", "-300", "192.0.2.9", "4000000000", ".1.3.6.1.4.1.99", "00 FF 80"}
		for what, x := range map[string]struct {
			line string
			want []string
		}{
			"v1":          {line(one), []string{".1.3.6.1.4.1.119.2.2.4.4|6|.1|" + c.one}},
			"v2c":         {line(two), c.others},
			"as received": {line(plain), []string{c.plain}},
		} {
			for _, w := range append(values, append(x.want, "community console")...) {
				if !strings.Contains(x.line, w) {
					t.Errorf("%s passed on %s lacks %q: %s", c.name, what, w, x.line)
				}
			}
		}
	}
	wait(t, "the loop to be seen", func() bool { return s.Forwarded()[3].Dropped[ForwardLoop] == 3 })
	if s.Received() != 3 {
		t.Errorf("%d notifications were received, the sink has sent itself some", s.Received())
	}
	for _, f := range s.Forwarded()[:3] {
		if f.Sent != 3 || len(f.Dropped) > 0 || f.Waiting != 0 {
			t.Errorf("%+v", f)
		}
	}
}

// TestForwardNowhere: destinations that can't be reached, or aren't there, hold
// up nothing, and what waits for them is bounded.
func TestForwardNowhere(t *testing.T) {
	l := &leader{}
	s := open(t, l, nil)
	s.Forward([]Destination{{"nobody", freePort(t), AsReceived, ""}, {"astray", "127.0.0.1:99999", AsReceived, ""}})
	conn, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: "public", PDUType: gosnmp.SNMPv2Trap, Variables: []gosnmp.SnmpPDU{{Name: "." + oidTrapOID, Type: gosnmp.ObjectIdentifier, Value: "." + trapOID}}}
	b, err := p.MarshalMsg()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		wait(t, "the datagram", func() bool { return s.Received() == uint64(i+1) })
	}
	wait(t, "all events", func() bool { return len(l.got()) == 50 })
	wait(t, "a refusal", func() bool { return s.Forwarded()[0].Dropped[ForwardUnreachable] > 0 && s.Forwarded()[0].Waiting == 0 })
	n := &Notification{}
	for range maxForwards + 100 {
		s.forwarder.offer(b, n)
	}
	f := s.Forwarded()[1]
	if f.Waiting != maxForwards || f.Dropped[ForwardQueueFull] == 0 || f.Sent != 0 {
		t.Errorf("%+v", f)
	}
	s.Forward(nil)
	if len(s.Forwarded()) != 0 {
		t.Error("a destination that is gone is still there")
	}
	// Without a community what came by v3 has none.
	d := &destination{drops: newDrops()}
	if err := d.send(conn, Destination{}, &relayed{pdu: []byte{1}}); err != nil || d.drops[ForwardNoCommunity].Load() != 1 {
		t.Error("v3 went on without a community")
	}
}
