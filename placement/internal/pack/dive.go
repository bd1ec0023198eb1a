package pack

import (
	"math"
	"slices"
)

// dive is one descent: fillings are fixed one after the other, the program of
// the rest is solved anew after each. Where that shows that a choice was wrong
// the next best is taken, a few times in all.
type dive struct {
	*search
	lp     *master
	left   []int64
	fixed  []filling
	used   int64
	first  bool // always fix the most wanted; else choose among the most wanted at random
	levels []level
}

// level is a choice of the dive, for going back to it.
type level struct {
	left   []int64
	fixed  int
	used   int64
	others []int // columns that may be chosen instead, the best first
}

// Bounds of going back.
const (
	diveBacks  = 30 // in a dive
	diveOthers = 3  // at a level
)

func (d *dive) run() {
	for backs, ok := diveBacks, true; !d.stopped(); {
		if ok {
			goal := bins(d.best) - 1 - d.used // bins that a better packing may still use
			if rest := d.greedy(d.left); bins(rest) <= goal {
				d.offer(append(slices.Clone(d.fixed), rest...))
				return
			}
			ok = d.lp.value() <= float64(goal)+1e-6 && d.fix()
			if ok && d.empty() {
				d.offer(d.fixed)
				return
			}
		}
		if !ok {
			if backs--; backs < 0 || !d.back() {
				return
			}
		}
		ok = d.solve()
	}
}

// solve solves the program of what is left, and says whether it can still lead
// to a better packing.
func (d *dive) solve() bool {
	d.lp.setDemand(demandOf(d.left))
	if !d.lp.dual() {
		return false
	}
	goal := bins(d.best) - 1 - d.used
	lower, ok := d.generate(d.lp, d.left, goal+1)
	return ok && lower <= goal
}

// back returns to the last choice that had an alternative and takes that.
func (d *dive) back() bool {
	for n := len(d.levels) - 1; n >= 0; n-- {
		l := &d.levels[n]
		copy(d.left, l.left)
		d.fixed, d.used = d.fixed[:l.fixed], l.used
		if len(l.others) > 0 {
			j := l.others[0]
			l.others = l.others[1:]
			d.levels = d.levels[:n+1]
			return d.use(j, 1)
		}
	}
	return false
}

func (d *dive) empty() bool {
	for _, n := range d.left {
		if n > 0 {
			return false
		}
	}
	return true
}

// fix decides on fillings: the whole parts of all, or if there are none one
// more of a filling that the program wants most of.
func (d *dive) fix() bool {
	type wish struct {
		col  int
		part float64
	}
	var wishes []wish
	l := level{left: slices.Clone(d.left), fixed: len(d.fixed), used: d.used}
	any := false
	for i, j := range d.lp.basis {
		x := d.lp.x[i]
		if j < 0 || x < 1e-6 {
			continue
		}
		if n := int64(math.Floor(x + 1e-6)); n > 0 {
			any = d.use(j, n) || any
			x -= float64(n)
		}
		if x > 1e-6 {
			wishes = append(wishes, wish{j, x})
		}
	}
	if any || len(wishes) == 0 {
		d.levels = append(d.levels, l)
		return any
	}
	slices.SortFunc(wishes, func(a, b wish) int {
		switch {
		case a.part > b.part:
			return -1
		case a.part < b.part:
			return 1
		}
		return a.col - b.col
	})
	pick := 0
	if !d.first {
		for pick < len(wishes)-1 && pick < 5 && d.rng.IntN(3) == 0 {
			pick++
		}
	}
	for i := range wishes {
		if i != pick && len(l.others) < diveOthers {
			l.others = append(l.others, wishes[i].col)
		}
	}
	d.levels = append(d.levels, l)
	return d.use(wishes[pick].col, 1)
}

// use fixes n bins of column j, cut down to what is left.
func (d *dive) use(j int, n int64) bool {
	c := &d.lp.cols[j]
	for n > 0 {
		f := filling{times: n}
		for k, r := range c.rows {
			if take := min(int64(c.n[k]), d.left[r]); take > 0 {
				f.items = append(f.items, Count{Size: int(r), N: take})
				f.times = min(f.times, d.left[r]/take)
			}
		}
		if len(f.items) == 0 {
			return false
		}
		for _, it := range f.items {
			d.left[it.Size] -= it.N * f.times
		}
		d.fixed = append(d.fixed, f)
		d.used += f.times
		n -= f.times
	}
	return true
}
