package fsm

import (
	"bytes"
	"fmt"
	"iter"
	"sync/atomic"

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
	decoding() decoding
	indexCount() int
	// values are what a record is found by in the index at this place of the
	// list; empty ones count for nothing.
	values(index int, rec *record) []string
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
	return t.row(r.look(t).get(key))
}

// row is the message of a record, if there is one.
func (t *Table[T]) row(rec *record) (T, bool) {
	if rec == nil {
		var zero T
		return zero, false
	}
	return rec.message(t).(T), true
}

// All walks all rows in key order. Rows are shared, see Get.
func (t *Table[T]) All(r Reader) iter.Seq[T] {
	return func(yield func(T) bool) { r.rows(t).byKey.Ascend(t.each(yield)) }
}

// From walks the rows from key on, in key order.
func (t *Table[T]) From(r Reader, key string) iter.Seq[T] {
	return func(yield func(T) bool) { r.rows(t).byKey.AscendGreaterOrEqual(place{at: key}, t.each(yield)) }
}

// Backward walks all rows in reverse key order.
func (t *Table[T]) Backward(r Reader) iter.Seq[T] {
	return func(yield func(T) bool) { r.rows(t).byKey.Descend(t.each(yield)) }
}

// By walks the rows that have this value in the named index.
func (t *Table[T]) By(r Reader, index, value string) iter.Seq[T] {
	i := t.indexNamed(index)
	return func(yield func(T) bool) {
		r.rows(t).by[i].AscendGreaterOrEqual(place{at: value}, whileAt(value, t.each(yield)))
	}
}

// ByBackward walks the rows that have this value in the named index, in
// reverse key order.
func (t *Table[T]) ByBackward(r Reader, index, value string) iter.Seq[T] {
	i := t.indexNamed(index)
	return func(yield func(T) bool) {
		r.rows(t).by[i].DescendLessOrEqual(place{at: value + "\x00"}, whileAt(value, t.each(yield)))
	}
}

// each passes rows on to yield.
func (t *Table[T]) each(yield func(T) bool) func(place) bool {
	return func(e place) bool { return yield(e.rec.message(t).(T)) }
}

// whileAt ends a walk at the first entry with another value.
func whileAt(value string, fn func(place) bool) func(place) bool {
	return func(e place) bool { return e.at == value && fn(e) }
}

// One returns the first row that has this value in the named index.
func (t *Table[T]) One(r Reader, index, value string) (T, bool) {
	var found *record
	r.look(t).by[t.indexNamed(index)].AscendGreaterOrEqual(place{at: value}, whileAt(value, func(e place) bool {
		found = e.rec
		return false
	}))
	return t.row(found)
}

// Last returns the row with the greatest key.
func (t *Table[T]) Last(r Reader) (T, bool) {
	e, _ := r.look(t).byKey.Max()
	return t.row(e.rec)
}

// Len counts the rows.
func (t *Table[T]) Len(r Reader) int { return r.look(t).byKey.Len() }

func (t *Table[T]) indexCount() int { return len(t.indexes) }

// indexNamed is the place of an index in the list.
func (t *Table[T]) indexNamed(name string) int {
	for i := range t.indexes {
		if t.indexes[i].Name == name {
			return i
		}
	}
	panic("fsm: table " + t.name + " has no index " + name)
}

func (t *Table[T]) values(index int, rec *record) []string {
	ix := &t.indexes[index]
	if ix.Raw == nil {
		return ix.Values(rec.message(t).(T))
	}
	raw := ix.Raw(rec.raw)
	out := make([]string, 0, len(raw))
	for _, v := range raw {
		out = append(out, string(v))
	}
	return out
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
	old := tx.look(t).get(key)
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
	tx.delete(t, key)
	return nil
}

// numberKeyLen is the length of the key of a numbered table.
const numberKeyLen = 20

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
