package drivers

import (
	"context"
	"fmt"
	"time"
)

// Call identifies one attempt at one effect on the outside world.
type Call struct {
	// Token is the hash of job, step and attempt. It travels along with the
	// call where the other system has a place for it (task description,
	// annotation, header), so that a later probe can recognise the effect.
	Token string
	// Deadline is the fence against an old leader: a driver starts no effect
	// after it, and a new leader starts none before it unless a probe proved
	// that the old one did nothing. The zero value means no deadline.
	Deadline time.Time
}

// Expired tells whether the call may no longer start an effect at time now.
func (c Call) Expired(now time.Time) bool {
	return !c.Deadline.IsZero() && now.After(c.Deadline)
}

// Late is the cause of the error (KindExpired) of a call that has expired.
func (c Call) Late() error {
	return fmt.Errorf("the call's deadline %s has passed", c.Deadline.UTC().Format(time.RFC3339))
}

// Context is ctx, ended at the call's deadline: no request goes on after it.
func (c Call) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.Deadline.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, c.Deadline)
}

// Within is Context with a limit on the call's time besides.
func (c Call) Within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	end := time.Now().Add(limit)
	if !c.Deadline.IsZero() && c.Deadline.Before(end) {
		end = c.Deadline
	}
	return context.WithDeadline(ctx, end)
}

// TaskState is where a task of the other system stands.
type TaskState string

// The states of a task in the other system.
const (
	TaskRunning TaskState = "running" // accepted and not ended
	TaskDone    TaskState = "done"    // ended well
	TaskFailed  TaskState = "failed"  // ended badly; Task.Err says why
	TaskUnknown TaskState = "unknown" // the other system doesn't know the id (any more)
)

// Task is one look at an operation in the other system.
type Task struct {
	ID       string    // the other system's id; empty when the effect was complete at once or already there
	State    TaskState // where it stands
	Progress int       // percent, 0 to 100
	Result   string    // reference of what it made, such as the UUID of a cloned VM
	Output   string    // newest part of what it wrote, bounded; empty for most
	Err      error     // why it failed; an *Error
}

// Done is the task of an effect that was complete when the call returned.
func Done(result string) Task { return Task{State: TaskDone, Progress: 100, Result: result} }
