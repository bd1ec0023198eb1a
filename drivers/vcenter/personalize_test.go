package vcenter

import (
	"context"
	"slices"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/sim"
)

// A stopped VM takes on a name and an address, which it has once it runs.
func TestPersonalize(t *testing.T) {
	s := startSim(t, sim.Config{})
	d := open(t, configFor(t, s))
	ctx := context.Background()
	spare := mustVM(t, d, "spare01")
	id := drivers.Identity{Hostname: "web20", NICs: []drivers.NICSetting{{Address: "192.0.2.120", Prefix: 24}}}
	personalize := func(token string) drivers.Task {
		t.Helper()
		task, err := d.Personalize(ctx, drivers.Call{Token: token}, spare.UUID, id)
		if err == nil && task.State == drivers.TaskRunning {
			task, err = drivers.AwaitTask(ctx, d, task.ID, time.Millisecond)
		}
		if err != nil {
			t.Fatal(err)
		}
		return task
	}
	if task := personalize("a"); task.State != drivers.TaskDone {
		t.Fatalf("%+v", task)
	}
	if task := personalize("b"); task.State != drivers.TaskFailed || drivers.KindOf(task.Err) != drivers.KindFailed {
		t.Fatalf("a second one: %+v", task)
	}
	task, err := d.SetVMPower(ctx, drivers.Call{Token: "c"}, spare.UUID, drivers.OpPowerOn)
	if err == nil && task.State == drivers.TaskRunning {
		task, err = drivers.AwaitTask(ctx, d, task.ID, time.Millisecond)
	}
	if err != nil || task.State != drivers.TaskDone {
		t.Fatalf("%+v %v", task, err)
	}
	if v, err := d.VM(ctx, spare.UUID); err != nil || v.Hostname != "web20" || !slices.Contains(v.IPs, "192.0.2.120") {
		t.Errorf("%+v %v", v, err)
	}
	_, err = d.Personalize(ctx, drivers.Call{Token: "d"}, spare.UUID, id)
	wantKind(t, err, drivers.KindRefused)
	_, err = d.Personalize(ctx, drivers.Call{Token: "e"}, mustVM(t, d, "tmpl-web").UUID, id)
	wantKind(t, err, drivers.KindRefused)
	_, err = d.Personalize(ctx, drivers.Call{Token: "f"}, "00000000-0000-0000-0000-000000000000", id)
	wantKind(t, err, drivers.KindNotFound)
}
