package pack

import (
	"context"
	"fmt"
	"slices"
)

// Vector packs items with several dimensions: size[i] is the vector of kind i,
// of which there are count[i]. Items must fit into an empty bin. The context's
// end stops the search for something better; steps, if above 0, bounds it as
// well, so that the result depends on nothing but the input.
func Vector(ctx context.Context, capacity []int64, size [][]int64, count []int64, seed uint64, steps int) (*Result, error) {
	v, err := newVector(capacity, size, count)
	if err != nil {
		return nil, err
	}
	s := newSearch(ctx, v, v.count, seed)
	v.run(s, steps)
	return v.result(s.best, s.bound), nil
}

// vector is a problem with distinct vectors. Sizes are shares of the capacity
// for comparisons, whole numbers for what fits.
type vector struct {
	nd       int
	capacity []int64
	size     []int64   // row*nd+d
	share    []float64 // row*nd+d, of the capacity
	sum      []float64 // of the shares of a row
	count    []int64
	origin   []Count // where rows come from
	pr       pricing
}

func newVector(capacity []int64, size [][]int64, count []int64) (*vector, error) {
	v := &vector{nd: len(capacity), capacity: capacity}
	if len(size) != len(count) {
		return nil, fmt.Errorf("%d sizes for %d counts", len(size), len(count))
	}
	for i, w := range size {
		if len(w) != v.nd {
			return nil, fmt.Errorf("item kind %d has %d dimensions, bins have %d", i, len(w), v.nd)
		}
		sum := 0.0
		for d, n := range w {
			if n < 0 || n > capacity[d] {
				return nil, fmt.Errorf("item kind %d has size %d in dimension %d, not 0 to %d", i, n, d, capacity[d])
			}
			if n > 0 {
				sum += float64(n) / float64(capacity[d])
			}
		}
		if count[i] <= 0 {
			continue
		}
		v.size = append(v.size, w...)
		for d, n := range w {
			v.share = append(v.share, float64(n)/float64(max(capacity[d], 1)))
		}
		v.sum = append(v.sum, sum)
		v.count = append(v.count, count[i])
		v.origin = append(v.origin, Count{Size: i, N: count[i]})
	}
	v.pr.v = v
	return v, nil
}

func (v *vector) result(fs []filling, bound int64) *Result {
	r := &Result{Used: bins(fs), Bound: bound}
	for _, f := range fs {
		b := Bin{Times: f.times}
		for _, it := range f.items {
			b.Items = append(b.Items, Count{Size: v.origin[it.Size].Size, N: it.N})
		}
		r.Bins = append(r.Bins, b)
	}
	return r
}

func (v *vector) rows() int { return len(v.count) }

func (v *vector) at(i int) []int64 { return v.size[i*v.nd : (i+1)*v.nd] }

func (v *vector) most(i int) int64 {
	n := v.count[i]
	for d, w := range v.at(i) {
		if w > 0 {
			n = min(n, v.capacity[d]/w)
		}
	}
	return n
}

func (v *vector) worth(i int) float64 { return v.sum[i] / float64(v.nd) }

// volume is the lower bound by the sum of each dimension, and 1 for any items.
func (v *vector) volume(count []int64) int64 {
	best := int64(1)
	for d, c := range v.capacity {
		sum := int64(0)
		for i, n := range count {
			sum += n * v.size[i*v.nd+d]
		}
		if c > 0 {
			best = max(best, (sum+c-1)/c)
		}
	}
	return best
}

func (v *vector) run(s *search, steps int) {
	if len(v.count) == 0 {
		return
	}
	s.bound = v.volume(v.count)
	s.offer(v.greedy(v.count))
	if s.done() {
		return
	}
	if len(v.count) > fullRows {
		v.improve(s, steps)
		return
	}
	root := s.root()
	for try := 0; root != nil && !s.done() && !s.stopped() && (steps == 0 || try < steps); try++ {
		d := dive{search: s, lp: root.clone(), left: slices.Clone(s.count), first: try == 0}
		d.run()
	}
}

// fullRows is the greatest number of rows for which the whole linear program
// is solved; above it parts are.
const fullRows = 160

// improve takes some bins out again and again and packs their items anew into
// fewer, or failing that differently.
func (v *vector) improve(s *search, steps int) {
	var packed []filling
	for _, f := range s.best {
		for range f.times {
			packed = append(packed, filling{items: f.items, times: 1})
		}
	}
	part, failed := firstPart, 0
	for step := 0; !s.done() && !s.stopped() && (steps == 0 || step < steps); step++ {
		s.rng.Shuffle(len(packed), func(i, j int) { packed[i], packed[j] = packed[j], packed[i] })
		items, k := 0, 0
		for k < len(packed) && items < part {
			for _, it := range packed[k].items {
				items += int(it.N)
			}
			k++
		}
		again := v.repack(s, packed[:k])
		if again != nil {
			packed = append(again, packed[k:]...)
			s.offer(packed)
			failed = 0
		} else if failed++; failed > patience && part < largestPart {
			part, failed = part*5/4, 0
		}
	}
}

// Parts begin small, where a step is cheap, and grow when some in a row have
// gained nothing.
const (
	firstPart   = 80
	largestPart = 250
	patience    = 2
)

// repack packs the items of the bins anew. It returns nil if that takes more.
func (v *vector) repack(s *search, part []filling) []filling {
	amount := map[int]int64{}
	for _, f := range part {
		for _, it := range f.items {
			amount[it.Size] += it.N
		}
	}
	sub := &vector{nd: v.nd, capacity: v.capacity}
	rows := make([]int, 0, len(amount))
	for i := range amount {
		rows = append(rows, i)
	}
	slices.Sort(rows)
	for _, i := range rows {
		sub.size = append(sub.size, v.at(i)...)
		sub.share = append(sub.share, v.share[i*v.nd:(i+1)*v.nd]...)
		sub.sum = append(sub.sum, v.sum[i])
		sub.count = append(sub.count, amount[i])
		sub.origin = append(sub.origin, Count{Size: i})
	}
	sub.pr.v = sub
	t := newSearch(s.ctx, sub, sub.count, s.rng.Uint64())
	at := map[int]int{}
	for k, i := range rows {
		at[i] = k
	}
	for _, f := range part {
		g := filling{times: 1}
		for _, it := range f.items {
			g.items = append(g.items, Count{Size: at[it.Size], N: it.N})
		}
		slices.SortFunc(g.items, func(a, b Count) int { return a.Size - b.Size })
		t.best = append(t.best, g)
	}
	t.bound = sub.volume(sub.count)
	before := bins(t.best)
	if root := t.root(); root != nil {
		for try := 0; try < 2 && !t.done() && !t.stopped(); try++ {
			d := dive{search: t, lp: root.clone(), left: slices.Clone(t.count), first: try == 0}
			d.run()
		}
	}
	if bins(t.best) >= before {
		return nil
	}
	var out []filling
	for _, f := range t.best {
		for range f.times {
			g := filling{times: 1}
			for _, it := range f.items {
				g.items = append(g.items, Count{Size: rows[it.Size], N: it.N})
			}
			out = append(out, g)
		}
	}
	return out
}
