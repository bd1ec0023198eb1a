package qbridge

import (
	"context"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"yagura/drivers"
	"yagura/drivers/drivertest"
)

func TestSwitchConformance(t *testing.T) {
	t.Logf("real part: snmpd (%s) with an AgentX agent of Q-BRIDGE-MIB", version(t))
	for _, c := range []struct {
		name, how string
		conf      Config
	}{
		{"v2c", plain, Config{Password: "private"}},
		{"v3 and serial number", serial, Config{User: "yagura", Password: v3Pass}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			drivertest.RunSwitch(t, func(t *testing.T) drivertest.SwitchWorld {
				a := startAgent(t, c.how)
				return drivertest.SwitchWorld{
					Open: func(*testing.T) drivers.Switch { return a.driver(c.conf) },
					Free: []string{"ge-0/0/1", "ge-0/0/8", "ge-0/0/9", "ge-0/0/10"}, Unused: 1,
					Silence: func(t *testing.T) {
						if err := a.main.Process.Signal(syscall.SIGSTOP); err != nil {
							t.Fatal(err)
						}
					},
					Refuse:  func(*testing.T) { a.file("mode", "refuse") },
					Deafen:  func(*testing.T) { a.file("mode", "deaf") },
					Effects: func(_ *testing.T, op, object string) int { return a.effects(op, object) },
				}
			})
		})
	}
}

func ctx(t *testing.T) context.Context { return t.Context() }

func must(t *testing.T, task drivers.Task, err error) {
	t.Helper()
	if err != nil || task.State != drivers.TaskDone {
		t.Fatal(task, err)
	}
}

func wants(t *testing.T, err error, k drivers.Kind, words string) {
	t.Helper()
	if drivers.KindOf(err) != k || !strings.Contains(err.Error(), words) {
		t.Fatalf("%v, want %s and %q", err, k, words)
	}
	if strings.Contains(err.Error(), "private") || strings.Contains(err.Error(), v3Pass) {
		t.Fatalf("%v tells the password", err)
	}
}

// TestAnAgentOfOneVariable has no SetRequest of several variables: the order
// of single ones must satisfy a strict switch, and what was set before a
// refusal is taken back.
func TestAnAgentOfOneVariable(t *testing.T) {
	a := startAgent(t, plain)
	a.file("mode", "single")
	d := a.driver(Config{Password: "private"})
	task, err := d.AddToVLAN(ctx(t), drivers.Call{}, "ge-0/0/9", web)
	must(t, task, err)
	// Independent of the driver: bit 9 is the first of the second octet.
	got := a.tool("snmpget", oidVLAN+".2.300", oidVLAN+".4.300", oidVLAN+".2.1", oidVLAN+".4.1", oidPvid+".9", oidVLAN+".1.300")
	want := oidVLAN + `.2.300 = "00 80 00 00 "
` + oidVLAN + `.4.300 = "00 80 00 00 "
` + oidVLAN + `.2.1 = "FF 40 00 00 "
` + oidVLAN + `.4.1 = "FF 40 00 00 "
` + oidPvid + `.9 = 300
` + oidVLAN + `.1.300 = "web"
`
	if got != want {
		t.Fatalf("snmpget says\n%swant\n%s", got, want)
	}
	task, err = d.RemoveFromVLAN(ctx(t), drivers.Call{}, "ge-0/0/9", web)
	must(t, task, err)
	if a.effects("vlan-add", "ge-0/0/9 300") != 1 || a.effects("", "") != 2 {
		t.Fatal("effects")
	}
	// An untagged membership elsewhere, which this switch refuses to double.
	a.tool("snmpset", oidVLAN+".5.50", "i", "4")
	a.tool("snmpset", oidVLAN+".2.50", "x", "80000000")
	before := a.tool("snmpwalk", oidVLAN)
	a.file("mode", "stubborn")
	_, err = d.AddToVLAN(ctx(t), drivers.Call{}, "ge-0/0/2", drivers.VLAN{Name: "db", ID: 60})
	wants(t, err, drivers.KindRefused, "NotWritable")
	if after := a.tool("snmpwalk", oidVLAN); after != before {
		t.Fatalf("the refused change left\n%sinstead of\n%s", after, before)
	}
}

func TestCredentials(t *testing.T) {
	a := startAgent(t, bare)
	for _, c := range []struct {
		name  string
		conf  Config
		kind  drivers.Kind
		words string
	}{
		{"community", Config{Password: "wrong1"}, drivers.KindUnreachable, "community"},
		{"user", Config{User: "nobody", Password: v3Pass}, drivers.KindAuth, "user"},
		{"passphrase", Config{User: "yagura", Password: "wrong horse"}, drivers.KindAuth, "passphrase"},
		{"protocol", Config{User: "yagura", Password: v3Pass, Options: map[string]string{"auth": "sha512"}}, drivers.KindAuth, "protocols"},
		{"level", Config{User: "yagura", Password: v3Pass, Options: map[string]string{"priv": "none"}}, drivers.KindAuth, "AuthorizationError"},
		{"right", Config{User: "plain", Password: v3Pass, Options: map[string]string{"auth": "SHA256", "priv": "none"}}, drivers.KindUnsupported, "bridge ports"},
		{"no switch", Config{User: "yagura", Password: v3Pass}, drivers.KindUnsupported, "bridge ports"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.t = t
			_, err := a.driver(c.conf).Ports(ctx(t))
			wants(t, err, c.kind, c.words)
		})
	}
}

