package schedulertest

import (
	"context"
	"sync"
	"time"
)

// Clock is a time that moves only when a test moves it. Rig.Wait moves it to
// the next moment that somebody waits for whenever nothing else happens.
type Clock struct {
	mu      sync.Mutex // guards all below
	now     time.Time
	waiting map[chan time.Time]time.Time
	bounds  map[*bound]struct{}
}

type bound struct {
	at     time.Time
	cancel context.CancelFunc
}

// NewClock makes a clock that shows a fixed moment.
func NewClock() *Clock {
	return &Clock{now: time.Now().Truncate(time.Second), waiting: map[chan time.Time]time.Time{}, bounds: map[*bound]struct{}{}}
}

// Now is the clock's time. No two looks see the same moment, as with a real
// clock: a VM that restarts right after its start has another start time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Microsecond)
	return c.now
}

// After implements scheduler.Clock.
func (c *Clock) After(d time.Duration) (<-chan time.Time, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	if d <= 0 {
		ch <- c.now
		return ch, func() {}
	}
	c.waiting[ch] = c.now.Add(d)
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, ch)
	}
}

// WithTimeout implements scheduler.Clock. The bound counts only when Advance
// goes past it: moving from one waiter to the next hits no call under way.
func (c *Clock) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	b := &bound{at: c.now.Add(d), cancel: cancel}
	c.bounds[b] = struct{}{}
	return ctx, func() {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.bounds, b)
	}
}

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moveTo(c.now.Add(d))
	for b := range c.bounds {
		if !b.at.After(c.now) {
			b.cancel()
		}
	}
}

// Next moves the clock to the next moment that somebody waits for; false when
// nobody does.
func (c *Clock) Next() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	var next time.Time
	for _, at := range c.waiting {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if next.IsZero() {
		return false
	}
	c.moveTo(next)
	return true
}

// moveTo wakes those whose moment has come. The caller holds mu.
func (c *Clock) moveTo(now time.Time) {
	c.now = now
	for ch, at := range c.waiting {
		if !at.After(now) {
			ch <- now
			delete(c.waiting, ch)
		}
	}
}
