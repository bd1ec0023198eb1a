package fake

import (
	"context"
	"testing"
	"time"

	"yagura/drivers"
)

func TestReadsGoWrongToo(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		mode Mode
		kind drivers.Kind // empty: the read works
	}{
		{Slow, ""}, {FailBefore, drivers.KindUnreachable}, {FailAfter, drivers.KindUnreachable}, {HangBefore, drivers.KindUnreachable},
	} {
		w := Demo(Options{})
		w.Inject(Fault{Op: OpReadVM, Object: "web01", Mode: c.mode, Times: 1})
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		_, err := w.Hypervisor().VM(short, web01)
		cancel()
		if (err == nil) != (c.kind == "") || (err != nil && drivers.KindOf(err) != c.kind) {
			t.Errorf("%s: %v, want %q", c.mode, err, c.kind)
		}
		if _, err := w.Hypervisor().VM(ctx, web01); err != nil {
			t.Errorf("%s: the fault hit twice: %v", c.mode, err)
		}
	}
	w := Demo(Options{})
	w.Inject(Fault{Mode: FailBefore, Kind: drivers.KindAuth})
	_, err := w.Hypervisor().Inventory(ctx)
	wantKind(t, err, drivers.KindAuth)
	_, err = w.Power().PowerState(ctx, "ph01")
	wantKind(t, err, drivers.KindAuth)
}

func TestFailedTask(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	w.Inject(Fault{Op: "power-off", Mode: FailTask, Times: 1})
	task, err := w.Hypervisor().SetVMPower(ctx, drivers.Call{}, web01, drivers.OpPowerOff)
	if err != nil || task.State != drivers.TaskFailed || drivers.KindOf(task.Err) != drivers.KindFailed {
		t.Fatalf("%+v %v", task, err)
	}
	if w.Count("", "") != 0 {
		t.Fatalf("ledger %+v", w.Ledger())
	}
}

func TestSlowFaultTakesItsTime(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	w.Inject(Fault{Op: OpClone, Mode: Slow, Delay: time.Minute, Times: 1})
	h := w.Hypervisor()
	spec := drivers.CloneSpec{Template: "tmpl-web", Name: "web13", Server: "esx02", PowerOn: true}
	task, err := h.Clone(ctx, drivers.Call{Token: "t"}, spec)
	if err != nil || task.State != drivers.TaskRunning {
		t.Fatalf("%+v %v", task, err)
	}
	_, err = h.VMByName(ctx, "web13")
	wantKind(t, err, drivers.KindNotFound)
	_, err = h.Clone(ctx, drivers.Call{Token: "t"}, spec)
	wantKind(t, err, drivers.KindBusy)
	w.Advance(time.Minute)
	look, err := h.Task(ctx, task.ID)
	wantDone(t, look, err)
	if v, err := h.VM(ctx, look.Result); err != nil || v.Name != "web13" || v.Token != "t" {
		t.Fatalf("%+v %v", v, err)
	}
}

func TestIsolatedServerComesBackWithItsVMsRunning(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	w.HostIsolated("esx01")
	if v, err := w.Hypervisor().VM(ctx, web01); err != nil || v.Connected || v.Power != drivers.PowerOn {
		t.Fatalf("%+v %v", v, err)
	}
	w.HostUp("esx01")
	if v, err := w.Hypervisor().VM(ctx, web01); err != nil || !v.Connected || v.Power != drivers.PowerOn || !v.ToolsRunning {
		t.Fatalf("%+v %v", v, err)
	}
}

func TestStandbyIsLeftThroughTheManager(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	w.HostStandby("esx01")
	h := w.Hypervisor()
	if x, err := h.Server(ctx, "esx01"); err != nil || x.Connected || x.Power != drivers.PowerOff {
		t.Fatalf("%+v %v", x, err)
	}
	task, err := h.SetServerPower(ctx, drivers.Call{}, "esx01", drivers.OpPowerOn)
	wantDone(t, task, err)
	if x, err := h.Server(ctx, "esx01"); err != nil || !x.Connected || w.Count("host-power-on", "esx01") != 1 {
		t.Fatalf("%+v %v, ledger %+v", x, err, w.Ledger())
	}
}

