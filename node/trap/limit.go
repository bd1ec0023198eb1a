package trap

import (
	"container/list"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// maxSenders bounds how many senders are limited one by one; the ones heard of
// longest ago are forgotten first.
const maxSenders = 4096

// limiter limits the rate of each sender. One goroutine uses it.
type limiter struct {
	rate  rate.Limit
	burst int
	order *list.List // of *sender, the latest first
	by    map[netip.Addr]*list.Element
}

type sender struct {
	addr    netip.Addr
	limiter *rate.Limiter
}

func newLimiter(perSecond float64, burst int) *limiter {
	return &limiter{rate: rate.Limit(perSecond), burst: burst, order: list.New(), by: map[netip.Addr]*list.Element{}}
}

// allow takes one notification from a sender's allowance.
func (l *limiter) allow(a netip.Addr, now time.Time) bool {
	if e, ok := l.by[a]; ok {
		l.order.MoveToFront(e)
		return e.Value.(*sender).limiter.AllowN(now, 1)
	}
	if l.order.Len() >= maxSenders {
		old := l.order.Back()
		delete(l.by, l.order.Remove(old).(*sender).addr)
	}
	s := &sender{a, rate.NewLimiter(l.rate, l.burst)}
	l.by[a] = l.order.PushFront(s)
	return s.limiter.AllowN(now, 1)
}
