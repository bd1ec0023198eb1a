package fsm

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"yagura/fsm/schema"
	"yagura/fsm/seal"
)

// Proposer is the replicated log as the store sees it; node implements it on Raft.
type Proposer interface {
	// Leading returns the Raft term in which this manager leads and has
	// applied all entries of earlier terms. KindNoLeader otherwise.
	Leading() (term uint64, err error)
	// Propose appends an entry and returns its log index and what Apply
	// returned, once this manager has applied it. KindNoLeader: it was
	// certainly not appended. KindOutcomeUnknown: it may have been.
	Propose(data []byte) (index uint64, response any, err error)
	// Confirm proves that this manager still leads, by a quorum.
	Confirm() error
}

// Why says who asks for a verb, from where, and for which reason.
type Why struct {
	User    string
	From    string // caller's address
	Node    string // manager that took the call
	Op      string // verb
	Reason  string
	Request string // request id; the verb is applied at most once under it
	// Internal marks steps of jobs and housekeeping: they leave no audit row,
	// since the rows that they write tell the story themselves.
	Internal bool
	// Term, when not 0, is the term that the caller acts for: a runner of an
	// older term is refused, even when the same process leads again.
	Term uint64
}

// Result is what an Update did.
type Result struct {
	Index    uint64 // log index of a state that has the verb's effect
	Value    []byte // what the verb set with Tx.SetResult, now or when its request id was first applied
	Replayed bool   // the request id had been applied before; nothing was done now
}

// Options are the settings of a store.
type Options struct {
	Sealer *seal.Sealer // encrypts credentials; nil: verbs that store one fail
	Log    *slog.Logger // nil: slog.Default
	Now    func() time.Time
}

// Store is the configuration database of one manager. Apply, called by Raft,
// is its only writer.
type Store struct {
	opt   Options
	state atomic.Pointer[View]
	made  atomic.Pointer[preparedState] // what the committer has proposed last

	queue chan *update
	stop  chan struct{}
	done  chan struct{}

	mu       sync.Mutex // guards proposer, watchers, waiters
	proposer Proposer
	watchers map[uint64]chan struct{} // by the set of tables, a bit each
	advanced chan struct{}            // closed when the index grows
}

// update is one verb on its way through a group commit.
type update struct {
	ctx  context.Context
	why  Why
	verb func(*Tx) error
	done chan struct{}
	res  Result
	err  error
	// over guards against a verb running after its caller went away.
	over atomic.Bool
}

// NewStore makes an empty store. Close ends it.
func NewStore(opt Options) *Store {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	s := &Store{
		opt: opt, queue: make(chan *update, 4*maxGroup), stop: make(chan struct{}), done: make(chan struct{}),
		watchers: map[uint64]chan struct{}{}, advanced: make(chan struct{}),
	}
	s.state.Store(&View{db: newDatabase()})
	go s.commitLoop()
	return s
}

// Close ends the store's committer. Updates that wait get KindNoLeader.
func (s *Store) Close() {
	close(s.stop)
	<-s.done
}

// SetProposer gives the store its log. Before that all updates fail with KindNoLeader.
func (s *Store) SetProposer(p Proposer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proposer = p
}

// View is the current state of this manager.
func (s *Store) View() *View { return s.state.Load() }

// Sealer is the store's sealer; nil when it has none.
func (s *Store) Sealer() *seal.Sealer { return s.opt.Sealer }

// Update runs a verb on the leader and returns once its effect is committed
// and applied here. Verbs that wait together share one log entry. The verb may
// run more than once, on newer states each time, so it must have no effect
// outside of its Tx. The verb's own error comes back as it is.
//
// KindNoLeader: nothing was written. KindOutcomeUnknown: it may have been
// written; ask again with the same request id. When ctx ends while the entry
// is on its way, the outcome is unknown, too.
func (s *Store) Update(ctx context.Context, why Why, verb func(*Tx) error) (Result, error) {
	u := &update{ctx: ctx, why: why, verb: verb, done: make(chan struct{})}
	select {
	case s.queue <- u:
	case <-ctx.Done():
		return Result{}, schema.Errorf(schema.KindTimeout, "write "+why.Op, "the time ran out before it was begun; nothing was written")
	case <-s.stop:
		return Result{}, errStopped
	}
	select {
	case <-u.done:
		return u.res, u.err
	case <-ctx.Done():
		if u.over.CompareAndSwap(false, true) {
			return Result{}, schema.Errorf(schema.KindTimeout, "write "+why.Op, "the time ran out before it was begun; nothing was written")
		}
		select {
		case <-u.done: // it ended at the same moment
			return u.res, u.err
		default:
		}
		return Result{}, schema.Errorf(schema.KindOutcomeUnknown, "write "+why.Op, "the time ran out while it was being committed").
			WithHint("ask again with the same request id")
	case <-s.done:
		return Result{}, errStopped
	}
}

