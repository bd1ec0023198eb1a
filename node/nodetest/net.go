package nodetest

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Net is the network between the managers of a Cluster: real TCP on loopback,
// through a dialer that cuts, delays and refuses. Each connection is wrapped on
// the side that dialled, which sees both directions.
//
// A cut holds bytes back, as a lost packet does on TCP: they arrive when the
// cut is healed, unless the connection is given up before.
type Net struct {
	mu      sync.Mutex // guards all below
	hosts   map[string]int
	cut     map[[2]int]bool
	delay   map[[2]int]time.Duration
	dead    map[int]bool
	conns   map[*conn]struct{}
	changed chan struct{}
}

// NewNet makes a network without faults.
func NewNet() *Net {
	return &Net{hosts: map[string]int{}, cut: map[[2]int]bool{}, delay: map[[2]int]time.Duration{}, dead: map[int]bool{},
		conns: map[*conn]struct{}{}, changed: make(chan struct{})}
}

// set changes faults and wakes those who wait for it.
func (n *Net) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	close(n.changed)
	n.changed = make(chan struct{})
}

// CutOneWay holds back everything that goes from one manager to another.
func (n *Net) CutOneWay(from, to int) { n.set(func() { n.cut[[2]int{from, to}] = true }) }

// Cut holds back everything between two managers.
func (n *Net) Cut(a, b int) {
	n.set(func() { n.cut[[2]int{a, b}], n.cut[[2]int{b, a}] = true, true })
}

// Isolate cuts a manager off from all others.
func (n *Net) Isolate(i int) {
	n.set(func() {
		for _, j := range n.hosts {
			if j != i {
				n.cut[[2]int{i, j}], n.cut[[2]int{j, i}] = true, true
			}
		}
	})
}

// Delay makes each write from one manager to another take longer.
func (n *Net) Delay(from, to int, d time.Duration) { n.set(func() { n.delay[[2]int{from, to}] = d }) }

// Heal takes all cuts and delays away.
func (n *Net) Heal() {
	n.set(func() { clear(n.cut); clear(n.delay) })
}

// Kill ends a manager's process as far as the others can see: its connections
// break, new ones are refused, until Revive.
func (n *Net) Kill(i int) {
	var broken []*conn
	n.set(func() {
		n.dead[i] = true
		for c := range n.conns {
			if c.from == i || c.to == i {
				broken = append(broken, c)
			}
		}
	})
	for _, c := range broken {
		c.Conn.Close()
	}
}

// Revive ends Kill.
func (n *Net) Revive(i int) { n.set(func() { delete(n.dead, i) }) }

// Dialer is the dialer of manager i.
func (n *Net) Dialer(i int) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		n.mu.Lock()
		j, known := n.hosts[host]
		n.mu.Unlock()
		if !known {
			return nil, errors.New("nodetest: unknown host " + host)
		}
		for {
			n.mu.Lock()
			dead := n.dead[i] || n.dead[j]
			stuck := n.cut[[2]int{i, j}] || n.cut[[2]int{j, i}]
			changed := n.changed
			n.mu.Unlock()
			if dead {
				return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
			}
			if !stuck {
				break
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
			}
		}
		raw, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: raw, net: n, from: i, to: j, kick: make(chan struct{}), closed: make(chan struct{})}
		n.set(func() { n.conns[c] = struct{}{} })
		n.mu.Lock()
		dead := n.dead[i] || n.dead[j]
		n.mu.Unlock()
		if dead {
			c.Close()
		}
		return c, nil
	}
}

// conn is a connection from manager from to manager to.
type conn struct {
	net.Conn
	net      *Net
	from, to int

	closed chan struct{}
	once   sync.Once

	mu          sync.Mutex // guards the deadlines and kick
	read, write time.Time
	kick        chan struct{} // closed when a deadline changes

	readMu  sync.Mutex // guards held and heldErr; held by one Read
	held    []byte
	heldErr error
}

// pass waits until the direction is open.
func (c *conn) pass(from, to int, deadline func() time.Time) error {
	for {
		c.net.mu.Lock()
		stuck, changed := c.net.cut[[2]int{from, to}], c.net.changed
		c.net.mu.Unlock()
		if !stuck {
			return nil
		}
		c.mu.Lock()
		kick, d := c.kick, deadline()
		c.mu.Unlock()
		var expired <-chan time.Time
		if !d.IsZero() {
			t := time.NewTimer(time.Until(d))
			defer t.Stop()
			expired = t.C
		}
		select {
		case <-changed:
		case <-kick:
		case <-c.closed:
			return net.ErrClosed
		case <-expired:
			return os.ErrDeadlineExceeded
		}
	}
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	c.net.mu.Lock()
	d := c.net.delay[[2]int{c.from, c.to}]
	c.net.mu.Unlock()
	if d > 0 {
		select {
		case <-time.After(d):
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	if err := c.pass(c.from, c.to, func() time.Time { return c.write }); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Read implements net.Conn. What came over a direction that is cut is held.
func (c *conn) Read(b []byte) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if len(c.held) == 0 && c.heldErr == nil {
		buf := make([]byte, len(b))
		n, err := c.Conn.Read(buf)
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		c.held, c.heldErr = buf[:n], err
	}
	if err := c.pass(c.to, c.from, func() time.Time { return c.read }); err != nil {
		return 0, err
	}
	n := copy(b, c.held)
	c.held = c.held[n:]
	if len(c.held) > 0 {
		return n, nil
	}
	err := c.heldErr
	c.heldErr = nil
	if n > 0 && err != nil {
		c.heldErr, err = err, nil
	}
	return n, err
}

func (c *conn) setDeadlines(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	close(c.kick)
	c.kick = make(chan struct{})
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.setDeadlines(func() { c.read, c.write = t, t })
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.setDeadlines(func() { c.read = t })
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.setDeadlines(func() { c.write = t })
	return c.Conn.SetWriteDeadline(t)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.net.mu.Lock()
		delete(c.net.conns, c)
		c.net.mu.Unlock()
	})
	return c.Conn.Close()
}
