package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gosnmp/gosnmp"

	"yagura/deploy/bench/peer"
	"yagura/deploy/bench/trapload"
)

// socketBuffer is asked for on both ends of the load's own sockets.
const socketBuffer = 8 << 20

// target numbers the machines that events are about: all differ, so that each
// event is a row of its own.
var target atomic.Int64

// informs keeps a number of informs outstanding over some sinks for d, and
// counts those that were answered.
func informs(ctx context.Context, sinks []string, outstanding int, d time.Duration) (peer.Rate, error) {
	t, err := trapload.NewTemplate(gosnmp.InformRequest, "0x800002BD")
	if err != nil {
		return peer.Rate{}, err
	}
	if outstanding < len(sinks) {
		sinks = sinks[:outstanding]
	}
	flows := make([]*flow, len(sinks))
	for i, s := range sinks {
		n := outstanding / len(sinks)
		if i < outstanding%len(sinks) {
			n++
		}
		if flows[i], err = newFlow(s, t.Clone(), n); err != nil {
			return peer.Rate{}, err
		}
		defer flows[i].conn.Close()
	}
	begin := time.Now()
	var wg sync.WaitGroup
	for _, f := range flows {
		wg.Go(func() { f.run(ctx, begin.Add(d)) })
	}
	wg.Wait()
	took := time.Since(begin)
	var all []time.Duration
	r := peer.Rate{}
	for _, f := range flows {
		all = append(all, f.times...)
		r.Failed += f.again
		err = orError(err, f.err)
	}
	slices.Sort(all)
	r.Count, r.PerSecond = float64(len(all)), float64(len(all))/took.Seconds()
	if len(all) > 0 {
		r.P50, r.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return r, err
}

func orError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// flow is the informs outstanding at one sink. One goroutine uses it.
type flow struct {
	conn  *net.UDPConn
	t     *trapload.Template
	slots []slot
	times []time.Duration
	again int64 // sent once more, since no answer came
	err   error
}

type slot struct {
	round  uint32
	target int
	sent   time.Time // last
	first  time.Time
}

// retry is after how long an inform is sent again.
const retry = 2 * time.Second

func newFlow(sink string, t *trapload.Template, n int) (*flow, error) {
	c, err := net.Dial("udp", sink)
	if err != nil {
		return nil, err
	}
	u := c.(*net.UDPConn)
	_, _ = u.SetReadBuffer(socketBuffer), u.SetWriteBuffer(socketBuffer)
	return &flow{conn: u, t: t, slots: make([]slot, n)}, nil
}

// maxSlots is how many informs one flow can tell apart.
const maxSlots = 4096

func (f *flow) run(ctx context.Context, end time.Time) {
	for i := range f.slots {
		f.next(i)
	}
	left := len(f.slots)
	buf := make([]byte, 2048)
	for left > 0 && ctx.Err() == nil && f.err == nil {
		_ = f.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := f.conn.Read(buf)
		now := time.Now()
		if err != nil {
			if now.After(end.Add(5*time.Second)) || errors.Is(err, syscall.ECONNREFUSED) {
				return
			}
			f.sendAgain(now)
			continue
		}
		id := trapload.RequestID(buf[:n])
		i := int(id % maxSlots)
		if id < trapload.FirstID || i >= len(f.slots) || (id-trapload.FirstID)/maxSlots != f.slots[i].round {
			continue // an answer to what was sent twice
		}
		s := &f.slots[i]
		f.times = append(f.times, now.Sub(s.first))
		if now.Before(end) {
			s.round++
			f.next(i)
		} else {
			s.sent = time.Time{}
			left--
		}
	}
}

// next sends the next inform of a slot.
func (f *flow) next(i int) {
	s := &f.slots[i]
	s.target, s.first = int(target.Add(1)), time.Now()
	f.send(i)
}

func (f *flow) send(i int) {
	s := &f.slots[i]
	s.sent = time.Now()
	if _, err := f.conn.Write(f.t.Set(trapload.FirstID+s.round*maxSlots+uint32(i), s.target)); err != nil {
		if !errors.Is(err, syscall.ECONNREFUSED) { // nobody listens yet
			f.err = err
		}
	}
}

func (f *flow) sendAgain(now time.Time) {
	for i := range f.slots {
		if s := &f.slots[i]; !s.sent.IsZero() && now.Sub(s.sent) > retry {
			f.again++
			f.send(i)
		}
	}
}

// traps sends plain traps at a rate for d, spread evenly over the sinks in
// small bursts of at most a millisecond's worth, and returns how many. targets
// is how many machines they are about.
func traps(ctx context.Context, sinks []string, perSecond int, d time.Duration, targets int) (int, error) {
	t, err := trapload.NewTemplate(gosnmp.SNMPv2Trap, "0x800002BD")
	if err != nil {
		return 0, err
	}
	conns := make([]net.Conn, len(sinks))
	for i, s := range sinks {
		if conns[i], err = net.Dial("udp", s); err != nil {
			return 0, err
		}
		defer conns[i].Close()
	}
	return trapload.Paced(ctx, perSecond, d, func(n int) error {
		_, err := conns[n%len(conns)].Write(t.Set(trapload.FirstID+uint32(n)%0x60000000, n%targets))
		return err
	})
}
