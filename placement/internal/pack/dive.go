package pack

import (
	"math"
	"slices"
)

// dive is one descent: fillings are fixed one after the other, the program of
// the rest is solved anew after each.
type dive struct {
	*search
	lp    *master
	left  []int64
	fixed []filling
	used  int64
	first bool // always fix the most wanted; else choose among the most wanted at random
}

func (d *dive) run() {
	for !d.stopped() {
		goal := bins(d.best) - 1 - d.used // bins that a better packing may still use
		if rest := d.greedy(d.left); bins(rest) <= goal {
			d.offer(append(slices.Clone(d.fixed), rest...))
			return
		}
		if d.lp.value() > float64(goal)+1e-6 {
			return
		}
		if !d.fix() {
			return
		}
		if d.empty() {
			d.offer(d.fixed)
			return
		}
		d.lp.setDemand(demandOf(d.left))
		if !d.lp.dual() {
			return
		}
		goal = bins(d.best) - 1 - d.used
		if lower, ok := d.generate(d.lp, d.left, goal+1); !ok || lower > goal {
			return
		}
	}
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
