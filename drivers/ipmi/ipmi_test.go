package ipmi

import (
	"context"
	"maps"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
)

// pair is a world of two machines, one on and one off.
func pair(t *testing.T) map[string]*controller {
	w := map[string]*controller{"ph01": startController(t, true), "ph02": startControllerAs(t, false, otherRaw)}
	out, _ := exec.Command("ipmi_sim", "-v").CombinedOutput()
	for _, line := range strings.Split(string(out), "\n") {
		if strings.Contains(line, "version") {
			t.Logf("real part: %s (openipmi, cipher suite 3)", strings.TrimSpace(line))
		}
	}
	return w
}

func access(w map[string]*controller) func(string) (Machine, bool) {
	return func(name string) (Machine, bool) {
		c, ok := w[name]
		if !ok {
			return Machine{}, false
		}
		return Machine{Address: c.address, User: user, Password: password, UUID: map[string]string{"ph01": uuidOf, "ph02": otherUUID}[name]}, true
	}
}

func powerWorld(w map[string]*controller) drivertest.PowerWorld {
	all := maps.Clone(w)
	return drivertest.PowerWorld{
		Open: func(*testing.T) drivers.Power { return New("bmc", access(w), 2*time.Second) },
		On:   "ph01", Off: "ph02",
		Crash:   func(t *testing.T, machine string) { w[machine].mark(t, "crashed") },
		Silence: func(t *testing.T, machine string) { w[machine].freeze(t) },
		Effects: func(t *testing.T, op, machine string) int {
			n := 0
			for name, c := range all {
				if machine == "" || name == machine {
					n += c.effects(t, op)
				}
			}
			return n
		},
	}
}

func TestPowerConformance(t *testing.T) {
	drivertest.RunPower(t, func(t *testing.T) drivertest.PowerWorld { return powerWorld(pair(t)) })
	t.Run("Identity", func(t *testing.T) {
		drivertest.RunPowerIdentity(t, func(t *testing.T) drivertest.PowerIdentityWorld {
			w := pair(t)
			right := maps.Clone(w)
			return drivertest.PowerIdentityWorld{PowerWorld: powerWorld(w), MixUp: func(_ *testing.T, machine string) {
				w[machine] = right[map[string]string{"ph01": "ph02", "ph02": "ph01"}[machine]]
			}}
		})
	})
}

// TestIdentity holds what counts as the machine that is meant, in whichever order
// the bytes of its GUID come.
func TestIdentity(t *testing.T) {
	const (
		reversed = "32314d4fc0b454801035420044454c4c" // as the specification has it
		written  = "4c4c4544004235108054b4c04f4d3132"
		zero     = "00000000000000000000000000000000"
		garbage  = "efcdab89674523a1efcdab89674523a1"
	)
	for _, tc := range []struct {
		name, guid, known string
		want              drivers.Kind // "": it goes on
	}{
		{"as SMBIOS has it", rawUUID, uuidOf, ""},
		{"reversed", reversed, uuidOf, ""},
		{"as it is written", written, uuidOf, ""},
		{"the row has SMBIOS's order", rawUUID, "44454c4c-4200-1035-8054-b4c04f4d3132", ""},
		{"zeros", zero, uuidOf, ""},
		{"nothing well-formed", garbage, uuidOf, ""},
		{"nothing known", otherRaw, "", ""},
		{"another machine", otherRaw, uuidOf, drivers.KindWrongMachine},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := startControllerAs(t, true, tc.guid)
			d := New("bmc", func(string) (Machine, bool) {
				return Machine{Address: c.address, User: user, Password: password, UUID: tc.known}, true
			}, 2*time.Second)
			_, err := d.SetPower(context.Background(), drivers.Call{}, "ph01", drivers.OpPowerOff)
			want := 0
			if tc.want == "" {
				if want = 1; err != nil {
					t.Error(err)
				}
			} else if drivers.KindOf(err) != tc.want || !strings.Contains(err.Error(), c.address) || !strings.Contains(err.Error(), otherUUID) || !strings.Contains(err.Error(), tc.known) {
				t.Errorf("%v, want %s", err, tc.want)
			}
			if n := c.effects(t, ""); n != want {
				t.Errorf("%d effects, want %d", n, want)
			}
		})
	}
}