func TestACommunityThatMayOnlyRead(t *testing.T) {
	a := startAgent(t, plain)
	_, err := a.driver(Config{Password: "public"}).AddToVLAN(ctx(t), drivers.Call{}, "ge-0/0/1", web)
	wants(t, err, drivers.KindAuth, "may the community or user write?")
}

// TestReadsWhatIsThere looks at ports that people set up by hand.
func TestReadsWhatIsThere(t *testing.T) {
	a := startAgent(t, plain)
	d := a.driver(Config{Password: "private"})
	for _, args := range [][]string{
		{oidVLAN + ".5.50", "i", "4", oidVLAN + ".5.60", "i", "4"},
		{oidVLAN + ".2.50", "x", "c0400000", oidVLAN + ".2.60", "x", "80000000"}, // 1, 2 and 10; 1
		{oidVLAN + ".4.1", "x", "bfc00000", oidVLAN + ".4.50", "x", "40000000"},  // 2 is untagged in 50, its PVID stays 1
	} {
		a.tool("snmpset", args...)
	}
	for name, want := range map[string]drivers.Port{
		"ge-0/0/1":  {Name: "ge-0/0/1", Also: []int{50, 60}, Up: true},
		"ge-0/0/2":  {Name: "ge-0/0/2", VLAN: 50, Up: true},
		"ge-0/0/10": {Name: "ge-0/0/10", Also: []int{50}},
	} {
		p, err := d.Port(ctx(t), name)
		if err != nil || !reflect.DeepEqual(p, want) {
			t.Errorf("%+v, %v, want %+v", p, err, want)
		}
	}
	_, err := d.Port(ctx(t), "ge-0/0/11")
	wants(t, err, drivers.KindNotFound, "ge-0/0/9, ge-0/0/10")
	// A VLAN without a name gets one; half a membership is completed.
	task, err := d.AddToVLAN(ctx(t), drivers.Call{}, "ge-0/0/2", drivers.VLAN{Name: "fifty", ID: 50})
	must(t, task, err)
	if got := a.tool("snmpget", "-Ov", oidPvid+".2", oidVLAN+".1.50"); got != "50\n\"fifty\"\n" {
		t.Fatalf("%q", got)
	}
	task, err = d.RemoveFromVLAN(ctx(t), drivers.Call{}, "ge-0/0/2", drivers.VLAN{Name: "whatever", ID: 50})
	must(t, task, err)
	if p, err := d.Port(ctx(t), "ge-0/0/2"); err != nil || p.VLAN != 0 || p.Also != nil {
		t.Fatal(p, err)
	}
}

// TestUnusedVLAN isolates ports in a VLAN of its own, which is made when it is
// needed.
func TestUnusedVLAN(t *testing.T) {
	a := startAgent(t, plain)
	d := a.driver(Config{Password: "private", Options: map[string]string{"unused_vlan": "999"}})
	if p, err := d.Port(ctx(t), "ge-0/0/3"); err != nil || p.VLAN != 1 {
		t.Fatal(p, err)
	}
	// Where it came from isn't where anybody put it.
	task, err := d.AddToVLAN(ctx(t), drivers.Call{}, "ge-0/0/3", web)
	must(t, task, err)
	if got := a.tool("snmpget", "-Ov", oidPvid+".3", oidVLAN+".2.1", oidVLAN+".4.1"); got != "300\n\"DF C0 00 00 \"\n\"DF C0 00 00 \"\n" {
		t.Fatalf("%q", got)
	}
	_, err = d.AddToVLAN(ctx(t), drivers.Call{}, "ge-0/0/3", drivers.VLAN{Name: "db", ID: 20})
	wants(t, err, drivers.KindRefused, "is in VLAN 300")
	task, err = d.RemoveFromVLAN(ctx(t), drivers.Call{}, "ge-0/0/3", web)
	must(t, task, err)
	if got := a.tool("snmpget", "-Ov", oidPvid+".3", oidVLAN+".1.999", oidVLAN+".4.999"); got != "999\n\"unused\"\n\"20 00 00 00 \"\n" {
		t.Fatalf("%q", got)
	}
	task, err = d.AddToVLAN(ctx(t), drivers.Call{}, "ge-0/0/4", drivers.VLAN{Name: "default", ID: 1})
	must(t, task, err)
	task, err = d.RemoveFromVLAN(ctx(t), drivers.Call{}, "ge-0/0/4", drivers.VLAN{Name: "default", ID: 1})
	must(t, task, err)
	if p, err := d.Port(ctx(t), "ge-0/0/4"); err != nil || p.VLAN != 0 || p.Also != nil {
		t.Fatal(p, err)
	}
	_, err = d.AddToVLAN(ctx(t), drivers.Call{}, "ge-0/0/3", drivers.VLAN{Name: "bin", ID: 999})
	wants(t, err, drivers.KindRefused, "unused_vlan")
}
