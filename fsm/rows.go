package fsm

import (
	"slices"
	"strings"
	"sync"

	"github.com/google/btree"
)

// treeDegree makes tree nodes of up to 31 entries: a write copies a node of
// less than a kilobyte for each level, and the collector has few nodes to follow.
const treeDegree = 16

// place is a record under its key, or under one of its values of an index.
type place struct {
	at  string
	rec *record // nil in what is looked for: before all records at the same place
}

func keyBefore(a, b place) bool { return a.at < b.at }

// indexBefore orders records of one value by their keys.
func indexBefore(a, b place) bool {
	if c := strings.Compare(a.at, b.at); c != 0 {
		return c < 0
	}
	switch {
	case b.rec == nil:
		return false
	case a.rec == nil:
		return true
	}
	return a.rec.key < b.rec.key
}

// tableRows are the rows of one table: B-trees that share with their copies what
// both have in common.
type tableRows struct {
	mu    sync.Mutex // guards the trees' marks of what they share, which clone renews; not their entries
	byKey *btree.BTreeG[place]
	by    []*btree.BTreeG[place] // in the order of the table's indexes
}

func newRows(t TableRef) *tableRows {
	r := &tableRows{byKey: btree.NewG(treeDegree, keyBefore)}
	for range t.indexCount() {
		r.by = append(r.by, btree.NewG(treeDegree, indexBefore))
	}
	return r
}

// clone is a copy that can be written. It costs no more than the list of indexes is long.
func (r *tableRows) clone() *tableRows {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &tableRows{byKey: r.byKey.Clone(), by: make([]*btree.BTreeG[place], len(r.by))}
	for i, tree := range r.by {
		c.by[i] = tree.Clone()
	}
	return c
}

// get looks a row up by its key; nil when there is none.
func (r *tableRows) get(key string) *record {
	e, _ := r.byKey.Get(place{at: key})
	return e.rec
}

// each walks the rows in key order.
func (r *tableRows) each(fn func(*record) error) (err error) {
	r.byKey.Ascend(func(e place) bool {
		err = fn(e.rec)
		return err == nil
	})
	return err
}

// replace puts rec in the place of old; either may be nil.
func (r *tableRows) replace(t TableRef, old, rec *record) {
	if rec != nil {
		r.byKey.ReplaceOrInsert(place{rec.key, rec})
	} else {
		r.byKey.Delete(place{at: old.key})
	}
	for i, tree := range r.by {
		var before, after []string
		if old != nil {
			before = t.values(i, old)
		}
		if rec != nil {
			after = t.values(i, rec)
		}
		for _, v := range before {
			if v != "" && !slices.Contains(after, v) {
				tree.Delete(place{v, old})
			}
		}
		for _, v := range after {
			if v != "" {
				tree.ReplaceOrInsert(place{v, rec})
			}
		}
	}
}

// database is the rows of all tables, by table number. One that a View has is
// never changed.
type database []*tableRows

// newDatabase makes an empty database.
func newDatabase() database {
	db := make(database, len(tables)+1)
	for _, t := range tables {
		db[t.Number()] = newRows(t)
	}
	return db
}

// writer makes a new database out of another one, which stays as it is.
type writer struct {
	db  database
	own []bool // by table number: nobody else has these rows, they can be changed in place
	sum Digest
}

// write begins a new database; sum is the digest of this one.
func (db database) write(sum Digest) *writer {
	return &writer{db: slices.Clone(db), own: make([]bool, len(db)), sum: sum}
}

// share gives a table's rows away as they are now: the next write to the table
// changes a copy of them.
func (w *writer) share(t TableRef) *tableRows {
	w.own[t.Number()] = false
	return w.db[t.Number()]
}

// replace puts rec in the place of old; either may be nil. It keeps the digest
// in step.
func (w *writer) replace(t TableRef, old, rec *record) {
	if old == nil && rec == nil {
		return
	}
	if old != nil {
		w.sum.sub(old.sum)
	}
	if rec != nil {
		w.sum.add(rec.sum)
	}
	n := t.Number()
	if !w.own[n] {
		w.db[n], w.own[n] = w.db[n].clone(), true
	}
	w.db[n].replace(t, old, rec)
}
