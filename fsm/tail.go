package fsm

import (
	"errors"

	"github.com/hashicorp/raft"

	"yagura/fsm/schema"
)

// LogReader reads the entries that this manager's copy of the replicated log
// still holds; a raft.LogStore does.
type LogReader interface {
	FirstIndex() (uint64, error)
	GetLog(index uint64, log *raft.Log) error
}

// Tail walks the batches that led from one state to the next, oldest first.
// The log also holds entries that Apply refused, and may have lost its oldest
// ones; each batch names the state that it was made on, so only a batch of
// the state reached can be the next. Nothing is buffered: who is slow reads
// later.
type Tail struct {
	store *Store
	log   LogReader
	index uint64 // state reached
	next  uint64 // entry to look at next
}

// Tail begins behind the state with this index.
func (s *Store) Tail(log LogReader, index uint64) *Tail {
	return &Tail{store: s, log: log, index: index, next: index + 1}
}

// Index is that of the last batch returned, or the one begun behind.
func (t *Tail) Index() uint64 { return t.index }

// Next returns the next batch that this manager has applied, or nil when there
// is none yet: WaitIndex(Index()+1) waits for it. KindGone: the log doesn't
// lead on from here, because its entries are gone, a backup was restored
// meanwhile, or no state ever had the index begun with.
func (t *Tail) Next() (*schema.Batch, error) {
	now := t.store.View().Index()
	if now == t.index {
		return nil, nil
	}
	first, err := t.log.FirstIndex()
	if err != nil {
		return nil, schema.Errorf(schema.KindUnavailable, "log", "it can't be read: %v", err)
	}
	if first > t.next {
		return nil, t.gone() // of two entries made on one state, the second was refused: the first may be the lost one
	}
	for ; t.next <= now; t.next++ {
		var l raft.Log
		switch err := t.log.GetLog(t.next, &l); {
		case errors.Is(err, raft.ErrLogNotFound):
			return nil, t.gone() // dropped a moment ago
		case err != nil:
			return nil, schema.Errorf(schema.KindUnavailable, "log", "entry %d can't be read: %v", t.next, err)
		case l.Type != raft.LogCommand:
			continue
		}
		b, err := DecodeBatch(l.Data)
		if err != nil {
			return nil, err
		}
		if b.BaseIndex > t.index {
			return nil, t.gone() // the caller's index is no state's
		}
		if b.BaseIndex == t.index && b.Term == l.Term {
			t.index, t.next = l.Index, l.Index+1
			return b, nil
		}
	}
	return nil, t.gone()
}

func (t *Tail) gone() error {
	return schema.Errorf(schema.KindGone, "changes", "this manager's log doesn't lead on from index %d any more", t.index).
		WithHint("read the objects again and go on from the index of the first answer (yagura-index)")
}
