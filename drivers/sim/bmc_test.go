package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/redfish"
	"github.com/vmware/govmomi/vim25/types"
)

// bmc connects gofish to a machine's BMC and returns its system.
func (e *env) bmc(machine string, basic bool) (*gofish.APIClient, *redfish.ComputerSystem) {
	e.Helper()
	user, password := e.sim.BMCCredentials()
	c, err := gofish.ConnectContext(e.ctx, gofish.ClientConfig{
		Endpoint: e.sim.BMCURL(machine), Username: user, Password: password, BasicAuth: basic, HTTPClient: e.http(),
	})
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(c.Logout)
	systems, err := c.Service.Systems()
	if err != nil || len(systems) != 1 {
		e.Fatalf("%d systems: %v", len(systems), err)
	}
	return c, systems[0]
}

func (e *env) http() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: trust(e.T, e.sim), DisableKeepAlives: true}, Timeout: 10 * time.Second}
}

func TestGofish(t *testing.T) {
	for _, basic := range []bool{true, false} {
		e := start(t, quick())
		c, sys := e.bmc("esx02", basic)
		if sys.PowerState != redfish.OnPowerState || sys.HostName != "esx02" || sys.UUID != e.hostProps("esx02").Hardware.SystemInfo.Uuid {
			t.Errorf("system: %s %s %s", sys.PowerState, sys.HostName, sys.UUID)
		}
		if !slices.Contains(sys.SupportedResetTypes, redfish.ForceOffResetType) {
			t.Errorf("reset types: %v", sys.SupportedResetTypes)
		}
		if err := sys.Reset(redfish.ForceOffResetType); err != nil {
			t.Fatal(err)
		}
		sys, err := redfish.GetComputerSystem(c, sys.ODataID)
		if err != nil || sys.PowerState != redfish.OffPowerState {
			t.Errorf("after ForceOff: %v %v", sys.PowerState, err)
		}
		if h := e.hostProps("esx02"); h.Runtime.ConnectionState != types.HostSystemConnectionStateNotResponding {
			t.Errorf("vCenter shows esx02 %s", h.Runtime.ConnectionState)
		}
		if m := e.machineStatus("esx02"); m.Running != 0 {
			t.Errorf("%d VMs run on a machine without power", m.Running)
		}
		if err := sys.Reset(redfish.OnResetType); err != nil {
			t.Fatal(err)
		}
		e.eventually("esx02 is back", func() bool {
			return e.hostProps("esx02").Runtime.ConnectionState == types.HostSystemConnectionStateConnected
		})
		if p := e.vmProps("web02").Runtime.PowerState; p != types.VirtualMachinePowerStatePoweredOff {
			t.Errorf("web02 is %s after its server lost power", p)
		}
		chassis, err := c.Service.Chassis()
		if err != nil || len(chassis) != 1 {
			t.Errorf("chassis: %v %v", chassis, err)
		}
		managers, err := c.Service.Managers()
		if err != nil || len(managers) != 1 {
			t.Errorf("managers: %v %v", managers, err)
		}
		e.wantLedger("bmc-esx02 host-power-off esx02 ok", "bmc-esx02 host-power-on esx02 ok")
	}
}

