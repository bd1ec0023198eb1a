package trap

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"yagura/fsm/schema"
)

func testDecoder(t testing.TB, c Config) *Decoder {
	t.Helper()
	d, err := NewDecoder(c, Engine{ID: "\x80\x00\x00\x00\x04yagura-test", Boots: 1, Start: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// FuzzDecode feeds the decoder and the mapping with anything. Each datagram is
// either a notification that maps to an event that can be stored, or refused
// for one of the reasons.
func FuzzDecode(f *testing.F) {
	c := DefaultConfig()
	c.Users = users
	d := testDecoder(f, c)
	rules := testRules(f)
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	f.Add(packet(false, 1, enterprise(3)))
	f.Add(packet(true, 1, enterprise(2)))
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x03})
	// A v1 coldStart.
	f.Add([]byte{0x30, 0x26, 0x02, 0x01, 0x00, 0x04, 0x06, 'p', 'u', 'b', 'l', 'i', 'c', 0xa4, 0x19, 0x06, 0x06, 0x2b, 6, 1, 4, 1, 99, 0x40, 0x04, 192, 0, 2, 7,
		0x02, 0x01, 0x00, 0x02, 0x01, 0x00, 0x43, 0x01, 0x05, 0x30, 0x00})
	// A v3 discovery request.
	f.Add([]byte{0x30, 0x3a, 0x02, 0x01, 0x03, 0x30, 0x0f, 0x02, 0x02, 0x4a, 0x69, 0x02, 0x03, 0x00, 0xff, 0xe3, 0x04, 0x01, 0x04, 0x02, 0x01, 0x03, 0x04, 0x10, 0x30, 0x0e,
		0x04, 0x00, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00, 0x04, 0x00, 0x30, 0x12, 0x04, 0x00, 0x04, 0x00, 0xa0, 0x0c, 0x02, 0x02, 0x37, 0xf0, 0x02, 0x01, 0x00,
		0x02, 0x01, 0x00, 0x30, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := slices.Clone(b)
		n, err := d.Decode(b, from.Addr())
		if !slices.Equal(b, before) {
			t.Fatal("the datagram was changed")
		}
		if err != nil {
			var de *DecodeError
			if !errors.As(err, &de) || !slices.Contains(Reasons, de.Reason) {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		if n.Inform == (n.answer == nil) {
			t.Fatalf("inform %t with answer %x", n.Inform, n.answer)
		}
		e, ok := rules.Map(raw(n, from, time.Unix(1, 0)))
		if !ok {
			return
		}
		if e.EventId == "" || e.Notifier == "" || len(e.Varbinds) > maxVarbinds {
			t.Fatalf("event %v", e)
		}
		for k, v := range e.Varbinds {
			if !utf8.ValidString(k) || !utf8.ValidString(v) || len(v) > maxValue+2 {
				t.Fatalf("varbind %q %q", k, v)
			}
		}
		if !utf8.ValidString(e.Source + e.EventId + e.TargetHint + e.Text) {
			t.Fatalf("event %v", e)
		}
	})
}

func TestDecodeV1(t *testing.T) {
	d := testDecoder(t, DefaultConfig())
	v1 := []byte{0x30, 0x26, 0x02, 0x01, 0x00, 0x04, 0x06, 'p', 'u', 'b', 'l', 'i', 'c', 0xa4, 0x19, 0x06, 0x06, 0x2b, 6, 1, 4, 1, 99, 0x40, 0x04, 192, 0, 2, 7,
		0x02, 0x01, 0x00, 0x02, 0x01, 0x00, 0x43, 0x01, 0x05, 0x30, 0x00}
	n, err := d.Decode(v1, netip.MustParseAddr("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	if n.TrapOID != "1.3.6.1.6.3.1.1.5.1" || n.Agent != "192.0.2.7" || n.Version != "v1" || n.Inform {
		t.Errorf("coldStart of v1 is read as %+v", n)
	}
}

func TestRules(t *testing.T) {
	n := &Notification{
		TrapOID: "1.3.6.1.4.1.5.0.1", Agent: "192.0.2.7", Community: "rack1",
		Varbinds: []Varbind{{"1.3.6.1.4.1.5.1.0", "fan"}, {"1.3.6.1.4.1.5.2.0", "esx02"}},
	}
	rule := func(r *schema.TrapRule) []*schema.TrapRule {
		r.Name, r.EventId = "r", "id"
		return []*schema.TrapRule{r}
	}
	for _, c := range []struct {
		name    string
		rules   []*schema.TrapRule
		matched bool
		target  string
	}{
		{"prefix", rule(&schema.TrapRule{Oid: "1.3.6.1.4.1.5", Target: "${1.3.6.1.4.1.5.2}"}), true, "esx02"},
		{"prefix within a number", rule(&schema.TrapRule{Oid: "1.3.6.1.4.1.5.0.1"}), true, "192.0.2.7"},
		{"half a number", rule(&schema.TrapRule{Oid: "1.3.6.1.4.1.5.0.10"}), false, "192.0.2.7"},
		{"value", rule(&schema.TrapRule{Match: []*schema.VarbindMatch{{Oid: "1.3.6.1.4.1.5.1", Value: "fan"}}}), true, "192.0.2.7"},
		{"wrong value", rule(&schema.TrapRule{Match: []*schema.VarbindMatch{{Oid: "1.3.6.1.4.1.5.1", Value: "cpu"}}}), false, "192.0.2.7"},
		{"regexp", rule(&schema.TrapRule{Match: []*schema.VarbindMatch{{Oid: "1.3.6.1.4.1.5.2", Regexp: "^esx[0-9]+$"}}}), true, "192.0.2.7"},
		{"second alternative", rule(&schema.TrapRule{Oid: "1.3", Target: "${1.3.9}|${community}|${agent}"}), true, "rack1"},
		{"no alternative", rule(&schema.TrapRule{Oid: "1.3", Target: "${1.3.9}"}), true, "192.0.2.7"},
	} {
		r, problems := Compile(c.rules)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		e, ok := r.Map(raw(n, netip.MustParseAddrPort("192.0.2.1:1"), time.Unix(1, 0)))
		if !ok || (e.Rule == "r") != c.matched || e.TargetHint != c.target {
			t.Errorf("%s: matched by %q, target %q", c.name, e.GetRule(), e.GetTargetHint())
		}
		if !c.matched && (e.Notifier != "SNMP" || e.EventId != n.TrapOID || e.Varbinds["1.3.6.1.4.1.5.1.0"] != "fan") {
			t.Errorf("%s: an unknown notification becomes %v", c.name, e)
		}
	}
}

func TestRulePriority(t *testing.T) {
	r, _ := Compile([]*schema.TrapRule{{Name: "b", Oid: "1", EventId: "b"}, {Name: "a", Oid: "1", EventId: "a"}, {Name: "site", Oid: "1", EventId: "site", Priority: 1}})
	e, _ := r.Map(raw(&Notification{TrapOID: "1.2"}, netip.AddrPort{}, time.Time{}))
	if e.EventId != "site" {
		t.Errorf("rule %s was taken", e.Rule)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"port":      func(c *Config) { c.Port = 70000 },
		"address":   func(c *Config) { c.Bind = "here" },
		"rate":      func(c *Config) { c.Rate = 0 },
		"spool":     func(c *Config) { c.SpoolBytes = 1 },
		"auth":      func(c *Config) { c.Users = []User{{Name: "u", Auth: "rot13", AuthKey: "12345678"}} },
		"short key": func(c *Config) { c.Users = []User{{Name: "u", Auth: "sha", AuthKey: "1234567"}} },
		"priv only": func(c *Config) { c.Users = []User{{Name: "u", Priv: "aes", PrivKey: "12345678"}} },
		"twice":     func(c *Config) { c.Users = []User{{Name: "u"}, {Name: "u"}} },
	} {
		c := DefaultConfig()
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestOldMessagesOfAnEngine(t *testing.T) {
	c := newClocks()
	for i, m := range []struct {
		id          string
		boots, time uint32
		ok          bool
	}{
		{"a", 2, 1000, true},
		{"a", 2, 1000 - timeWindow, true},
		{"a", 2, 1000 - timeWindow - 1, false},
		{"a", 1, 9000, false},
		{"b", 1, 0, true},
		{"a", 3, 0, true},
		{"a", 2, 1000, false},
	} {
		if c.accept(m.id, m.boots, m.time) != m.ok {
			t.Errorf("message %d, %v", i, m)
		}
	}
	for i := range maxEngines {
		c.accept(fmt.Sprint(i), 1, 1)
	}
	if len(c.by) != maxEngines || c.order.Len() != maxEngines {
		t.Errorf("%d engines are known", len(c.by))
	}
}
