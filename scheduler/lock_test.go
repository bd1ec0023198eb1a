package scheduler

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
)

// Jobs with any locks, tried by age each time one ends: at no moment do two
// hold what excludes each other, a job has all of its locks or none, and all
// of them get their turn, none being overtaken on a lock that it waits for.
func TestLocksProperties(t *testing.T) {
	c := fsmtest.New(t)
	rapid.Check(t, func(rt *rapid.T) {
		objects := []string{"a", "b", "c", "d"}
		want := rapid.Custom(func(rt *rapid.T) []string {
			var out []string
			for _, o := range objects {
				switch rapid.IntRange(0, 3).Draw(rt, o) {
				case 0:
					out = append(out, fsm.Exclusive("machine", o))
				case 1:
					out = append(out, fsm.Shared("machine", o))
				}
			}
			return fsm.NormalLocks(out)
		})
		wants := rapid.SliceOfN(want, 1, 12).Draw(rt, "wants")
		waiting := make([]int, len(wants))
		for i := range waiting {
			waiting[i] = i
		}
		var running []int
		id := func(i int) string { return fmt.Sprint(i + 1) }
		for rounds := 0; len(waiting)+len(running) > 0; rounds++ {
			if rounds > 2*len(wants) {
				rt.Fatalf("%v wait and %v run for ever", waiting, running)
			}
			ahead := reservations{}
			for _, i := range slices.Clone(waiting) {
				if _, first := ahead.conflict(wants[i]); first != "" {
					ahead.add(id(i), wants[i])
					continue
				}
				_, err := c.Try(func(tx *fsm.Tx) error { return fsm.TakeLocks(tx, id(i), wants[i]) })
				if held := locksOf(c.Store().View(), id(i)); err != nil && held != 0 || err == nil && held != len(wants[i]) {
					rt.Fatalf("job %d has %d of %v", i, held, wants[i])
				}
				if err != nil {
					ahead.add(id(i), wants[i])
					continue
				}
				for _, old := range waiting {
					if old < i && exclude(wants[old], wants[i]) {
						rt.Fatalf("job %d overtook job %d, which waits for one of its locks", i, old)
					}
				}
				waiting = slices.DeleteFunc(waiting, func(x int) bool { return x == i })
				running = append(running, i)
			}
			for _, a := range running {
				for _, b := range running {
					if a < b && exclude(wants[a], wants[b]) {
						rt.Fatalf("jobs %d and %d run with %v and %v", a, b, wants[a], wants[b])
					}
				}
			}
			end := rapid.IntRange(0, len(running)-1).Draw(rt, "end")
			c.Do(func(tx *fsm.Tx) error { return fsm.ReleaseLocks(tx, id(running[end])) })
			running = slices.Delete(running, end, end+1)
		}
		if n := fsm.Locks.Len(c.Store().View()); n != 0 {
			rt.Fatalf("%d locks are left", n)
		}
	})
}

func locksOf(r fsm.Reader, job string) int {
	n := 0
	for range fsm.Locks.By(r, fsm.ByJob, job) {
		n++
	}
	return n
}

// exclude tells whether two jobs can't hold their locks at once.
func exclude(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			ox, sx := fsm.LockWant(x)
			oy, sy := fsm.LockWant(y)
			if ox == oy && !(sx && sy) {
				return true
			}
		}
	}
	return false
}
