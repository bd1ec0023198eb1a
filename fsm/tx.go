package fsm

import (
	"slices"
	"time"

	"yagura/fsm/schema"
	"yagura/fsm/seal"
)

// Reader is a View or a Tx: something that tables can be read from.
type Reader interface {
	// rows are a table's rows for a walk: they stay as they are, whatever is
	// written meanwhile.
	rows(t TableRef) *tableRows
	// look is a table's rows for a look that ends before the next write.
	look(t TableRef) *tableRows
}

// View is the state at one log index. It never changes and may be used by many
// goroutines and for as long as needed.
type View struct {
	db     database
	index  uint64
	digest Digest
	time   time.Time
}

func (v *View) rows(t TableRef) *tableRows { return v.db[t.Number()] }

func (v *View) look(t TableRef) *tableRows { return v.db[t.Number()] }

// Index is the log index of the last batch in this state.
func (v *View) Index() uint64 { return v.index }

// Digest is the fingerprint of all rows.
func (v *View) Digest() Digest { return v.digest }

// Time is the leader's time of the last batch; it never goes back.
func (v *View) Time() time.Time { return v.time }

// Tx is the private transaction of one verb. It is a Reader that sees the
// verb's own writes. It must not be used after the verb has returned.
type Tx struct {
	b       *batch
	why     Why
	sealer  *seal.Sealer
	result  []byte
	noted   []string // objects that the audit row names beside the rows
	order   []rowID
	changes map[rowID]*change
	events  addedEvents
}

// change is what a verb made of one row; rec is nil for a deleted one, old for
// a new one.
type change struct {
	table    TableRef
	old, rec *record
}

type rowID struct {
	table uint32
	key   string
}

func (tx *Tx) rows(t TableRef) *tableRows { return tx.b.w.share(t) }

func (tx *Tx) look(t TableRef) *tableRows { return tx.b.w.db[t.Number()] }

// Now is the leader's time of this batch. Verbs take the time from here, so
// that all rows of a batch agree.
func (tx *Tx) Now() time.Time { return tx.b.now }

// Why tells who asked for this verb, and why.
func (tx *Tx) Why() Why { return tx.why }

// Sealer encrypts credentials before they become rows.
func (tx *Tx) Sealer() *seal.Sealer { return tx.sealer }

// SetResult keeps the encoded answer of the verb. When the request id comes
// again, this answer is returned and nothing is done.
func (tx *Tx) SetResult(b []byte) { tx.result = b }

// Note makes the verb leave an audit row about an object even when it changes
// no row: the act is one on the cluster itself.
func (tx *Tx) Note(object string) { tx.noted = append(tx.noted, object) }

// Changed tells whether the verb has changed anything so far.
func (tx *Tx) Changed() bool { return len(tx.changes) > 0 }

// put puts a row in the place of old, which may be nil.
func (tx *Tx) put(t TableRef, key string, old *record, raw []byte) error {
	rec, err := newRecord(t, key, raw, false)
	if err != nil {
		return schema.Errorf(schema.KindInternal, t.Name()+" "+key, "%v", err)
	}
	tx.set(t, key, old, rec)
	return nil
}

func (tx *Tx) delete(t TableRef, key string) {
	if old := tx.look(t).get(key); old != nil {
		tx.set(t, key, old, nil)
	}
}

func (tx *Tx) set(t TableRef, key string, old, rec *record) {
	tx.b.w.replace(t, old, rec)
	id := rowID{t.Number(), key}
	if c, ok := tx.changes[id]; ok {
		c.rec = rec
		return
	}
	if old == nil && id.table == Events.number {
		tx.events.add(rec)
	}
	tx.order = append(tx.order, id)
	tx.changes[id] = &change{table: t, old: old, rec: rec}
}

// undo takes the verb's changes back.
func (tx *Tx) undo() {
	for _, id := range slices.Backward(tx.order) {
		c := tx.changes[id]
		tx.b.w.replace(c.table, c.rec, c.old)
	}
}

// size is the bytes of the verb's changes.
func (tx *Tx) size() int {
	n := 0
	for id, c := range tx.changes {
		n += changeSize(id, c.rec)
	}
	return n
}

func changeSize(id rowID, rec *record) int {
	if rec == nil {
		return len(id.key)
	}
	return len(id.key) + len(rec.raw)
}
