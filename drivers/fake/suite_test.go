package fake_test

import (
	"testing"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/fake"
)

func TestHypervisorConformance(t *testing.T) {
	drivertest.RunHypervisor(t, func(t *testing.T) drivertest.HypervisorWorld {
		w := fake.Demo(fake.Options{})
		return drivertest.HypervisorWorld{
			Open:     func(*testing.T) drivers.Hypervisor { return w.Hypervisor() },
			HostDown: func(_ *testing.T, server string) { w.HostDown(server, false) },
			HostUp:   func(_ *testing.T, server string) { w.HostUp(server) },
			Effects:  func(_ *testing.T, op, object string) int { return w.Count(op, object) },
		}
	})
}

func powerWorld(w *fake.World) drivertest.PowerWorld {
	return drivertest.PowerWorld{
		Open: func(*testing.T) drivers.Power { return w.PowerOf(fake.UUIDOf) },
		On:   "ph01", Off: "ph03",
		Crash:   func(_ *testing.T, machine string) { w.HostDown(machine, false) },
		Silence: func(_ *testing.T, machine string) { w.BMCDown(machine, true) },
		Effects: func(_ *testing.T, op, machine string) int { return w.Count(op, machine) },
	}
}

func TestPowerConformance(t *testing.T) {
	drivertest.RunPower(t, func(*testing.T) drivertest.PowerWorld { return powerWorld(fake.Demo(fake.Options{})) })
	t.Run("Identity", func(t *testing.T) {
		drivertest.RunPowerIdentity(t, func(*testing.T) drivertest.PowerIdentityWorld {
			w := fake.Demo(fake.Options{})
			return drivertest.PowerIdentityWorld{PowerWorld: powerWorld(w), MixUp: func(_ *testing.T, machine string) {
				w.ChangeHardware(machine, func(p *fake.Physical) { p.UUID = fake.UUIDOf("another") })
			}}
		})
	})
}
