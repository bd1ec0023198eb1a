package placement

import (
	"cmp"
	"slices"
)

// load is the cost of moving everything off server s.
func (g *gather) load(s int) int64 {
	sum := int64(0)
	for _, u := range g.on[s] {
		sum += g.units[u].cost
	}
	return sum
}

// choose picks at most k servers to empty: those with the fewest moves, but so
// that the others have room for all. To get there small servers are favoured
// step by step.
func (g *gather) choose(k int) []int {
	var can []int
	for _, s := range g.open {
		if g.mayStop[s] && len(g.on[s]) > 0 {
			can = append(can, s)
		}
	}
	size := make([]float64, len(g.mayStop))
	for _, s := range can {
		for d, w := range g.weight {
			if w > 0 {
				size[s] += w * float64(g.capacity(s, d))
			}
		}
	}
	moves := make([]float64, len(g.mayStop))
	bulky := g.bulky()
	for _, s := range can {
		for _, u := range g.on[s] {
			k := g.units[u].kind
			moves[s] += float64(g.units[u].cost)*(1+bulky[k]) + lightFirst*g.kinds[k].size
		}
	}
	if g.budget > 0 {
		slices.SortStableFunc(can, func(a, b int) int { return cmp.Compare(moves[a], moves[b]) })
		sum := int64(0)
		for i, s := range can {
			if sum += g.load(s); sum > g.budget || i == k {
				return can[:i]
			}
		}
		return can
	}
	for bias := 0.0; bias < 1e6; bias = bias*1.3 + 0.25 {
		slices.SortStableFunc(can, func(a, b int) int { return cmp.Compare(moves[a]+bias*size[a], moves[b]+bias*size[b]) })
		out := can[:min(k, len(can))]
		if g.roomWithout(out) {
			return slices.Clone(out)
		}
	}
	return nil
}

// bulky tells of each kind how much harder than others it is to place: 0 if
// many servers have room for one, up to bulkiest if none has.
func (g *gather) bulky() []float64 {
	if g.bulk != nil {
		return g.bulk
	}
	out := make([]float64, len(g.kinds))
	stride := len(g.open)/bulkySample + 1
	for k := range g.kinds {
		room, asked := 0, 0
		for i := 0; i < len(g.open); i += stride {
			s := g.open[i]
			asked++
			if g.base.target[s] && covers(g.base.free[s*g.c.nd:(s+1)*g.c.nd], g.kinds[k].need) {
				room++
			}
		}
		if share := float64(room) / float64(max(asked, 1)); share < rare {
			out[k] = bulkiest * (1 - share/rare)
		}
	}
	g.bulk = out
	return out
}

const (
	lightFirst  = 0.01 // among servers with as many moves the one with less load
	bulkiest    = 5
	bulkySample = 200 // servers asked at most
	rare        = 0.2 // share of the servers below which room is rare
)

// roomWithout says whether the servers but out have room for all units, taken
// as one volume.
func (g *gather) roomWithout(out []int) bool {
	leaving := make([]bool, len(g.mayStop))
	for _, s := range out {
		leaving[s] = true
	}
	for d := range g.c.nd {
		room, need := int64(0), int64(0)
		for _, s := range g.open {
			if leaving[s] {
				for _, u := range g.on[s] {
					need += g.kinds[g.units[u].kind].need[d]
				}
			} else if g.base.target[s] {
				room += min(max(g.base.free[s*g.c.nd+d], 0), unlimited>>20)
			}
		}
		if need > room {
			return false
		}
	}
	return true
}

// emptiestFirst empties the servers with the fewest moves first, each wholly
// or not at all, as far as the budget goes and until least servers are left on.
func (g *gather) emptiestFirst(least int) *filled {
	st := g.base.clone()
	g.placed = make([][]int32, len(st.target))
	g.emptyInTurn(st, g.budget, least)
	return g.measure(st)
}

// polish empties more servers of a result by ejection chains.
func (g *gather) polish(f *filled, bound int) *filled {
	ch := newChain(g, f.st.clone())
	ch.emptyMore(bound)
	return g.measure(ch.st)
}

// polishTries bounds the servers that emptyInTurn tries in vain.
const polishTries = 30

func (g *gather) emptyInTurn(st *state, budget int64, least int) {
	there := make([][]int32, len(g.mayStop))
	load := make([]int64, len(g.mayStop))
	for u := range g.units {
		h := st.host[g.units[u].vms[0]]
		there[h] = append(there[h], int32(u))
		load[h] += g.units[u].cost
	}
	var order, stay []int
	for _, s := range g.open {
		if st.target[s] {
			stay = append(stay, s)
		}
		if g.mayStop[s] && len(there[s]) > 0 {
			order = append(order, s)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(load[a], load[b]) })
	vain, running := 0, g.measure(st).running
	for _, s := range order {
		if load[s] > budget || running <= least || vain >= polishTries || g.pl.ctx.Err() != nil {
			return
		}
		if g.empty(st, stay, s, there) {
			budget -= load[s]
			running--
		} else {
			vain++
		}
	}
}

// empty moves all units off s, largest first, or leaves everything as it was.
// Units that come in for good are added to there.
func (g *gather) empty(st *state, stay []int, s int, there [][]int32) bool {
	was := st.target[s]
	st.target[s] = false
	units := slices.Clone(there[s])
	slices.SortStableFunc(units, func(a, b int32) int { return cmp.Compare(g.kinds[g.units[b].kind].size, g.kinds[g.units[a].kind].size) })
	for _, u := range units {
		g.lift(st, u)
	}
	for i, u := range units {
		t := g.tightest(st, stay, u)
		if t < 0 {
			for _, w := range units[:i] {
				g.lift(st, w)
			}
			for _, w := range units {
				g.drop(st, w, s)
			}
			st.target[s] = was
			return false
		}
		g.drop(st, u, t)
	}
	for _, u := range units {
		h := st.host[g.units[u].vms[0]]
		there[h] = append(there[h], u)
	}
	there[s] = nil
	return true
}
