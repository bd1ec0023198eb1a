package monitor

import (
	"context"
	"testing"
	"time"
)

func TestPoolHasABound(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := NewPool[int](1)
	held := make(chan struct{})
	if !p.Go(ctx, time.Minute, func(context.Context) int { <-held; return 1 }) {
		t.Fatal("no room in an empty pool")
	}
	if p.Go(ctx, time.Minute, func(context.Context) int { return 2 }) {
		t.Error("two questions in a pool of one")
	}
	close(held)
	if a := <-p.Answers; a != 1 {
		t.Errorf("the answer is %d", a)
	}
	if !p.Go(ctx, time.Millisecond, func(ctx context.Context) int { <-ctx.Done(); return 3 }) { // ends at its limit
		t.Error("no room after the answer")
	}
	if a := <-p.Answers; a != 3 {
		t.Errorf("the answer is %d", a)
	}
	cancel()
	p.Wait()
}

func TestNextIsNearTheInterval(t *testing.T) {
	now := time.Unix(1000, 0)
	for range 1000 {
		if d := Next(now, time.Minute).Sub(now); d < 57*time.Second || d > 63*time.Second {
			t.Fatalf("due in %s", d)
		}
	}
}
