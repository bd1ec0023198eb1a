package drivertest

import (
	"context"
	"testing"

	"yagura/drivers"
)

// PowerWorld is a set of machines under test, with their management controllers.
type PowerWorld struct {
	Open func(t *testing.T) drivers.Power
	// On and Off name machines that are in that state at the start; the
	// operating system of On listens.
	On, Off string
	// NoController says that the machines have no management controller: nothing
	// can force them or prove them off, one that doesn't answer is unreachable,
	// and only one that this driver has shut down is known to be off.
	NoController bool
	// Crash kills the operating system of a machine; the power stays on.
	Crash func(t *testing.T, machine string)
	// Silence makes a machine's controller stop answering.
	Silence func(t *testing.T, machine string)
	// Effects counts the effects of an operation (names as in the ledger of
	// drivers/fake) that took place on a machine; empty strings count all.
	Effects func(t *testing.T, op, machine string) int
}

// RunPower runs the suite. world makes a fresh world.
func RunPower(t *testing.T, world func(t *testing.T) PowerWorld) {
	for _, c := range []struct {
		name string
		run  func(*power)
	}{
		{"Converges", testPowerOnOff},
		{"Restart", testPowerRestart},
		{"GracefulShutdown", testPowerShutdown},
		{"ForceEndsACrashedMachine", testPowerCrashed},
		{"Refusals", testPowerRefuses},
		{"ExpiredCallsDoNothing", testPowerExpired},
		{"EndedContextDoesNothing", testPowerEndedContext},
		{"SilentController", testPowerSilent},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
			t.Cleanup(cancel)
			p := &power{T: t, ctx: ctx, w: world(t)}
			p.d = p.w.Open(t)
			if instead := withoutController[c.name]; p.w.NoController && instead != nil {
				c.run = instead
			}
			c.run(p)
		})
	}
}

// PowerIdentityWorld is a set of machines whose controllers tell whose they are.
type PowerIdentityWorld struct {
	PowerWorld // its Open makes drivers that know the system UUIDs of the machines
	// MixUp lets another machine's controller answer in the place of a machine's,
	// as where the configuration has its address.
	MixUp func(t *testing.T, machine string)
}

// RunPowerIdentity holds that a driver does nothing, and believes nothing, at the
// controller of another machine than the one meant.
func RunPowerIdentity(t *testing.T, world func(t *testing.T) PowerIdentityWorld) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	w := world(t)
	p := &power{T: t, ctx: ctx, w: w.PowerWorld, d: w.Open(t)}
	p.becomes(w.On, drivers.PowerOn)
	p.becomes(w.Off, drivers.PowerOff)
	for _, machine := range []string{w.On, w.Off} {
		w.MixUp(t, machine)
		state, err := p.d.PowerState(ctx, machine)
		p.fails(drivers.KindWrongMachine, "the power of "+machine, err)
		if state != drivers.PowerUnknown {
			p.Errorf("%s is taken for %s", machine, state)
		}
		for _, op := range append([]drivers.PowerOp{drivers.OpPowerOn}, allOps...) {
			_, err := p.d.SetPower(ctx, call("1"), machine, op)
			p.fails(drivers.KindWrongMachine, string(op)+" of "+machine, err)
		}
	}
	p.effects(0, "", "")
}

// withoutController are the tests in place of those that need a management controller.
var withoutController = map[string]func(*power){
	"Converges":                testSoftOnOff,
	"Restart":                  testSoftRestart,
	"ForceEndsACrashedMachine": testSoftCrashed,
	"Refusals":                 testSoftRefuses,
}

type power struct {
	*testing.T
	ctx context.Context
	w   PowerWorld
	d   drivers.Power
}

func (p *power) set(machine string, op drivers.PowerOp, token string) {
	p.Helper()
	if _, err := p.d.SetPower(p.ctx, call(token), machine, op); err != nil {
		p.Fatal(err)
	}
}

