package scheduler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// call asks the other system for the effect.
func (r *runner) call(ctx context.Context) *outcome {
	for {
		e := r.env()
		cctx, end := r.timeout(ctx)
		task, err := r.act().Do(cctx, e)
		end()
		if ctx.Err() != nil {
			o := r.stopped()
			return &o
		}
		r.out, r.carry = e.Out, e.Carry
		if err == nil {
			r.silent = time.Time{}
			switch {
			case task.State == drivers.TaskFailed:
				return r.failed(ctx, task.Err, false)
			case task.State == drivers.TaskRunning && task.ID != "":
				return r.handled(ctx, task.ID)
			case task.State == drivers.TaskRunning:
				return r.confirm(ctx, false)
			}
			return r.confirm(ctx, true)
		}
		r.last = err
		kind, ours := drivers.KindOf(err), schemaError(err)
		switch {
		case ours:
			return r.failed(ctx, err, true)
		case kind == drivers.KindUnknown && r.probes():
			return nil // the next round looks
		case kind == drivers.KindExpired:
			return r.again(ctx, false)
		case kind == drivers.KindUnreachable || kind == drivers.KindBusy || kind == drivers.KindUnknown:
			if o := r.silence(ctx, err); o != nil {
				return o
			}
			if o := r.sleep(ctx, true); o != nil {
				return o
			}
			if r.t.Clock.Now().After(r.deadline()) {
				return r.again(ctx, false)
			}
		case r.parksOn(kind):
			return r.park(ctx, err)
		default:
			return r.failed(ctx, err, kind != drivers.KindFailed)
		}
	}
}

// probes tells whether there is something to look at when a call's answer is
// lost. Otherwise asking again changes nothing.
func (r *runner) probes() bool { return r.act().Probe != nil && (!r.def.ReadOnly || r.undo) }

// parksOn tells whether a step with a text of its own parks on an error that
// would fail another one: a person may know better.
func (r *runner) parksOn(kind drivers.Kind) bool {
	return r.parked() != nil && (kind == drivers.KindNotFound || kind == drivers.KindUnsupported || kind == drivers.KindAuth || kind == drivers.KindRefused || kind == drivers.KindWrongMachine)
}

// parked is the step's own text for a person, about its effect or its undoing; nil for none.
func (r *runner) parked() func(*sequence.Env, error) (string, []string) {
	if r.undo {
		return r.def.UndoParked
	}
	return r.def.Parked
}

func schemaError(err error) bool {
	var own *schema.Error
	return errors.As(err, &own)
}

// timeout bounds one call.
func (r *runner) timeout(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := callTimeout
	if r.def.CallTimeout > 0 {
		limit = r.def.CallTimeout
	}
	return r.t.Clock.WithTimeout(ctx, limit)
}

// handled notes the task that brings the effect about.
func (r *runner) handled(ctx context.Context, id string) *outcome {
	err := r.update(ctx, "HandleStep", func(js *jobState, st *schema.Step) error {
		if r.undo {
			st.UndoState, st.UndoHandle = schema.StepHandled, id
		} else {
			st.State, st.Handle = schema.StepHandled, id
		}
		st.Manager = r.t.Node
		return fsm.MoveStep(js.tx, st)
	})
	if err != nil {
		return r.writeFailed(err)
	}
	return nil
}

// attach waits for a task of the other system. It never starts a second one.
func (r *runner) attach(ctx context.Context) *outcome {
	r.hold()
	for {
		task, err := r.task(ctx)
		if ctx.Err() != nil {
			o := r.stopped()
			return &o
		}
		if err != nil {
			if o := r.silence(ctx, err); o != nil {
				return o
			}
		} else {
			r.silent = time.Time{}
			if o := r.tellOutput(ctx, task); o != nil {
				return o
			}
			switch task.State {
			case drivers.TaskDone:
				return r.confirm(ctx, true)
			case drivers.TaskFailed:
				return r.failed(ctx, task.Err, drivers.KindOf(task.Err) == drivers.KindRefused)
			case drivers.TaskUnknown:
				return r.probe(ctx)
			}
			if r.overdue() {
				return r.park(ctx, fmt.Errorf("task %s of %s is still running after %s", r.handle(), r.st.Subsystem, r.def.Timeout))
			}
		}
		if o := r.sleep(ctx, r.def.Interruptible); o != nil {
			return o
		}
	}
}

// task takes one look at the step's task.
func (r *runner) task(ctx context.Context) (drivers.Task, error) {
	cctx, end := r.timeout(ctx)
	defer end()
	if look := r.act().Task; look != nil {
		return look(cctx, r.env(), r.handle())
	}
	h, err := r.t.Drivers.Hypervisor(cctx, r.st.Subsystem)
	if err != nil {
		return drivers.Task{}, err
	}
	return h.Task(cctx, r.handle())
}

