package fsm

import (
	"bytes"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/hashicorp/go-memdb"
	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// record is a row as the database holds it: the raw bytes of the log, so that
// snapshots and digests never depend on how a library encodes, and the
// decoded message beside them, once there is one. Beside that a record is never
// changed once it is made.
type record struct {
	key string
	raw []byte
	sum Digest
	msg atomic.Pointer[proto.Message]
}

// message is the decoded row.
func (r *record) message(t TableRef) proto.Message {
	if msg := r.msg.Load(); msg != nil {
		return *msg
	}
	msg, _, err := t.RowKey(r.raw)
	if err != nil {
		panic(fmt.Sprintf("fsm: table %s, row %q doesn't decode: %v", t.Name(), r.key, err)) // it was checked when it was written or restored
	}
	if t.decoding() == decodeOnce && !r.msg.CompareAndSwap(nil, &msg) {
		return *r.msg.Load() // another goroutine was first
	}
	return msg
}

// decoding is when the rows of a table are decoded.
type decoding int

const (
	decodeAtOnce decoding = iota // when they are written
	// decodeOnce is at the first look: many rows are written and never read on
	// this manager.
	decodeOnce
	// decodeAlways is at each look, so that a walk over many rows doesn't leave
	// all of them decoded: for a table that is written all the time and read seldom.
	decodeAlways
)

// Index is a secondary index of a table.
type Index[T proto.Message] struct {
	Name   string
	Unique bool // a second row with one of the values is refused
	// Values are what the row is found by; empty strings are left out.
	Values func(T) []string
	// Raw gives them of the encoded row, in the place of Values, for a table
	// whose rows aren't decoded when they are written.
	Raw func(raw []byte) [][]byte
}

// Table is typed access to the rows of one table.
type Table[T proto.Message] struct {
	number  uint32
	name    string
	key     func(T) string
	check   func(T) error
	indexes []Index[T]
	decode  decoding
	// since is the feature level that brought the table: programs that don't
	// speak it can't read its rows.
	since uint32
}

// TableRef is a table of any type, for Watch and for tools.
type TableRef interface {
	Number() uint32
	Name() string
	// RowKey decodes a row and returns it with its key.
	RowKey(raw []byte) (proto.Message, string, error)
	schema() *memdb.TableSchema
	decoding() decoding
}

// Number is the table's number in log and snapshot; it never changes.
func (t *Table[T]) Number() uint32 { return t.number }

// Name is the table's name.
func (t *Table[T]) Name() string { return t.name }

func (t *Table[T]) decoding() decoding { return t.decode }

// RowKey decodes a row and returns it with its key.
func (t *Table[T]) RowKey(raw []byte) (proto.Message, string, error) {
	var zero T
	m := zero.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(raw, m); err != nil {
		return nil, "", err
	}
	return m, t.key(m.(T)), nil
}

// Get returns the row with this key. The row is shared: Edit or proto.Clone it
// before changing it.
func (t *Table[T]) Get(r Reader, key string) (T, bool) {
	var zero T
	rec := r.find(t, key)
	if rec == nil {
		return zero, false
	}
	return rec.message(t).(T), true
}

// first looks a row up in a transaction by its key; nil when there is none.
func first(txn *memdb.Txn, t TableRef, key string) *record {
	obj, err := txn.First(t.Name(), "id", key)
	if err != nil {
		panic(fmt.Sprintf("fsm: table %s: %v", t.Name(), err)) // only an unknown table or index can fail
	}
	if obj == nil {
		return nil
	}
	return obj.(*record)
}

// All walks all rows in key order. Rows are shared, see Get.
func (t *Table[T]) All(r Reader) iter.Seq[T] {
	return t.walk(func() (memdb.ResultIterator, error) { return r.txn().Get(t.name, "id") })
}

// From walks the rows from key on, in key order.
func (t *Table[T]) From(r Reader, key string) iter.Seq[T] {
	return t.walk(func() (memdb.ResultIterator, error) { return r.txn().LowerBound(t.name, "id", key) })
}

// Backward walks all rows in reverse key order.
func (t *Table[T]) Backward(r Reader) iter.Seq[T] {
	return t.walk(func() (memdb.ResultIterator, error) { return r.txn().GetReverse(t.name, "id") })
}

// By walks the rows that have this value in the named index.
func (t *Table[T]) By(r Reader, index, value string) iter.Seq[T] {
	return t.walk(func() (memdb.ResultIterator, error) { return r.txn().Get(t.name, index, value) })
}

// ByBackward walks the rows that have this value in the named index, in
// reverse key order.
func (t *Table[T]) ByBackward(r Reader, index, value string) iter.Seq[T] {
	return t.walk(func() (memdb.ResultIterator, error) { return r.txn().GetReverse(t.name, index, value) })
}

// One returns the first row that has this value in the named index.
func (t *Table[T]) One(r Reader, index, value string) (T, bool) {
	for m := range t.By(r, index, value) {
		return m, true
	}
	var zero T
	return zero, false
}

// Last returns the row with the greatest key.
func (t *Table[T]) Last(r Reader) (T, bool) {
	for m := range t.Backward(r) {
		return m, true
	}
	var zero T
	return zero, false
}

// Len counts the rows. It walks them.
func (t *Table[T]) Len(r Reader) int {
	n := 0
	for range t.All(r) {
		n++
	}
	return n
}

func (t *Table[T]) walk(open func() (memdb.ResultIterator, error)) iter.Seq[T] {
	return func(yield func(T) bool) {
		it, err := open()
		if err != nil {
			panic(fmt.Sprintf("fsm: table %s: %v", t.name, err))
		}
		for obj := it.Next(); obj != nil; obj = it.Next() {
			if !yield(obj.(*record).message(t).(T)) {
				return
			}
		}
	}
}

// Edit returns a copy of the row to change and Put.
func (t *Table[T]) Edit(tx *Tx, key string) (T, bool) {
	m, ok := t.Get(tx, key)
	if !ok {
		return m, false
	}
	return proto.Clone(m).(T), true
}

// Put writes a row, new or not. It refuses a row that fails its check, or that
// has a value of a unique index which another row has.
func (t *Table[T]) Put(tx *Tx, row T) error {
	if t.check != nil {
		if err := t.check(row); err != nil {
			return err
		}
	}
	key := t.key(row)
	if key == "" {
		return schema.Errorf(schema.KindInvalid, t.name, "the name is empty")
	}
	if t.since > 0 {
		if level := Settings(tx).Feature; level > 0 && level < t.since {
			return schema.Errorf(schema.KindConflict, t.name+" "+key, "it needs feature level %d, the cluster has %d", t.since, level).
				WithHint("upgrade all managers; the level rises by itself then")
		}
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(row)
	if err != nil {
		return schema.Errorf(schema.KindInvalid, t.name+" "+key, "the row can't be encoded: %v", err)
	}
	if len(raw) > maxRow {
		return schema.Errorf(schema.KindTooLarge, t.name+" "+key, "the row has %d bytes, the limit is %d", len(raw), maxRow)
	}
	old := tx.find(t, key)
	if old != nil && bytes.Equal(old.raw, raw) {
		return nil
	}
	for _, ix := range t.indexes {
		if !ix.Unique {
			continue
		}
		for _, v := range ix.Values(row) {
			if v == "" {
				continue
			}
			if other, ok := t.One(tx, ix.Name, v); ok && t.key(other) != key {
				return schema.Errorf(schema.KindConflict, t.name+" "+key, "%s %q is already that of %s", ix.Name, v, t.key(other))
			}
		}
	}
	// The message is decoded anew so that the caller's copy stays its own.
	return tx.put(t, key, old, raw)
}

// Delete removes a row; a row that isn't there is no error.
func (t *Table[T]) Delete(tx *Tx, key string) error {
	return tx.delete(t, key)
}

func (t *Table[T]) schema() *memdb.TableSchema {
	s := &memdb.TableSchema{Name: t.name, Indexes: map[string]*memdb.IndexSchema{
		"id": {Name: "id", Unique: true, Indexer: keyIndexer{}},
	}}
	for _, ix := range t.indexes {
		// To memdb no index is unique: it would lose the entry of a value that
		// two rows of one batch exchange. Put sees to it that values are unique.
		s.Indexes[ix.Name] = &memdb.IndexSchema{Name: ix.Name, AllowMissing: true, Indexer: valueIndexer[T]{t, ix.Values, ix.Raw}}
	}
	return s
}

// numberKeyLen is the length of the key of a numbered table.
const numberKeyLen = 20

// keyIndexer indexes a record by its key.
type keyIndexer struct{}

func (keyIndexer) FromObject(obj any) (bool, []byte, error) {
	return true, append([]byte(obj.(*record).key), 0), nil
}

func (keyIndexer) FromArgs(args ...any) ([]byte, error) {
	return append([]byte(args[0].(string)), 0), nil
}

// valueIndexer indexes a record by values of its message.
type valueIndexer[T proto.Message] struct {
	table  *Table[T]
	values func(T) []string
	raw    func([]byte) [][]byte
}

func (v valueIndexer[T]) FromObject(obj any) (bool, [][]byte, error) {
	var out [][]byte
	if v.raw != nil {
		for _, s := range v.raw(obj.(*record).raw) {
			if len(s) > 0 {
				out = append(out, append(make([]byte, 0, len(s)+1+numberKeyLen+1), s...))
				out[len(out)-1] = append(out[len(out)-1], 0)
			}
		}
		return len(out) > 0, out, nil
	}
	for _, s := range v.values(obj.(*record).message(v.table).(T)) {
		if s != "" {
			out = append(out, append([]byte(s), 0))
		}
	}
	return len(out) > 0, out, nil
}

func (v valueIndexer[T]) FromArgs(args ...any) ([]byte, error) {
	return append([]byte(args[0].(string)), 0), nil
}

// newDB makes an empty database with all tables.
func newDB() *memdb.MemDB {
	s := &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{}}
	for _, t := range tables {
		s.Tables[t.Name()] = t.schema()
	}
	db, err := memdb.NewMemDB(s)
	if err != nil {
		panic("fsm: the table list is wrong: " + err.Error())
	}
	return db
}

// newRecord makes a record of a row. A row that isn't decoded at once is
// decoded now only if check says so, which what comes from a file must be.
func newRecord(t TableRef, key string, raw []byte, check bool) (*record, error) {
	rec := &record{key: key, raw: raw, sum: rowDigest(t.Number(), key, raw)}
	if t.decoding() != decodeAtOnce && !check {
		return rec, nil
	}
	msg, k, err := t.RowKey(raw)
	if err != nil {
		return nil, fmt.Errorf("table %s, row %q doesn't decode: %w", t.Name(), key, err)
	}
	if k != key {
		return nil, fmt.Errorf("table %s: row %q has the key %q", t.Name(), key, k)
	}
	if t.decoding() == decodeAtOnce {
		rec.msg.Store(&msg)
	}
	return rec, nil
}

// replaceRecord puts rec in the place of old; either may be nil. It keeps the
// digest in step.
func replaceRecord(txn *memdb.Txn, t TableRef, old, rec *record, sum *Digest) error {
	if old != nil {
		sum.sub(old.sum)
	}
	if rec != nil {
		sum.add(rec.sum)
		return txn.Insert(t.Name(), rec)
	}
	if old != nil {
		return txn.Delete(t.Name(), old)
	}
	return nil
}

// walkRecords walks a table's records in key order.
func walkRecords(txn *memdb.Txn, t TableRef, fn func(*record) error) error {
	it, err := txn.Get(t.Name(), "id")
	if err != nil {
		return err
	}
	for obj := it.Next(); obj != nil; obj = it.Next() {
		if err := fn(obj.(*record)); err != nil {
			return err
		}
	}
	return nil
}