func TestHardwareConformance(t *testing.T) {
	drivertest.RunHardware(t, func(t *testing.T) drivertest.HardwareWorld {
		w := pair(t)
		return drivertest.HardwareWorld{
			Open:    func(*testing.T) drivers.Hardware { return New("bmc", access(w), 2*time.Second) },
			Machine: "ph01",
			Want: drivers.HardwareInfo{
				UUID: uuidOf, Manufacturer: "NEC", Model: "Express5800/R120", Serial: "SN0042", Firmware: "9.12", Health: "normal",
			},
			Silence: func(t *testing.T, machine string) { w[machine].freeze(t) },
		}
	})
}

// TestIndependentClient compares with ipmitool, in both directions.
func TestIndependentClient(t *testing.T) {
	ctx := context.Background()
	c := startController(t, true)
	d := c.open(0)
	if out := c.ipmitool(t, "chassis", "power", "status"); !strings.Contains(out, "is on") {
		t.Fatalf("ipmitool says %q", out)
	}
	if _, err := d.SetPower(ctx, drivers.Call{}, "ph01", drivers.OpPowerOff); err != nil {
		t.Fatal(err)
	}
	if out := c.ipmitool(t, "chassis", "power", "status"); !strings.Contains(out, "is off") {
		t.Fatalf("ipmitool says %q after our power-off", out)
	}
	c.ipmitool(t, "chassis", "power", "on")
	if s, err := d.PowerState(ctx, "ph01"); err != nil || s != drivers.PowerOn {
		t.Fatalf("%s, %v after ipmitool's power-on", s, err)
	}
	info, err := d.Hardware(ctx, "ph01")
	if err != nil {
		t.Fatal(err)
	}
	if out := c.ipmitool(t, "mc", "guid", "smbios"); !strings.Contains(out, info.UUID) {
		t.Errorf("we read the UUID %s, ipmitool %q", info.UUID, out)
	}
	out := c.ipmitool(t, "fru", "print", "0")
	for _, s := range []string{info.Manufacturer, info.Model, info.Serial} {
		if s == "" || !strings.Contains(out, s) {
			t.Errorf("we read %q, ipmitool %q", s, out)
		}
	}
	if out := c.ipmitool(t, "mc", "info"); !strings.Contains(out, info.Firmware) {
		t.Errorf("we read firmware %s, ipmitool %q", info.Firmware, out)
	}
}

