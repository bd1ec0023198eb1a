package fake

import (
	"context"
	"errors"
	"time"

	"yagura/drivers"
)

// Phase is a moment of a call.
type Phase string

// The phases of a call.
const (
	Before Phase = "before" // nothing has been done
	After  Phase = "after"  // the effect was accepted, the answer isn't delivered yet
)

// Hook sees every call. What it returns other than nil is what the caller
// gets instead of the call (Before) or of its answer (After). It runs on the
// caller's goroutine without the world's lock, so it may use the world.
type Hook func(op, object string, phase Phase) error

// OnCall sets the hook; nil removes it.
func (w *World) OnCall(h Hook) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hook = h
}

// Mode is how a call goes wrong.
type Mode string

// The modes of faults.
const (
	Slow       Mode = "slow"        // the effect takes Fault.Delay: a running task until then
	FailBefore Mode = "fail-before" // an error of Fault.Kind (default KindUnreachable), no effect
	FailAfter  Mode = "fail-after"  // the effect, then an error of Fault.Kind (default KindUnknown)
	FailTask   Mode = "fail-task"   // accepted; the task ends as failed without effect
	HangBefore Mode = "hang-before" // no effect, no answer until the context ends
	HangAfter  Mode = "hang-after"  // the effect, no answer until the context ends
	Stuck      Mode = "stuck"       // accepted; the task runs without effect until ClearFaults
)

// Fault makes calls go wrong.
type Fault struct {
	Op     string // operation as in the ledger or of a read; empty: any
	Object string // name of the object; empty: any
	Mode   Mode
	Kind   drivers.Kind  // of the error, for the modes that return one
	Delay  time.Duration // for Slow
	Times  int           // how many calls it hits; 0: all until ClearFaults
}

// ErrInjected is in the chain of every error that a fault caused.
var ErrInjected = errors.New("injected fault")

// Inject adds a fault. Of several that match a call the oldest acts.
func (w *World) Inject(f Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, &f)
}

// ClearFaults removes all faults and delays, brings all systems back, and lets
// stuck tasks go on.
func (w *World) ClearFaults() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = nil
	clear(w.delays)
	clear(w.down)
	for _, t := range w.pending {
		t.stuck = false
	}
	w.settle()
	w.notify()
}

// Delay makes every effect of op take d from now on.
func (w *World) Delay(op string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delays[op] = d
}

// SystemDown makes a system (World.System or BMCSystem) unreachable, or brings it back.
func (w *World) SystemDown(system string, down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down[system] = down
	w.notify()
}

// takeFault returns the fault that acts on a call, if any, and counts it. The caller holds mu.
func (w *World) takeFault(op, object string) *Fault {
	for i, f := range w.faults {
		if (f.Op != "" && f.Op != op) || (f.Object != "" && f.Object != object) {
			continue
		}
		hit := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				w.faults = append(w.faults[:i:i], w.faults[i+1:]...)
			}
		}
		return &hit
	}
	return nil
}

// hooked runs the hook, if there is one.
func (w *World) hooked(op, object string, p Phase) error {
	w.mu.Lock()
	h := w.hook
	w.mu.Unlock()
	if h == nil {
		return nil
	}
	return h(op, object, p)
}

func (f *Fault) err(system, op, object string, byDefault drivers.Kind) error {
	k := f.Kind
	if k == "" {
		k = byDefault
	}
	return &drivers.Error{Kind: k, System: system, Op: op, Object: object, Err: ErrInjected}
}

// hang waits for the end of ctx.
func hang(ctx context.Context, k drivers.Kind, system, op, object string) error {
	<-ctx.Done()
	return &drivers.Error{Kind: k, System: system, Op: op, Object: object, Err: errors.Join(ErrInjected, ctx.Err())}
}
