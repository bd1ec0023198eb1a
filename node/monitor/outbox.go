package monitor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"yagura/fsm/schema"
)

const (
	// maxBatch is how many events go to the leader at once, deliverWait how long that may take.
	maxBatch    = 256
	deliverWait = 10 * time.Second
)

// Outbox hands what a manager itself sees of machines to the leader. The newest
// event of each matter waits, so it is bounded by the machines; what can't be
// delivered is dropped: who sees it sees it again.
type Outbox struct {
	deliver func(ctx context.Context, events []*schema.Event) error
	log     *slog.Logger
	more    chan struct{} // a token: something waits to be delivered

	mu       sync.Mutex // guards pending and sequence
	pending  map[string]*schema.Event
	sequence uint64
}

// NewOutbox makes an outbox. Sequence numbers of its events begin at the time in
// microseconds, so that they go up over restarts.
func NewOutbox(deliver func(ctx context.Context, events []*schema.Event) error, log *slog.Logger) *Outbox {
	return &Outbox{
		deliver: deliver, log: log, more: make(chan struct{}, 1), pending: map[string]*schema.Event{}, sequence: uint64(time.Now().UnixMicro()),
	}
}

// Put queues an event. It takes the place of one that waits of the same matter.
func (o *Outbox) Put(matter string, e *schema.Event) {
	o.mu.Lock()
	o.pending[matter] = e
	o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends, one batch at a time.
func (o *Outbox) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.more:
		}
		for batch := o.Batch(); len(batch) > 0 && ctx.Err() == nil; batch = o.Batch() {
			wait, cancel := context.WithTimeout(ctx, deliverWait)
			if err := o.deliver(wait, batch); err != nil {
				o.log.Info("what was seen of machines isn't recorded; it will be when it is seen again", "events", len(batch), "err", err)
			}
			cancel()
		}
	}
}

// Batch takes what waits, up to a batch, and numbers it. Run does so by itself.
func (o *Outbox) Batch() []*schema.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []*schema.Event
	for matter, e := range o.pending {
		if len(out) == maxBatch {
			break
		}
		o.sequence++
		e.Sequence = o.sequence
		out = append(out, e)
		delete(o.pending, matter)
	}
	return out
}
