package schema

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitPath(t *testing.T) {
	for path, want := range map[string][]string{
		"": nil, " / ": nil, "web": {"web"}, "shop/web": {"shop", "web"}, "shop¥web": {"shop", "web"}, `shop\web`: {"shop", "web"},
		"shop￥a/b\\c": {"shop", "a", "b", "c"}, "/shop/web/": {"shop", "web"}, "a//b": {"a", "", "b"}, " a b / c ": {"a b ", " c"},
	} {
		if got := SplitPath(path); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
	if got := NormalPath(`¥a\b/`); got != "a/b" {
		t.Errorf("%q", got)
	}
}

func TestNames(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a", n) }
	for name, tt := range map[string]struct {
		check func(object, name string) error
		good  []string
		bad   []string
	}{
		"group": {CheckGroupName, []string{"web", "Web 1", "業務", long(64), "a.b-c_d"}, []string{"", long(65), "a;b", "a#b", "a/b", `a\b`, "a¥b", " a", "a ", "a\x00", "a\n", "a\u202eb", "\xff"}},
		"VM":    {CheckVMName, []string{"web01", "A_b-9", long(80)}, []string{"", long(81), "a b", "a.b", "é", "a/b"}},
		"host":  {CheckHostName, []string{"web01", "web01.example.com", "a_b", "1"}, []string{"", ".a", "a.", "-a", "a b", "a/b", long(256)}},
		"path":  {CheckPath, []string{"a", "a/b/c", "a b/c"}, []string{"", "/a", "a//b", "a/ b", strings.Repeat("a/", 600) + "a"}},
		"center": {
			CheckDatacenter, []string{"", "DC1", "Tokyo-East"}, []string{"DC 1", "DC\t1", "DC\u30001"},
		},
		"software": {CheckSoftwareName, []string{"tmpl-web", "script/<localhost>", "Office 2007"}, []string{"", "a,b", `a"b`, " a", "a\n"}},
	} {
		for _, s := range tt.good {
			if err := tt.check("o", s); err != nil {
				t.Errorf("%s name %q: %v", name, s, err)
			}
		}
		for _, s := range tt.bad {
			if err := tt.check("o", s); KindOf(err) != KindInvalid {
				t.Errorf("%s name %q: %v, want it refused", name, s, err)
			}
		}
	}
}

func TestNormalAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"52:54:00:AB:CD:EF": "52:54:00:ab:cd:ef", "52-54-00-ab-cd-ef": "52:54:00:ab:cd:ef", "5254.00ab.cdef": "52:54:00:ab:cd:ef",
		"00:00:00:00:00:00": "", "52:54:00": "", "": "", "52:54:00:ab:cd:ef:00:11": "",
	} {
		if got := NormalMAC(in); got != want {
			t.Errorf("MAC %q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"4C4C4544-0042-3510-8052-B4C04F4E4D31": "4c4c4544-0042-3510-8052-b4c04f4e4d31", "4c4c45440042351080 52": "",
		"4c4c4544004235108052b4c04f4e4d31":     "4c4c4544-0042-3510-8052-b4c04f4e4d31",
		"00000000-0000-0000-0000-000000000000": "", "ffffffff-ffff-ffff-ffff-ffffffffffff": "", "": "", "no": "",
	} {
		if got := NormalUUID(in); got != want {
			t.Errorf("UUID %q: %q, want %q", in, got, want)
		}
	}
}

func TestRunState(t *testing.T) {
	for want, m := range map[RunState]*Machine{
		StateKnown: {}, StateManaged: {Managed: true}, StatePool: {Managed: true, PoolGroups: []string{"g"}},
		StateRunning: {Managed: true, PoolGroups: []string{"g"}, Group: "g", Host: "h", Model: "m"},
	} {
		if got := m.RunState(); got != want {
			t.Errorf("%v is %s, want %s", m, got, want)
		}
	}
}

func TestMachineValidate(t *testing.T) {
	good := func() *Machine {
		return &Machine{
			Name: "m", Kind: MachinePhysical, Managed: true, Group: "g", Host: "h", Model: "x", Uuid: "4c4c4544-0042-3510-8052-b4c04f4e4d31",
			Nics: []*NIC{{Mac: "52:54:00:ab:cd:ef"}}, Bmc: &Bmc{Kind: "redfish", Address: "https://10.0.0.1"},
		}
	}
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Machine){
		"no name":         func(m *Machine) { m.Name = "" },
		"no kind":         func(m *Machine) { m.Kind = "" },
		"power":           func(m *Machine) { m.Power = "maybe" },
		"hardware status": func(m *Machine) { m.HardwareStatus = "tired" },
		"status":          func(m *Machine) { m.Status = "busy" },
		"UUID":            func(m *Machine) { m.Uuid = strings.ToUpper(m.Uuid) },
		"MAC":             func(m *Machine) { m.Nics[0].Mac = "52-54-00-ab-cd-ef" },
		"empty MAC":       func(m *Machine) { m.Nics[0].Mac = "" },
		"group, no host":  func(m *Machine) { m.Host = "" },
		"group, no model": func(m *Machine) { m.Model = "" },
		"not managed":     func(m *Machine) { m.Managed = false },
		"host, no group":  func(m *Machine) { m.Group = "" },
		"pool twice":      func(m *Machine) { m.PoolGroups = []string{"g", "g"} },
		"pool, unmanaged": func(m *Machine) { *m = Machine{Name: "m", Kind: MachineVM, PoolGroups: []string{"g"}} },
		"negative cost":   func(m *Machine) { m.Cost = -1 },
		"BMC's kind":      func(m *Machine) { m.Bmc.Kind = "ipmi9" },
		"BMC's address":   func(m *Machine) { m.Bmc.Address = "ftp://x" },
		"slot":            func(m *Machine) { m.Software = &SoftwareSlots{Run: []string{"s"}} },
	} {
		m := good()
		change(m)
		if err := m.Validate(); KindOf(err) != KindInvalid {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
}

func TestErrorText(t *testing.T) {
	err := Errorf(KindConflict, "group web", "it is in use by %d", 2).WithHint("wait")
	if got := err.Error(); got != "group web: it is in use by 2; wait" {
		t.Errorf("%q", got)
	}
	if KindOf(nil) != "" || KindOf(err) != KindConflict {
		t.Error("kind")
	}
}
