package fsm_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

func put(path string) func(*fsm.Tx) error {
	return func(tx *fsm.Tx) error { return fsm.Categories.Put(tx, &schema.Category{Path: path}) }
}

func TestGroupCommit(t *testing.T) {
	c := fsmtest.New(t)
	s := c.Store()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			_, err := s.Update(t.Context(), fsm.Why{User: "u", Op: "put", Request: fmt.Sprint(i)}, put(fmt.Sprintf("c%03d", i)))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	v := s.View()
	if n := fsm.Categories.Len(v); n != 200 {
		t.Fatalf("%d categories, want 200", n)
	}
	if n := fsm.Audits.Len(v); n != 200 {
		t.Fatalf("%d audit rows, want 200", n)
	}
}

func TestRequestIDIsAppliedOnce(t *testing.T) {
	c := fsmtest.New(t)
	runs := 0
	verb := func(tx *fsm.Tx) error {
		runs++
		tx.SetResult([]byte("answer"))
		return put("a")(tx)
	}
	why := fsm.Why{User: "u", Op: "put", Request: "r1"}
	first, err := c.Store().Update(t.Context(), why, verb)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Store().Update(t.Context(), why, verb)
	if err != nil || !again.Replayed || string(again.Value) != "answer" || runs != 1 {
		t.Fatalf("second: %+v, %v, runs %d; first %+v", again, err, runs, first)
	}
	why.User = "other"
	if _, err := c.Store().Update(t.Context(), why, verb); schema.KindOf(err) != schema.KindConflict {
		t.Fatalf("another user's request id: %v", err)
	}
}

func TestFailedVerbChangesNothing(t *testing.T) {
	c := fsmtest.New(t)
	_, err := c.Try(func(tx *fsm.Tx) error {
		if err := put("a")(tx); err != nil {
			return err
		}
		return schema.Errorf(schema.KindInvalid, "a", "no")
	})
	if schema.KindOf(err) != schema.KindInvalid {
		t.Fatal(err)
	}
	if _, ok := fsm.Categories.Get(c.Store().View(), "a"); ok || len(c.Log()) != 0 {
		t.Fatal("a failed verb left something")
	}
	_, err = c.Try(func(*fsm.Tx) error { panic("boom") })
	if schema.KindOf(err) != schema.KindInternal {
		t.Fatalf("a verb that panics: %v", err)
	}
}

func TestOldTermAndLostLeadershipWriteNothing(t *testing.T) {
	c := fsmtest.New(t)
	term := c.Term()
	c.NewTerm()
	_, err := c.Store().Update(t.Context(), fsm.Why{Op: "put", Term: term}, put("a"))
	if schema.KindOf(err) != schema.KindNoLeader {
		t.Fatalf("old term: %v", err)
	}
	c.StepDown()
	if _, err := c.Try(put("a")); schema.KindOf(err) != schema.KindNoLeader {
		t.Fatalf("no leader: %v", err)
	}
	if _, err := c.Try(func(*fsm.Tx) error { return nil }); schema.KindOf(err) != schema.KindNoLeader {
		t.Fatalf("a verb without changes proves nothing without a quorum: %v", err)
	}
}

func TestStaleBatchIsRefused(t *testing.T) {
	c := fsmtest.New(t)
	c.Do(put("a"))
	log := c.Log()
	if got := c.Store().Apply(log[0]); got == nil {
		t.Fatal("an entry of an older state was applied twice")
	}
	c.Check()
}

func TestWatchAndWaitIndex(t *testing.T) {
	c := fsmtest.New(t)
	s := c.Store()
	cat, job := s.Watch(fsm.Categories), s.Watch(fsm.Jobs)
	res := c.Do(put("a"))
	select {
	case <-cat:
	default:
		t.Fatal("the watcher of the table wasn't woken")
	}
	select {
	case <-job:
		t.Fatal("the watcher of another table was woken")
	default:
	}
	if err := c.Stores()[2].WaitIndex(t.Context(), res.Index); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.WaitIndex(ctx, res.Index+1); schema.KindOf(err) != schema.KindTimeout {
		t.Fatal(err)
	}
}