func TestErrorKinds(t *testing.T) {
	ctx := context.Background()
	c := startController(t, true)
	deaf, err := net.ListenPacket("udp4", "127.0.0.1:0") // takes everything, answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = deaf.Close() }()
	good := Machine{Address: c.address, User: user, Password: password}
	with := func(f func(*Machine)) Machine {
		m := good
		f(&m)
		return m
	}
	for _, tc := range []struct {
		name string
		m    Machine
		want drivers.Kind
	}{
		{"wrong password", with(func(m *Machine) { m.Password = "hunter2" }), drivers.KindAuth},
		{"unknown user", with(func(m *Machine) { m.User = "nobody" }), drivers.KindAuth},
		{"no answer", with(func(m *Machine) { m.Address = deaf.LocalAddr().String() }), drivers.KindUnreachable},
		{"nobody listens", with(func(m *Machine) { m.Address = "127.0.0.1:1" }), drivers.KindUnreachable},
		{"no such name", with(func(m *Machine) { m.Address = "bmc.invalid" }), drivers.KindUnreachable},
		{"a suite that it doesn't have", with(func(m *Machine) { m.Suite = "17" }), drivers.KindRefused},
		{"a suite without encryption", with(func(m *Machine) { m.Suite = "0" }), drivers.KindRefused},
		{"no address", with(func(m *Machine) { m.Address = "" }), drivers.KindRefused},
		{"a URL", with(func(m *Machine) { m.Address = "https://bmc" }), drivers.KindRefused},
		{"a port that is none", with(func(m *Machine) { m.Address = "127.0.0.1:x" }), drivers.KindRefused},
		{"no password", with(func(m *Machine) { m.Password = "" }), drivers.KindRefused},
		{"a long password", with(func(m *Machine) { m.Password = strings.Repeat("x", 21) }), drivers.KindRefused},
		{"a long user", with(func(m *Machine) { m.User = strings.Repeat("x", 17) }), drivers.KindRefused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := New("bmc", func(string) (Machine, bool) { return tc.m, true }, 2*time.Second)
			start := time.Now()
			_, err := d.SetPower(ctx, drivers.Call{}, "ph01", drivers.OpPowerOff)
			if drivers.KindOf(err) != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), tc.m.Password) && tc.m.Password != "" {
				t.Errorf("the error holds the password: %v", err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	if n := c.effects(t, ""); n != 0 {
		t.Errorf("%d effects", n)
	}
}

// TestSuites holds that an explicit suite is used, and that without one the
// session falls back only to suite 3.
func TestSuites(t *testing.T) {
	c := startController(t, true)
	for _, suite := range []string{"", "3"} {
		d := New("bmc", func(string) (Machine, bool) {
			return Machine{Address: c.address, User: user, Password: password, Suite: suite}, true
		}, 0)
		if s, err := d.PowerState(context.Background(), "ph01"); err != nil || s != drivers.PowerOn {
			t.Errorf("suite %q: %s, %v", suite, s, err)
		}
	}
}

// TestLostContact holds that a controller that falls silent after it did what
// it was asked for leaves an unknown outcome, and that it did so once.
func TestLostContact(t *testing.T) {
	for _, op := range []drivers.PowerOp{drivers.OpPowerOff, drivers.OpReset} {
		t.Run(string(op), func(t *testing.T) {
			c := startController(t, true)
			c.mark(t, "hang")
			_, err := c.open(2*time.Second).SetPower(context.Background(), drivers.Call{}, "ph01", op)
			if drivers.KindOf(err) != drivers.KindUnknown {
				t.Fatalf("%v, want %s", err, drivers.KindUnknown)
			}
			if n := c.effects(t, "host-"+string(op)); n != 1 {
				t.Fatalf("%d effects", n)
			}
		})
	}
}

// TestReboot holds that what IPMI doesn't have is said so, and changes nothing.
func TestReboot(t *testing.T) {
	c := startController(t, true)
	_, err := c.open(0).SetPower(context.Background(), drivers.Call{}, "ph01", drivers.OpReboot)
	if drivers.KindOf(err) != drivers.KindUnsupported {
		t.Fatalf("%v, want %s", err, drivers.KindUnsupported)
	}
	if n := c.effects(t, ""); n != 0 {
		t.Errorf("%d effects", n)
	}
}

func TestGUID(t *testing.T) {
	for _, tc := range []struct {
		raw  [16]byte
		want string
	}{
		{[16]byte{0x44, 0x45, 0x4c, 0x4c, 0x42, 0, 0x10, 0x35, 0x80, 0x54, 0xb4, 0xc0, 0x4f, 0x4d, 0x31, 0x32}, uuidOf},
		{[16]byte{0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0xa1, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0xa1}, ""},
		{[16]byte{}, ""},
		{[16]byte([]byte(strings.Repeat("\xff", 16))), ""},
	} {
		if got := guid(tc.raw); got != tc.want {
			t.Errorf("%x: %q, want %q", tc.raw, got, tc.want)
		}
	}
}
