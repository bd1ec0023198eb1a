package fsm

import (
	"time"

	"github.com/hashicorp/go-memdb"

	"yagura/fsm/schema"
	"yagura/fsm/seal"
)

// Reader is a View or a Tx: something that tables can be read from.
type Reader interface {
	txn() *memdb.Txn
}

// View is the state at one log index. It never changes and may be used by many
// goroutines and for as long as needed.
type View struct {
	db     *memdb.MemDB
	index  uint64
	digest Digest
	time   time.Time
}

func (v *View) txn() *memdb.Txn { return v.db.Txn(false) }

// Index is the log index of the last batch in this state.
func (v *View) Index() uint64 { return v.index }

// Digest is the fingerprint of all rows.
func (v *View) Digest() Digest { return v.digest }

// Time is the leader's time of the last batch; it never goes back.
func (v *View) Time() time.Time { return v.time }

// Tx is the private transaction of one verb. It is a Reader that sees the
// verb's own writes. It must not be used after the verb has returned.
type Tx struct {
	t       *memdb.Txn
	why     Why
	now     time.Time
	sealer  *seal.Sealer
	result  []byte
	order   []rowID
	changes map[rowID]*schema.Change
}

type rowID struct {
	table uint32
	key   string
}

func (tx *Tx) txn() *memdb.Txn { return tx.t }

// Now is the leader's time of this batch. Verbs take the time from here, so
// that all rows of a batch agree.
func (tx *Tx) Now() time.Time { return tx.now }

// Why tells who asked for this verb, and why.
func (tx *Tx) Why() Why { return tx.why }

// Sealer encrypts credentials before they become rows.
func (tx *Tx) Sealer() *seal.Sealer { return tx.sealer }

// SetResult keeps the encoded answer of the verb. When the request id comes
// again, this answer is returned and nothing is done.
func (tx *Tx) SetResult(b []byte) { tx.result = b }

// Changed tells whether the verb has changed anything so far.
func (tx *Tx) Changed() bool { return len(tx.changes) > 0 }

func (tx *Tx) put(t TableRef, key string, raw []byte) error {
	var ignored Digest // the digest is kept by Apply alone
	if err := insertRecord(tx.t, t, key, raw, &ignored); err != nil {
		return schema.Errorf(schema.KindInternal, t.Name()+" "+key, "%v", err)
	}
	tx.note(t, key, &schema.Change{Table: t.Number(), Key: key, Row: raw})
	return nil
}

func (tx *Tx) delete(t TableRef, key string) error {
	var ignored Digest
	if err := deleteRecord(tx.t, t, key, &ignored); err != nil {
		return schema.Errorf(schema.KindInternal, t.Name()+" "+key, "%v", err)
	}
	tx.note(t, key, &schema.Change{Table: t.Number(), Key: key, Delete: true})
	return nil
}

func (tx *Tx) note(t TableRef, key string, c *schema.Change) {
	id := rowID{t.Number(), key}
	if _, ok := tx.changes[id]; !ok {
		tx.order = append(tx.order, id)
	}
	tx.changes[id] = c
}
