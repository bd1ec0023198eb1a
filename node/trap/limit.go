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

// burstSeconds is for how long a rate's notifications may come at once, where
// no burst is set.
const burstSeconds = 4

// Limits are how many notifications are taken a second, and at once.
type Limits struct {
	Rate       float64 // of one sender
	Burst      int
	TotalRate  float64 // of all senders together; 0: no limit
	TotalBurst int
}

// Limits gives those of the settings, with other rates in their place where they
// aren't 0.
func (c *Config) Limits(sourceRate, totalRate int) Limits {
	l := Limits{Rate: c.Rate, Burst: c.Burst, TotalRate: c.TotalRate, TotalBurst: int(max(1, c.TotalRate*burstSeconds))}
	if sourceRate > 0 {
		l.Rate, l.Burst = float64(sourceRate), sourceRate*burstSeconds
	}
	if totalRate > 0 {
		l.TotalRate, l.TotalBurst = float64(totalRate), totalRate*burstSeconds
	}
	return l
}

// limiter limits the rate of each sender, and of all. One goroutine uses it.
type limiter struct {
	in    Limits
	total *rate.Limiter
	order *list.List // of *sender, the latest first
	by    map[netip.Addr]*list.Element
}

type sender struct {
	addr    netip.Addr
	limiter *rate.Limiter
}

func newLimiter(l Limits) *limiter {
	return &limiter{in: l, total: rate.NewLimiter(l.totalLimit(), l.TotalBurst), order: list.New(), by: map[netip.Addr]*list.Element{}}
}

func (l *Limits) totalLimit() rate.Limit {
	if l.TotalRate == 0 {
		return rate.Inf
	}
	return rate.Limit(l.TotalRate)
}

// set changes the limits. What senders have used of their allowance stays used.
func (l *limiter) set(in Limits, now time.Time) {
	if in == l.in {
		return
	}
	if l.in.TotalRate == 0 {
		l.total = rate.NewLimiter(in.totalLimit(), in.TotalBurst)
	}
	l.in = in
	l.total.SetLimitAt(now, in.totalLimit())
	l.total.SetBurstAt(now, in.TotalBurst)
	for e := l.order.Front(); e != nil; e = e.Next() {
		s := e.Value.(*sender)
		s.limiter.SetLimitAt(now, rate.Limit(in.Rate))
		s.limiter.SetBurstAt(now, in.Burst)
	}
}

// allow takes one notification from a sender's allowance and that of all; else
// it says which one is used up. What a sender sends above its own limit takes
// nothing from the others.
func (l *limiter) allow(a netip.Addr, now time.Time) Reason {
	if !l.sender(a).AllowN(now, 1) {
		return RateLimited
	}
	if !l.total.AllowN(now, 1) {
		return TotalLimited
	}
	return ""
}

func (l *limiter) sender(a netip.Addr) *rate.Limiter {
	if e, ok := l.by[a]; ok {
		l.order.MoveToFront(e)
		return e.Value.(*sender).limiter
	}
	if l.order.Len() >= maxSenders {
		old := l.order.Back()
		delete(l.by, l.order.Remove(old).(*sender).addr)
	}
	s := &sender{a, rate.NewLimiter(rate.Limit(l.in.Rate), l.in.Burst)}
	l.by[a] = l.order.PushFront(s)
	return s.limiter
}
