package placement

import (
	"math"
	"slices"
)

// gather is the search behind SavePower: which servers to empty, and where
// their VMs go.
type gather struct {
	pl      *planner
	c       *Cluster
	base    *state // present places, free room cut to the proper range
	units   []gatherUnit
	fixed   []bool    // per unit: it can not be moved
	on      [][]int32 // per server the units there that are on
	open    []int     // servers that run and are in the game, by number
	mayStop []bool
	runs    []bool    // per server
	weight  []float64 // of a dimension: how scarce it is
	budget  int64     // of moves; 0 means none
	kinds   []unitKind
	key     []byte    // scratch of kindOf
	bulk    []float64 // what bulky has found
	spare   *state    // memory of a result that was given up
	placed  [][]int32 // per server, units put there by this attempt; some may have gone on
}

// gatherUnit is a unit of VMs of which at least one is on.
type gatherUnit struct {
	vms  []int
	home int
	cost int64
	kind int // index into kinds
}

// unitKind is what units with equal needs share.
type unitKind struct {
	need  []int64
	size  float64 // weighted share of an average server
	class int     // of the VMs' servers; -1 if they differ
}

// filled is one result of the search.
type filled struct {
	st      *state
	running int   // servers that run
	moves   int64 // cost of the moves
}

func (a *filled) better(b *filled) bool {
	return b == nil || a.running < b.running || a.running == b.running && a.moves < b.moves
}

// attempt empties the servers in out as far as it can: it fills the others one
// by one with the units that leave the least weighted room, then fits in what
// is left, if chained by pushing units on, and gives servers up whose units find
// no place.
func (g *gather) attempt(out []int, widestFirst, chained bool) *filled {
	st := g.spare
	if g.spare = nil; st == nil {
		st = &state{}
	}
	st.copyFrom(g.base)
	g.placed = make([][]int32, len(st.target))
	leaving := make([]bool, len(st.target))
	for _, s := range out {
		leaving[s] = true
		st.target[s] = false
	}
	var loose []int32
	for _, s := range out {
		for _, u := range g.on[s] {
			loose = append(loose, u)
			g.lift(st, u)
		}
	}
	var stay []int
	for _, s := range g.open {
		if !leaving[s] && st.target[s] {
			stay = append(stay, s)
		}
	}
	loose = g.fill(st, stay, loose, widestFirst)
	loose = g.fitIn(st, stay, loose)
	if chained {
		loose = g.chainIn(st, loose)
	}
	g.giveUp(st, out, loose)
	if chained {
		g.comeHome(st)
	}
	return g.measure(st)
}

func (g *gather) lift(st *state, u int32) {
	for _, v := range g.units[u].vms {
		st.take(v)
	}
}

func (g *gather) drop(st *state, u int32, s int) {
	for _, v := range g.units[u].vms {
		st.put(v, s)
	}
	if s != g.units[u].home {
		g.placed[s] = append(g.placed[s], u)
	}
}

func (g *gather) fits(st *state, u int32, s int) bool {
	if !st.target[s] {
		return false
	}
	free := st.free[s*g.c.nd : (s+1)*g.c.nd]
	for d, n := range g.kinds[g.units[u].kind].need {
		if n > free[d] && n > 0 {
			return false
		}
	}
	return st.allowed(g.units[u].vms, s)
}

// slack is the weighted room on s.
func (g *gather) slack(st *state, s int) float64 {
	sum := 0.0
	for d, w := range g.weight {
		if w > 0 {
			sum += w * float64(max(st.free[s*g.c.nd+d], 0))
		}
	}
	return sum
}