const (
	// maxTail bounds the part of a task's output that its step shows.
	maxTail = 4 << 10
	// tailEvery is how often that is written while the task runs: each time
	// is a batch.
	tailEvery = 2 * time.Second
)

// tellOutput keeps the newest part of what a task has written in its step.
func (r *runner) tellOutput(ctx context.Context, task drivers.Task) *outcome {
	tail := strings.ToValidUTF8(task.Output[max(0, len(task.Output)-maxTail):], "")
	now := r.t.Clock.Now()
	if tail == "" || tail == r.st.Tail || task.State == drivers.TaskRunning && now.Sub(r.told) < tailEvery {
		return nil
	}
	r.told = now
	err := r.update(ctx, "TellOutput", func(js *jobState, st *schema.Step) error {
		st.Tail = tail
		return fsm.MoveStep(js.tx, st)
	})
	if err != nil {
		return r.writeFailed(err)
	}
	return nil
}

// hold takes the pass of an operation that is in flight already.
func (r *runner) hold() {
	if r.pass.free() {
		if p := passOf(r.t.Store.View(), r.st); !p.free() {
			r.t.gate.force(p)
			r.pass = p
		}
	}
}

func (r *runner) overdue() bool {
	since := r.st.Started.AsTime()
	if r.undo { // its first deadline is when it began, near enough
		since = r.deadline()
	}
	return r.def.Timeout > 0 && r.t.Clock.Now().After(since.Add(r.def.Timeout))
}

// confirm waits until the effect can be seen. answered: the other system has
// said that it is there.
func (r *runner) confirm(ctx context.Context, answered bool) *outcome {
	if r.act().Probe == nil {
		return r.done(ctx)
	}
	begun := r.t.Clock.Now()
	for {
		f, told, o := r.look(ctx, answered)
		switch {
		case o != nil:
			return o
		case f.State == sequence.FoundPart:
			return r.nextPart(ctx, f.Part)
		case told && r.def.Timeout > 0 && r.t.Clock.Now().Sub(begun) > r.def.Timeout:
			return r.failed(ctx, schema.Errorf(schema.KindJobFailed, r.st.Target, "%s was asked for, and its effect wasn't seen within %s", r.st.Name, r.def.Timeout), false)
		}
		if o := r.sleep(ctx, r.def.Interruptible || told && f.Free); o != nil {
			return o
		}
	}
}

// probe finds out what became of an attempt whose runner is gone, or whose
// answer was lost.
func (r *runner) probe(ctx context.Context) *outcome {
	r.hold()
	if !r.probes() {
		r.fresh = true // asking again changes nothing
		return nil
	}
	for {
		f, told, o := r.look(ctx, false)
		switch {
		case o != nil:
			return o
		case !told:
			if o := r.sleep(ctx, true); o != nil {
				return o
			}
		case f.State == sequence.FoundPart:
			return r.nextPart(ctx, f.Part)
		case f.State == sequence.FoundRunning && f.Handle != "":
			return r.handled(ctx, f.Handle)
		case f.State == sequence.FoundRunning:
			return r.confirm(ctx, false)
		default:
			fence := r.deadline().Add(max(skewMargin, r.def.Settle))
			left := fence.Sub(r.t.Clock.Now())
			if left <= 0 {
				return r.again(ctx, true)
			}
			// Until the deadline a call of the old attempt may still arrive.
			if o := r.sleepFor(ctx, min(left, maxPause), true); o != nil {
				return o
			}
		}
	}
}

// look probes once. The outcome is that of a step that has ended; told is false
// when the probe couldn't tell, which is given time.
func (r *runner) look(ctx context.Context, answered bool) (f sequence.Finding, told bool, o *outcome) {
	e := r.env()
	e.Answered = answered
	cctx, end := r.timeout(ctx)
	f, err := r.act().Probe(cctx, e)
	end()
	if ctx.Err() != nil {
		stopped := r.stopped()
		return f, false, &stopped
	}
	if err != nil {
		return f, false, r.unclear(ctx, err)
	}
	r.out, r.silent = e.Out, time.Time{}
	if f.State == sequence.FoundDone {
		return f, true, r.done(ctx)
	}
	return f, true, nil
}

// unclear deals with a probe that couldn't tell.
func (r *runner) unclear(ctx context.Context, err error) *outcome {
	switch k := drivers.KindOf(err); {
	case schemaError(err):
		return r.failed(ctx, err, false)
	case k == drivers.KindUnreachable, k == drivers.KindBusy, k == drivers.KindUnknown, k == drivers.KindExpired:
		return r.silence(ctx, err)
	case r.parksOn(k):
		return r.park(ctx, err)
	}
	return r.failed(ctx, err, false)
}
