package fake

import (
	"context"
	"fmt"
	"time"

	"yagura/drivers"
)

// change is one effect in the making.
type change struct {
	system, op, object string
	call               drivers.Call
	// check tells whether the wanted state is there already (with its result)
	// or why the system says no. It changes nothing.
	check func() (there bool, result string, err error)
	// apply brings the effect about and returns what the ledger and the task
	// show as result. It runs after check allowed it.
	apply func() string
	// ignored, if set, tells that the other side accepts the wish and does nothing.
	ignored func() bool
	// supersedes ends a running task of the same object instead of waiting for it.
	supersedes bool
	// begun, if set, returns the task that the call's token has begun before, or nil.
	begun func() *task
	// takes, if set, is how long the effect takes; 0: what the world's delays say.
	takes time.Duration
	// failure, if set, is why the task fails although its effect took place, or nil.
	failure func() error
	// output, if set, is what the task has written.
	output func() string
}

// task is a change that takes time.
type task struct {
	change
	id      string
	started time.Time
	due     time.Time
	stuck   bool
	fail    bool // ends without effect
	ended   bool
	result  string
	err     error
}

func (t *task) look(now time.Time) drivers.Task {
	switch {
	case !t.ended:
		p := 0
		if total := t.due.Sub(t.started); total > 0 && !t.stuck {
			p = min(99, int(100*now.Sub(t.started)/total))
		}
		return drivers.Task{ID: t.id, State: drivers.TaskRunning, Progress: p}
	case t.err != nil:
		return drivers.Task{ID: t.id, State: drivers.TaskFailed, Err: t.err}
	default:
		return drivers.Task{ID: t.id, State: drivers.TaskDone, Progress: 100, Result: t.result}
	}
}

// run is the one way in which an effect takes place.
func (w *World) run(ctx context.Context, c change) (drivers.Task, error) {
	if err := w.hooked(c.op, c.object, Before); err != nil {
		return drivers.Task{}, err
	}
	w.mu.Lock()
	t, after, err := w.start(ctx, c)
	w.mu.Unlock()
	switch {
	case after == nil:
	case after.Mode == HangBefore || after.Mode == HangAfter:
		return drivers.Task{}, hang(ctx, drivers.KindUnknown, c.system, c.op, c.object)
	case err == nil:
		return drivers.Task{}, after.err(c.system, c.op, c.object, drivers.KindUnknown)
	}
	if err != nil {
		return drivers.Task{}, err
	}
	if err := w.hooked(c.op, c.object, After); err != nil {
		return drivers.Task{}, err
	}
	return t, nil
}

// start begins a change. It returns the fault that the caller has to act out
// after the lock is released, if any. The caller holds mu.
func (w *World) start(ctx context.Context, c change) (drivers.Task, *Fault, error) {
	w.settle()
	if c.call.Expired(w.now()) {
		return drivers.Task{}, nil, c.errorf(drivers.KindExpired, "%w", c.call.Late())
	}
	if err := w.reachable(ctx, c.system, c.op, c.object); err != nil {
		return drivers.Task{}, nil, err
	}
	f := w.takeFault(c.op, c.object)
	if f == nil {
		f = &Fault{}
	}
	switch f.Mode {
	case FailBefore:
		return drivers.Task{}, nil, f.err(c.system, c.op, c.object, drivers.KindUnreachable)
	case HangBefore:
		return drivers.Task{}, f, nil
	}
	if c.begun != nil {
		if t := c.begun(); t != nil {
			return t.look(w.now()), nil, nil
		}
	}
	there, result, err := c.check()
	if err != nil {
		return drivers.Task{}, nil, err
	}
	var out drivers.Task
	if there {
		out = drivers.Done(result)
	} else {
		if p := w.blocking(&c); p != nil {
			return drivers.Task{}, nil, c.errorf(drivers.KindBusy, "task %s (%s) is still running", p.id, p.op)
		}
		out = w.begin(c, f)
	}
	if f.Mode == FailAfter || f.Mode == HangAfter {
		return out, f, nil
	}
	return out, nil, nil
}

