package fake_test

import (
	"context"
	"testing"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/fake"
)

func TestHardwareConformance(t *testing.T) {
	drivertest.RunHardware(t, func(*testing.T) drivertest.HardwareWorld {
		w := fake.New(fake.Options{})
		nics := []drivers.NIC{{MAC: "52:54:00:00:00:02", Network: "sw1"}, {MAC: "52:54:00:00:00:01"}}
		w.AddPhysical("ph01", fake.Physical{
			UUID: "11111111-2222-3333-4444-555555555555", NICs: nics, Manufacturer: "NEC", Model: "Express5800", Serial: "S1",
			CPUs: 16, MemoryMiB: 65536, Health: "degraded",
		})
		return drivertest.HardwareWorld{
			Open:    func(*testing.T) drivers.Hardware { return w.Hardware() },
			Machine: "ph01",
			Want: drivers.HardwareInfo{
				UUID: "11111111-2222-3333-4444-555555555555", Manufacturer: "NEC", Model: "Express5800", Serial: "S1", Firmware: "1.0",
				CPUs: 16, MemoryMiB: 65536, NICs: nics, Health: "degraded",
			},
			Silence: func(_ *testing.T, machine string) { w.BMCDown(machine, true) },
		}
	})
}

// TestPhysicalPower holds the knobs of a physical machine.
func TestPhysicalPower(t *testing.T) {
	ctx := context.Background()
	w := fake.New(fake.Options{})
	w.AddPhysical("ph01", fake.Physical{Power: drivers.PowerOn})
	w.AddPhysical("ph02", fake.Physical{})
	if a, b := w.Machine("ph01"), w.Machine("ph02"); a.UUID == b.UUID || a.NICs[0] == b.NICs[0] || a.Initiators[0] == b.Initiators[0] || b.Power != drivers.PowerOff {
		t.Fatalf("two machines are alike: %+v and %+v", a, b)
	}
	w.NoOS("ph01")
	task, err := w.Power().SetPower(ctx, drivers.Call{Token: "1"}, "ph01", drivers.OpShutdown)
	if err != nil || task.State != drivers.TaskRunning {
		t.Fatalf("a shutdown that nobody hears: %+v, %v", task, err)
	}
	if p := w.Machine("ph01").Power; p != drivers.PowerOn {
		t.Fatalf("it is %s", p)
	}
	if _, err := w.Power().SetPower(ctx, drivers.Call{Token: "2"}, "ph01", drivers.OpPowerOff); err != nil {
		t.Fatal(err)
	}
	if p := w.Machine("ph01").Power; p != drivers.PowerOff || w.Count("host-power-off", "ph01") != 1 || w.Count("", "") != 1 {
		t.Fatalf("after force it is %s; %v", p, w.Ledger())
	}
	w.ChangeHardware("ph02", func(p *fake.Physical) { p.Health = "failed" })
	info, err := w.Hardware().Hardware(ctx, "ph02")
	if err != nil || info.Health != "failed" {
		t.Fatalf("%+v, %v", info, err)
	}
}