// fill fills the servers of stay in turn, and returns the units left over.
func (g *gather) fill(st *state, stay []int, loose []int32, widestFirst bool) []int32 {
	queue := make([][]int32, len(g.kinds))
	var kinds []int
	for _, u := range loose {
		k := g.units[u].kind
		if queue[k] == nil {
			kinds = append(kinds, k)
		}
		queue[k] = append(queue[k], u)
	}
	slices.SortFunc(kinds, func(a, b int) int {
		switch x, y := g.kinds[a].size, g.kinds[b].size; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return a - b
	})
	order := slices.Clone(stay)
	room := make([]float64, len(st.target))
	for _, s := range order {
		room[s] = g.slack(st, s)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := room[a], room[b]
		if widestFirst {
			x, y = y, x
		}
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	f := filler{g: g, st: st, queue: queue}
	rest := slices.Clone(kinds)
	for _, s := range order {
		f.server(s, rest)
		rest = slices.DeleteFunc(rest, func(k int) bool { return len(queue[k]) == 0 })
	}
	var left []int32
	for _, k := range kinds {
		left = append(left, queue[k]...)
	}
	return left
}

// fitIn puts units into any room that is left, largest first, each where least
// room remains; a unit that fits nowhere may push a smaller one elsewhere.
func (g *gather) fitIn(st *state, stay []int, loose []int32) []int32 {
	var left []int32
	for _, u := range loose {
		if s := g.tightest(st, stay, u); s >= 0 {
			g.drop(st, u, s)
		} else if !g.push(st, stay, u) {
			left = append(left, u)
		}
	}
	return left
}

// tightest returns the server of stay on which the unit leaves the least room.
func (g *gather) tightest(st *state, stay []int, u int32) int {
	best, least := -1, math.Inf(1)
	for _, s := range stay {
		if g.fits(st, u, s) {
			if room := g.slack(st, s); room < least {
				best, least = s, room
			}
		}
	}
	return best
}

// pushTries bounds the servers on which push looks for a unit to push.
const pushTries = 40

// push makes room for the unit by moving one other unit on, one that has left
// its home already and so costs no move more.
func (g *gather) push(st *state, stay []int, u int32) bool {
	c := g.c
	need := g.kinds[g.units[u].kind].need
	tries := 0
	for i := len(stay) - 1; i >= 0 && tries < pushTries; i-- {
		s := stay[i]
		if !st.target[s] || g.slack(st, s) <= 0 {
			continue
		}
		for _, w := range g.placed[s] {
			if tries >= pushTries {
				break
			}
			if int(st.host[g.units[w].vms[0]]) != s {
				continue
			}
			other := g.kinds[g.units[w].kind].need
			enough := true
			for d, n := range need {
				if n > 0 && n > st.free[s*c.nd+d]+other[d] {
					enough = false
				}
			}
			if !enough {
				continue
			}
			tries++
			g.lift(st, w)
			if g.fits(st, u, s) {
				g.drop(st, u, s)
				if t := g.tightest(st, stay, w); t >= 0 {
					g.drop(st, w, t)
					return true
				}
				g.lift(st, u)
			}
			g.drop(st, w, s)
		}
	}
	return false
}

// giveUp keeps servers on until every unit left over has a place. The server
// with the most units left over comes first; all its units stay at home, which
// makes room where they were to go.
func (g *gather) giveUp(st *state, out []int, loose []int32) {
	for len(loose) > 0 {
		count := map[int]float64{}
		for _, u := range loose {
			count[g.units[u].home] += g.kinds[g.units[u].kind].size
		}
		keep, most := -1, -1.0
		for _, s := range out {
			if n := count[s]; n > most && !st.target[s] {
				keep, most = s, n
			}
		}
		st.target[keep] = true
		var rest []int32
		for _, u := range g.on[keep] {
			if st.host[g.units[u].vms[0]] >= 0 {
				g.lift(st, u)
			}
			g.drop(st, u, keep)
		}
		var stay []int
		for _, s := range g.open {
			if st.target[s] {
				stay = append(stay, s)
			}
		}
		for _, u := range loose {
			if st.host[g.units[u].vms[0]] < 0 {
				rest = append(rest, u)
			}
		}
		loose = g.fitIn(st, stay, rest)
	}
}

// comeHome moves units back to where they are now if that server stays on and
// has room for them again.
func (g *gather) comeHome(st *state) {
	for again := true; again; {
		again = false
		for i := range g.units {
			u, home := int32(i), g.units[i].home
			if int(st.host[g.units[i].vms[0]]) == home || !st.target[home] {
				continue
			}
			at := int(st.host[g.units[i].vms[0]])
			g.lift(st, u)
			if g.fits(st, u, home) {
				g.drop(st, u, home)
				again = true
			} else {
				g.drop(st, u, at)
			}
		}
	}
}

// busy tells which servers have units that are on.
func (g *gather) busy(st *state) []bool {
	busy := make([]bool, len(st.target))
	for u := range g.units {
		busy[st.host[g.units[u].vms[0]]] = true
	}
	return busy
}

// measure counts what a state costs.
func (g *gather) measure(st *state) *filled {
	f := &filled{st: st}
	for u := range g.units {
		if int(st.host[g.units[u].vms[0]]) != g.units[u].home {
			f.moves += g.units[u].cost
		}
	}
	for s, busy := range g.busy(st) {
		if g.runs[s] && (busy || !g.mayStop[s]) {
			f.running++
		}
	}
	return f
}
