package sim

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestControlOverTheWire(t *testing.T) {
	cfg := quick()
	cfg.StateDir = t.TempDir()
	e := start(t, cfg)
	c, err := Dial(cfg.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.HostDown(e.ctx, "esx02", true); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Delay(e.ctx, "relocate", time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Fail(e.ctx, "clone", 2); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Load(e.ctx, "web01", 50); err != nil {
		t.Fatal(err)
	}
	st, err := c.Status(e.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Machines) != 8 || len(st.VMs) != 14 || st.Machines[1].Phase != "hung" || st.Machines[1].BMCAnswers {
		t.Errorf("status: %+v", st.Machines)
	}
	want := []Rule{{Op: OpMigrate, Delay: time.Second}, {Op: OpMove, Delay: time.Second}, {Op: OpRegister, Delay: time.Second}, {Op: OpClone, Fail: 2}}
	if len(st.Rules) != len(want) {
		t.Fatalf("rules: %+v", st.Rules)
	}
	for i := range want {
		if st.Rules[i] != want[i] {
			t.Errorf("rule %d: %+v, want %+v", i, st.Rules[i], want[i])
		}
	}
	if _, err := c.Clear(e.ctx); err != nil {
		t.Fatal(err)
	}
	st, err = c.Status(e.ctx)
	if err != nil || len(st.Rules) != 0 || st.Machines[1].Phase != "up" || !st.Machines[1].BMCAnswers {
		t.Errorf("after clear: %+v %v", st, err)
	}
	if msg, err := c.HostUp(e.ctx, "esx02"); err != nil || !strings.Contains(msg, "already") {
		t.Errorf("host-up of a machine that is up: %q %v", msg, err)
	}

	for what, call := range map[string]func() (string, error){
		"esx01, esx02":  func() (string, error) { return c.HostDown(e.ctx, "esx99", false) },
		"esx03":         func() (string, error) { return c.HostUp(e.ctx, "") },
		"migrate, move": func() (string, error) { return c.Delay(e.ctx, "teleport", time.Second) },
		"out of range":  func() (string, error) { return c.Delay(e.ctx, "clone", -time.Second) },
		"relocate":      func() (string, error) { return c.Fail(e.ctx, "", 1) },
		"negative":      func() (string, error) { return c.Fail(e.ctx, "clone", -1) },
		"percent":       func() (string, error) { return c.Load(e.ctx, "web01", 101) },
		"no VM server":  func() (string, error) { return c.Load(e.ctx, "nobody", 1) },
	} {
		var usage *UsageError
		if _, err := call(); !errors.As(err, &usage) || !strings.Contains(err.Error(), what) {
			t.Errorf("want a usage error with %q, got %v", what, err)
		}
	}
}

func TestControlNeedsItsToken(t *testing.T) {
	e := start(t, quick())
	req, err := http.NewRequestWithContext(e.ctx, http.MethodPost, e.sim.control.url()+"/v1/clear", bytes.NewReader([]byte("{}")))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestDialSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dial(dir); err == nil || !strings.Contains(err.Error(), "no simulator has been started") {
		t.Errorf("without a state: %v", err)
	}
	cfg := quick()
	cfg.StateDir = dir
	e := start(t, cfg)
	c, err := Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.sim.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Clear(e.ctx); err == nil || !strings.Contains(err.Error(), "is it running") {
		t.Errorf("after its end: %v", err)
	}
}

func TestStateDirectory(t *testing.T) {
	cfg := quick()
	cfg.StateDir = t.TempDir()
	cfg.Password = "secret-1"
	e := start(t, cfg)
	for name, mode := range map[string]os.FileMode{
		endpointsFile: 0o644, caFile: 0o644, "sim-ca.key": 0o600, passwordFile: 0o600, bmcPasswordFile: 0o600, tokenFile: 0o600, "sim.ledger.jsonl": 0o644,
	} {
		info, err := os.Stat(filepath.Join(cfg.StateDir, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
	data, err := os.ReadFile(filepath.Join(cfg.StateDir, passwordFile))
	if err != nil || string(data) != "secret-1\n" {
		t.Errorf("password file: %q %v", data, err)
	}
	if endpoints, err := os.ReadFile(filepath.Join(cfg.StateDir, endpointsFile)); err != nil || strings.Contains(string(endpoints), "secret-1") {
		t.Errorf("the endpoints hold the password (%v)", err)
	}
	ca := string(e.sim.CAPEM())
	if err := e.sim.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, cfg)
	if string(again.sim.CAPEM()) != ca {
		t.Error("the CA changed at the second start")
	}
	if s, err := Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("two simulators in one state directory: %v", err)
		if err == nil {
			_ = s.Close()
		}
	}
	if err := again.sim.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(cfg.StateDir, "sim-datastores")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("datastores left over: %v", err)
	}
}

func TestBadConfig(t *testing.T) {
	for what, cfg := range map[string]Config{
		"127.0.0.0/8":  {VCenterAddr: "0.0.0.0:0"},
		"IP:PORT":      {ControlAddr: "localhost"},
		"out of range": {BMCPort: 70000},
		"both":         {CACertFile: "x.pem"},
		"its key":      {CertFile: "x.pem"},
		"negative":     {BootTime: -1},
	} {
		cfg.StateDir = t.TempDir()
		var usage *UsageError
		s, err := Start(t.Context(), cfg)
		if err == nil {
			_ = s.Close()
		}
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), what) {
			t.Errorf("want a usage error with %q, got %v", what, err)
		}
	}
}

func TestTakenAddress(t *testing.T) {
	e := start(t, quick())
	cfg := quick()
	cfg.VCenterAddr = strings.TrimSuffix(strings.TrimPrefix(e.sim.VCenterURL(), "https://"), "/sdk")
	s, err := Start(t.Context(), cfg)
	if err == nil {
		_ = s.Close()
		t.Fatal("two vCenters on one address")
	}
	if !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("error: %v", err)
	}
}
