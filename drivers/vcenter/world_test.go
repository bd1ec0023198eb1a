package vcenter

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/sim"
)

// startSim starts a simulated datacenter that is as quick as it can be.
func startSim(t *testing.T, cfg sim.Config) *sim.Sim {
	t.Helper()
	cfg.StateDir = t.TempDir()
	cfg.BootTime, cfg.StopTime, cfg.GuestTime = 20*time.Millisecond, 10*time.Millisecond, 10*time.Millisecond
	s, err := sim.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the simulator: %v", err)
		}
	})
	return s
}

// configFor says how to reach a simulated vCenter.
func configFor(t *testing.T, s *sim.Sim) Config {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, s.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	user, password := s.Credentials()
	return Config{Name: "vc1", URL: s.VCenterURL(), User: user, Password: password, CAFile: ca, Wait: time.Second}
}

// open opens a driver that ends with the test.
func open(t *testing.T, cfg Config) *Driver {
	t.Helper()
	d, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close(context.Background()) })
	return d
}

// count counts what took place in a simulated datacenter.
func count(t *testing.T, s *sim.Sim, op, object string) int {
	t.Helper()
	entries, err := s.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if e.OK() && (op == "" || string(e.Op) == op) && (object == "" || e.Object == object) {
			n++
		}
	}
	return n
}

// hostUp brings a VM server back, also one that is still on its way down.
func hostUp(t *testing.T, s *sim.Sim, server string) {
	t.Helper()
	var err error
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		_, err = s.HostUp(ctx, server)
		cancel()
		if err == nil {
			return
		}
	}
	t.Fatal(err)
}

func TestHypervisorConformance(t *testing.T) {
	drivertest.RunHypervisor(t, func(t *testing.T) drivertest.HypervisorWorld {
		s := startSim(t, sim.Config{})
		cfg := configFor(t, s)
		return drivertest.HypervisorWorld{
			Open: func(t *testing.T) drivers.Hypervisor {
				d, err := Open(cfg)
				if err != nil {
					t.Fatal(err)
				}
				return d
			},
			HostDown: func(t *testing.T, server string) {
				if _, err := s.HostDown(server, false); err != nil {
					t.Fatal(err)
				}
			},
			HostUp:  func(t *testing.T, server string) { hostUp(t, s, server) },
			Effects: func(t *testing.T, op, object string) int { return count(t, s, op, object) },
		}
	})
}
