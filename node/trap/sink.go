package trap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

const (
	socketBuffer = 32 << 20
	maxDatagram  = 65535
	// maxBatch is how many events go to the leader at once.
	maxBatch = 256
	// maxBatchBytes keeps a batch well below what the leader takes in one write.
	maxBatchBytes = 2 << 20
	deliverWait   = 10 * time.Second
	minBackoff    = 20 * time.Millisecond
	maxBackoff    = time.Second
	// syncPause gathers what comes in a burst into one fsync. What the leader
	// has recorded meanwhile needs none.
	syncPause = 10 * time.Millisecond
)

// Deliver hands events to the leader, in the order of their sequence numbers,
// and returns the number up to which all are recorded. An error of kind
// invalid or too-large says that the leader will never take them.
type Deliver func(ctx context.Context, events []*schema.Event) (sequence uint64, err error)

// Options are what a sink works with.
type Options struct {
	Config
	Dir     string // of spool and engine
	Node    string // manager id, in the engine id
	Deliver Deliver
	// Rules gives the rules in force; nil while this manager can't know them
	// yet. Only the delivering goroutine calls it.
	Rules func() *Rules
	Log   *slog.Logger
	Now   func() time.Time // nil: time.Now
}

// Sink receives notifications, keeps them until the leader has recorded their
// events, and answers informs then.
//
// Its goroutines: one reads and decodes; one maps and delivers, one batch in
// flight at a time; one makes the spool durable. Close waits for them.
type Sink struct {
	opt     Options
	conn    *net.UDPConn
	decoder *Decoder
	spool   *spool
	limiter *limiter
	log     *slog.Logger

	received   atomic.Uint64
	duplicates atomic.Uint64
	drops      map[Reason]*atomic.Uint64

	cancel context.CancelFunc
	wg     sync.WaitGroup
	more   chan struct{} // a token: something waits to be delivered
	dirty  chan struct{} // a token: something waits to be made durable
	kick   chan struct{} // a token: try the leader again now

	mu       sync.Mutex // guards all below
	pending  []*item    // by sequence; those in flight are the first ones
	bytes    int64      // of pending
	sequence uint64     // the last one given
	window   *window
}

// item is an event that isn't recorded yet.
type item struct {
	event  *schema.Event // not mapped yet
	size   int64
	inform *inform // nil: a trap, which is spooled
}

// Open opens the socket and starts to receive. Errors are plain: the address
// is taken, or the spool can't be used.
func Open(opt Options) (*Sink, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	s := &Sink{
		opt: opt, log: opt.Log, limiter: newLimiter(opt.Rate, opt.Burst), drops: map[Reason]*atomic.Uint64{},
		more: make(chan struct{}, 1), dirty: make(chan struct{}, 1), kick: make(chan struct{}, 1), window: newWindow(),
	}
	for _, r := range Reasons {
		s.drops[r] = new(atomic.Uint64)
	}
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, err
	}
	engine, err := openEngine(filepath.Join(opt.Dir, "engine"), opt.Node, opt.Now)
	if err != nil {
		return nil, err
	}
	if s.decoder, err = NewDecoder(opt.Config, engine); err != nil {
		return nil, err
	}
	var left []*schema.Event
	if s.spool, left, err = openSpool(filepath.Join(opt.Dir, "spool")); err != nil {
		return nil, fmt.Errorf("trap spool: %w", err)
	}
	// Sequence numbers begin at the time in microseconds, so that they go up
	// even for a manager that has lost its disk.
	s.sequence = uint64(opt.Now().UnixMicro())
	for _, e := range left {
		s.push(&item{event: e, size: int64(proto.Size(e))})
		s.sequence = max(s.sequence, e.Sequence)
	}
	if s.conn, err = listen(opt.Bind, opt.Port); err != nil {
		return nil, errors.Join(err, s.spool.close())
	}
	if len(left) > 0 {
		s.log.Info("events left from the last run wait for the leader", "events", len(left))
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.wg.Go(s.readLoop)
	s.wg.Go(func() { s.deliverLoop(ctx) })
	s.wg.Go(func() { s.syncLoop(ctx) })
	return s, nil
}