var errStopped = schema.Errorf(schema.KindNoLeader, "manager", "it is stopping; nothing was written").WithHint("ask another manager")

// commitLoop is the committer: it gathers waiting verbs, runs them on a private
// copy of the state, and proposes what they changed, one batch at a time.
func (s *Store) commitLoop() {
	defer close(s.done)
	for {
		select {
		case <-s.stop:
			s.failQueue()
			return
		case u := <-s.queue:
			group := []*update{u}
			for len(group) < maxGroup {
				select {
				case u := <-s.queue:
					group = append(group, u)
					continue
				default:
				}
				break
			}
			s.commit(group)
		}
	}
}

func (s *Store) failQueue() {
	for {
		select {
		case u := <-s.queue:
			u.finish(Result{}, errStopped)
		default:
			return
		}
	}
}

func (u *update) finish(res Result, err error) {
	u.res, u.err = res, err
	close(u.done)
}

// commit takes a group through as many batches as it needs.
func (s *Store) commit(group []*update) {
	// Claim each update: from here its caller waits for the outcome.
	live := group[:0]
	for _, u := range group {
		if u.over.CompareAndSwap(false, true) {
			live = append(live, u)
		}
	}
	for tries := 0; len(live) > 0; {
		rest, err := s.commitOnce(live)
		if err == errRefused && tries < 10 {
			tries++ // another entry got in between: run the verbs again on the newer state
			continue
		}
		if err != nil {
			for _, u := range live {
				u.finish(Result{}, err)
			}
			return
		}
		live = rest
	}
}

// errRefused is Apply's answer to a batch whose base isn't the current state.
var errRefused = schema.Errorf(schema.KindConflict, "log entry", "the state has moved on since the batch was made")

// commitOnce runs the verbs of group until the batch is full, proposes the
// batch and finishes these updates. It returns those that are left. On an
// error none is finished.
func (s *Store) commitOnce(group []*update) (rest []*update, err error) {
	s.mu.Lock()
	p := s.proposer
	s.mu.Unlock()
	if p == nil {
		return nil, schema.Errorf(schema.KindNoLeader, "cluster", "this manager isn't part of a cluster yet; nothing was written")
	}
	term, err := p.Leading()
	if err != nil {
		return nil, err
	}
	b := s.prepare(group, term)
	index := b.base.index
	if len(b.changes) == 0 {
		// Nothing to write, but what the verbs saw must be proven current.
		if err := p.Confirm(); err != nil {
			return nil, err
		}
	} else {
		data, err := encodeBatch(b.message())
		if err != nil {
			return nil, schema.Errorf(schema.KindInternal, "log entry", "%v", err)
		}
		s.made.Store(b.state(data))
		i, resp, err := p.Propose(data)
		if err != nil {
			return nil, err
		}
		if e, ok := resp.(error); ok && e != nil {
			return nil, e
		}
		index = i
	}
	for _, o := range b.outcomes {
		if o.err == nil && o.res.Index == 0 {
			o.res.Index = index
		}
		o.u.finish(o.res, o.err)
	}
	return group[len(b.outcomes):], nil
}

// preparedState is the state that an entry leads to.
type preparedState struct {
	data    []byte
	term    uint64
	base    *View
	view    *View // its index is set when the entry has one
	changed uint64
}

// batch is a batch in the making.
type batch struct {
	base     *View
	term     uint64
	feature  uint32
	now      time.Time
	why      []*schema.Why
	w        *writer // makes the new state
	order    []rowID
	changes  map[rowID]*change
	size     int
	outcomes []outcome
	// What the verbs so far have taken of the numbered tables that every verb
	// may write, so that none has to look into the growing transaction.
	nextAudit   uint64
	nextRequest uint64
	requests    map[string]*schema.Request
	events      addedEvents
}

type outcome struct {
	u   *update
	res Result
	err error
}

