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
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

const (
	// maxBatch is how many events go to the leader at once.
	maxBatch = 1024
	// maxBatchBytes keeps a batch well below what the leader takes in one write.
	maxBatchBytes = 2 << 20
	deliverWait   = 10 * time.Second
	minBackoff    = 20 * time.Millisecond
	maxBackoff    = time.Second
	// gatherPause is the least time between deliveries of traps only: nobody
	// waits for an answer to them, and many at once cost far less. Informs wait
	// for nothing.
	gatherPause = 100 * time.Millisecond
	// maxGather bounds for how long informs wait for those that are as good as
	// sent, see gather.
	maxGather = 10 * time.Millisecond
	// spoolPause is how long a trap may wait for the leader before it goes to the
	// spool. What is recorded until then needs no disk of ours: a majority has it.
	spoolPause = 250 * time.Millisecond
	// readPause lets datagrams gather in the socket's buffer while traps only
	// come, one soon after the other: waking up for each costs more than reading
	// it. An inform ends that for informTime.
	readPause  = 10 * time.Millisecond
	informTime = time.Second
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
	socket  *socket
	decoder *Decoder
	spool   *spool
	limiter *limiter
	limits  atomic.Pointer[Limits] // to be set; nil: no others than before
	log     *slog.Logger

	forwarder *forwarder

	received   atomic.Uint64
	informed   atomic.Uint64 // informs among them
	duplicates atomic.Uint64
	taken      atomic.Uint64 // events that the leader has recorded
	drops      map[Reason]*atomic.Uint64

	cancel context.CancelFunc
	wg     sync.WaitGroup
	more   chan struct{} // a token: the line isn't empty any more
	urgent chan struct{} // a token: the line has what mustn't wait
	dirty  chan struct{} // a token: a trap isn't in the spool
	kick   chan struct{} // a token: try the leader again now

	mu        sync.Mutex // guards all below
	pending   []*item    // by sequence; those in flight are the first ones
	informs   int        // among them
	want      int        // so many informs in line end a wait for more
	bytes     int64      // of pending
	sequence  uint64     // the last one given
	unspooled []*item    // traps that aren't in the spool, by sequence
	window    *window
}

// item is an event that isn't recorded yet.
type item struct {
	event    *schema.Event // not mapped yet
	size     int64
	inform   *inform // nil: a trap, which is spooled
	recorded bool
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
		opt: opt, log: opt.Log, limiter: newLimiter(opt.Limits(0, 0)), drops: map[Reason]*atomic.Uint64{},
		more: make(chan struct{}, 1), urgent: make(chan struct{}, 1), dirty: make(chan struct{}, 1), kick: make(chan struct{}, 1), window: newWindow(),
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
	if s.socket, err = listen(opt.Bind, opt.Port); err != nil {
		return nil, errors.Join(err, s.spool.close())
	}
	if len(left) > 0 {
		s.log.Info("events left from the last run wait for the leader", "events", len(left))
	}
	s.forwarder = newForwarder(s.socket.addr(), s.log)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.wg.Go(func() { s.readLoop(ctx) })
	s.wg.Go(func() { s.deliverLoop(ctx) })
	s.wg.Go(func() { s.spoolLoop(ctx) })
	return s, nil
}

// Addr is the address of the socket.
func (s *Sink) Addr() netip.AddrPort { return s.socket.addr() }

// Received is how many datagrams came in, those included that the kernel
// dropped before they could be read.
func (s *Sink) Received() uint64 { return s.received.Load() + s.socket.overflown() }

// Duplicates is how many retransmissions of informs came in.
func (s *Sink) Duplicates() uint64 { return s.duplicates.Load() }

// Recorded is how many notifications the leader has recorded, those of the spool
// of the last run included.
func (s *Sink) Recorded() uint64 { return s.taken.Load() }

// Waiting is how many events wait to be recorded.
func (s *Sink) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending)
}

// Dropped is how many notifications were dropped, by reason, those included
// that the kernel dropped; those never dropped for are left out.
func (s *Sink) Dropped() map[string]uint64 {
	out := map[string]uint64{}
	if n := s.socket.overflown(); n > 0 {
		out[string(Overflown)] = n
	}
	for r, n := range s.drops {
		if n := n.Load(); n > 0 {
			out[string(r)] = n
		}
	}
	return out
}

// SetLimits changes the limits from the next datagram on.
func (s *Sink) SetLimits(l Limits) { s.limits.Store(&l) }

// SetUsers changes the users of SNMPv3 from the next datagram on, see
// Decoder.SetUsers.
func (s *Sink) SetUsers(users []User) error { return s.decoder.SetUsers(users) }

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
	err := s.socket.close()
	s.wg.Wait()
	s.forwarder.close()
	return errors.Join(err, s.spoolWaiting(), s.spool.close())
}

