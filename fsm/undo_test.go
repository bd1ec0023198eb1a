package fsm_test

import (
	"fmt"
	"sync"
	"testing"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// Verbs that fail share batches with verbs that don't, and with each other's
// rows: what a failed one changed, put anew or deleted must be as before.
func TestFailedVerbsInABatchLeaveNothing(t *testing.T) {
	c := fsmtest.New(t)
	for i := range 10 {
		c.Do(put(fmt.Sprintf("kept%d", i)))
	}
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			_, err := c.Try(func(tx *fsm.Tx) error {
				name := fmt.Sprintf("kept%d", i%10)
				if i%3 == 0 {
					return fsm.Categories.Put(tx, &schema.Category{Path: name, Description: fmt.Sprint(i)})
				}
				if err := fsm.Categories.Delete(tx, name); err != nil {
					return err
				}
				if _, ok := fsm.Categories.Get(tx, name); ok {
					t.Errorf("%s is there after its deletion", name)
				}
				for _, n := range []string{name, "new", "new"} {
					if err := fsm.Categories.Put(tx, &schema.Category{Path: n, Description: "failed"}); err != nil {
						return err
					}
				}
				return schema.Errorf(schema.KindInvalid, "verb", "it fails")
			})
			if want := i%3 != 0; want != (schema.KindOf(err) == schema.KindInvalid) {
				t.Errorf("verb %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	v := c.Store().View()
	if n := fsm.Categories.Len(v); n != 10 {
		t.Errorf("%d categories, want 10", n)
	}
	for cat := range fsm.Categories.All(v) {
		if cat.Description == "failed" {
			t.Errorf("%s has what a failed verb put", cat.Path)
		}
	}
	if n := fsm.Audits.Len(v); n != 10+100 {
		t.Errorf("%d audit rows, want 110", n)
	}
}