// prepare runs verbs one after the other, each on the state that the ones
// before it made, until the batch is full.
func (s *Store) prepare(group []*update, term uint64) *batch {
	base := s.View()
	b := &batch{
		base: base, term: term, feature: Settings(base).Feature, now: s.opt.Now().Round(0), w: base.db.write(base.digest),
		changes: map[rowID]*change{}, requests: map[string]*schema.Request{},
	}
	if b.now.Before(base.time) {
		b.now = base.time // the leader's clock may be behind the last one's
	}
	for _, u := range group {
		if b.size >= maxBatch {
			break
		}
		o := outcome{u: u}
		if u.why.Term != 0 && u.why.Term != term {
			o.err = schema.Errorf(schema.KindNoLeader, "write "+u.why.Op, "the caller acts for term %d, the term is %d; nothing was written", u.why.Term, term)
			b.outcomes = append(b.outcomes, o)
			continue
		}
		tx := &Tx{b: b, why: u.why, sealer: s.opt.Sealer, changes: map[rowID]*change{}}
		o.res, o.err = runVerb(tx, u)
		if o.err == nil && !o.res.Replayed {
			b.take(tx)
		} else {
			tx.undo()
		}
		b.outcomes = append(b.outcomes, o)
	}
	return b
}

// runVerb runs one verb in its transaction, with request id and audit row.
func runVerb(tx *Tx, u *update) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = schema.Errorf(schema.KindInternal, "write "+u.why.Op, "the verb panicked: %v", p).WithHint("this is a defect; nothing was written")
		}
	}()
	base := tx.b.base.index
	old, err := replay(tx)
	if err != nil {
		return res, err
	}
	if old != nil {
		return Result{Index: old.Index, Value: old.Result, Replayed: true}, nil
	}
	if err := u.verb(tx); err != nil {
		return res, err
	}
	changed := tx.Changed() || len(tx.noted) > 0
	req, err := remember(tx, base)
	if err != nil {
		return res, err
	}
	audited := changed && !u.why.Internal
	if audited {
		if err := audit(tx, base); err != nil {
			return res, err
		}
	}
	if size := tx.size(); size > maxVerbBytes {
		return res, schema.Errorf(schema.KindTooLarge, "write "+u.why.Op, "it changes %d bytes of rows, the limit is %d; nothing was written", size, maxVerbBytes)
	}
	// The verb stands: its numbers are taken.
	if req != nil {
		tx.b.requests[req.Id] = req
		tx.b.nextRequest++
	}
	if audited {
		tx.b.nextAudit++
	}
	return Result{Value: tx.result}, nil
}

// take adds a verb's changes to the batch.
func (b *batch) take(tx *Tx) {
	if len(tx.changes) == 0 {
		return
	}
	for _, id := range tx.order {
		c := tx.changes[id]
		b.size += changeSize(id, c.rec)
		if old, ok := b.changes[id]; ok {
			b.size -= changeSize(id, old.rec)
			old.rec = c.rec
			continue
		}
		b.order = append(b.order, id)
		b.changes[id] = c
	}
	b.events.take(&tx.events)
	w := tx.why
	b.why = append(b.why, &schema.Why{User: w.User, From: w.From, Node: w.Node, Op: w.Op, Reason: w.Reason, Request: w.Request, Internal: w.Internal})
}

// state is the state that the batch, encoded as data, leads to.
func (b *batch) state(data []byte) *preparedState {
	p := &preparedState{data: data, term: b.term, base: b.base, view: &View{db: b.w.db, digest: b.w.sum, time: b.now}}
	for _, id := range b.order {
		p.changed |= 1 << id.table
	}
	return p
}

// message is the batch as it goes into the log.
func (b *batch) message() *schema.Batch {
	m := &schema.Batch{
		Format: batchFormat, BaseIndex: b.base.index, BaseDigest: b.base.digest.Bytes(), Feature: b.feature,
		Term: b.term, Time: timestamp(b.now), Why: b.why, Changes: make([]*schema.Change, 0, len(b.order)),
	}
	for _, id := range b.order {
		c := &schema.Change{Table: id.table, Key: id.key}
		if rec := b.changes[id].rec; rec != nil {
			c.Row = rec.raw
		} else {
			c.Delete = true
		}
		m.Changes = append(m.Changes, c)
	}
	return m
}

// String describes the store for logs.
func (v *View) String() string { return fmt.Sprintf("state %d, digest %s", v.index, v.digest) }
