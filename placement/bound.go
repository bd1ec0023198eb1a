package placement

import "slices"

// lowerBound is a number of servers that no plan can go below: those that have
// to stay on, and as many of the others as the demand needs when it is taken
// as one volume, in each dimension and in mixtures of two.
func (g *gather) lowerBound() int {
	c := g.c
	need := make([]float64, c.nd)
	for i := range g.units {
		for d, n := range g.kinds[g.units[i].kind].need {
			need[d] += float64(n)
		}
	}
	offer := make([]float64, c.nd)
	fixed := 0
	var free []int
	fixedRoom := make([]float64, c.nd)
	for s := range c.p.Servers {
		if !g.runs[s] {
			continue
		}
		if g.mayStop[s] {
			free = append(free, s)
		} else {
			fixed++
		}
		for d := range c.nd {
			room := float64(g.most(s, d))
			offer[d] += room
			if !g.mayStop[s] {
				fixedRoom[d] += room
			}
		}
	}
	best := fixed
	if len(g.units) > 0 {
		best = max(best, 1)
	}
	scale := make([]float64, c.nd)
	for d := range scale {
		if offer[d] > 0 {
			scale[d] = 1 / offer[d]
		}
	}
	try := func(mix []float64) {
		want := 0.0
		for d, w := range mix {
			want += w * scale[d] * (need[d] - fixedRoom[d])
		}
		worth := make([]float64, 0, len(free))
		for _, s := range free {
			sum := 0.0
			for d, w := range mix {
				if w > 0 {
					sum += w * scale[d] * float64(g.most(s, d))
				}
			}
			worth = append(worth, sum)
		}
		slices.SortFunc(worth, func(a, b float64) int { return compare(b, a) })
		n := 0
		for n < len(worth) && want > 1e-9 {
			want -= worth[n]
			n++
		}
		best = max(best, fixed+n)
	}
	mix := make([]float64, c.nd)
	for a := range c.nd {
		for b := a; b < c.nd; b++ {
			for step := range mixtures {
				clear(mix)
				mix[a] += float64(mixtures-step) / mixtures
				mix[b] += float64(step) / mixtures
				try(mix)
			}
		}
	}
	return best
}

// most is the load that server s could carry in a plan: all that it offers, or
// what it carries already if that is more.
func (g *gather) most(s, d int) int64 {
	load := int64(0)
	for _, u := range g.on[s] {
		load += g.kinds[g.units[u].kind].need[d]
	}
	return min(max(g.capacity(s, d), load), unlimited>>20)
}

// mixtures is in how many steps two dimensions are mixed.
const mixtures = 20
