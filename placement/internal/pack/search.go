package pack

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
)

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x59616775)) }

// shape is what fits into a bin: in one dimension or in several.
type shape interface {
	rows() int
	// most is how many pieces of a row an empty bin holds.
	most(row int) int64
	// worth is a first guess at the dual of a row: prices at which no bin
	// is worth more than 1.
	worth(row int) float64
	// price looks for the filling worth most. It returns that worth, or
	// floor if nothing is better, whether it is proven, and better fillings
	// that it met, the best last.
	price(prices []int64, limit []int32, floor int64, exact bool) (best int64, proven bool, found []column)
	// greedy packs what is left quickly.
	greedy(left []int64) []filling
}

// search is one run on one problem.
type search struct {
	shape
	ctx       context.Context
	rng       *rand.Rand
	count     []int64
	best      []filling
	bound     int64
	prices    []int64   // of the last pricing
	limit     []int32   // of the last pricing
	lastValue int64     // of the last pricing: the greatest worth of a bin
	proven    bool      // lastValue is exact
	smooth    float64   // how far prices are drawn to the center at first
	center    []float64 // the duals with the best bound so far
}

func newSearch(ctx context.Context, sh shape, count []int64, seed uint64) *search {
	m := sh.rows()
	s := &search{shape: sh, ctx: ctx, rng: newRand(seed), count: count, prices: make([]int64, m), limit: make([]int32, m), center: make([]float64, m)}
	for i := range m {
		s.center[i] = sh.worth(i)
	}
	return s
}

func (s *search) stopped() bool { return s.ctx.Err() != nil }

// offer keeps fillings if they are the best so far.
func (s *search) offer(fs []filling) {
	if s.best == nil || bins(fs) < bins(s.best) {
		s.best = slices.Clone(fs)
	}
}

func (s *search) done() bool { return bins(s.best) <= s.bound }

// root solves the linear program of the whole problem; nil if it was stopped.
func (s *search) root() *master {
	m := s.rows()
	single := make([]int32, m)
	for i := range m {
		single[i] = int32(min(s.count[i], s.most(i), math.MaxInt32))
	}
	lp := newMaster(demandOf(s.count), single)
	for _, f := range s.best {
		lp.add(f.column())
	}
	lower, ok := s.generate(lp, s.count, bins(s.best))
	s.bound = max(s.bound, lower)
	if !ok {
		return nil
	}
	return lp
}

func (f filling) column() column {
	var c column
	items := slices.Clone(f.items)
	slices.SortFunc(items, func(a, b Count) int { return a.Size - b.Size })
	for _, it := range items {
		c.rows, c.n = append(c.rows, int32(it.Size)), append(c.n, int32(it.N))
	}
	return c
}

// generate solves the program to its end by column generation. It returns a
// proven lower bound for packing left, and false if it was stopped. It ends
// early when the bound reaches enough.
//
// Prices are smoothed (Wentges 1997): columns are sought at a point between
// the program's duals, which jump, and the center, the duals with the best
// bound so far, which begins as the sizes themselves.
func (s *search) generate(lp *master, left []int64, enough int64) (int64, bool) {
	bound, smooth := int64(0), s.smooth
	s.proven = false
	centerWorth := 0.0
	for i, n := range left {
		centerWorth += float64(n) * s.center[i]
	}
	for !s.stopped() {
		lp.primal()
		for i, y := range lp.y {
			s.prices[i] = int64((smooth*s.center[i] + (1-smooth)*max(y, 0)) * scale)
			s.limit[i] = int32(min(left[i], s.most(i), math.MaxInt32))
		}
		floor := int64(scale + 16)
		if smooth > 0 {
			floor = scale / 2
		}
		value, proven, found := s.price(s.prices, s.limit, floor, false)
		if !proven && len(found) == 0 {
			value, proven, found = s.price(s.prices, s.limit, floor, true)
		}
		s.proven, s.lastValue = proven, value
		if proven {
			bound = max(bound, s.dualBound(left, value))
			if bound >= enough {
				return bound, true
			}
			s.recenter(left, value, &centerWorth)
		}
		added := false
		for _, c := range found[max(0, len(found)-3):] {
			if lp.price(c) > 1+1e-8 {
				if _, fresh := lp.add(c); fresh {
					added = true
				}
			}
		}
		switch {
		case float64(bound) >= lp.value()-1e-7:
			return bound, true
		case added:
		case smooth > 0:
			if smooth -= 0.3; smooth < 0.1 {
				smooth = 0
			}
		default:
			return bound, true
		}
	}
	return bound, false
}

// recenter makes the last prices the center if their bound is better.
func (s *search) recenter(left []int64, value int64, centerWorth *float64) {
	sum := 0.0
	for i, n := range left {
		sum += float64(n) * float64(s.prices[i])
	}
	if w := sum / float64(value); w > *centerWorth {
		*centerWorth = w
		for i, p := range s.prices {
			s.center[i] = float64(p) / float64(value)
		}
	}
}

// dualBound is the demand's worth at the prices, over the greatest worth of a
// bin: no packing uses fewer bins.
func (s *search) dualBound(left []int64, value int64) int64 {
	hi, lo := uint64(0), uint64(0)
	for i, p := range s.prices {
		hi, lo = addProduct(hi, lo, uint64(p), uint64(left[i]))
	}
	return ceilDiv(hi, lo, uint64(value))
}

func demandOf(left []int64) []float64 {
	b := make([]float64, len(left))
	for i, n := range left {
		b[i] = float64(n)
	}
	return b
}
