package trap

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of what waits for one destination.
const (
	maxForwards     = 10000
	maxForwardBytes = 8 << 20
	// dialAge is how long a name's address is taken for granted.
	dialAge         = time.Minute
	dialWait        = 5 * time.Second
	maxForwardPause = 30 * time.Second
)

// Reasons why a trap isn't passed on.
const (
	ForwardQueueFull   Reason = "forward-queue-full"  // too much waits for the destination
	ForwardUnreachable Reason = "forward-unreachable" // the destination's machine says that nobody listens
	ForwardUntold      Reason = "forward-version"     // the destination's version has no form for it, such as for Counter64 in v1
	ForwardNoCommunity Reason = "forward-community"   // received by v3, and the destination has no community
	ForwardLoop        Reason = "forward-loop"        // the destination is this sink itself
)

var forwardReasons = []Reason{ForwardQueueFull, ForwardUnreachable, ForwardUntold, ForwardNoCommunity, ForwardLoop}

// Destination is another console, which gets what the sink receives.
type Destination struct {
	Name      string
	Address   string // HOST[:PORT]
	Version   string // AsV1, AsV2c or AsReceived
	Community string // empty: that of the trap
}

// ForwardStats is what became of what was to be passed on to a destination.
type ForwardStats struct {
	Name    string
	Sent    uint64 // those included that turned out to have found nobody
	Waiting int
	Dropped map[Reason]uint64
}

// forwarder passes on what its sink receives. Its goroutines, one for each
// destination, end with the destination; close waits for all.
type forwarder struct {
	own netip.AddrPort // the sink's own address
	log *slog.Logger
	ids atomic.Uint32
	// active is what offer reads: one load when nobody wants traps.
	active atomic.Pointer[[]*destination]

	mu     sync.Mutex // guards all below, and changes of active
	closed bool
	wg     sync.WaitGroup
}

type destination struct {
	name   string
	own    netip.AddrPort
	log    *slog.Logger
	cancel context.CancelFunc
	more   chan struct{} // a token: the queue isn't empty any more
	change chan struct{} // a token: the configuration is new
	sent   atomic.Uint64
	drops  map[Reason]*atomic.Uint64

	mu    sync.Mutex // guards all below
	cfg   Destination
	queue []*relayed
	bytes int
}

func newDrops() map[Reason]*atomic.Uint64 {
	out := map[Reason]*atomic.Uint64{}
	for _, r := range forwardReasons {
		out[r] = new(atomic.Uint64)
	}
	return out
}

func newForwarder(own netip.AddrPort, log *slog.Logger) *forwarder {
	f := &forwarder{own: own, log: log}
	f.active.Store(new([]*destination))
	return f
}

// Forward sets the destinations that get all that the sink receives and
// accepts. Those known by name keep what waits for them, and their counters.
func (s *Sink) Forward(to []Destination) { s.forwarder.set(to) }

// Forwarded tells what became of it, by destination.
func (s *Sink) Forwarded() []ForwardStats {
	var out []ForwardStats
	for _, d := range *s.forwarder.active.Load() {
		out = append(out, d.stats())
	}
	return out
}

func (f *forwarder) set(to []Destination) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	old := *f.active.Load()
	list := make([]*destination, 0, len(to))
	for _, cfg := range to {
		i := slices.IndexFunc(old, func(d *destination) bool { return d.name == cfg.Name })
		if i >= 0 {
			old[i].configure(cfg)
			list = append(list, old[i])
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		d := &destination{
			name: cfg.Name, own: f.own, log: f.log.With("receiver", cfg.Name), cancel: cancel, cfg: cfg,
			more: make(chan struct{}, 1), change: make(chan struct{}, 1), drops: newDrops(),
		}
		f.wg.Go(func() { d.run(ctx) })
		list = append(list, d)
	}
	f.active.Store(&list)
	for _, d := range old {
		if !slices.Contains(list, d) {
			d.cancel()
		}
	}
}

