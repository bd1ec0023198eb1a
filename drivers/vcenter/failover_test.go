package vcenter

import (
	"context"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
	"yagura/drivers/sim"
)

// deadServer is a simulated datacenter behind a tap whose vCenter, like a real
// one may, refuses to relocate records away from a dead VM server.
func deadServer(t *testing.T, fault string) (*sim.Sim, *tap, *Driver, drivers.VM) {
	s := startSim(t, sim.Config{})
	x := newTap(t, s)
	d := open(t, x.config(t, s))
	v := mustVM(t, d, "web01")
	if _, err := s.HostDown(v.Server, false); err != nil {
		t.Fatal(err)
	}
	x.on("RelocateVM_Task", answerFault(fault))
	return s, x, d, v
}

func failoverTo(d *Driver, v drivers.VM, server, path string) (drivers.Task, error) {
	ctx := context.Background()
	task, err := d.Relocate(ctx, drivers.Call{Token: "f"}, drivers.RelocateSpec{
		VM: v.UUID, Server: server, Mode: drivers.RelocateFailover, ConfigPath: path,
	})
	if err != nil || task.State != drivers.TaskRunning {
		return task, err
	}
	return drivers.AwaitTask(ctx, d, task.ID, time.Millisecond)
}

func TestFailoverRegistersAnewWhenRelocationNeedsTheDeadServer(t *testing.T) {
	for _, fault := range []string{"InvalidState", "InvalidHostState", "HostNotConnected", "NotSupported"} {
		t.Run(fault, func(t *testing.T) {
			s, _, d, v := deadServer(t, fault)
			task, err := failoverTo(d, v, "esx02", "")
			if err != nil || task.State != drivers.TaskDone {
				t.Fatalf("%+v %v", task, err)
			}
			now, err := d.VM(context.Background(), v.UUID)
			if err != nil || now.Server != "esx02" || !now.Connected || now.CPUs != v.CPUs || now.Name != v.Name {
				t.Fatalf("%+v %v; before %+v", now, err, v)
			}
			if count(t, s, "unregister", "web01") != 1 || count(t, s, "register", "web01") != 1 {
				t.Fatal("the record was not taken away and made anew once")
			}
		})
	}
}

// The refusal comes as the end of a task: a power-off, which the simulated
// vCenter refuses on a dead server, stands for the relocation.
func TestFailoverRegistersAnewWhenTheTaskFails(t *testing.T) {
	s, x, d, v := deadServer(t, "")
	x.on("RelocateVM_Task", x.instead("RelocateVM_Task", "PowerOffVM_Task"))
	task, err := failoverTo(d, v, "esx02", "")
	if err != nil || task.State != drivers.TaskDone || task.Result != v.UUID {
		t.Fatalf("%+v %v", task, err)
	}
	if x.seen("UnregisterVM") != 1 || count(t, s, "register", "web01") != 1 {
		t.Fatal("the record was not taken away and made anew once")
	}
}

func TestFailoverDoesNotRegisterAnewForOtherFaults(t *testing.T) {
	s, _, d, v := deadServer(t, "InsufficientResourcesFault")
	_, err := failoverTo(d, v, "esx02", "")
	wantKind(t, err, drivers.KindRefused)
	if count(t, s, "", "") != 0 {
		t.Fatal("the record was touched")
	}
}

// The manager dies, or contact breaks, after the record was taken away.
func TestFailoverCutOffInTheMiddleIsCompleted(t *testing.T) {
	s, x, d, v := deadServer(t, "InvalidState")
	x.on("RegisterVM_Task", cut)
	_, err := failoverTo(d, v, "esx02", v.ConfigPath)
	wantKind(t, err, drivers.KindUnknown)
	x.on("RegisterVM_Task", nil)

	successor := open(t, x.config(t, s))
	_, err = successor.VM(context.Background(), v.UUID)
	wantKind(t, err, drivers.KindNotFound)
	_, err = failoverTo(successor, v, "esx02", "")
	wantKind(t, err, drivers.KindNotFound)
	for range 2 {
		task, err := failoverTo(successor, v, "esx02", v.ConfigPath)
		if err != nil || task.State != drivers.TaskDone {
			t.Fatalf("%+v %v", task, err)
		}
	}
	now, err := successor.VM(context.Background(), v.UUID)
	if err != nil || now.Server != "esx02" || now.CPUs != v.CPUs {
		t.Fatalf("%+v %v", now, err)
	}
	if n := count(t, s, "register", "web01"); n != 1 {
		t.Fatalf("%d effects", n)
	}
}

// A slow failover is left running, and answers later.
func TestFailoverThatTakesLongIsATask(t *testing.T) {
	s := startSim(t, sim.Config{})
	cfg := configFor(t, s)
	cfg.FailoverWait = 10 * time.Millisecond
	d := open(t, cfg)
	v := mustVM(t, d, "web01")
	if _, err := s.HostDown(v.Server, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delay("register", 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	spec := drivers.RelocateSpec{VM: v.UUID, Server: "esx02", Mode: drivers.RelocateFailover}
	task, err := d.Relocate(ctx, drivers.Call{}, spec)
	if err != nil || task.State != drivers.TaskRunning || task.ID == "" {
		t.Fatalf("%+v %v", task, err)
	}
	_, err = d.Relocate(ctx, drivers.Call{}, spec)
	wantKind(t, err, drivers.KindBusy)
	if task, err = drivers.AwaitTask(ctx, d, task.ID, time.Millisecond); err != nil || task.State != drivers.TaskDone {
		t.Fatalf("%+v %v", task, err)
	}
}

func TestFailedTaskSaysWhy(t *testing.T) {
	s := startSim(t, sim.Config{})
	d := open(t, configFor(t, s))
	v := mustVM(t, d, "web01")
	if _, err := s.HostDown(v.Server, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fail("register", 1); err != nil {
		t.Fatal(err)
	}
	task, err := failoverTo(d, v, "esx02", "")
	if err != nil || task.State != drivers.TaskFailed || drivers.KindOf(task.Err) != drivers.KindFailed {
		t.Fatalf("%+v %v", task, err)
	}
	if count(t, s, "unregister", "") != 0 {
		t.Fatal("a failure that isn't about the dead server led to taking the record away")
	}
	if task, err = failoverTo(d, v, "esx02", ""); err != nil || task.State != drivers.TaskDone {
		t.Fatalf("%+v %v", task, err)
	}
}

func TestMovedNotCopied(t *testing.T) {
	choices := types.ChoiceOption{ChoiceInfo: []types.BaseElementDescription{
		&types.ElementDescription{Description: types.Description{Label: "button.uuid.cancel"}, Key: "0"},
		&types.ElementDescription{Description: types.Description{Label: "button.uuid.movedTheVM"}, Key: "1"},
		&types.ElementDescription{Description: types.Description{Label: "button.uuid.copiedTheVM"}, Key: "2"},
	}}
	for _, c := range []struct {
		question string
		choices  types.ChoiceOption
		key      string
	}{
		{"msg.uuid.altered", choices, "1"},
		{"msg.hbacommon.outofspace", choices, ""},
		{"msg.uuid.altered", types.ChoiceOption{}, ""},
	} {
		key, ok := movedChoice(&types.VirtualMachineQuestionInfo{
			Id: "7", Choice: c.choices, Message: []types.VirtualMachineMessage{{Id: c.question}},
		})
		if key != c.key || ok != (c.key != "") {
			t.Errorf("%s: answer %q, %v; want %q", c.question, key, ok, c.key)
		}
	}
}
