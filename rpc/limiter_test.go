package rpc

import (
	"fmt"
	"testing"
	"time"

	"yagura/fsm/schema"
)

func TestLimiterDoublesAndForgets(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLimiter(func() time.Time { return now })
	for range freeTries {
		if err := l.begin("a", "x"); err != nil {
			t.Fatal(err)
		}
	}
	for wait := firstBackoff; wait < maxBackoff; wait *= 2 {
		now = now.Add(wait - time.Millisecond)
		if schema.KindOf(l.begin("a", "x")) != schema.KindRateLimited {
			t.Fatalf("a try before %v is let through", wait)
		}
		now = now.Add(time.Millisecond)
		if err := l.begin("a", "x"); err != nil {
			t.Fatalf("after %v: %v", wait, err)
		}
	}
	now = now.Add(maxBackoff)
	if err := l.begin("a", "x"); err != nil {
		t.Fatalf("the wait is longer than %v: %v", maxBackoff, err)
	}
	if err := l.begin("a", "y"); err != nil {
		t.Fatalf("another address waits too: %v", err)
	}
	now = now.Add(forgetAfter + time.Second)
	for range freeTries {
		if err := l.begin("a", "x"); err != nil {
			t.Fatalf("it isn't forgotten: %v", err)
		}
	}
	l.right("a", "x")
	if err := l.begin("a", "x"); err != nil {
		t.Fatalf("a right password doesn't clear it: %v", err)
	}
}

func TestLimiterIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLimiter(func() time.Time { return now })
	for i := range maxTracked + 10 {
		now = now.Add(time.Millisecond)
		if err := l.begin(fmt.Sprint(i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.tries) > maxTracked {
		t.Fatalf("it holds %d pairs", len(l.tries))
	}
	if l.tries["0\x00x"] != nil || l.tries[fmt.Sprint(maxTracked+9)+"\x00x"] == nil {
		t.Fatal("not the oldest went")
	}
}