// listen opens the socket with a receive buffer that takes a storm.
func listen(bind string, port int) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			// Above the system's limit where we may, up to it elsewhere.
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer) != nil {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer)
			}
		})
	}}
	c, err := lc.ListenPacket(context.Background(), "udp", net.JoinHostPort(bind, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

// Addr is the address of the socket.
func (s *Sink) Addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Received is how many datagrams came in.
func (s *Sink) Received() uint64 { return s.received.Load() }

// Duplicates is how many retransmissions of informs came in.
func (s *Sink) Duplicates() uint64 { return s.duplicates.Load() }

// Waiting is how many events wait to be recorded.
func (s *Sink) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending)
}

// Dropped is how many notifications were dropped, by reason; those never
// dropped for are left out.
func (s *Sink) Dropped() map[string]uint64 {
	out := map[string]uint64{}
	for r, n := range s.drops {
		if n := n.Load(); n > 0 {
			out[string(r)] = n
		}
	}
	return out
}

// Retry makes the sink try the leader at once, after a change of leadership.
func (s *Sink) Retry() { token(s.kick) }

func token(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Close ends the sink. Events that aren't recorded yet stay in the spool;
// senders of informs that got no answer send them to somebody else.
func (s *Sink) Close() error {
	s.cancel()
	err := s.conn.Close()
	s.wg.Wait()
	return errors.Join(err, s.spool.close())
}

func (s *Sink) readLoop() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier answer, for one
		}
		s.received.Add(1)
		if reason, reply := s.take(buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port())); reason != "" {
			s.drops[reason].Add(1)
			s.reply(reply, from)
		}
	}
}

func (s *Sink) reply(b []byte, to netip.AddrPort) {
	if b == nil {
		return
	}
	if _, err := s.conn.WriteToUDPAddrPort(b, to); err != nil && !errors.Is(err, net.ErrClosed) {
		s.log.Debug("no answer to an inform", "to", to, "err", err) // the sender asks again
	}
}

// take turns a datagram into an event that waits for the leader, or says why not.
func (s *Sink) take(datagram []byte, from netip.AddrPort) (Reason, []byte) {
	now := s.opt.Now()
	// Before the decoder: decoding is what costs.
	if !s.limiter.allow(from.Addr(), now) {
		return RateLimited, nil
	}
	n, err := s.decoder.Decode(datagram, from.Addr())
	if err != nil {
		var d *DecodeError
		errors.As(err, &d)
		s.log.Debug("notification dropped", "from", from, "err", err)
		return d.Reason, d.Reply
	}
	var in *inform
	if n.Inform {
		in = &inform{key: informKey{from, n.RequestID, n.TrapOID}, at: now, answer: n.answer}
		s.mu.Lock()
		old, again := s.window.see(in.key, now)
		if again {
			old.answer = in.answer // a v3 answer carries the time
		}
		done := again && old.done
		s.mu.Unlock()
		if again {
			s.duplicates.Add(1)
			if done {
				s.reply(in.answer, from)
			}
			return "", nil
		}
	}
	return s.enqueue(raw(n, from, now), in), nil
}

// enqueue numbers an event and puts it in line. A trap goes to the spool, too;
// an inform doesn't: its sender keeps it until it is answered.
func (s *Sink) enqueue(e *schema.Event, in *inform) Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := int64(proto.Size(e))
	if s.bytes+size > s.opt.SpoolBytes {
		return SpoolFull
	}
	s.sequence++
	e.Sequence = s.sequence
	if in == nil {
		if err := s.spool.append(e); err != nil {
			s.log.Error("a trap can't be spooled", "err", err)
			return SpoolFull
		}
		token(s.dirty)
	} else {
		s.window.add(in)
	}
	s.push(&item{event: e, size: size, inform: in})
	return ""
}

// push puts an item in line; the lock is held, or nobody else is there yet.
func (s *Sink) push(i *item) {
	s.pending = append(s.pending, i)
	s.bytes += i.size
	token(s.more)
}

// syncLoop makes the spool durable, many traps at a time.
func (s *Sink) syncLoop(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-s.dirty:
		case <-ctx.Done():
			return
		}
		t.Reset(syncPause)
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if err := s.spool.sync(); err != nil {
			s.log.Error("trap spool isn't durable", "err", err)
		}
	}
}

