package sim

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// UsageError is a request that can't be carried out because it is wrong:
// an unknown name, operation or value. `pvmd sim ctl` ends with code 2.
type UsageError struct{ Msg string }

func (e *UsageError) Error() string { return e.Msg }

// rules holds the delays and failures put in through the control endpoint.
type rules struct {
	mu    sync.Mutex // guards both maps
	delay map[Op]time.Duration
	fail  map[Op]int // how many calls are still to fail
}

func newRules() *rules {
	return &rules{delay: map[Op]time.Duration{}, fail: map[Op]int{}}
}

// maxDelay bounds a delay, so that a mistyped unit doesn't block a demo for ever.
const maxDelay = time.Hour

func (r *rules) setDelay(name string, d time.Duration) error {
	ops, err := parseOps(name)
	if err != nil {
		return err
	}
	if d < 0 || d > maxDelay {
		return &UsageError{Msg: fmt.Sprintf("delay %s is out of range (0 to %s)", d, maxDelay)}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, op := range ops {
		if d == 0 {
			delete(r.delay, op)
		} else {
			r.delay[op] = d
		}
	}
	return nil
}

func (r *rules) setFail(name string, times int) error {
	ops, err := parseOps(name)
	if err != nil {
		return err
	}
	if times < 0 {
		return &UsageError{Msg: fmt.Sprintf("times %d is negative", times)}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, op := range ops {
		if times == 0 {
			delete(r.fail, op)
		} else {
			r.fail[op] = times
		}
	}
	return nil
}

func (r *rules) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.delay)
	clear(r.fail)
}

func (r *rules) delayOf(op Op) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.delay[op]
}

// takeFailure uses up one failure of op, if one is to be had.
func (r *rules) takeFailure(op Op) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.fail[op]
	if n == 0 {
		return false
	}
	if n == 1 {
		delete(r.fail, op)
	} else {
		r.fail[op] = n - 1
	}
	return true
}

// Rule is one delay or failure in force.
type Rule struct {
	Op    Op            `json:"op"`
	Delay time.Duration `json:"delay_ns,omitempty"` // each task of Op takes that long
	Fail  int           `json:"fail,omitempty"`     // so many calls of Op will fail
}

func (r *rules) list() []Rule {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Rule
	for _, op := range allOps {
		if d, n := r.delay[op], r.fail[op]; d != 0 || n != 0 {
			out = append(out, Rule{Op: op, Delay: d, Fail: n})
		}
	}
	return slices.Clip(out)
}

// pause waits for d or the end of ctx, and tells whether all of d passed.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
