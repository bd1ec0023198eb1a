package placement

import (
	"cmp"
	"slices"
)

// lowerBound is a number of servers that no plan can go below: those that have
// to stay on, and as many of the others as the demand needs when it is taken
// as one volume, in each dimension and in mixtures of two. Any mixture is a
// relaxation: what fits in all dimensions fits in their weighted sum.
func (g *gather) lowerBound() int {
	b := g.newVolume()
	best := b.fixed
	if len(g.units) > 0 {
		best = max(best, 1)
	}
	mix := make([]float64, g.c.nd)
	for i, x := range b.scarce {
		for _, y := range b.scarce[i:] {
			for step := range mixtures {
				clear(mix)
				mix[x] += float64(mixtures-step) / mixtures
				mix[y] += float64(step) / mixtures
				best = max(best, b.servers(mix))
				if x == y {
					break
				}
			}
		}
	}
	return best
}

// mixtures is in how many steps two dimensions are mixed.
const mixtures = 20

// volume is the demand beyond what the servers that have to stay on can carry,
// and what the others can, as shares of all that there is.
type volume struct {
	fixed  int
	scarce []int     // dimensions with a demand
	want   []float64 // per dimension
	offer  []float64 // server*nd+d, of the servers that may be stopped
	worth  []float64 // scratch
}

func (g *gather) newVolume() *volume {
	nd := g.c.nd
	b := &volume{want: make([]float64, nd)}
	for i := range g.units {
		for d, n := range g.kinds[g.units[i].kind].need {
			b.want[d] += float64(n)
		}
	}
	for d, n := range b.want {
		if n > 0 {
			b.scarce = append(b.scarce, d)
		}
	}
	all := make([]float64, nd)
	for s, on := range g.runs {
		if !on {
			continue
		}
		if !g.mayStop[s] {
			b.fixed++
		}
		for d := range nd {
			room := float64(g.most(s, d))
			all[d] += room
			if g.mayStop[s] {
				b.offer = append(b.offer, room)
			} else {
				b.want[d] -= room
			}
		}
	}
	for d := range nd {
		if all[d] > 0 {
			b.want[d] /= all[d]
			for k := d; k < len(b.offer); k += nd {
				b.offer[k] /= all[d]
			}
		}
	}
	b.worth = make([]float64, len(b.offer)/nd)
	return b
}

// servers is how many servers the demand takes in a mixture of dimensions,
// the largest first.
func (b *volume) servers(mix []float64) int {
	want, nd := 0.0, len(mix)
	for d, w := range mix {
		want += w * b.want[d]
	}
	for k := range b.worth {
		b.worth[k] = 0
		for d, w := range mix {
			b.worth[k] += w * b.offer[k*nd+d]
		}
	}
	slices.SortFunc(b.worth, func(x, y float64) int { return cmp.Compare(y, x) })
	n := 0
	for n < len(b.worth) && want > 1e-9 {
		want -= b.worth[n]
		n++
	}
	return b.fixed + n
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
