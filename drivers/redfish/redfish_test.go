package redfish

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/sim"
)

// simulated starts a world of simulated BMCs, ph01 on and ph02 off.
func simulated(t *testing.T) (*sim.Sim, func(name string) (Machine, bool)) {
	t.Helper()
	w := sim.World{
		SharedDatastores: []string{"shared01"}, VMServers: []sim.MachineSpec{{Name: "esx01"}},
		Machines: []sim.MachineSpec{{Name: "ph01"}, {Name: "ph02", Off: true}},
	}
	dir := t.TempDir()
	s, err := sim.Start(context.Background(), sim.Config{
		World: &w, StateDir: dir, BootTime: 20 * time.Millisecond, StopTime: 10 * time.Millisecond, GuestTime: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	ca := filepath.Join(dir, "trusted.pem")
	if err := os.WriteFile(ca, s.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	user, password := s.BMCCredentials()
	return s, func(name string) (Machine, bool) {
		u := s.BMCURL(name)
		return Machine{URL: u, User: user, Password: password, CAFile: ca, UUID: sim.MachineUUID(name)}, u != ""
	}
}

// down crashes a machine, or takes all power from it.
func down(s *sim.Sim, bmcToo bool) func(t *testing.T, machine string) {
	return func(t *testing.T, machine string) {
		if _, err := s.HostDown(machine, bmcToo); err != nil {
			t.Fatal(err)
		}
	}
}

func powerWorld(s *sim.Sim, machine func(name string) (Machine, bool)) drivertest.PowerWorld {
	return drivertest.PowerWorld{
		Open: func(*testing.T) drivers.Power { return New("bmc", machine, time.Second) },
		On:   "ph01", Off: "ph02", Crash: down(s, false), Silence: down(s, true),
		Effects: func(t *testing.T, op, machine string) int {
			entries, err := s.Ledger()
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, e := range entries {
				if e.OK() && (op == "" || string(e.Op) == op) && (machine == "" || e.Object == machine) {
					n++
				}
			}
			return n
		},
	}
}

func TestPowerConformance(t *testing.T) {
	drivertest.RunPower(t, func(t *testing.T) drivertest.PowerWorld { return powerWorld(simulated(t)) })
	t.Run("Identity", func(t *testing.T) {
		drivertest.RunPowerIdentity(t, func(t *testing.T) drivertest.PowerIdentityWorld {
			s, machine := simulated(t)
			mixedUp := map[string]bool{}
			return drivertest.PowerIdentityWorld{
				PowerWorld: powerWorld(s, func(name string) (Machine, bool) {
					m, ok := machine(name)
					if mixedUp[name] {
						m.URL = s.BMCURL(other[name])
					}
					return m, ok
				}),
				MixUp: func(_ *testing.T, machine string) { mixedUp[machine] = true },
			}
		})
	})
}

// other is the other machine of the simulated world.
var other = map[string]string{"ph01": "ph02", "ph02": "ph01"}

// controller is a BMC that answers what a test wants.
type controller struct {
	srv    *httptest.Server
	power  string
	allow  []string
	ids    []string
	resets []string // what was asked, with the token
	answer func(w http.ResponseWriter) bool
	broken bool // every read fails with an internal error
}

func newController(t *testing.T) *controller {
	c := &controller{power: "On", ids: []string{"1"}}
	c.srv = httptest.NewTLSServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.srv.Close)
	return c
}

func (c *controller) serve(w http.ResponseWriter, r *http.Request) {
	reply := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	user, password, ok := r.BasicAuth()
	id, isSystem := strings.CutPrefix(r.URL.Path, "/redfish/v1/Systems/")
	switch {
	case r.URL.Path == "/redfish/v1/":
		reply(map[string]any{"Systems": map[string]string{"@odata.id": "/redfish/v1/Systems"}})
	case !ok || user != "admin" || password != "s3cret":
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":{"code":"x","message":"no %s"}}`, strings.Repeat("n", 1000))
	case c.broken:
		w.WriteHeader(http.StatusInternalServerError)
	case r.URL.Path == "/redfish/v1/Systems":
		var list []map[string]string
		for _, id := range c.ids {
			list = append(list, map[string]string{"@odata.id": "/redfish/v1/Systems/" + id})
		}
		reply(map[string]any{"Members": list})
	case r.Method == http.MethodPost:
		var body struct{ ResetType string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		c.resets = append(c.resets, body.ResetType+" "+r.Header.Get(tokenHeader))
		if c.answer == nil || !c.answer(w) {
			w.WriteHeader(http.StatusNoContent)
		}
	case isSystem && id != "none":
		reply(map[string]any{
			"@odata.id": r.URL.Path, "Id": id, "PowerState": c.power,
			"Actions": map[string]any{"#ComputerSystem.Reset": map[string]any{
				"target": r.URL.Path + "/Reset", "ResetType@Redfish.AllowableValues": c.allow,
			}},
		})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// driver knows machine m with changed settings.
func (c *controller) driver(change func(*Machine)) *Driver {
	m := Machine{URL: c.srv.URL, User: "admin", Password: "s3cret", Insecure: true}
	if change != nil {
		change(&m)
	}
	return New("bmc", func(name string) (Machine, bool) { return m, name == "m" }, 2*time.Second)
}

func status(code int) func(http.ResponseWriter) bool {
	return func(w http.ResponseWriter) bool {
		w.WriteHeader(code)
		return true
	}
}

func TestKindsOfAnswers(t *testing.T) {
	for _, c := range []struct {
		name    string
		machine func(*Machine)
		setup   func(*controller)
		read    drivers.Kind // of PowerState; empty: it works
		write   drivers.Kind // of SetPower(power-off); empty: it works
		resets  int
	}{
		{name: "all is well", resets: 1},
		{name: "another password", machine: func(m *Machine) { m.Password = "wr0ng" }, read: drivers.KindAuth, write: drivers.KindAuth},
		{name: "no such system", machine: func(m *Machine) { m.System = "none" }, read: drivers.KindNotFound, write: drivers.KindNotFound},
		{name: "a named system", machine: func(m *Machine) { m.System = "2" }, resets: 1},
		{name: "two systems", setup: func(c *controller) { c.ids = []string{"1", "2"} }, read: drivers.KindRefused, write: drivers.KindRefused},
		{name: "one of two", machine: func(m *Machine) { m.System = "2" }, setup: func(c *controller) { c.ids = []string{"1", "2"} }, resets: 1},
		{name: "refused", setup: func(c *controller) { c.answer = status(400) }, write: drivers.KindRefused, resets: 1},
		{name: "busy", setup: func(c *controller) { c.answer = status(503) }, write: drivers.KindBusy, resets: 1},
		{name: "failed while changing", setup: func(c *controller) { c.answer = status(500) }, write: drivers.KindUnknown, resets: 1},
		{name: "failed while reading", setup: func(c *controller) { c.broken = true }, read: drivers.KindFailed, write: drivers.KindFailed},
		{name: "cut off", setup: func(c *controller) {
			c.answer = func(http.ResponseWriter) bool { panic(http.ErrAbortHandler) }
		}, write: drivers.KindUnknown, resets: 1},
		{name: "redirected", setup: func(c *controller) { c.answer = status(307) }, write: drivers.KindRefused, resets: 1},
		{name: "can't do it", setup: func(c *controller) { c.allow = []string{"On"} }, write: drivers.KindUnsupported},
		{name: "not there", setup: func(c *controller) { c.srv.Close() }, read: drivers.KindUnreachable, write: drivers.KindUnreachable},
		{name: "not trusted", machine: func(m *Machine) { m.Insecure = false }, read: drivers.KindUnreachable, write: drivers.KindUnreachable},
		{name: "plain HTTP", machine: func(m *Machine) { m.URL, m.Insecure = "http://127.0.0.1:1", false }, read: drivers.KindRefused, write: drivers.KindRefused},
		{name: "credentials in the URL", machine: func(m *Machine) { m.URL = "https://a:s3cret@127.0.0.1:1" }, read: drivers.KindRefused, write: drivers.KindRefused},
		{name: "no password", machine: func(m *Machine) { m.Password = "" }, read: drivers.KindRefused, write: drivers.KindRefused},
		{name: "bad thumbprint", machine: func(m *Machine) { m.Thumbprint = "12" }, read: drivers.KindRefused, write: drivers.KindRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			bmc := newController(t)
			if c.setup != nil {
				c.setup(bmc)
			}
			d := bmc.driver(c.machine)
			check := func(what string, err error, k drivers.Kind) {
				t.Helper()
				if (err == nil) != (k == "") || (err != nil && drivers.KindOf(err) != k) {
					t.Errorf("%s: %v, want %q", what, err, k)
				}
				if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "wr0ng") || len(err.Error()) > 500) {
					t.Errorf("%s: the error has the password in it or is too long: %v", what, err)
				}
			}
			_, err := d.PowerState(context.Background(), "m")
			check("read", err, c.read)
			_, err = d.SetPower(context.Background(), drivers.Call{Token: "tok"}, "m", drivers.OpPowerOff)
			check("write", err, c.write)
			if len(bmc.resets) != c.resets || (c.resets > 0 && bmc.resets[0] != "ForceOff tok") {
				t.Errorf("the controller was asked for %q", bmc.resets)
			}
		})
	}
}

func TestResetTypes(t *testing.T) {
	for _, c := range []struct {
		op    drivers.PowerOp
		power string
		allow []string
		asked string // empty: nothing
		state drivers.TaskState
	}{
		{drivers.OpPowerOn, "Off", nil, "On", drivers.TaskRunning},
		{drivers.OpPowerOn, "Off", []string{"ForceOn"}, "ForceOn", drivers.TaskRunning},
		{drivers.OpPowerOn, "PoweringOn", nil, "", drivers.TaskRunning},
		{drivers.OpPowerOff, "PoweringOff", nil, "ForceOff", drivers.TaskRunning},
		{drivers.OpShutdown, "On", nil, "GracefulShutdown", drivers.TaskRunning},
		{drivers.OpReboot, "On", nil, "GracefulRestart", drivers.TaskDone},
		{drivers.OpReset, "On", []string{"PowerCycle", "On"}, "PowerCycle", drivers.TaskDone},
	} {
		bmc := newController(t)
		bmc.power, bmc.allow = c.power, c.allow
		task, err := bmc.driver(nil).SetPower(context.Background(), drivers.Call{}, "m", c.op)
		if got := strings.TrimSpace(strings.Join(bmc.resets, ",")); err != nil || task.State != c.state || got != c.asked {
			t.Errorf("%s while %s: asked for %q, task %+v, %v", c.op, c.power, got, task, err)
		}
	}
}

func TestPowerStates(t *testing.T) {
	for power, want := range map[string]drivers.PowerState{
		"On": drivers.PowerOn, "Off": drivers.PowerOff, "PoweringOn": drivers.PowerOff, "PoweringOff": drivers.PowerOn,
		"Paused": drivers.PowerSuspended, "": drivers.PowerUnknown,
	} {
		bmc := newController(t)
		bmc.power = power
		if got, err := bmc.driver(nil).PowerState(context.Background(), "m"); err != nil || got != want {
			t.Errorf("%q is %s, %v; want %s", power, got, err, want)
		}
	}
}
