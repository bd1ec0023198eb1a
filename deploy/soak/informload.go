package main

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/gosnmp/gosnmp"

	"yagura/deploy/bench/trapload"
	"yagura/deploy/testbed"
)

const (
	// informWait is after how long an inform is sent again, informTries how often
	// it is sent until its sender gives it up, as net-snmp does by default.
	informWait  = time.Second
	informTries = 6
	// sinkTries is how often one sink is tried before the next one is.
	sinkTries    = 2
	informBuffer = 8 << 20 // of the socket, bytes
)

// informLoad sends informs from one socket, as one agent does, and sends again
// those that aren't answered. Two goroutines of its own read answers and send
// again; close waits for them.
type informLoad struct {
	conn  *net.UDPConn
	sinks []*net.UDPAddr
	hosts []string // that faults are about
	plain *trapload.Template
	wg    sync.WaitGroup
	stop  chan struct{}

	mu   sync.Mutex // guards what is below, and plain
	sent []informSent
	open map[int]bool // numbers of those that wait for an answer
}

// informSent is an inform, whose number is its place.
type informSent struct {
	packet      []byte // nil: made of the template
	first, last time.Time
	took        time.Duration // 0: not answered
	tries       int
}

// result is what became of an inform.
type result struct {
	about about
	fault bool
	tries int
	took  time.Duration // from the first transmission to the answer; 0: it was given up
}

func newInformLoad(bed *testbed.Bed, hosts []string) (*informLoad, error) {
	l := &informLoad{hosts: hosts, stop: make(chan struct{}), open: map[int]bool{}}
	for _, n := range bed.Nodes {
		a, err := net.ResolveUDPAddr("udp4", n.Trap())
		if err != nil {
			return nil, err
		}
		l.sinks = append(l.sinks, a)
	}
	var err error
	if l.plain, err = trapload.NewTemplate(gosnmp.InformRequest, plainEvent); err != nil {
		return nil, err
	}
	if l.conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		return nil, err
	}
	// Without the larger buffers the load only waits more often.
	_, _ = l.conn.SetReadBuffer(informBuffer), l.conn.SetWriteBuffer(informBuffer)
	l.wg.Go(l.answers)
	l.wg.Go(l.again)
	return l, nil
}

func (l *informLoad) close() {
	close(l.stop)
	l.conn.Close()
	l.wg.Wait()
}

// subject is what the n-th inform is about.
func (l *informLoad) subject(n int) (_ about, fault bool) {
	if k := n / faultEvery; n%faultEvery == 0 {
		return about{faultID(k, len(l.hosts)), l.hosts[k%len(l.hosts)]}, true
	}
	return about{plainEvent, trapload.TargetName(n)}, false
}

// next sends the n-th inform.
func (l *informLoad) next(n int) error {
	i := informSent{first: time.Now()}
	if a, fault := l.subject(n); fault {
		var err error
		if i.packet, err = trapload.Encode(gosnmp.InformRequest, trapload.FirstID+uint32(n), a.event, a.target); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, i)
	l.open[n] = true
	return l.send(n)
}

// send sends an inform, to its own sink first and to the others when that one
// doesn't answer. The lock is held.
func (l *informLoad) send(n int) error {
	i := &l.sent[n]
	packet := i.packet
	if packet == nil {
		packet = l.plain.Set(trapload.FirstID+uint32(n), n)
	}
	to := l.sinks[(n+i.tries/sinkTries)%len(l.sinks)]
	i.tries++
	i.last = time.Now()
	_, err := l.conn.WriteToUDP(packet, to)
	return err
}

// answers takes answers until the socket is closed.
func (l *informLoad) answers() {
	buf := make([]byte, 2048)
	for {
		k, _, err := l.conn.ReadFromUDP(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		now := time.Now()
		n := int(trapload.RequestID(buf[:k])) - trapload.FirstID
		l.mu.Lock()
		if l.open[n] {
			delete(l.open, n)
			l.sent[n].took = now.Sub(l.sent[n].first)
		}
		l.mu.Unlock()
	}
}

// again sends what isn't answered in time, and gives up what never is.
func (l *informLoad) again() {
	tick := time.NewTicker(informWait / 10)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		l.mu.Lock()
		for n := range l.open {
			switch i := &l.sent[n]; {
			case time.Since(i.last) < informWait:
			case i.tries == informTries:
				delete(l.open, n)
			default:
				_ = l.send(n) // an error is a datagram that got lost
			}
		}
		l.mu.Unlock()
	}
}

func (l *informLoad) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// results are all informs, in their order, once none waits.
func (l *informLoad) results() []result {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]result, 0, len(l.sent))
	for n, i := range l.sent {
		a, fault := l.subject(n)
		out = append(out, result{a, fault, i.tries, i.took})
	}
	return out
}