// deliverLoop sends batches to the leader, one in flight: what comes meanwhile
// is the next batch.
func (s *Sink) deliverLoop(ctx context.Context) {
	backoff := minBackoff
	size := maxBatch
	for {
		batch := s.batch(size)
		if len(batch) == 0 {
			select {
			case <-s.more:
			case <-ctx.Done():
				return
			}
			continue
		}
		err := s.deliver(ctx, batch)
		if ctx.Err() != nil && err != nil {
			return
		}
		if err == nil {
			backoff, size = minBackoff, maxBatch
			continue
		}
		if k := schema.KindOf(err); k == schema.KindInvalid || k == schema.KindTooLarge {
			if len(batch) == 1 {
				s.reject(batch[0], err)
				size = maxBatch
			} else {
				size = 1 // find out which one it is
			}
			continue
		}
		s.log.Debug("the leader doesn't take events now", "waiting", len(batch), "err", err)
		t := time.NewTimer(backoff)
		select {
		case <-t.C:
		case <-s.kick:
		case <-ctx.Done():
			t.Stop()
			return
		}
		t.Stop()
		backoff = min(2*backoff, maxBackoff)
	}
}

var errNoRules = schema.Errorf(schema.KindUnavailable, "manager", "it doesn't have the mapping rules yet")

// deliver maps a batch and hands it to the leader.
func (s *Sink) deliver(ctx context.Context, batch []*item) error {
	rules := s.opt.Rules()
	if rules == nil {
		return errNoRules
	}
	last, ignored := batch[len(batch)-1].event.Sequence, uint64(0)
	events := make([]*schema.Event, 0, len(batch))
	for _, it := range batch {
		if e, wanted := rules.Map(it.event); wanted {
			events = append(events, e)
		} else {
			ignored++
		}
	}
	if len(events) > 0 {
		ctx, cancel := context.WithTimeout(ctx, deliverWait)
		defer cancel()
		seq, err := s.opt.Deliver(ctx, events)
		if err != nil {
			return err
		}
		if seq < events[len(events)-1].Sequence {
			last = seq // it took a part
		}
	}
	s.drops[Ignored].Add(ignored)
	s.recorded(last)
	return nil
}

// batch gives the first events in line.
func (s *Sink) batch(limit int) []*item {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, bytes := 0, int64(0)
	for n < len(s.pending) && n < limit && (n == 0 || bytes+s.pending[n].size <= maxBatchBytes) {
		bytes += s.pending[n].size
		n++
	}
	return s.pending[:n:n]
}

// recorded takes what is recorded out of line and answers the informs of it.
func (s *Sink) recorded(sequence uint64) {
	type answer struct {
		bytes []byte
		to    netip.AddrPort
	}
	var answers []answer
	s.mu.Lock()
	n := 0
	for n < len(s.pending) && s.pending[n].event.Sequence <= sequence {
		it := s.pending[n]
		s.bytes -= it.size
		if it.inform != nil {
			it.inform.done = true
			answers = append(answers, answer{it.inform.answer, it.inform.key.from})
		}
		s.pending[n] = nil
		n++
	}
	s.pending = s.pending[n:]
	// Under the lock: a trap that comes now must not be taken for a recorded one.
	err := s.spool.done(sequence)
	s.mu.Unlock()
	if err != nil {
		s.log.Error("trap spool", "err", err)
	}
	for _, a := range answers {
		s.reply(a.bytes, a.to)
	}
}

// reject drops an event that the leader will never take.
func (s *Sink) reject(it *item, err error) {
	s.drops[Rejected].Add(1)
	s.log.Error("the leader refuses an event for good; it is dropped", "from", it.event.From, "event_id", it.event.EventId, "err", err)
	s.mu.Lock()
	if it.inform != nil {
		s.window.forget(it.inform)
		it.inform = nil
	}
	s.mu.Unlock()
	s.recorded(it.event.Sequence)
}

// openEngine reads the SNMP engine's number of starts and counts this one.
func openEngine(file, node string, now func() time.Time) (Engine, error) {
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Engine{}, err
	}
	boots, _ := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 31) // a new or damaged file counts anew
	boots++
	tmp := file + ".new"
	if err := os.WriteFile(tmp, []byte(strconv.FormatUint(boots, 10)+"\n"), 0o600); err != nil {
		return Engine{}, err
	}
	if err := os.Rename(tmp, file); err != nil {
		return Engine{}, err
	}
	// RFC 3411, SnmpEngineID: first bit set, no enterprise of our own, format 4
	// (text by the administrator), at most 27 bytes of it.
	text := "yagura-" + node
	if len(text) > 27 {
		text = text[:27]
	}
	return Engine{ID: "\x80\x00\x00\x00\x04" + text, Boots: uint32(boots), Start: now(), Now: now}, nil
}
