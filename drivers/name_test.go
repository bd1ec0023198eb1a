package drivers_test

import (
	"strings"
	"testing"

	"yagura/drivers"
)

func TestNamesThatCommandsTake(t *testing.T) {
	for _, good := range []string{"db01", "iqn.2026-01.example:db01", "50:06:01:60", "/Common/db", "a_b", "vol@pool+1"} {
		if err := drivers.CheckName("it", good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "-x", "a b", "a;b", "a\nb", "a'b", "$(x)", "a|b", "ä", strings.Repeat("a", 224)} {
		if drivers.CheckName("it", bad) == nil {
			t.Errorf("%q is taken", bad)
		}
		if drivers.CheckInitiators([]string{"ok", bad}) == nil {
			t.Errorf("initiator %q is taken", bad)
		}
	}
	if drivers.CheckInitiators(nil) == nil {
		t.Error("no initiators are taken")
	}
}

func TestKindsOfInitiators(t *testing.T) {
	for i, want := range map[string]bool{
		"iqn.2026-01.example:a": true, "eui.02004567a425678d": true, "naa.52004567ba64678d": true, "10:00:00:00:c9:20:b4:84": false, "ALL": false,
	} {
		if drivers.IsISCSI(i) != want {
			t.Errorf("%s: iSCSI %v", i, !want)
		}
	}
}

func TestMembers(t *testing.T) {
	good := drivers.Member{Name: "db01", Address: "192.0.2.1", Port: 80}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []drivers.Member{
		{Name: "", Address: "192.0.2.1", Port: 80},
		{Name: "db01", Address: "", Port: 80},
		{Name: "db01", Address: "db01", Port: 80},
		{Name: "db01", Address: "fe80::1%eth0", Port: 80},
		{Name: "db01", Address: "192.0.2.1", Port: 0},
		{Name: "db01", Address: "192.0.2.1", Port: 65536},
	} {
		if bad.Check() == nil {
			t.Errorf("%+v is taken", bad)
		}
		if bad.Same(good) && bad.Name != "" {
			t.Errorf("%+v is the same as %+v", bad, good)
		}
	}
	a := drivers.Member{Address: "2001:db8::1", Port: 80}
	if !a.Same(drivers.Member{Address: "2001:DB8:0::1", Port: 80}) || a.Same(drivers.Member{Address: "2001:db8::1", Port: 81}) {
		t.Error("addresses are compared as text")
	}
}
