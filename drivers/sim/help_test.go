package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// must waits for a task that has to succeed.
func (e *env) must(t *object.Task, err error) *types.TaskInfo {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
	info, err := t.WaitForResult(e.ctx)
	if err != nil {
		e.Fatal(err)
	}
	return info
}

// fault waits for a task that has to fail and returns the name of its fault.
func (e *env) fault(t *object.Task, err error) string {
	e.Helper()
	if err == nil {
		err = t.Wait(e.ctx)
	}
	if err == nil {
		e.Fatal("the task succeeded")
	}
	return faultOf(err)
}

func faultOf(err error) string {
	var te task.Error
	if errors.As(err, &te) {
		return faultName(te.Fault())
	}
	return err.Error()
}

// relocate asks for a VM on another server, naming its pool as vCenter wants.
func (e *env) relocate(vm, server string) (*object.Task, error) {
	e.Helper()
	h := e.host(server)
	pool, err := h.ResourcePool(e.ctx)
	if err != nil {
		e.Fatal(err)
	}
	return e.vm(vm).Relocate(e.ctx, types.VirtualMachineRelocateSpec{
		Host: types.NewReference(h.Reference()), Pool: types.NewReference(pool.Reference()),
	}, types.VirtualMachineMovePriorityDefaultPriority)
}

// eventually waits until cond holds, looking at every change of the world.
func (e *env) eventually(what string, cond func() bool) {
	e.Helper()
	ctx, cancel := context.WithTimeout(e.ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			e.Fatalf("never happened: %s", what)
		case <-tick.C:
		}
	}
}

func (e *env) serverOf(vm string) string {
	e.Helper()
	for _, v := range e.sim.Status().VMs {
		if v.Name == vm {
			return v.Server
		}
	}
	e.Fatalf("no VM %s", vm)
	return ""
}

func (e *env) machineStatus(name string) MachineStatus {
	e.Helper()
	all := e.sim.Status().Machines
	i := slices.IndexFunc(all, func(m MachineStatus) bool { return m.Name == name })
	if i < 0 {
		e.Fatalf("no machine %s", name)
	}
	return all[i]
}

// ledger returns the entries as "system op object result" lines.
func (e *env) ledger() []string {
	e.Helper()
	entries, err := e.sim.Ledger()
	if err != nil {
		e.Fatal(err)
	}
	var out []string
	for _, l := range entries {
		out = append(out, fmt.Sprintf("%s %s %s %s", l.System, l.Op, l.Object, l.Result))
	}
	return out
}

func (e *env) wantLedger(want ...string) {
	e.Helper()
	if got := e.ledger(); !slices.Equal(got, want) {
		e.Errorf("ledger:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// hostVMs are the VMs that vCenter lists on a server.
func (e *env) hostVMs(server string) []string {
	e.Helper()
	var out []string
	for _, ref := range e.hostProps(server).Vm {
		name, err := object.NewVirtualMachine(e.client, ref).ObjectName(e.ctx)
		if err != nil {
			e.Fatal(err)
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// events are all events so far, by type, with the text of the last one of a type.
func (e *env) events() map[string]string {
	e.Helper()
	req := types.QueryEvents{This: *e.client.ServiceContent.EventManager, Filter: types.EventFilterSpec{MaxCount: 1000}}
	res, err := methods.QueryEvents(e.ctx, e.client, &req)
	if err != nil {
		e.Fatal(err)
	}
	out := map[string]string{}
	for _, ev := range slices.Backward(res.Returnval) { // newest first
		out[faultName(ev)] = ev.GetEvent().FullFormattedMessage
	}
	return out
}

// contextWithID makes calls carry an operation id.
func contextWithID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, types.ID{}, id)
}
