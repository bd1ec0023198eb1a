package fsm_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/hashicorp/raft"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// noisyLog is a log of one manager in which entries that Apply refuses, or
// that are none of the store's, come between the others.
type noisyLog struct {
	*raft.InmemStore
	store   *fsm.Store
	index   uint64
	last    []byte   // the entry before
	applied []uint64 // indexes of those that were applied
}

func newNoisyLog(t *testing.T) *noisyLog {
	l := &noisyLog{InmemStore: raft.NewInmemStore(), store: fsm.NewStore(fsm.Options{})}
	l.store.SetProposer(l)
	t.Cleanup(l.store.Close)
	return l
}

func (l *noisyLog) Leading() (uint64, error) { return 1, nil }
func (l *noisyLog) Confirm() error           { return nil }

func (l *noisyLog) append(entry *raft.Log) any {
	l.index++
	entry.Index, entry.Term = l.index, 1
	if err := l.StoreLog(entry); err != nil {
		return err
	}
	if entry.Type != raft.LogCommand {
		return nil
	}
	return l.store.Apply(entry)
}

func (l *noisyLog) Propose(data []byte) (uint64, any, error) {
	l.append(&raft.Log{Type: raft.LogNoop})
	if l.last != nil && l.append(&raft.Log{Type: raft.LogCommand, Data: l.last}) == nil {
		return 0, nil, errors.New("an entry of an older state was applied")
	}
	resp := l.append(&raft.Log{Type: raft.LogCommand, Data: data})
	l.last, l.applied = data, append(l.applied, l.index)
	return l.index, resp, nil
}

func (l *noisyLog) put(t *testing.T, n int) {
	t.Helper()
	for range n {
		if _, err := l.store.Update(t.Context(), fsm.Why{User: "u", Op: "put"}, put(fmt.Sprintf("c%d", len(l.applied)))); err != nil {
			t.Fatal(err)
		}
	}
}

// walk gives the indexes that a tail comes to, and the error that ends it.
func walk(tail *fsm.Tail) (indexes []uint64, err error) {
	for {
		b, err := tail.Next()
		if err != nil || b == nil {
			return indexes, err
		}
		indexes = append(indexes, tail.Index())
	}
}

func TestTailGivesWhatWasAppliedOnce(t *testing.T) {
	l := newNoisyLog(t)
	l.put(t, 10)
	for i := range l.applied {
		got, err := walk(l.store.Tail(l, l.applied[i]))
		if err != nil || !slices.Equal(got, l.applied[i+1:]) {
			t.Fatalf("behind %d: %v, %v, want %v", l.applied[i], got, err, l.applied[i+1:])
		}
	}
	tail := l.store.Tail(l, 0)
	if got, err := walk(tail); err != nil || !slices.Equal(got, l.applied) {
		t.Fatalf("from the beginning: %v, %v, want %v", got, err, l.applied)
	}
	l.put(t, 2)
	if got, err := walk(tail); err != nil || !slices.Equal(got, l.applied[10:]) {
		t.Fatalf("what came later: %v, %v, want %v", got, err, l.applied[10:])
	}
}

func TestTailThatCantGoOnSaysSo(t *testing.T) {
	l := newNoisyLog(t)
	l.put(t, 10)
	gone := func(index uint64) {
		t.Helper()
		if got, err := walk(l.store.Tail(l, index)); schema.KindOf(err) != schema.KindGone || len(got) > 0 {
			t.Fatalf("behind %d: %v, %v", index, got, err)
		}
	}
	gone(l.applied[4] + 1) // no state's index
	if err := l.DeleteRange(1, l.applied[5]); err != nil {
		t.Fatal(err)
	}
	gone(0)
	gone(l.applied[4])
	if got, err := walk(l.store.Tail(l, l.applied[5])); err != nil || !slices.Equal(got, l.applied[6:]) {
		t.Fatalf("behind the last entry dropped: %v, %v, want %v", got, err, l.applied[6:])
	}
	// A backup of an earlier state is restored, and the log goes on from it.
	backup := newNoisyLog(t)
	backup.put(t, 3)
	r, w := io.Pipe()
	go func() { w.CloseWithError(backup.store.View().WriteSnapshot(w)) }()
	end := l.applied[len(l.applied)-1]
	if err := l.store.Restore(r); err != nil {
		t.Fatal(err)
	}
	gone(end)
	l.last = nil
	l.put(t, 2)
	gone(end)
}
