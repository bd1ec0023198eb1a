package fake

import (
	"context"
	"errors"
	"testing"
	"time"

	"yagura/drivers"
)

var web01 = UUIDOf("web01")

func wantKind(t *testing.T, err error, k drivers.Kind) {
	t.Helper()
	if err == nil || drivers.KindOf(err) != k {
		t.Fatalf("error %v, want kind %s", err, k)
	}
}

func wantDone(t *testing.T, task drivers.Task, err error) {
	t.Helper()
	if err != nil || task.State != drivers.TaskDone {
		t.Fatalf("task %+v, error %v; want done", task, err)
	}
}

func TestFaultsBeforeAndAfterTheEffect(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	h := w.Hypervisor()

	w.Inject(Fault{Op: "power-off", Object: "web01", Mode: FailBefore, Times: 1})
	_, err := h.SetVMPower(ctx, drivers.Call{}, web01, drivers.OpPowerOff)
	wantKind(t, err, drivers.KindUnreachable)
	if n := w.Count("power-off", "web01"); n != 0 {
		t.Fatalf("%d effects after fail-before", n)
	}

	w.Inject(Fault{Op: "power-off", Object: "web01", Mode: FailAfter, Times: 1})
	_, err = h.SetVMPower(ctx, drivers.Call{Token: "t1"}, web01, drivers.OpPowerOff)
	wantKind(t, err, drivers.KindUnknown)
	if !errors.Is(err, ErrInjected) {
		t.Fatalf("%v does not say that it was injected", err)
	}
	task, err := w.Hypervisor().SetVMPower(ctx, drivers.Call{Token: "t2"}, web01, drivers.OpPowerOff)
	wantDone(t, task, err)
	if n := w.Count("power-off", "web01"); n != 1 {
		t.Fatalf("%d effects after fail-after and a repetition, want 1", n)
	}
	if r := w.Repeated(); len(r) != 0 {
		t.Fatalf("repeated effects %+v", r)
	}
}

func TestHangEndsWithTheContext(t *testing.T) {
	for mode, effects := range map[Mode]int{HangBefore: 0, HangAfter: 1} {
		w := Demo(Options{})
		w.Inject(Fault{Op: "suspend", Mode: mode})
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		_, err := w.Hypervisor().SetVMPower(ctx, drivers.Call{}, web01, drivers.OpSuspend)
		cancel()
		wantKind(t, err, drivers.KindUnknown)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%s: %v does not say that the context ended", mode, err)
		}
		if n := w.Count("suspend", ""); n != effects {
			t.Fatalf("%s: %d effects, want %d", mode, n, effects)
		}
	}
}

func TestDelayedEffectIsATaskThatAnyClientCanFollow(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	w.Delay(OpMigrate, time.Minute)
	spec := drivers.RelocateSpec{VM: web01, Server: "esx02", Mode: drivers.RelocateMigrate}
	task, err := w.Hypervisor().Relocate(ctx, drivers.Call{Token: "x"}, spec)
	if err != nil || task.State != drivers.TaskRunning || task.ID == "" {
		t.Fatalf("%+v %v", task, err)
	}
	_, err = w.Hypervisor().Relocate(ctx, drivers.Call{Token: "y"}, spec)
	wantKind(t, err, drivers.KindBusy)

	w.Advance(30 * time.Second)
	look, err := w.Hypervisor().Task(ctx, task.ID)
	if err != nil || look.State != drivers.TaskRunning || look.Progress < 50 || look.Progress > 60 {
		t.Fatalf("half way: %+v %v", look, err)
	}
	w.Advance(31 * time.Second)
	look, err = w.Hypervisor().Task(ctx, task.ID)
	wantDone(t, look, err)
	if v, err := w.Hypervisor().VM(ctx, web01); err != nil || v.Server != "esx02" {
		t.Fatalf("%+v %v", v, err)
	}
	if l := w.Ledger(); len(l) != 1 || l[0].Token != "x" || l[0].Result != "esx02" || l[0].System != w.System() {
		t.Fatalf("ledger %+v", l)
	}
	if look, err = w.Hypervisor().Task(ctx, "task-999"); err != nil || look.State != drivers.TaskUnknown {
		t.Fatalf("%+v %v", look, err)
	}
}

func TestTaskFailsWhenTheServerDiesMeanwhile(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	w.Delay("power-on", time.Minute)
	task, err := w.Hypervisor().SetVMPower(ctx, drivers.Call{}, UUIDOf("spare01"), drivers.OpPowerOn)
	if err != nil {
		t.Fatal(err)
	}
	w.HostDown("esx04", false)
	w.Advance(time.Hour)
	look, err := w.Hypervisor().Task(ctx, task.ID)
	if err != nil || look.State != drivers.TaskFailed || drivers.KindOf(look.Err) != drivers.KindFailed {
		t.Fatalf("%+v %v", look, err)
	}
	if w.Count("", "") != 0 {
		t.Fatalf("ledger %+v", w.Ledger())
	}
}

