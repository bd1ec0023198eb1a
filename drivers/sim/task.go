package sim

import (
	"fmt"
	"log"
	"reflect"
	"slices"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// job is one vCenter task to be run: what it is about and what it does.
type job struct {
	// entity is what the task belongs to, name its name there.
	entity types.ManagedObjectReference
	name   string
	// task is vCenter's name of the task, such as powerOn.
	task   string
	op     Op
	object string // in the ledger
	token  string
	// exclusive: only one such task at a time on the entity.
	exclusive bool
	// host: a change of a machine's phase. run is then called with Sim.mu held
	// for writing, otherwise for reading.
	host bool
	// wait, if set, runs first and without Sim.mu, until the task can go on.
	wait func(cancelled func() bool) types.BaseMethodFault
	// run checks and carries out the effect. It may set op and detail to what it turned out to be.
	run func(ctx *simulator.Context, j *job) (result types.AnyType, fault types.BaseMethodFault)
	// after, if set, runs once the effect took place, before the task ends and without Sim.mu.
	after  func() types.BaseMethodFault
	detail string
	noop   bool // set by run: the wanted state was there already
}

// start makes the task, runs it in a goroutine and returns its reference. A
// fault is returned when the entity is busy with another task.
func (v *vcenter) start(ctx *simulator.Context, j *job) (types.ManagedObjectReference, types.BaseMethodFault) {
	t := simulator.CreateTask(j.entity, j.task, nil)
	t.Self = types.ManagedObjectReference{Type: "Task", Value: fmt.Sprintf("task-%d", taskBase+v.tasks.Add(1))}
	if j.exclusive {
		v.busyMu.Lock()
		if other, busy := v.busy[j.entity]; busy {
			v.busyMu.Unlock()
			v.record(j.op, j.object, j.token, resultFailed+"TaskInProgress", "")
			return t.Self, &types.TaskInProgress{Task: other}
		}
		v.busy[j.entity] = t.Self
		v.busyMu.Unlock()
	}
	now := time.Now()
	t.Info.Key, t.Info.Task = t.Self.Value, t.Self
	t.Info.EntityName = j.name
	t.Info.State = types.TaskInfoStateRunning
	t.Info.StartTime = &now
	t.Info.Cancelable = true
	t.Info.Reason = &types.TaskReasonUser{UserName: ctx.Session.UserName}
	t.Info.ActivationId = j.token
	tctx := ownContext(ctx)
	// Putting the task changes recentTask of its entity.
	tctx.WithLock(j.entity, func() { v.reg.Put(t) })
	v.sim.spawn(func() { v.runTask(tctx, t, j) })
	return t.Self, nil
}

// taskBase keeps the numbers of these tasks apart from those of vcsim's own.
const taskBase = 1_000_000

func (v *vcenter) runTask(ctx *simulator.Context, t *simulator.Task, j *job) {
	cancelled := func() bool {
		var done bool
		ctx.WithLock(t, func() { done = t.Info.State != types.TaskInfoStateRunning })
		return done
	}
	if !v.progress(ctx, t, v.sim.rules.delayOf(j.op)) {
		return // the simulator stops; the effect never happens
	}
	var fault types.BaseMethodFault
	if j.wait != nil {
		fault = j.wait(cancelled)
	}
	var result types.AnyType
	switch {
	case cancelled():
		fault = new(types.RequestCanceled)
	case fault != nil:
	case v.sim.rules.takeFailure(j.op):
		fault = systemFault("failure put in by ctl")
	default:
		result, fault = v.apply(ctx, j)
	}
	outcome := ResultOK
	switch {
	case fault != nil:
		outcome = resultFailed + faultName(fault)
	case j.noop:
		outcome = ResultNoop
	}
	v.record(j.op, j.object, j.token, outcome, j.detail)
	if j.after != nil && fault == nil {
		fault = j.after()
	}
	v.endTask(ctx, t, j, result, fault)
	v.sim.changed.fire()
}

// changesInventory tells whether an operation makes, moves or deletes files and
// records. vcsim guards each object by itself, and so not what such
// operations do at once to the datastore and folder that they share.
func changesInventory(op Op) bool {
	switch op {
	case OpClone, OpCreate, OpDestroy, OpRegister, OpUnregister, OpMove:
		return true
	}
	return false
}

// apply carries out the effect with Sim.mu held. A panic in vcsim, as it has
// for requests that it doesn't foresee, fails the task and not the process.
func (v *vcenter) apply(ctx *simulator.Context, j *job) (result types.AnyType, fault types.BaseMethodFault) {
	if j.host || changesInventory(j.op) {
		v.sim.mu.Lock()
		defer v.sim.mu.Unlock()
	} else {
		v.sim.mu.RLock()
		defer v.sim.mu.RUnlock()
	}
	defer func() {
		if p := recover(); p != nil {
			log.Printf("sim: task %s of %s: %v", j.task, j.object, p)
			fault = systemFault(fmt.Sprint(p))
		}
	}()
	return j.run(ctx, j)
}

// progress spends d, showing it as the task's progress. It tells whether the
// simulator still runs.
func (v *vcenter) progress(ctx *simulator.Context, t *simulator.Task, d time.Duration) bool {
	const steps = 10
	if d < 50*time.Millisecond {
		return pause(v.sim.ctx, d)
	}
	for i := int32(1); i <= steps; i++ {
		if !pause(v.sim.ctx, d/steps) {
			return false
		}
		ctx.WithLock(t, func() {
			if t.Info.State == types.TaskInfoStateRunning {
				ctx.Update(t, []types.PropertyChange{{Name: "info.progress", Val: i * 9}})
			}
		})
	}
	return true
}

func (v *vcenter) endTask(ctx *simulator.Context, t *simulator.Task, j *job, result types.AnyType, fault types.BaseMethodFault) {
	if j.exclusive {
		v.busyMu.Lock()
		delete(v.busy, j.entity)
		v.busyMu.Unlock()
	}
	changes := []types.PropertyChange{
		{Name: "info.completeTime", Val: time.Now()},
		{Name: "info.cancelable", Val: false},
	}
	if fault != nil {
		changes = append(changes,
			types.PropertyChange{Name: "info.error", Val: types.LocalizedMethodFault{Fault: fault, LocalizedMessage: faultText(fault)}},
			types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateError})
	} else {
		changes = append(changes,
			types.PropertyChange{Name: "info.progress", Val: int32(100)},
			types.PropertyChange{Name: "info.result", Val: result},
			types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateSuccess})
	}
	ctx.WithLock(t, func() {
		if t.Info.State == types.TaskInfoStateRunning {
			ctx.Update(t, changes)
		}
	})
}