// close drops what waits.
func (f *forwarder) close() {
	f.mu.Lock()
	f.closed = true // no destination comes any more
	for _, d := range *f.active.Load() {
		d.cancel()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

// offer puts a notification in the queues of all destinations. It waits for nothing.
func (f *forwarder) offer(datagram []byte, n *Notification) {
	to := *f.active.Load()
	if len(to) == 0 {
		return
	}
	m, ok := relayedOf(datagram, n)
	if ok {
		m.id = f.ids.Add(1)
	}
	for _, d := range to {
		if !ok {
			d.drops[ForwardUntold].Add(1)
			continue
		}
		d.push(m)
	}
}

func (d *destination) push(m *relayed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) >= maxForwards || d.bytes+m.size() > maxForwardBytes {
		d.drops[ForwardQueueFull].Add(1)
		return
	}
	d.queue = append(d.queue, m)
	d.bytes += m.size()
	if len(d.queue) == 1 {
		token(d.more)
	}
}

func (d *destination) configure(cfg Destination) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cfg != cfg {
		d.cfg = cfg
		token(d.change)
	}
}

// next takes the first message of the queue, nil when there is none.
func (d *destination) next() *relayed {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		return nil
	}
	m := d.queue[0]
	d.queue[0] = nil
	d.queue = d.queue[1:]
	d.bytes -= m.size()
	return m
}

func (d *destination) stats() ForwardStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := ForwardStats{Name: d.name, Sent: d.sent.Load(), Waiting: len(d.queue), Dropped: map[Reason]uint64{}}
	for r, n := range d.drops {
		if n := n.Load(); n > 0 {
			out.Dropped[r] = n
		}
	}
	return out
}

func (d *destination) config() Destination {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}

// run sends what is in the queue. While the address can't be found or there is
// no way to it, the queue keeps what it can.
func (d *destination) run(ctx context.Context) {
	var conn net.Conn
	var address string
	var dialed time.Time
	hangUp := func() {
		if conn != nil {
			_ = conn.Close() // UDP: nothing is left to be written
		}
		conn = nil
	}
	defer hangUp()
	backoff := minBackoff
	for ctx.Err() == nil {
		m := d.next()
		if m == nil {
			select {
			case <-d.more:
			case <-ctx.Done():
			}
			continue
		}
		for ctx.Err() == nil {
			cfg := d.config()
			var err error
			if conn == nil || cfg.Address != address || time.Since(dialed) > dialAge {
				hangUp()
				address, dialed = cfg.Address, time.Now()
				conn, err = dial(ctx, address)
			}
			if err == nil {
				err = d.send(conn, cfg, m)
			}
			if err == nil {
				backoff = minBackoff
				break
			}
			hangUp()
			if backoff == minBackoff {
				d.log.Warn("traps can't be passed on; they wait", "address", cfg.Address, "err", err)
			}
			t := time.NewTimer(backoff)
			select {
			case <-t.C:
				backoff = min(2*backoff, maxForwardPause)
			case <-d.change:
				backoff = minBackoff
			case <-ctx.Done():
			}
			t.Stop()
		}
	}
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(strings.Trim(address, "[]"), "162")
	}
	return (&net.Dialer{Timeout: dialWait}).DialContext(ctx, "udp", address)
}

// send writes one message. An error says that it is worth another try.
func (d *destination) send(conn net.Conn, cfg Destination, m *relayed) error {
	switch {
	case cfg.Community == "" && m.community == nil:
		d.drops[ForwardNoCommunity].Add(1)
		return nil
	case isOwn(conn, d.own):
		d.drops[ForwardLoop].Add(1)
		return nil
	}
	datagram, ok := m.encode(cfg.Version, cfg.Community)
	if !ok {
		d.drops[ForwardUntold].Add(1)
		return nil
	}
	_, err := conn.Write(datagram)
	if errors.Is(err, syscall.ECONNREFUSED) {
		// That is the answer to what was sent before.
		d.drops[ForwardUnreachable].Add(1)
		_, err = conn.Write(datagram)
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		d.drops[ForwardUnreachable].Add(1)
		return nil
	case errors.Is(err, syscall.EMSGSIZE):
		d.drops[ForwardUntold].Add(1)
		return nil
	case err == nil:
		d.sent.Add(1)
	}
	return err
}

// isOwn tells whether a connection leads to the sink itself, which would pass
// on for ever what it gets from there.
func isOwn(conn net.Conn, own netip.AddrPort) bool {
	to, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil || to.Port() != own.Port() {
		return false
	}
	if own.Addr().IsUnspecified() {
		from, err := netip.ParseAddrPort(conn.LocalAddr().String())
		return err == nil && (from.Addr() == to.Addr() || to.Addr().IsLoopback())
	}
	return to.Addr().Unmap() == own.Addr().Unmap()
}
