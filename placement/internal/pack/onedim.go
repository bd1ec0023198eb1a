package pack

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// Bin is a filling and how often it is used.
type Bin struct {
	Items []Count
	Times int64
}

// Count is a number of items of one size.
type Count struct {
	Size int // index into the problem's sizes
	N    int64
}

// Result is a packing with its proof.
type Result struct {
	Bins  []Bin
	Used  int64 // number of bins
	Bound int64 // no packing uses fewer
}

// Optimal says whether the packing is proven best.
func (r *Result) Optimal() bool { return r.Used == r.Bound }

// OneDim packs count[i] items of size[i] into bins of the capacity. Sizes must
// be positive and at most the capacity, counts not negative. The context's end
// stops the search for something better, and so do rounds of it, if above 0,
// which makes the result depend on nothing but the input. It is a packing in
// any case.
func OneDim(ctx context.Context, capacity int64, size, count []int64, seed uint64, rounds int) (*Result, error) {
	if len(size) != len(count) {
		return nil, fmt.Errorf("%d sizes for %d counts", len(size), len(count))
	}
	for i, s := range size {
		if s <= 0 || s > capacity || count[i] < 0 {
			return nil, fmt.Errorf("size %d of %d pieces is not in 1 to the capacity %d", s, count[i], capacity)
		}
	}
	g := newGrouped(capacity, size, count)
	s := newSearch(ctx, g, g.count, seed)
	s.smooth = 0.8
	g.kn.stopped = s.stopped
	g.run(s, rounds)
	return g.result(s.best, s.bound), nil
}

// The search takes turns between dives at random and the tree, which gets more
// nodes in each round: nodes times the square of the number of sizes.
const treeWork = 2_500_000

// divesFor is the dives of a round. With few sizes the tree is soon through, so
// its turn comes early.
func divesFor(sizes int) int {
	if sizes <= 64 {
		return 3
	}
	return 40
}

func (g *grouped) run(s *search, rounds int) {
	if len(g.size) == 0 {
		return
	}
	s.bound = g.boundL2()
	s.offer(g.greedy(g.count))
	if s.done() {
		return
	}
	root := s.root()
	center := slices.Clone(s.center)
	for round := 1; root != nil && !s.done() && !s.stopped() && (rounds == 0 || round <= rounds); round++ {
		for try := range divesFor(len(g.size)) {
			copy(s.center, center)
			d := dive{search: s, lp: root.clone(), left: slices.Clone(s.count), first: round == 1 && try == 0}
			if d.run(); s.done() || s.stopped() {
				return
			}
		}
		copy(s.center, center)
		t := tree{search: s, g: g, lp: root.clone(), left: slices.Clone(s.count), nodes: (treeWork << round) / (len(g.size) * len(g.size))}
		if t.run() && !s.stopped() {
			s.bound = bins(s.best)
		}
	}
}

func (g *grouped) rows() int { return len(g.size) }

func (g *grouped) most(i int) int64 { return g.capacity / g.size[i] }

func (g *grouped) worth(i int) float64 { return float64(g.size[i]) / float64(g.capacity) }

func (g *grouped) price(prices []int64, limit []int32, floor int64, exact bool) (int64, bool, []column) {
	nodes := 20_000
	if exact {
		nodes = 50_000_000
	}
	g.kn.price, g.kn.limit = prices, limit
	best, proven := g.kn.solve(floor, nodes)
	found := make([]column, len(g.kn.found))
	for i, take := range g.kn.found {
		found[i] = g.kn.column(take)
	}
	return best, proven, found
}

func (g *grouped) greedy(left []int64) []filling {
	a, b := g.firstFit(left), g.fullest(left, 500)
	if bins(a) <= bins(b) {
		return a
	}
	return b
}

// grouped is a problem with distinct sizes in falling order.
type grouped struct {
	capacity int64
	size     []int64
	count    []int64
	origin   [][]Count // the caller's sizes behind each of ours
	kn       knapsack
}

func newGrouped(capacity int64, size, count []int64) *grouped {
	idx := make([]int, 0, len(size))
	for i, n := range count {
		if n > 0 {
			idx = append(idx, i)
		}
	}
	slices.SortStableFunc(idx, func(a, b int) int { return int(min(max(size[b]-size[a], -1), 1)) })
	g := &grouped{capacity: capacity}
	for _, i := range idx {
		last := len(g.size) - 1
		if last < 0 || g.size[last] != size[i] {
			g.size, g.count, g.origin = append(g.size, size[i]), append(g.count, 0), append(g.origin, nil)
			last++
		}
		g.count[last] += count[i]
		g.origin[last] = append(g.origin[last], Count{Size: i, N: count[i]})
	}
	g.kn.capacity, g.kn.size = capacity, g.size
	return g
}

// filling is a bin's content by our sizes, and how often it is used.
type filling struct {
	items []Count
	times int64
}

func bins(fs []filling) int64 {
	n := int64(0)
	for _, f := range fs {
		n += f.times
	}
	return n
}

