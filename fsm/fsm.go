package fsm

import (
	"bytes"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"yagura/fsm/schema"
)

var (
	_ raft.FSM         = (*Store)(nil)
	_ raft.BatchingFSM = (*Store)(nil)
)

// Apply puts and deletes the rows of one log entry. It returns nil, or
// errRefused when the entry was made on another state than the current one,
// which then stays as it is. It panics where going on would let replicas
// drift apart: a digest that differs, an unknown format, feature or table.
func (s *Store) Apply(l *raft.Log) any { return s.apply(l) }

// ApplyBatch applies several log entries.
func (s *Store) ApplyBatch(logs []*raft.Log) []any {
	out := make([]any, len(logs))
	for i, l := range logs {
		if l.Type == raft.LogCommand {
			out[i] = s.apply(l)
		}
	}
	return out
}

// damagedEntry is what a manager says before it ends because its own log can't be right.
func damagedEntry(index uint64, err error) string {
	return fmt.Sprintf("yagura: log entry %d can't be applied: %v. The log of this manager is damaged: stop it, empty its data directory and start it; "+
		"it gets the state from the others", index, err)
}

func (s *Store) apply(l *raft.Log) any {
	if v := s.prepared(l); v != nil {
		s.publish(v.view, v.changed)
		return nil
	}
	b, err := DecodeBatch(l.Data)
	if err != nil {
		panic(damagedEntry(l.Index, err))
	}
	cur := s.View()
	if b.BaseIndex != cur.index || b.Term != l.Term {
		// A leader of a term that has ended made it, or an entry of another
		// leader came between. The proposer runs its verbs again.
		return errRefused
	}
	if !bytes.Equal(b.BaseDigest, cur.digest.Bytes()) {
		panic(fmt.Sprintf("yagura: log entry %d was made on a state with digest %x, this manager's state %d has %s: the replicas differ. "+
			"Stop this manager, delete its data directory and let it join again", l.Index, b.BaseDigest, cur.index, cur.digest))
	}
	if b.Feature > MaxFeature {
		panic(fmt.Sprintf("yagura: log entry %d needs feature level %d, this version speaks %d: install the newer version", l.Index, b.Feature, MaxFeature))
	}
	w := cur.db.write(cur.digest)
	var changed uint64
	for _, c := range b.Changes {
		t := tableByNumber[c.Table]
		if t == nil {
			panic(fmt.Sprintf("yagura: log entry %d names table %d, which this version doesn't know: install the newer version", l.Index, c.Table))
		}
		var rec *record
		if !c.Delete {
			if rec, err = newRecord(t, c.Key, c.Row, false); err != nil {
				panic(damagedEntry(l.Index, err))
			}
		}
		w.replace(t, w.db[c.Table].get(c.Key), rec)
		changed |= 1 << c.Table
	}
	s.publish(&View{db: w.db, index: l.Index, digest: w.sum, time: b.Time.AsTime()}, changed)
	return nil
}

// prepared is the state that this manager's committer made for this very
// entry, on the current state and in the entry's own term; nil for any other
// entry. Taking it over saves the leader from doing all puts and deletes twice.
func (s *Store) prepared(l *raft.Log) *preparedState {
	p := s.made.Swap(nil)
	if p == nil || p.term != l.Term || p.base != s.View() || !bytes.Equal(p.data, l.Data) {
		return nil
	}
	p.view.index = l.Index
	return p
}

// Snapshot takes an instant snapshot of the state.
func (s *Store) Snapshot() (raft.FSMSnapshot, error) {
	return &snapshot{view: s.View(), log: s.opt.Log}, nil
}

// Restore replaces the state by a snapshot. A snapshot that is cut, altered or
// of an unknown format is refused with KindCorrupt and changes nothing.
func (s *Store) Restore(rc io.ReadCloser) error {
	defer rc.Close()
	v, err := ReadSnapshot(rc)
	if err != nil {
		return err
	}
	s.publish(v, ^uint64(0))
	return nil
}

// snapshot is the state on its way to Raft's snapshot store.
type snapshot struct {
	view *View
	log  interface{ Info(string, ...any) }
}

// Persist writes the snapshot.
func (sn *snapshot) Persist(sink raft.SnapshotSink) error {
	if err := sn.view.WriteSnapshot(sink); err != nil {
		sink.Cancel()
		return err
	}
	return sink.Close()
}

// Release is called when Raft is done with the snapshot; nothing is held.
func (sn *snapshot) Release() {}

// Verify recomputes the digest of all rows and compares it with the one kept
// in step. KindCorrupt when they differ.
func (v *View) Verify() error {
	var sum Digest
	for _, t := range tables {
		err := v.rows(t).each(func(r *record) error {
			sum.add(rowDigest(t.Number(), r.key, r.raw))
			return nil
		})
		if err != nil {
			return err
		}
	}
	if sum != v.digest {
		return schema.Errorf(schema.KindCorrupt, fmt.Sprintf("state %d", v.index), "its rows have the digest %s, it should be %s", sum, v.digest)
	}
	return nil
}