func (p *power) becomes(machine string, want drivers.PowerState) {
	p.Helper()
	waitFor(p.T, p.ctx, machine+" to be "+string(want), func() bool {
		got, err := p.d.PowerState(p.ctx, machine)
		if err != nil {
			p.Fatal(err)
		}
		return got == want
	})
}

func (p *power) fails(k drivers.Kind, what string, err error) {
	p.Helper()
	if err == nil || drivers.KindOf(err) != k {
		p.Fatalf("%s: %v, want %s", what, err, k)
	}
}

func (p *power) effects(n int, op, machine string) {
	p.Helper()
	if got := p.w.Effects(p.T, op, machine); got != n {
		p.Fatalf("%d effects %q on %q, want %d", got, op, machine, n)
	}
}

func testPowerOnOff(p *power) {
	p.becomes(p.w.On, drivers.PowerOn)
	p.becomes(p.w.Off, drivers.PowerOff)
	p.set(p.w.On, drivers.OpPowerOn, "1")
	p.set(p.w.Off, drivers.OpPowerOff, "2")
	p.set(p.w.Off, drivers.OpShutdown, "3")
	p.effects(0, "", "")
	for range 2 {
		p.set(p.w.On, drivers.OpPowerOff, "4")
		p.becomes(p.w.On, drivers.PowerOff)
	}
	p.effects(1, "host-power-off", p.w.On)
	for range 2 {
		p.set(p.w.Off, drivers.OpPowerOn, "5")
		p.becomes(p.w.Off, drivers.PowerOn)
	}
	p.effects(1, "host-power-on", p.w.Off)
}

func testPowerRestart(p *power) {
	p.set(p.w.On, drivers.OpReset, "1")
	p.becomes(p.w.On, drivers.PowerOn)
	p.effects(1, "host-reset", p.w.On)
	p.effects(1, "", "")
}

func testPowerShutdown(p *power) {
	p.set(p.w.On, drivers.OpShutdown, "1")
	p.becomes(p.w.On, drivers.PowerOff)
	p.set(p.w.On, drivers.OpShutdown, "2")
	p.effects(1, "host-shutdown", p.w.On)
	p.effects(0, "host-power-off", "")
}

func testPowerCrashed(p *power) {
	p.w.Crash(p.T, p.w.On)
	p.becomes(p.w.On, drivers.PowerOn)
	p.set(p.w.On, drivers.OpPowerOff, "1")
	p.becomes(p.w.On, drivers.PowerOff)
	p.effects(1, "host-power-off", p.w.On)
}

func testPowerRefuses(p *power) {
	_, err := p.d.PowerState(p.ctx, "nobody")
	p.fails(drivers.KindNotFound, "the power of nobody", err)
	_, err = p.d.SetPower(p.ctx, call("1"), "nobody", drivers.OpPowerOn)
	p.fails(drivers.KindNotFound, "power-on of nobody", err)
	for _, op := range []drivers.PowerOp{drivers.OpReset, drivers.OpReboot} {
		_, err = p.d.SetPower(p.ctx, call("2"), p.w.Off, op)
		p.fails(drivers.KindRefused, string(op)+" of a machine that is off", err)
	}
	_, err = p.d.SetPower(p.ctx, call("3"), p.w.On, drivers.OpSuspend)
	p.fails(drivers.KindUnsupported, "suspend", err)
	p.effects(0, "", "")
}

var allOps = []drivers.PowerOp{drivers.OpShutdown, drivers.OpPowerOff, drivers.OpReboot, drivers.OpReset}

func testPowerExpired(p *power) {
	for _, op := range allOps {
		_, err := p.d.SetPower(p.ctx, late("1"), p.w.On, op)
		p.fails(drivers.KindExpired, string(op), err)
	}
	p.effects(0, "", "")
}

func testPowerEndedContext(p *power) {
	ctx, cancel := context.WithCancel(p.ctx)
	cancel()
	for _, op := range allOps {
		_, err := p.d.SetPower(ctx, call("1"), p.w.On, op)
		p.fails(drivers.KindUnreachable, string(op), err)
	}
	p.effects(0, "", "")
}