// finish waits for a task of vcsim's own, which takes no longer than it
// computes, and returns how it ended.
func (v *vcenter) finish(ref types.ManagedObjectReference) types.TaskInfo {
	t := v.reg.Get(ref).(*simulator.Task)
	for wait := 50 * time.Microsecond; ; wait = min(2*wait, 5*time.Millisecond) {
		var info types.TaskInfo
		ctx := v.call()
		ctx.WithLock(t, func() { info = t.Info })
		if info.State == types.TaskInfoStateSuccess || info.State == types.TaskInfoStateError {
			return info
		}
		time.Sleep(wait)
	}
}

// inner runs one of vcsim's own tasks as part of a task, and hides it: clients
// see one task for one request.
func (v *vcenter) inner(ctx *simulator.Context, entity mo.Entity, ref types.ManagedObjectReference) (types.AnyType, types.BaseMethodFault) {
	info := v.finish(ref)
	hide := func(o mo.Reference, recent func() []types.ManagedObjectReference) {
		ctx.WithLock(o, func() {
			left := slices.DeleteFunc(slices.Clone(recent()), func(r types.ManagedObjectReference) bool { return r == ref })
			ctx.Update(o, []types.PropertyChange{{Name: "recentTask", Val: left}})
		})
	}
	if v.reg.Get(entity.Reference()) != nil {
		hide(entity, func() []types.ManagedObjectReference { return entity.Entity().RecentTask })
	}
	tasks := v.reg.Get(*v.svcContent().TaskManager).(*simulator.TaskManager)
	hide(tasks, func() []types.ManagedObjectReference { return tasks.RecentTask })
	if info.Error != nil {
		return nil, info.Error.Fault
	}
	return info.Result, nil
}

// faultName is the name of a fault's type, which is all that most faults say.
func faultName(fault any) string {
	t := reflect.TypeOf(fault)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if f, ok := fault.(*types.SystemError); ok && f.Reason != "" {
		return t.Name() + " (" + f.Reason + ")"
	}
	return t.Name()
}

// faultText is the message of a fault for people.
func faultText(fault types.BaseMethodFault) string {
	if f := fault.GetMethodFault(); f != nil && f.FaultCause != nil && f.FaultCause.LocalizedMessage != "" {
		return f.FaultCause.LocalizedMessage
	}
	return faultName(fault)
}

func systemFault(reason string) types.BaseMethodFault {
	return &types.SystemError{Reason: reason}
}
