package vcenter

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
	"yagura/drivers/sim"
)

func wantKind(t *testing.T, err error, k drivers.Kind) {
	t.Helper()
	if err == nil || drivers.KindOf(err) != k {
		t.Fatalf("error %v, want kind %s", err, k)
	}
}

func mustVM(t *testing.T, d *Driver, name string) drivers.VM {
	t.Helper()
	v, err := d.VMByName(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// loseSession makes vCenter forget the driver's session.
func loseSession(t *testing.T, d *Driver, cfg Config) {
	t.Helper()
	ctx := context.Background()
	other := open(t, cfg)
	c, err := other.connect(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := d.connect(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := session.NewManager(mine).UserSession(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.NewManager(c).TerminateSession(ctx, []string{s.Key}); err != nil {
		t.Fatal(err)
	}
}

func TestLostSessionIsOpenedAgain(t *testing.T) {
	s := startSim(t, sim.Config{})
	cfg := configFor(t, s)
	d := open(t, cfg)
	v := mustVM(t, d, "web01")
	loseSession(t, d, cfg)
	if _, err := d.Inventory(context.Background()); err != nil {
		t.Fatalf("after the session was lost: %v", err)
	}
	loseSession(t, d, cfg)
	task, err := d.SetVMPower(context.Background(), drivers.Call{}, v.UUID, drivers.OpPowerOff)
	if err != nil {
		t.Fatalf("after the session was lost: %v", err)
	}
	if task, err = drivers.AwaitTask(context.Background(), d, task.ID, time.Millisecond); err != nil || task.State != drivers.TaskDone {
		t.Fatalf("%+v %v", task, err)
	}
	if n := count(t, s, "power-off", "web01"); n != 1 {
		t.Fatalf("%d effects", n)
	}
}

func TestFollowEndsWhenTheSessionIsLost(t *testing.T) {
	s := startSim(t, sim.Config{})
	cfg := configFor(t, s)
	d := open(t, cfg)
	synced, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- d.Follow(context.Background(), func(c drivers.Change) {
			if c.Synced {
				close(synced)
			}
		})
	}()
	<-synced
	loseSession(t, d, cfg)
	select {
	case err := <-ended:
		wantKind(t, err, drivers.KindUnreachable)
	case <-time.After(20 * time.Second):
		t.Fatal("the follower hangs")
	}
}

func TestCallersShareOneLogin(t *testing.T) {
	s := startSim(t, sim.Config{})
	x := newTap(t, s)
	d := open(t, x.config(t, s))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := d.Server(context.Background(), "esx01"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := x.seen("Login"); n != 1 {
		t.Fatalf("%d logins for 8 callers", n)
	}
	if err := d.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := x.seen("Logout"); n != 1 {
		t.Fatalf("%d logouts", n)
	}
	_, err := d.Server(context.Background(), "esx01")
	wantKind(t, err, drivers.KindUnreachable)
}

func TestWrongPasswordIsToldAndNotHammered(t *testing.T) {
	s := startSim(t, sim.Config{})
	x := newTap(t, s)
	cfg := x.config(t, s)
	cfg.Password = "not-the-password"
	d := open(t, cfg)
	for range 3 {
		_, err := d.Inventory(context.Background())
		wantKind(t, err, drivers.KindAuth)
		if strings.Contains(err.Error(), cfg.Password) {
			t.Fatalf("the password is in the error: %v", err)
		}
	}
	if n := x.seen("Login"); n != 1 {
		t.Fatalf("%d logins with a wrong password; vCenter would lock the account", n)
	}
}

func TestTrust(t *testing.T) {
	s := startSim(t, sim.Config{})
	good := configFor(t, s)
	other := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(other, startSim(t, sim.Config{}).CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*Config)
		kind   drivers.Kind // empty: it works
	}{
		{"its CA", func(*Config) {}, ""},
		{"another CA", func(c *Config) { c.CAFile = other }, drivers.KindUnreachable},
		{"the system's CAs", func(c *Config) { c.CAFile = "" }, drivers.KindUnreachable},
		{"another thumbprint", func(c *Config) { c.Thumbprint = strings.Repeat("ab:", 31) + "ab" }, drivers.KindUnreachable},
		{"anything", func(c *Config) { c.CAFile, c.Insecure = "", true }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			_, err := open(t, cfg).Server(context.Background(), "esx01")
			if c.kind != "" {
				wantKind(t, err, c.kind)
			} else if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "not.pem")
	if err := os.WriteFile(notPEM, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := Config{URL: "https://vc.example.test", User: "u", Password: "secret"}
	if _, err := Open(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no URL":             func(c *Config) { c.URL = "" },
		"no scheme":          func(c *Config) { c.URL = "vc.example.test" },
		"plain HTTP":         func(c *Config) { c.URL = "http://vc.example.test" },
		"credentials in URL": func(c *Config) { c.URL = "https://u:secret@vc.example.test" },
		"broken URL":         func(c *Config) { c.URL = "https://u:secret@vc.example.test:\x7f" },
		"no user":            func(c *Config) { c.User = "" },
		"short thumbprint":   func(c *Config) { c.Thumbprint = "ab:cd" },
		"no hex":             func(c *Config) { c.Thumbprint = strings.Repeat("zz", 32) },
		"no CA file":         func(c *Config) { c.CAFile = notPEM + ".missing" },
		"no CA in the file":  func(c *Config) { c.CAFile = notPEM },
	} {
		cfg := good
		change(&cfg)
		_, err := Open(cfg)
		if err == nil || drivers.KindOf(err) != drivers.KindRefused || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBrokenContactInTheMiddleIsUnknown(t *testing.T) {
	s := startSim(t, sim.Config{})
	x := newTap(t, s)
	d := open(t, x.config(t, s))
	ctx := context.Background()
	v := mustVM(t, d, "web01")
	off := func() (drivers.Task, error) {
		return d.SetVMPower(ctx, drivers.Call{Token: "t"}, v.UUID, drivers.OpPowerOff)
	}
	x.on("PowerOffVM_Task", cut)
	_, err := off()
	wantKind(t, err, drivers.KindUnknown)
	if n := count(t, s, "power-off", ""); n != 0 {
		t.Fatalf("%d effects of a request that never arrived", n)
	}
	x.on("PowerOffVM_Task", x.cutAfter)
	_, err = off()
	wantKind(t, err, drivers.KindUnknown)
	x.on("PowerOffVM_Task", nil)
	deadline := time.Now().Add(10 * time.Second)
	for task, err := off(); task.State != drivers.TaskDone; task, err = off() {
		if (err != nil && drivers.KindOf(err) != drivers.KindBusy) || time.Now().After(deadline) {
			t.Fatalf("%+v %v", task, err)
		}
	}
	// The state shows a moment before the ledger's line is written.
	for n := count(t, s, "power-off", "web01"); n != 1; n = count(t, s, "power-off", "web01") {
		if n > 1 || time.Now().After(deadline) {
			t.Fatalf("%d effects after asking again, want 1", n)
		}
	}

	x.on("RetrievePropertiesEx", cut)
	_, err = d.VM(ctx, v.UUID)
	wantKind(t, err, drivers.KindUnreachable)
	x.srv.Close()
	_, err = off()
	wantKind(t, err, drivers.KindUnreachable)
}

// A task that the same call started before is followed, not refused.
func TestOwnTaskIsAdopted(t *testing.T) {
	s := startSim(t, sim.Config{})
	if _, err := s.Delay("power-off", time.Second); err != nil {
		t.Fatal(err)
	}
	d := open(t, configFor(t, s))
	ctx := context.Background()
	v := mustVM(t, d, "web01")
	first, err := d.SetVMPower(ctx, drivers.Call{Token: "mine"}, v.UUID, drivers.OpPowerOff)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.SetVMPower(ctx, drivers.Call{Token: "another"}, v.UUID, drivers.OpPowerOff)
	wantKind(t, err, drivers.KindBusy)
	again, err := d.SetVMPower(ctx, drivers.Call{Token: "mine"}, v.UUID, drivers.OpPowerOff)
	if err != nil || again.ID != first.ID {
		t.Fatalf("%+v %v, want task %s", again, err, first.ID)
	}
	if task, err := drivers.AwaitTask(ctx, d, first.ID, 10*time.Millisecond); err != nil || task.State != drivers.TaskDone {
		t.Fatalf("%+v %v", task, err)
	}
	entries, err := s.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.OK() && e.Token != "mine" {
			t.Fatalf("the ledger has token %q", e.Token)
		}
	}
}

func TestKindsOfFaults(t *testing.T) {
	for _, c := range []struct {
		fault types.BaseMethodFault
		kind  drivers.Kind
	}{
		{&types.NotAuthenticated{}, drivers.KindAuth},
		{&types.NoPermission{}, drivers.KindAuth},
		{&types.InvalidLogin{}, drivers.KindAuth},
		{&types.ManagedObjectNotFound{}, drivers.KindNotFound},
		{&types.TaskInProgress{}, drivers.KindBusy},
		{&types.VAppTaskInProgress{}, drivers.KindBusy},
		{&types.ConcurrentAccess{}, drivers.KindBusy},
		{&types.NotSupported{}, drivers.KindUnsupported},
		{&types.MethodNotFound{}, drivers.KindUnsupported},
		{&types.HostNotConnected{}, "otherwise"},
		{&types.HostCommunication{}, drivers.KindUnknown},
		{&types.InvalidPowerState{}, "otherwise"},
		{&types.InvalidArgument{}, "otherwise"},
		{&types.DuplicateName{}, "otherwise"},
		{&types.SystemError{}, drivers.KindFailed},
		{&types.RequestCanceled{}, drivers.KindFailed},
	} {
		if got := kindOfFault(c.fault, "otherwise"); got != c.kind {
			t.Errorf("%s is %s, want %s", faultName(c.fault), got, c.kind)
		}
	}
}

func TestErrorsNameTheSystemAndTheObject(t *testing.T) {
	s := startSim(t, sim.Config{})
	d := open(t, configFor(t, s))
	_, err := d.VMByName(context.Background(), "nobody")
	if want := "vc1: read-vm nobody: not-found"; err == nil || !strings.HasPrefix(fmt.Sprint(err), want) {
		t.Fatalf("%v, want %s...", err, want)
	}
}
