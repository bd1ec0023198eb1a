package drivertest

import (
	"context"
	"testing"
	"time"

	"yagura/drivers"
)

// Bounds on waiting: everything simulated is quicker by far.
const (
	patience = 20 * time.Second
	pause    = 5 * time.Millisecond
)

// test is one test of a suite; S is the state of its subtest.
type test[S any] struct {
	name string
	run  func(S)
}

// each runs the tests of a suite as subtests. begin makes the state of one, with
// a fresh world; ctx ends after limit, or with the subtest.
func each[S any](t *testing.T, limit time.Duration, tests []test[S], begin func(t *testing.T, ctx context.Context) S) {
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			t.Cleanup(cancel)
			c.run(begin(t, ctx))
		})
	}
}

// opened opens a driver that is closed at the end of the test.
func opened[D interface{ Close(context.Context) error }](ctx context.Context, t *testing.T, open func(t *testing.T) D) D {
	d := open(t)
	t.Cleanup(func() {
		if err := d.Close(context.WithoutCancel(ctx)); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

// WaitFor waits for a condition, as long as patience lasts.
func WaitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	waitFor(t, context.Background(), what, cond)
}

// waitFor is WaitFor within ctx.
func waitFor(t *testing.T, ctx context.Context, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for: %s", what)
		case <-tick.C:
		}
	}
}

// call makes a call that may take its time.
func call(token string) drivers.Call {
	return drivers.Call{Token: token, Deadline: time.Now().Add(time.Hour)}
}

// late makes a call whose deadline has passed.
func late(token string) drivers.Call {
	return drivers.Call{Token: token, Deadline: time.Now().Add(-time.Second)}
}
