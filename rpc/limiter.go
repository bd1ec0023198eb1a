package rpc

import (
	"sync"
	"time"

	"yagura/fsm/schema"
)

// Limits on wrong passwords, for each pair of user and address.
const (
	freeTries    = 3               // wrong passwords without a wait
	firstBackoff = time.Second     // after the next one; doubles with each
	maxBackoff   = 5 * time.Minute // longest wait
	forgetAfter  = 15 * time.Minute
	maxTracked   = 10000 // pairs
)

// limiter slows down guessing of passwords. It lives on the leader; a new
// leader starts afresh.
type limiter struct {
	now func() time.Time

	mu    sync.Mutex // guards tries
	tries map[string]*tries
}

// tries are the wrong passwords of one user from one address.
type tries struct {
	count int
	last  time.Time
	until time.Time // no try before this
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, tries: map[string]*tries{}}
}

// begin counts a try as wrong before it is checked, so that many at once don't
// slip through, or refuses it: KindRateLimited says when to come back.
func (l *limiter) begin(user, from string) error {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	key := user + "\x00" + from
	t := l.tries[key]
	if t == nil || now.Sub(t.last) > forgetAfter {
		l.room(now)
		t = &tries{}
		l.tries[key] = t
	}
	if wait := t.until.Sub(now); wait > 0 {
		return schema.Errorf(schema.KindRateLimited, "user "+user, "too many wrong passwords from %s", from).
			WithHint("try again in %d s", int(wait/time.Second)+1)
	}
	t.count++
	t.last = now
	if over := t.count - freeTries; over >= 0 {
		t.until = now.Add(min(firstBackoff<<min(over, 20), maxBackoff))
	}
	return nil
}

// right takes back what begin counted: the password was right, or it was not checked.
func (l *limiter) right(user, from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tries, user+"\x00"+from)
}

// room makes room for one more pair: the forgotten go first, then the oldest.
func (l *limiter) room(now time.Time) {
	if len(l.tries) < maxTracked {
		return
	}
	var oldest string
	for key, t := range l.tries {
		if now.Sub(t.last) > forgetAfter {
			delete(l.tries, key)
		} else if oldest == "" || t.last.Before(l.tries[oldest].last) {
			oldest = key
		}
	}
	if len(l.tries) >= maxTracked {
		delete(l.tries, oldest)
	}
}