// result translates fillings to the caller's sizes. A filling of equal items
// is split where the caller gave one size under two indices.
func (g *grouped) result(fs []filling, bound int64) *Result {
	left := make([][]Count, len(g.origin))
	for i := range left {
		left[i] = slices.Clone(g.origin[i])
	}
	r := &Result{Used: bins(fs), Bound: bound}
	for _, f := range fs {
		for todo := f.times; todo > 0; {
			times := todo
			for _, it := range f.items {
				if head := left[it.Size][0]; head.N < it.N {
					times = 1
				} else {
					times = min(times, head.N/it.N)
				}
			}
			b := Bin{Times: times}
			for _, it := range f.items {
				for n := it.N * times; n > 0; {
					head := &left[it.Size][0]
					k := min(n, head.N)
					b.Items = append(b.Items, Count{Size: head.Size, N: k / times})
					n -= k
					if head.N -= k; head.N == 0 {
						left[it.Size] = left[it.Size][1:]
					}
				}
			}
			r.Bins = append(r.Bins, b)
			todo -= times
		}
	}
	return r
}

// boundL2 is the lower bound L2 of Martello and Toth (1990): for each
// threshold k, items above capacity-k fill a bin alone, items above half a bin
// share none, and those from k on must fit in what those leave.
func (g *grouped) boundL2() int64 {
	best := int64(0)
	sumAll := 0.0
	for i, s := range g.size {
		sumAll += float64(s) * float64(g.count[i])
	}
	best = int64(math.Ceil(sumAll/float64(g.capacity) - 1e-9))
	for t := 0; t <= len(g.size); t++ {
		k := int64(0)
		if t < len(g.size) {
			if k = g.size[t]; k > g.capacity/2 {
				continue
			}
		}
		var n1, n2 int64
		var s2, s3 int64
		for i, s := range g.size {
			switch {
			case s > g.capacity-k:
				n1 += g.count[i]
			case 2*s > g.capacity:
				n2 += g.count[i]
				s2 += s * g.count[i]
			case s >= k:
				s3 += s * g.count[i]
			}
		}
		l := n1 + n2
		if over := s3 - (n2*g.capacity - s2); over > 0 {
			l += (over + g.capacity - 1) / g.capacity
		}
		best = max(best, l)
	}
	return best
}

// firstFit fills bin after bin, each time with the largest piece that still
// fits; that is first fit decreasing, one kind of bin at a time.
func (g *grouped) firstFit(count []int64) []filling {
	left := slices.Clone(count)
	var out []filling
	for first := 0; ; {
		for first < len(left) && left[first] == 0 {
			first++
		}
		if first == len(left) {
			return out
		}
		f := filling{times: math.MaxInt64}
		room := g.capacity
		for i := first; i < len(left); i++ {
			if n := min(left[i], room/g.size[i]); n > 0 {
				f.items = append(f.items, Count{Size: i, N: n})
				f.times = min(f.times, left[i]/n)
				room -= n * g.size[i]
			}
		}
		out = append(out, f)
		for _, it := range f.items {
			left[it.Size] -= it.N * f.times
		}
	}
}

// fullest fills bin after bin, each with the largest piece left and the subset
// of the others that leaves the least space (minimum bin slack, Gupta and Ho
// 1999), found by a search of bounded length.
func (g *grouped) fullest(count []int64, nodes int) []filling {
	left := slices.Clone(count)
	var out []filling
	fs := fullSearch{g: g, left: left}
	for first := 0; ; {
		for first < len(left) && left[first] == 0 {
			first++
		}
		if first == len(left) {
			return out
		}
		fs.start(first, nodes)
		f := filling{times: math.MaxInt64}
		for i, n := range fs.bestTake {
			if n > 0 {
				f.items = append(f.items, Count{Size: i, N: n})
				f.times = min(f.times, left[i]/n)
			}
		}
		out = append(out, f)
		for _, it := range f.items {
			left[it.Size] -= it.N * f.times
		}
	}
}

type fullSearch struct {
	g              *grouped
	left           []int64
	take, bestTake []int64
	bestRoom       int64
	nodes          int
}

func (f *fullSearch) start(first, nodes int) {
	f.take = make([]int64, len(f.left))
	f.nodes, f.bestRoom = nodes, math.MaxInt64
	f.take[first] = 1
	f.dig(first, f.g.capacity-f.g.size[first])
}

func (f *fullSearch) dig(i int, room int64) {
	if room < f.bestRoom {
		f.bestRoom = room
		f.bestTake = append(f.bestTake[:0], f.take...)
	}
	for ; i < len(f.left) && f.bestRoom > 0; i++ {
		if f.left[i] <= f.take[i] || f.g.size[i] > room {
			continue
		}
		if f.nodes--; f.nodes < 0 {
			return
		}
		f.take[i]++
		f.dig(i, room-f.g.size[i])
		f.take[i]--
	}
}
