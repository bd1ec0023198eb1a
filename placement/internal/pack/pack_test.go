package pack_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"yagura/placement/internal/pack"
)

// steps is a context that ends after it was asked so often: a deadline that
// doesn't depend on the machine.
type steps struct {
	context.Context
	left *int
}

func newSteps(n int) steps { return steps{context.Background(), &n} }

func (s steps) Err() error {
	if *s.left--; *s.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// check carries the packing out: every item once, no bin overfull, as many
// bins as it says, not below the bound.
func check(t tester, r *pack.Result, capacity []int64, size [][]int64, count []int64) {
	t.Helper()
	left, used := slices.Clone(count), int64(0)
	for _, b := range r.Bins {
		room := slices.Clone(capacity)
		for _, it := range b.Items {
			left[it.Size] -= it.N * b.Times
			for d, s := range size[it.Size] {
				if room[d] -= s * it.N; room[d] < 0 {
					t.Fatalf("bin %+v is overfull", b)
				}
			}
		}
		used += b.Times
	}
	for i, n := range left {
		if n != 0 {
			t.Fatalf("%d pieces of kind %d too few are packed", n, i)
		}
	}
	if used != r.Used || r.Used < r.Bound {
		t.Fatalf("%d bins, says %d with bound %d", used, r.Used, r.Bound)
	}
}

func columns(size []int64) [][]int64 {
	out := make([][]int64, len(size))
	for i, s := range size {
		out[i] = []int64{s}
	}
	return out
}

// fewest is the optimum by trying everything.
func fewest(capacity []int64, items [][]int64) int64 {
	best := int64(len(items))
	var bins [][]int64
	var dig func(i int)
	dig = func(i int) {
		if int64(len(bins)) >= best {
			return
		}
		if i == len(items) {
			best = int64(len(bins))
			return
		}
		for b := 0; b <= len(bins); b++ {
			fresh := b == len(bins)
			if fresh {
				bins = append(bins, slices.Clone(capacity))
			}
			ok := true
			for d, s := range items[i] {
				ok = ok && s <= bins[b][d]
			}
			if ok {
				for d, s := range items[i] {
					bins[b][d] -= s
				}
				dig(i + 1)
				for d, s := range items[i] {
					bins[b][d] += s
				}
			}
			if fresh {
				bins = bins[:b]
				return
			}
		}
	}
	dig(0)
	return best
}

func TestOneDimIsOptimalOnSmallProblems(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.Int64Range(5, 60).Draw(t, "capacity")
		size := rapid.SliceOfN(rapid.Int64Range(1, capacity), 0, 5).Draw(t, "size")
		count := make([]int64, len(size))
		var items [][]int64
		for i := range count {
			count[i] = rapid.Int64Range(0, 2).Draw(t, "count")
			for range count[i] {
				items = append(items, []int64{size[i]})
			}
		}
		r, err := pack.OneDim(newSteps(5000), capacity, size, count, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		check(t, r, []int64{capacity}, columns(size), count)
		if best := fewest([]int64{capacity}, items); r.Used != best || r.Bound != best {
			t.Fatalf("%d bins, bound %d, the optimum is %d", r.Used, r.Bound, best)
		}
	})
}

func TestVectorBoundAndPackingEncloseTheOptimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nd := rapid.IntRange(1, 3).Draw(t, "dimensions")
		capacity := rapid.SliceOfN(rapid.Int64Range(3, 20), nd, nd).Draw(t, "capacity")
		var size, items [][]int64
		var count []int64
		for range rapid.IntRange(0, 7).Draw(t, "items") {
			w := make([]int64, nd)
			for d := range w {
				w[d] = rapid.Int64Range(0, capacity[d]).Draw(t, "size")
			}
			size, count, items = append(size, w), append(count, 1), append(items, w)
		}
		r, err := pack.Vector(newSteps(5000), capacity, size, count, 1, 5)
		if err != nil {
			t.Fatal(err)
		}
		check(t, r, capacity, size, count)
		if best := fewest(capacity, items); r.Bound > best || r.Used < best {
			t.Fatalf("%d bins, bound %d, the optimum is %d", r.Used, r.Bound, best)
		}
	})
}

// Triplets fill every bin exactly, so the optimum is known: a third of the items.
func TestTripletsAreSolved(t *testing.T) {
	for _, n := range []int{20, 40, 200} {
		rng := rand.New(rand.NewPCG(7, uint64(n)))
		var size, count []int64
		for range n {
			a := 380 + rng.Int64N(111)
			b := 250 + rng.Int64N((1000-a)/2-249)
			size, count = append(size, a, b, 1000-a-b), append(count, 1, 1, 1)
		}
		r, err := pack.OneDim(newSteps(100_000), 1000, size, count, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		check(t, r, []int64{1000}, columns(size), count)
		if r.Used != int64(n) || !r.Optimal() {
			t.Errorf("%d triplets in %d bins, bound %d", n, r.Used, r.Bound)
		}
	}
}

// All that there is fills 1.97 bins, and so does the relaxation over fillings
// that may take any number of a size; but three bins are needed.
func TestProofBeyondTheVolume(t *testing.T) {
	r, err := pack.OneDim(newSteps(100_000), 30, []int64{15, 10, 6}, []int64{1, 2, 4}, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	check(t, r, []int64{30}, columns([]int64{15, 10, 6}), []int64{1, 2, 4})
	if r.Used != 3 || !r.Optimal() {
		t.Errorf("%d bins, bound %d, want 3 proven", r.Used, r.Bound)
	}
}

func TestDeadlineStillGivesAPacking(t *testing.T) {
	size, count := []int64{499, 351, 333, 251, 249, 201}, []int64{31, 17, 23, 41, 13, 7}
	r, err := pack.OneDim(newSteps(0), 1000, size, count, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	check(t, r, []int64{1000}, columns(size), count)
}

func TestBadSizesAreRefused(t *testing.T) {
	for _, tc := range []struct{ size, count []int64 }{
		{[]int64{0}, []int64{1}}, {[]int64{11}, []int64{1}}, {[]int64{5}, []int64{-1}}, {[]int64{5}, nil},
	} {
		if _, err := pack.OneDim(context.Background(), 10, tc.size, tc.count, 1, 0); err == nil {
			t.Errorf("sizes %v, counts %v were taken", tc.size, tc.count)
		}
	}
	if _, err := pack.Vector(context.Background(), []int64{10, 10}, [][]int64{{5}}, []int64{1}, 1, 0); err == nil {
		t.Error("a vector of the wrong length was taken")
	}
	if _, err := pack.Vector(context.Background(), []int64{10, 10}, [][]int64{{5, 11}}, []int64{1}, 1, 0); err == nil {
		t.Error("an item that fits no bin was taken")
	}
}

func TestVectorWithVeryManySizes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	var size [][]int64
	var count []int64
	for range 3000 {
		size, count = append(size, []int64{1 + rng.Int64N(400), 1 + rng.Int64N(400)}), append(count, 1+rng.Int64N(2))
	}
	r, err := pack.Vector(newSteps(60), []int64{1000, 1000}, size, count, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	check(t, r, []int64{1000, 1000}, size, count)
	if r.Used > r.Bound*13/10 {
		t.Errorf("%d bins, bound %d", r.Used, r.Bound)
	}
}