func (s *Sink) readLoop(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	var last, inform time.Time // read, and with an inform in it
	for {
		informs := s.informed.Load()
		more, err := s.socket.read(func(datagram []byte, from netip.AddrPort) {
			s.received.Add(1)
			if reason, reply := s.take(datagram, from); reason != "" {
				s.drops[reason].Add(1)
				s.reply(reply, from)
			}
		})
		if errors.Is(err, net.ErrClosed) {
			return
		}
		// Any other error is that of an earlier answer, such as an ICMP message.
		now := time.Now()
		if s.informed.Load() != informs {
			inform = now
		}
		soon := now.Sub(last) < 2*readPause
		if last = now; more || !soon || now.Sub(inform) < informTime {
			continue
		}
		pause.Reset(readPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Sink) reply(b []byte, to netip.AddrPort) {
	if b != nil {
		s.send([]answer{{b, to}})
	}
}

func (s *Sink) send(answers []answer) {
	if err := s.socket.write(answers); err != nil && !errors.Is(err, net.ErrClosed) {
		s.log.Debug("no answer to an inform", "err", err) // the sender asks again
	}
}

// take turns a datagram into an event that waits for the leader, or says why not.
func (s *Sink) take(datagram []byte, from netip.AddrPort) (Reason, []byte) {
	now := s.opt.Now()
	// Before the decoder: decoding is what costs.
	if l := s.limits.Swap(nil); l != nil {
		s.limiter.set(*l, now)
	}
	if reason := s.limiter.allow(from.Addr(), now); reason != "" {
		return reason, nil
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
		s.informed.Add(1)
		in = &inform{fingerprint: fingerprint(n, from), from: from, at: now, answer: n.answer}
		s.mu.Lock()
		old, again := s.window.see(in.fingerprint, now)
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
	e := raw(n, from, now)
	if in != nil {
		e.Requests = []uint64{in.fingerprint}
	}
	reason := s.enqueue(e, in)
	if in == nil || reason == "" { // else the inform comes again
		s.forwarder.offer(datagram, n)
	}
	return reason, nil
}

// enqueue numbers an event and puts it in line. A trap goes to the spool, too,
// unless it is recorded soon; an inform doesn't: its sender keeps it until it is
// answered.
func (s *Sink) enqueue(e *schema.Event, in *inform) Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := int64(proto.Size(e))
	if s.bytes+size > s.opt.SpoolBytes {
		return SpoolFull
	}
	s.sequence++
	e.Sequence = s.sequence
	i := &item{event: e, size: size, inform: in}
	if in != nil {
		s.window.add(in)
	} else if s.unspooled = append(s.unspooled, i); len(s.unspooled) == 1 {
		token(s.dirty)
	}
	s.push(i)
	return ""
}

// push puts an item in line; the lock is held, or nobody else is there yet.
func (s *Sink) push(i *item) {
	s.pending = append(s.pending, i)
	s.bytes += i.size
	if i.inform != nil {
		s.informs++
	}
	if len(s.pending) == 1 {
		token(s.more)
	}
	if i.inform != nil && s.informs >= s.want || len(s.pending) == maxBatch {
		token(s.urgent)
	}
}

// spoolLoop makes the traps durable that the leader doesn't take.
func (s *Sink) spoolLoop(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-s.dirty:
		case <-ctx.Done():
			return
		}
		t.Reset(spoolPause)
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if err := s.spoolWaiting(); err != nil {
			s.log.Error("traps that wait for the leader aren't durable", "err", err)
		}
	}
}

// spoolWaiting writes the traps to the spool that aren't recorded yet.
func (s *Sink) spoolWaiting() error {
	s.mu.Lock()
	items := s.unspooled
	s.unspooled = nil
	items = slices.DeleteFunc(items, func(i *item) bool { return i.recorded })
	s.mu.Unlock()
	if len(items) == 0 {
		return nil
	}
	var err error
	for _, i := range items {
		err = errors.Join(err, s.spool.append(i.event))
	}
	return errors.Join(err, s.spool.sync())
}

// deliverLoop sends batches to the leader, one in flight: what comes meanwhile
// is the next batch.
func (s *Sink) deliverLoop(ctx context.Context) {
	backoff := minBackoff
	size := maxBatch
	var last round
	for {
		if !s.gather(ctx, last) {
			return
		}
		batch := s.batch(size)
		if len(batch) == 0 {
			select {
			case <-s.more:
			case <-ctx.Done():
				return
			}
			continue
		}
		last = round{begun: time.Now()}
		for _, i := range batch {
			if i.inform != nil {
				last.informs++
			}
		}
		err := s.deliver(ctx, batch)
		last.ended = time.Now()
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

// round is a delivery.
type round struct {
	begun, ended time.Time
	informs      int
}

// gather waits until a delivery is worth its price; false when ctx ended.
// Traps that are alone in line gather for gatherPause. Informs wait until as many
// are there as have just been answered, for a part of the time that a delivery
// takes: senders send on when they are answered, and whoever comes first would
// else be delivered alone and all others a full delivery later. A single sender
// waits for nothing.
func (s *Sink) gather(ctx context.Context, last round) bool {
	s.mu.Lock()
	s.want = 1
	pause := gatherPause - time.Since(last.begun)
	if s.informs > 0 {
		s.want = last.informs
		pause = min(last.ended.Sub(last.begun)/4, maxGather) - time.Since(last.ended)
	}
	wait := pause > 0 && len(s.pending) > 0 && len(s.pending) < maxBatch && s.informs < s.want
	if wait {
		select { // a token of what is gone
		case <-s.urgent:
		default:
		}
	}
	s.mu.Unlock()
	if !wait {
		return ctx.Err() == nil
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.urgent:
	case <-ctx.Done():
		return false
	}
	return true
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
		for _, e := range events {
			if e.Sequence <= last {
				s.taken.Add(1)
			}
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
	var answers []answer
	s.mu.Lock()
	n := 0
	for n < len(s.pending) && s.pending[n].event.Sequence <= sequence {
		it := s.pending[n]
		s.bytes -= it.size
		it.recorded = true
		if it.inform != nil {
			s.informs--
			it.inform.done = true
			answers = append(answers, answer{it.inform.answer, it.inform.from})
		}
		s.pending[n] = nil
		n++
	}
	s.pending = s.pending[n:]
	s.mu.Unlock()
	if err := s.spool.done(sequence); err != nil {
		s.log.Error("trap spool", "err", err)
	}
	if len(answers) > 0 {
		s.send(answers)
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
		s.informs--
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
