package drivers

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestExpired(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		deadline time.Time
		expired  bool
	}{
		{time.Time{}, false},
		{now.Add(time.Nanosecond), false},
		{now, false},
		{now.Add(-time.Nanosecond), true},
	} {
		if got := (Call{Deadline: c.deadline}).Expired(now); got != c.expired {
			t.Errorf("deadline %v: expired %v", c.deadline, got)
		}
	}
}

// A call's context ends at its deadline, and doesn't without one.
func TestCallContext(t *testing.T) {
	deadline := time.Now().Add(time.Hour)
	ctx, cancel := Call{Deadline: deadline}.Context(t.Context())
	defer cancel()
	if end, ok := ctx.Deadline(); !ok || !end.Equal(deadline) {
		t.Errorf("it ends at %s, %v", end, ok)
	}
	for limit, want := range map[time.Duration]bool{time.Minute: false, 2 * time.Hour: true} {
		ctx, cancel := Call{Deadline: deadline}.Within(t.Context(), limit)
		defer cancel()
		if end, ok := ctx.Deadline(); !ok || end.After(deadline) || end.Equal(deadline) != want {
			t.Errorf("within %s it ends at %s, %v", limit, end, ok)
		}
	}
	free, stop := Call{}.Context(t.Context())
	if end, ok := free.Deadline(); ok {
		t.Errorf("it ends at %s", end)
	}
	if stop(); free.Err() == nil {
		t.Error("it can't be ended")
	}
}

func TestKindOf(t *testing.T) {
	own := &Error{Kind: KindRefused, System: "vc1", Op: "migrate", Object: "web01", Err: errors.New("because")}
	for _, c := range []struct {
		err  error
		kind Kind
	}{
		{own, KindRefused},
		{fmt.Errorf("step 3: %w", own), KindRefused},
		{&Error{Kind: KindFailed, Err: own}, KindFailed},
		{context.Canceled, KindUnknown},
		{nil, KindUnknown},
	} {
		if got := KindOf(c.err); got != c.kind {
			t.Errorf("KindOf(%v) = %s, want %s", c.err, got, c.kind)
		}
	}
	if got, want := own.Error(), "vc1: migrate web01: refused: because"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// looks gives one look after the other.
type looks []Task

func (l *looks) Task(context.Context, string) (Task, error) {
	if len(*l) == 0 {
		return Task{}, errors.New("no more looks")
	}
	t := (*l)[0]
	*l = (*l)[1:]
	return t, nil
}

func TestAwaitTask(t *testing.T) {
	ctx := context.Background()
	running, done := Task{State: TaskRunning}, Task{State: TaskDone}
	if got, err := AwaitTask(ctx, &looks{running, running, done}, "1", time.Nanosecond); err != nil || got.State != TaskDone {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := AwaitTask(ctx, &looks{running}, "1", time.Nanosecond); err == nil {
		t.Error("a look that failed was not told")
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if got, err := AwaitTask(ended, &looks{running, running}, "1", time.Hour); !errors.Is(err, context.Canceled) || got.State != TaskRunning {
		t.Errorf("%+v %v", got, err)
	}
}