// reset posts a reset with plain HTTP and returns the status code.
func (e *env) reset(machine, kind string) int {
	e.Helper()
	body, err := json.Marshal(map[string]string{"ResetType": kind})
	if err != nil {
		e.Fatal(err)
	}
	req, err := http.NewRequestWithContext(e.ctx, http.MethodPost, e.sim.BMCURL(machine)+rfReset, bytes.NewReader(body))
	if err != nil {
		e.Fatal(err)
	}
	req.SetBasicAuth(e.sim.BMCCredentials())
	req.Header.Set(tokenHeader, "tok-9")
	res, err := e.http().Do(req)
	if err != nil {
		e.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		e.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func TestResetOfEveryKind(t *testing.T) {
	e := start(t, quick())
	phase := func(want string) {
		t.Helper()
		e.eventually("ph01 is "+want, func() bool { return e.machineStatus("ph01").Phase == want })
	}
	steps := []struct {
		kind, then string
		code       int
	}{
		{"On", "up", 204},
		{"GracefulRestart", "up", 204},
		{"ForceRestart", "up", 204},
		{"GracefulShutdown", "off", 204},
		{"GracefulShutdown", "off", 204},
		{"ForceRestart", "off", 409},
		{"ForceOff", "off", 204},
		{"On", "up", 204},
		{"Nmi", "up", 400},
	}
	for _, s := range steps {
		if got := e.reset("ph01", s.kind); got != s.code {
			t.Errorf("%s: status %d, want %d", s.kind, got, s.code)
		}
		phase(s.then)
	}
	e.wantLedger(
		"bmc-ph01 host-power-on ph01 noop", "bmc-ph01 host-reboot ph01 ok", "bmc-ph01 host-reset ph01 ok",
		"bmc-ph01 host-shutdown ph01 ok", "bmc-ph01 host-shutdown ph01 noop", "bmc-ph01 host-reset ph01 failed: the power is off",
		"bmc-ph01 host-power-off ph01 noop", "bmc-ph01 host-power-on ph01 ok",
	)
	entries, err := e.sim.Ledger()
	if err != nil || entries[0].Token != "tok-9" {
		t.Errorf("token %+v %v", entries[0], err)
	}
}

func TestHungMachineIgnoresGracefulRequests(t *testing.T) {
	e := start(t, quick())
	e.down("esx01", false)
	if got := e.reset("esx01", "GracefulShutdown"); got != 204 {
		t.Errorf("status %d", got)
	}
	if m := e.machineStatus("esx01"); m.Power != "on" {
		t.Errorf("esx01 %+v", m)
	}
	e.reset("esx01", "ForceOff")
	if m := e.machineStatus("esx01"); m.Power != "off" {
		t.Errorf("esx01 %+v", m)
	}
	e.wantLedger("bmc-esx01 host-shutdown esx01 failed: the operating system doesn't answer", "bmc-esx01 host-power-off esx01 ok")
}

func TestBMCAuthentication(t *testing.T) {
	e := start(t, quick())
	get := func(path string, set func(*http.Request)) int {
		t.Helper()
		req, err := http.NewRequestWithContext(e.ctx, http.MethodGet, e.sim.BMCURL("esx01")+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		set(req)
		res, err := e.http().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	user, password := e.sim.BMCCredentials()
	none := func(*http.Request) {}
	for _, c := range []struct {
		path string
		set  func(*http.Request)
		want int
	}{
		{"/redfish/v1", none, 200},
		{"/redfish/v1/", none, 200},
		{"/redfish", none, 200},
		{"/redfish/v1/odata", none, 200},
		{"/redfish/v1/$metadata", none, 200},
		{rfSystem, none, 401},
		{rfSystem, func(r *http.Request) { r.SetBasicAuth(user, "wrong") }, 401},
		{rfSystem, func(r *http.Request) { r.Header.Set("X-Auth-Token", "wrong") }, 401},
		{rfSystem, func(r *http.Request) { r.SetBasicAuth(user, password) }, 200},
		{rfSystem + "/", func(r *http.Request) { r.SetBasicAuth(user, password) }, 200},
		{"/redfish/v1/Nothing", func(r *http.Request) { r.SetBasicAuth(user, password) }, 404},
	} {
		if got := get(c.path, c.set); got != c.want {
			t.Errorf("%s: %d, want %d", c.path, got, c.want)
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	table := newSessionTable()
	first, err := table.add("admin")
	if err != nil {
		t.Fatal(err)
	}
	for range maxSessions {
		if _, err := table.add("admin"); err != nil {
			t.Fatal(err)
		}
	}
	if len(table.byID) != maxSessions || table.valid(first.token) {
		t.Errorf("%d sessions; the oldest is valid: %t", len(table.byID), table.valid(first.token))
	}
}

func TestMuteBMC(t *testing.T) {
	e := start(t, quick())
	_, sys := e.bmc("esx03", true)
	e.down("esx03", true)
	ctx, cancel := context.WithTimeout(e.ctx, 200*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.sim.BMCURL("esx03")+rfRoot, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := e.http().Do(req); err == nil {
		_ = res.Body.Close()
		t.Error("a dead BMC answered")
	} else if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("a dead BMC hangs, but: %v", err)
	}
	if m := e.machineStatus("esx03"); m.BMCAnswers || m.Power != "on" {
		t.Errorf("esx03: %+v", m)
	}
	e.up("esx03")
	if err := sys.Reset(redfish.ForceOffResetType); err != nil {
		t.Errorf("after repair: %v", err)
	}
}

func TestDelayAndFailureOfBMC(t *testing.T) {
	e := start(t, quick())
	if _, err := e.sim.Fail("host-power-off", 1); err != nil {
		t.Fatal(err)
	}
	if got := e.reset("esx01", "ForceOff"); got != 500 {
		t.Errorf("status %d", got)
	}
	if _, err := e.sim.Delay("host-power-off", 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if got := e.reset("esx01", "ForceOff"); got != 204 || e.machineStatus("esx01").Power != "on" {
		t.Errorf("status %d, power %s", got, e.machineStatus("esx01").Power)
	}
	e.eventually("esx01 is off", func() bool { return e.machineStatus("esx01").Power == "off" })
}