func TestMaintenanceByAPersonLeavesNoTrace(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	w.HostMaintenance("esx02", true)
	_, err := w.Hypervisor().Relocate(ctx, drivers.Call{}, drivers.RelocateSpec{VM: web01, Server: "esx02", Mode: drivers.RelocateMigrate})
	wantKind(t, err, drivers.KindRefused)
	if w.Count("", "") != 0 {
		t.Fatalf("ledger %+v", w.Ledger())
	}
}

func TestGuestWithoutToolsIsRefused(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	w.NoTools("web01")
	for _, op := range []drivers.PowerOp{drivers.OpShutdown, drivers.OpReboot} {
		_, err := w.Hypervisor().SetVMPower(ctx, drivers.Call{}, web01, op)
		wantKind(t, err, drivers.KindRefused)
	}
}

func TestSystemThatIgnoresShutdownIsForcedOff(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	w.NoOS("ph01")
	task, err := w.Power().SetPower(ctx, drivers.Call{}, "ph01", drivers.OpShutdown)
	if err != nil || task.State != drivers.TaskRunning || task.ID != "" {
		t.Fatalf("%+v %v", task, err)
	}
	if s, err := w.Power().PowerState(ctx, "ph01"); err != nil || s != drivers.PowerOn {
		t.Fatalf("%s %v", s, err)
	}
	task, err = w.Power().SetPower(ctx, drivers.Call{}, "ph01", drivers.OpPowerOff)
	wantDone(t, task, err)
	if w.Pending() != 0 || w.Count("host-shutdown", "") != 0 || w.Count("host-power-off", "ph01") != 1 {
		t.Fatalf("pending %d, ledger %+v", w.Pending(), w.Ledger())
	}
}

func TestMoveChoosesADatastore(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	w.AddDatastore("small", 1<<30)
	w.AddServer(Server{Name: "esx05", Datastores: []string{"small", "local04"}})
	spare := UUIDOf("spare01")
	task, err := w.Hypervisor().Relocate(ctx, drivers.Call{}, drivers.RelocateSpec{VM: spare, Server: "esx05", Mode: drivers.RelocateMove})
	wantDone(t, task, err)
	if v, err := w.Hypervisor().VM(ctx, spare); err != nil || len(v.Datastores) != 1 || v.Datastores[0] != "local04" {
		t.Fatalf("%+v %v; want the datastore with the most room", v, err)
	}
	_, err = w.Hypervisor().Relocate(ctx, drivers.Call{}, drivers.RelocateSpec{VM: web01, Server: "esx05", Mode: drivers.RelocateMigrate})
	wantKind(t, err, drivers.KindRefused)
}

func TestLoadIsMeasuredAtTheServer(t *testing.T) {
	w := Demo(Options{})
	before, err := w.Hypervisor().Server(context.Background(), "esx01")
	if err != nil {
		t.Fatal(err)
	}
	w.Load("web01", 1200)
	after, err := w.Hypervisor().Server(context.Background(), "esx01")
	if err != nil || after.CPUUsedMHz != before.CPUUsedMHz+1000 {
		t.Fatalf("%d then %d, %v", before.CPUUsedMHz, after.CPUUsedMHz, err)
	}
}

func TestMistakesInATestPanic(t *testing.T) {
	w := Demo(Options{})
	for name, f := range map[string]func(){
		"machine":   func() { w.HostDown("nobody", false) },
		"VM":        func() { w.NoTools("nobody") },
		"server":    func() { w.AddVM(drivers.VM{Name: "x", Server: "nobody"}) },
		"datastore": func() { w.AddServer(Server{Name: "x", Datastores: []string{"nowhere"}}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("an unknown %s was accepted", name)
				}
			}()
			f()
		}()
	}
}