func TestStuckTaskGoesOnAfterClearFaults(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	w.Inject(Fault{Op: "shutdown", Mode: Stuck})
	task, err := w.Hypervisor().SetVMPower(ctx, drivers.Call{}, web01, drivers.OpShutdown)
	if err != nil || task.State != drivers.TaskRunning {
		t.Fatalf("%+v %v", task, err)
	}
	w.Advance(time.Hour)
	if w.Pending() != 1 || w.Count("", "") != 0 {
		t.Fatalf("pending %d, ledger %+v", w.Pending(), w.Ledger())
	}
	w.ClearFaults()
	if w.Pending() != 0 || w.Count("shutdown", "web01") != 1 {
		t.Fatalf("pending %d, ledger %+v", w.Pending(), w.Ledger())
	}
}

func TestHookSeesBothPhasesAndStopsTheCall(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	killed := errors.New("runner killed")
	var at Phase
	w.OnCall(func(op, object string, p Phase) error {
		if op == "power-off" && object == "web01" && p == at {
			return killed
		}
		return nil
	})
	for phase, effects := range map[Phase]int{Before: 0, After: 1} {
		w.ResetLedger()
		w.SetVMState("web01", drivers.PowerOn)
		at = phase
		_, err := w.Hypervisor().SetVMPower(ctx, drivers.Call{}, web01, drivers.OpPowerOff)
		if !errors.Is(err, killed) || w.Count("power-off", "web01") != effects {
			t.Fatalf("%s: error %v, ledger %+v", phase, err, w.Ledger())
		}
	}
}

func TestFailoverOfAnIsolatedServerWithoutFencingIsAViolation(t *testing.T) {
	for _, fence := range []bool{true, false} {
		ctx := context.Background()
		w := Demo(Options{})
		h := w.Hypervisor()
		w.HostIsolated("esx01")
		if fence {
			task, err := w.Power().SetPower(ctx, drivers.Call{}, "esx01", drivers.OpPowerOff)
			wantDone(t, task, err)
		}
		task, err := h.Relocate(ctx, drivers.Call{}, drivers.RelocateSpec{VM: web01, Server: "esx02", Mode: drivers.RelocateFailover})
		wantDone(t, task, err)
		task, err = h.SetVMPower(ctx, drivers.Call{}, web01, drivers.OpPowerOn)
		wantDone(t, task, err)
		if n := len(w.Violations()); (n == 0) != fence {
			t.Fatalf("fenced %v: violations %v", fence, w.Violations())
		}
	}
}

func TestDeadServerAndItsBMC(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	p := w.Power()
	w.HostDown("esx01", false)
	if s, err := p.PowerState(ctx, "esx01"); err != nil || s != drivers.PowerOn {
		t.Fatalf("a crashed server is %s, %v; its BMC should say on", s, err)
	}
	task, err := p.SetPower(ctx, drivers.Call{}, "esx01", drivers.OpShutdown)
	if err != nil || task.State != drivers.TaskRunning {
		t.Fatalf("a crashed system answered a shutdown: %+v %v", task, err)
	}
	task, err = p.SetPower(ctx, drivers.Call{}, "esx01", drivers.OpPowerOff)
	wantDone(t, task, err)
	if l := w.Ledger(); len(l) != 1 || l[0].Op != "host-power-off" || l[0].System != BMCSystem {
		t.Fatalf("ledger %+v", l)
	}
	w.HostDown("esx02", true)
	_, err = p.PowerState(ctx, "esx02")
	wantKind(t, err, drivers.KindUnreachable)

	w.HostUp("esx01")
	v, err := w.Hypervisor().VM(ctx, web01)
	if err != nil || !v.Connected || v.Power != drivers.PowerOff {
		t.Fatalf("after a crash and a start the VM is %+v, %v", v, err)
	}
}

func TestSystemDown(t *testing.T) {
	w := Demo(Options{})
	w.SystemDown(w.System(), true)
	_, err := w.Hypervisor().Inventory(context.Background())
	wantKind(t, err, drivers.KindUnreachable)
	w.SystemDown(w.System(), false)
	if _, err = w.Hypervisor().Inventory(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestRestartHappensOncePerToken(t *testing.T) {
	ctx := context.Background()
	w := Demo(Options{})
	for range 2 {
		task, err := w.Hypervisor().SetVMPower(ctx, drivers.Call{Token: "a"}, web01, drivers.OpReboot)
		wantDone(t, task, err)
	}
	task, err := w.Hypervisor().SetVMPower(ctx, drivers.Call{Token: "b"}, web01, drivers.OpReboot)
	wantDone(t, task, err)
	if n := w.Count("reboot", "web01"); n != 2 || len(w.Repeated()) != 1 {
		t.Fatalf("%d restarts for two tokens, repeated %+v", n, w.Repeated())
	}
}