func testPowerSilent(p *power) {
	p.w.Silence(p.T, p.w.On)
	if state, err := p.d.PowerState(p.ctx, p.w.On); drivers.KindOf(err) != drivers.KindUnreachable || state != drivers.PowerUnknown {
		p.Fatalf("a silent controller says %s, %v", state, err)
	}
	_, err := p.d.SetPower(p.ctx, call("1"), p.w.On, drivers.OpPowerOff)
	p.fails(drivers.KindUnreachable, "power-off through a silent controller", err)
	p.effects(0, "", "")
}

func testSoftOnOff(p *power) {
	p.becomes(p.w.On, drivers.PowerOn)
	p.set(p.w.On, drivers.OpPowerOn, "1")
	p.effects(0, "", "")
	p.silent(p.w.Off)
	p.set(p.w.Off, drivers.OpPowerOn, "2")
	waitFor(p.T, p.ctx, "the machine to start", func() bool {
		state, _ := p.d.PowerState(p.ctx, p.w.Off)
		return state == drivers.PowerOn
	})
	p.set(p.w.Off, drivers.OpPowerOn, "2")
	p.effects(1, "host-power-on", p.w.Off)
	p.set(p.w.On, drivers.OpShutdown, "3")
	p.becomes(p.w.On, drivers.PowerOff)
	for _, op := range []drivers.PowerOp{drivers.OpShutdown, drivers.OpPowerOff} {
		p.set(p.w.On, op, "4")
	}
	p.set(p.w.On, drivers.OpPowerOn, "5")
	waitFor(p.T, p.ctx, "the machine to start again", func() bool {
		state, _ := p.d.PowerState(p.ctx, p.w.On)
		return state == drivers.PowerOn
	})
	p.effects(1, "host-shutdown", p.w.On)
	p.effects(1, "host-power-on", p.w.On)
}

// silent holds that a machine that doesn't answer isn't taken for one that is off.
func (p *power) silent(machine string) {
	p.Helper()
	for range 3 {
		if state, err := p.d.PowerState(p.ctx, machine); state != drivers.PowerUnknown || drivers.KindOf(err) != drivers.KindUnreachable {
			p.Fatalf("a machine that doesn't answer is %s, %v", state, err)
		}
	}
}

func testSoftRestart(p *power) {
	p.set(p.w.On, drivers.OpReboot, "1")
	waitFor(p.T, p.ctx, "the machine to restart", func() bool {
		state, _ := p.d.PowerState(p.ctx, p.w.On)
		return state == drivers.PowerOn && p.w.Effects(p.T, "host-reboot", p.w.On) == 1
	})
	p.effects(1, "", "")
}

func testSoftCrashed(p *power) {
	p.w.Crash(p.T, p.w.On)
	p.silent(p.w.On)
	for _, op := range []drivers.PowerOp{drivers.OpPowerOff, drivers.OpReset} {
		_, err := p.d.SetPower(p.ctx, call("1"), p.w.On, op)
		p.fails(drivers.KindUnreachable, string(op)+" of a crashed machine", err)
	}
	p.effects(0, "", "")
}

func testSoftRefuses(p *power) {
	_, err := p.d.PowerState(p.ctx, "nobody")
	p.fails(drivers.KindNotFound, "the power of nobody", err)
	_, err = p.d.SetPower(p.ctx, call("1"), "nobody", drivers.OpPowerOn)
	p.fails(drivers.KindNotFound, "power-on of nobody", err)
	for _, op := range []drivers.PowerOp{drivers.OpPowerOff, drivers.OpReset, drivers.OpSuspend} {
		_, err = p.d.SetPower(p.ctx, call("2"), p.w.On, op)
		p.fails(drivers.KindUnsupported, string(op)+" without a controller", err)
	}
	p.effects(0, "", "")
}