// blocking returns a running task of the same object that a change must wait
// for. A change that supersedes ends it. The caller holds mu.
func (w *World) blocking(c *change) *task {
	for i, p := range w.pending {
		if p.object != c.object {
			continue
		}
		if !c.supersedes {
			return p
		}
		p.ended, p.err = true, c.errorf(drivers.KindFailed, "%s came between", c.op)
		w.pending = append(w.pending[:i:i], w.pending[i+1:]...)
		return nil
	}
	return nil
}

// begin makes the task of an allowed change and ends it at once if it takes no time. The caller holds mu.
func (w *World) begin(c change, f *Fault) drivers.Task {
	now := w.now()
	d := w.delays[c.op]
	if c.takes > 0 {
		d = c.takes
	}
	if f.Mode == Slow {
		d = f.Delay
	}
	w.nextTask++
	t := &task{
		change: c, id: fmt.Sprintf("task-%d", w.nextTask), started: now, due: now.Add(d),
		stuck: f.Mode == Stuck || (c.ignored != nil && c.ignored()), fail: f.Mode == FailTask,
	}
	w.tasks[t.id] = t
	w.pending = append(w.pending, t)
	w.settle()
	look := t.look(now)
	if look.State == drivers.TaskDone {
		return drivers.Done(t.result)
	}
	return look
}

// settle ends the tasks that are due. The caller holds mu.
func (w *World) settle() {
	now := w.now()
	var rest []*task
	ended := false
	for _, t := range w.pending {
		if t.stuck || t.due.After(now) {
			rest = append(rest, t)
			continue
		}
		w.finish(t)
		ended = true
	}
	w.pending = rest
	if ended {
		w.notify()
	}
}

// finish ends a task: the world may have changed since it began, so its check
// runs again. The caller holds mu.
func (w *World) finish(t *task) {
	t.ended = true
	if t.fail {
		t.err = &drivers.Error{Kind: drivers.KindFailed, System: t.system, Op: t.op, Object: t.object, Err: ErrInjected}
		return
	}
	there, result, err := t.check()
	switch {
	case err != nil:
		t.err = &drivers.Error{Kind: drivers.KindFailed, System: t.system, Op: t.op, Object: t.object, Err: err}
	case there:
		t.result = result
	default:
		t.result = t.apply()
		shown := t.result
		if shown == "" {
			shown = "ok"
		}
		w.record(t.call, t.system, t.op, t.object, shown)
		if t.failure != nil {
			t.err = t.failure()
		}
	}
}

// reachable tells whether a call gets through to a system. The caller holds mu.
func (w *World) reachable(ctx context.Context, system, op, object string) error {
	err := ctx.Err()
	if err == nil && w.down[system] {
		err = fmt.Errorf("%s does not answer", system)
	}
	if err == nil {
		return nil
	}
	return &drivers.Error{Kind: drivers.KindUnreachable, System: system, Op: op, Object: object, Err: err}
}

// read is the one way in which a call looks at the world.
func (w *World) read(ctx context.Context, system, op, object string, look func() error) error {
	if err := w.hooked(op, object, Before); err != nil {
		return err
	}
	w.mu.Lock()
	w.settle()
	err := w.reachable(ctx, system, op, object)
	var f *Fault
	if err == nil {
		if f = w.takeFault(op, object); f == nil || f.Mode == Slow || f.Mode == FailAfter {
			err = look()
		}
	}
	w.mu.Unlock()
	if err != nil {
		return err
	}
	if f != nil {
		switch f.Mode {
		case HangBefore, HangAfter, Stuck:
			return hang(ctx, drivers.KindUnreachable, system, op, object)
		case FailBefore, FailAfter, FailTask:
			return f.err(system, op, object, drivers.KindUnreachable)
		}
	}
	return w.hooked(op, object, After)
}

func (c *change) errorf(k drivers.Kind, format string, args ...any) error {
	return &drivers.Error{Kind: k, System: c.system, Op: c.op, Object: c.object, Err: fmt.Errorf(format, args...)}
}

// Pending tells how many tasks are still running.
func (w *World) Pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	return len(w.pending)
}
