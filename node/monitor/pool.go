package monitor

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Pool asks machines in the background, a bounded number at once. One goroutine
// calls its methods and takes the answers from Answers.
type Pool[A any] struct {
	Answers chan A
	slots   chan struct{}
	wg      sync.WaitGroup
}

// NewPool makes a pool of so many questions at once.
func NewPool[A any](size int) *Pool[A] {
	return &Pool[A]{Answers: make(chan A, size), slots: make(chan struct{}, size)}
}

// Go asks, within limit. It returns false, and doesn't ask, when there is no
// room. The answer is dropped once ctx has ended.
func (p *Pool[A]) Go(ctx context.Context, limit time.Duration, ask func(ctx context.Context) A) bool {
	select {
	case p.slots <- struct{}{}:
	default:
		return false
	}
	p.wg.Go(func() {
		wait, cancel := context.WithTimeout(ctx, limit)
		a := ask(wait)
		cancel()
		<-p.slots
		select {
		case p.Answers <- a:
		case <-ctx.Done():
		}
	})
	return true
}

// Wait returns when nothing is asked any more; ctx of Go has to end first.
func (p *Pool[A]) Wait() { p.wg.Wait() }

// Next is when a machine that is asked now is due again: a tenth of jitter keeps
// machines from being asked in step.
func Next(now time.Time, interval time.Duration) time.Time {
	return now.Add(interval - interval/20 + rand.N(interval/10+1))
}
