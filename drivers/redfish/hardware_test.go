package redfish

import (
	"context"
	"encoding/json"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
)

// redfishtool asks a simulated BMC with DMTF's own client, which shares no code
// with the driver, and decodes the answer.
func redfishtool(t *testing.T, m Machine, into any, args ...string) {
	t.Helper()
	program, err := exec.LookPath("redfishtool")
	if err != nil {
		t.Fatal("redfishtool is missing: apt-get install redfishtool")
	}
	u, err := url.Parse(m.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	full := append([]string{"-r", u.Host, "-u", m.User, "-p", m.Password, "-S", "Always", "-A", "Basic"}, args...)
	out, err := exec.CommandContext(ctx, program, full...).Output()
	if err != nil {
		t.Fatalf("redfishtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("redfishtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// asSeen is what the independent client reads of a machine.
func asSeen(t *testing.T, m Machine) drivers.HardwareInfo {
	t.Helper()
	var sys struct {
		UUID, Manufacturer, Model, SerialNumber string
		Status                                  struct{ HealthRollup string }
		ProcessorSummary                        struct{ CoreCount int }
		MemorySummary                           struct{ TotalSystemMemoryGiB int64 }
	}
	var nic struct{ MACAddress string }
	var bmc struct{ FirmwareVersion string }
	redfishtool(t, m, &sys, "Systems", "-I", "1")
	redfishtool(t, m, &nic, "raw", "GET", "/redfish/v1/Systems/1/EthernetInterfaces/1")
	redfishtool(t, m, &bmc, "Managers", "-I", "1")
	return drivers.HardwareInfo{
		UUID: sys.UUID, Manufacturer: sys.Manufacturer, Model: sys.Model, Serial: sys.SerialNumber, Firmware: bmc.FirmwareVersion,
		CPUs: sys.ProcessorSummary.CoreCount, MemoryMiB: sys.MemorySummary.TotalSystemMemoryGiB * 1024,
		NICs: []drivers.NIC{{MAC: nic.MACAddress}}, Health: map[string]string{"OK": "normal"}[sys.Status.HealthRollup],
	}
}

func TestHardwareConformance(t *testing.T) {
	version, _ := exec.Command("redfishtool", "-V").CombinedOutput()
	t.Logf("real part: the simulated BMC of pvmd sim, as read by %s", strings.TrimSpace(string(version)))
	var want drivers.HardwareInfo // the simulated world has the same identities at every start
	drivertest.RunHardware(t, func(t *testing.T) drivertest.HardwareWorld {
		s, machine := simulated(t)
		if want.UUID == "" {
			m, _ := machine("ph01")
			want = asSeen(t, m)
		}
		return drivertest.HardwareWorld{
			Open:    func(*testing.T) drivers.Hardware { return New("bmc", machine, time.Second) },
			Machine: "ph01", Want: want, Silence: down(s, true),
		}
	})
}

// TestIndependentClient holds that what the driver does is what another client
// sees, and the other way round.
func TestIndependentClient(t *testing.T) {
	ctx := context.Background()
	_, machine := simulated(t)
	m, _ := machine("ph01")
	d := New("bmc", machine, 0)
	seen := func() string {
		var sys struct{ PowerState string }
		redfishtool(t, m, &sys, "Systems", "-I", "1")
		return sys.PowerState
	}
	if s := seen(); s != "On" {
		t.Fatalf("redfishtool sees %s", s)
	}
	if _, err := d.SetPower(ctx, drivers.Call{}, "ph01", drivers.OpPowerOff); err != nil {
		t.Fatal(err)
	}
	if s := seen(); s != "Off" {
		t.Fatalf("redfishtool sees %s after our power-off", s)
	}
	redfishtool(t, m, nil, "Systems", "-I", "1", "reset", "On")
	if s, err := d.PowerState(ctx, "ph01"); err != nil || s != drivers.PowerOn {
		t.Fatalf("%s, %v after redfishtool's power-on", s, err)
	}
}

func TestDescribed(t *testing.T) {
	for _, tc := range []struct {
		text   string
		cores  int
		health string
	}{
		{`{"ProcessorSummary":{"Count":2,"CoreCount":32,"LogicalProcessorCount":64},"Status":{"Health":"OK","HealthRollup":"Warning"}}`, 32, "degraded"},
		{`{"ProcessorSummary":{"Count":2,"LogicalProcessorCount":64},"Status":{"Health":"Critical"}}`, 64, "failed"},
		{`{"ProcessorSummary":{"Count":2},"Status":{"Health":"OK"}}`, 2, "normal"},
		{`{}`, 0, ""},
	} {
		var s described
		if err := json.Unmarshal([]byte(tc.text), &s); err != nil {
			t.Fatal(err)
		}
		if s.cores() != tc.cores || s.health() != tc.health {
			t.Errorf("%s: %d cores, %q", tc.text, s.cores(), s.health())
		}
	}
}
