package wol

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/internal/sshtest"
)

func TestPowerConformance(t *testing.T) {
	version, _ := exec.Command("/usr/sbin/sshd", "-V").CombinedOutput()
	t.Logf("real part: sshd, %s", strings.TrimSpace(string(version)))
	drivertest.RunPower(t, func(t *testing.T) drivertest.PowerWorld {
		w := map[string]*machine{"ph01": startMachine(t, true), "ph02": startMachine(t, false)}
		silence := func(_ *testing.T, machine string) { w[machine].stop(true) }
		return drivertest.PowerWorld{
			NoController: true,
			Open:         func(*testing.T) drivers.Power { return open(w) },
			On:           "ph01", Off: "ph02", Crash: silence, Silence: silence,
			Effects: func(_ *testing.T, op, machine string) int {
				n := 0
				for name, m := range w {
					if machine == "" || name == machine {
						n += m.effects(op)
					}
				}
				return n
			},
		}
	})
}

// TestErrorKinds holds what each failure means, and that none has an effect.
func TestErrorKinds(t *testing.T) {
	ctx := context.Background()
	m := startMachine(t, true)
	otherKey, otherLine := sshtest.KeyPair(t)
	refused := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	for _, tc := range []struct {
		name  string
		wrong func(*Machine)
		op    drivers.PowerOp
		want  drivers.Kind
		state drivers.PowerState
	}{
		{"another host key", func(m *Machine) { m.HostKey = otherLine }, drivers.OpShutdown, drivers.KindAuth, drivers.PowerUnknown},
		{"waking a machine with another host key", func(m *Machine) { m.HostKey = otherLine }, drivers.OpPowerOn, drivers.KindAuth, drivers.PowerUnknown},
		{"a wrong key", func(m *Machine) { m.Key = otherKey }, drivers.OpShutdown, drivers.KindAuth, drivers.PowerOn},
		{"a wrong password", func(m *Machine) { m.Key, m.Password = "", "hunter2" }, drivers.OpReboot, drivers.KindAuth, drivers.PowerOn},
		{"no SSH server", func(m *Machine) { m.Address = refused }, drivers.OpShutdown, drivers.KindUnreachable, drivers.PowerUnknown},
		{"no such name", func(m *Machine) { m.Address = "ph01.invalid" }, drivers.OpShutdown, drivers.KindUnreachable, drivers.PowerUnknown},
		{"no address", func(m *Machine) { m.Address = "" }, drivers.OpShutdown, drivers.KindRefused, drivers.PowerUnknown},
		{"no host key", func(m *Machine) { m.HostKey = "" }, drivers.OpShutdown, drivers.KindRefused, drivers.PowerUnknown},
		{"no account", func(m *Machine) { m.Key = "" }, drivers.OpShutdown, drivers.KindRefused, drivers.PowerUnknown},
		{"a key that is none", func(m *Machine) { m.Key = "x" }, drivers.OpShutdown, drivers.KindRefused, drivers.PowerUnknown},
		{"nothing to wake", func(m *Machine) { m.Address, m.MAC = refused, "" }, drivers.OpPowerOn, drivers.KindRefused, drivers.PowerUnknown},
		{"a broadcast that is none", func(m *Machine) { m.Address, m.Broadcast = refused, "x" }, drivers.OpPowerOn, drivers.KindRefused, drivers.PowerUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			access := m.access
			tc.wrong(&access)
			d := open(nil)
			d.machine = func(string) (Machine, bool) { return access, true }
			_, err := d.SetPower(ctx, drivers.Call{}, "ph01", tc.op)
			if drivers.KindOf(err) != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds the password: %v", err)
			}
			if state, err := d.PowerState(ctx, "ph01"); state != tc.state || (err == nil) != (state == drivers.PowerOn) {
				t.Errorf("it is %s, %v; want %s", state, err, tc.state)
			}
		})
	}
	if n := m.effects(""); n != 0 {
		t.Errorf("%d effects", n)
	}
}

// TestShutdownFails holds that a command that fails is told, with what it said,
// and that silence after it proves nothing.
func TestShutdownFails(t *testing.T) {
	ctx := context.Background()
	m := startMachine(t, true)
	d := open(map[string]*machine{"ph01": m})
	m.mark("refuses")
	_, err := d.SetPower(ctx, drivers.Call{}, "ph01", drivers.OpShutdown)
	if drivers.KindOf(err) != drivers.KindFailed || !strings.Contains(err.Error(), "not allowed") {
		t.Fatalf("%v", err)
	}
	m.stop(true)
	for end := time.Now().Add(3 * d.quiet); time.Now().Before(end); {
		if state, err := d.PowerState(ctx, "ph01"); state != drivers.PowerUnknown || drivers.KindOf(err) != drivers.KindUnreachable {
			t.Fatalf("it is %s, %v", state, err)
		}
	}
}

// TestLostContact holds that a connection that ends amid the command leaves
// the outcome unknown; the machine's silence then tells it.
func TestLostContact(t *testing.T) {
	ctx := context.Background()
	m := startMachine(t, true)
	d := open(map[string]*machine{"ph01": m})
	m.mark("hangsup")
	_, err := d.SetPower(ctx, drivers.Call{}, "ph01", drivers.OpShutdown)
	if drivers.KindOf(err) != drivers.KindUnknown {
		t.Fatalf("%v, want %s", err, drivers.KindUnknown)
	}
	for state := drivers.PowerOn; state != drivers.PowerOff; {
		if state, err = d.PowerState(ctx, "ph01"); err != nil {
			t.Fatal(err)
		}
	}
	if n := m.effects("host-shutdown"); n != 1 {
		t.Fatalf("%d effects", n)
	}
	if state, err := open(map[string]*machine{"ph01": m}).PowerState(ctx, "ph01"); state != drivers.PowerUnknown || drivers.KindOf(err) != drivers.KindUnreachable {
		t.Fatalf("a driver that didn't shut it down says %s, %v", state, err)
	}
}

// TestBackAgain holds that a machine that came back after its shutdown and then
// fell silent isn't taken for one that is off.
func TestBackAgain(t *testing.T) {
	ctx := context.Background()
	m := startMachine(t, true)
	d := open(map[string]*machine{"ph01": m})
	if _, err := d.SetPower(ctx, drivers.Call{}, "ph01", drivers.OpShutdown); err != nil {
		t.Fatal(err)
	}
	is := func(want drivers.PowerState) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; {
			state, err := d.PowerState(ctx, "ph01")
			if err == nil && state == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("it is %s, %v; want %s", state, err, want)
			}
		}
	}
	is(drivers.PowerOff)
	m.boot() // by hand
	is(drivers.PowerOn)
	m.stop(true)
	for end := time.Now().Add(3 * d.quiet); time.Now().Before(end); {
		if state, err := d.PowerState(ctx, "ph01"); state != drivers.PowerUnknown || drivers.KindOf(err) != drivers.KindUnreachable {
			t.Fatalf("it is %s, %v", state, err)
		}
	}
}
