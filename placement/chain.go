package placement

import (
	"cmp"
	"slices"
)

// chain empties servers by ejection chains: a unit that fits nowhere pushes
// smaller ones off a server, which go elsewhere or push in turn.
type chain struct {
	g     *gather
	st    *state
	stay  []int
	there [][]int32 // per server the units there
	work  int       // servers that may still be looked at
	log   []hop
}

// hop is a unit's change of server, for undoing.
type hop struct {
	unit     int32
	from, to int
}

// Bounds of the search.
const (
	nearBound    = 1.005     // of the bound: within this the search is short
	chainDepth   = 5         // pushes one after the other
	chainWidth   = 8         // servers tried for one push
	chainWork    = 50_000    // servers looked at for emptying one
	chainServers = 24        // servers tried before the cheapest is emptied
	chainTotal   = 5_000_000 // servers looked at in all
)

func newChain(g *gather, st *state) *chain {
	ch := &chain{g: g, st: st, there: make([][]int32, len(st.target))}
	for u := range g.units {
		if h := st.host[g.units[u].vms[0]]; h >= 0 {
			ch.there[h] = append(ch.there[h], int32(u))
		}
	}
	for _, s := range g.open {
		if st.target[s] {
			ch.stay = append(ch.stay, s)
		}
	}
	return ch
}

// emptyMore empties one server after the other, each time the one of those
// tried that costs the fewest moves, until the bound, the budget or the end of
// the search.
func (ch *chain) emptyMore(bound int) {
	g := ch.g
	total := chainTotal
	budget := g.budget
	f := g.measure(ch.st)
	if float64(f.running) <= nearBound*float64(bound) {
		total /= 100 // little is left to gain
	}
	running, moves := f.running, f.moves
	for running > bound && total > 0 && g.pl.ctx.Err() == nil {
		best, cheapest := -1, int64(0)
		var hops []hop
		tried := 0
		candidates, load := ch.candidates()
		for _, s := range candidates {
			if tried++; tried > chainServers || total <= 0 || best >= 0 && cheapest <= load[s] {
				break // what comes now costs more
			}
			ch.work = min(chainWork, total)
			before := ch.work
			mark := len(ch.log)
			ok := ch.empty(s)
			total -= before - ch.work
			if ok {
				if cost := ch.cost(mark); (best < 0 || cost < cheapest) && (budget == 0 || moves+cost <= budget) {
					best, cheapest, hops = s, cost, slices.Clone(ch.log[mark:])
				}
				ch.undo(mark)
				ch.st.target[s] = true
			}
		}
		if best < 0 {
			return
		}
		ch.repeat(best, hops)
		running, moves = running-1, moves+cheapest
	}
}

// chainIn finds places for units that are nowhere by ejection chains, and
// returns those that still have none.
func (g *gather) chainIn(st *state, loose []int32) []int32 {
	ch := newChain(g, st)
	total := chainTotal / 2
	var left []int32
	for _, u := range loose {
		ch.work = min(chainWork, total)
		before := ch.work
		if !ch.place(u, g.units[u].home, chainDepth) {
			left = append(left, u)
		}
		total -= before - ch.work
	}
	return left
}

// repeat does the hops that emptied s again.
func (ch *chain) repeat(s int, hops []hop) {
	last := map[int32]int{}
	for _, h := range hops {
		last[h.unit] = h.to
	}
	for _, h := range hops {
		if ch.st.host[ch.g.units[h.unit].vms[0]] >= 0 {
			ch.lift(h.unit)
		}
	}
	for _, h := range hops {
		if to, ok := last[h.unit]; ok {
			ch.put(h.unit, to)
			delete(last, h.unit)
		}
	}
	ch.st.target[s] = false
}

// candidates are the servers that may be emptied, those with the least moves
// first, and how many these are at least.
func (ch *chain) candidates() (out []int, load []int64) {
	g := ch.g
	load = make([]int64, len(ch.there))
	for u := range g.units {
		if h := int(ch.st.host[g.units[u].vms[0]]); h == g.units[u].home {
			load[h] += g.units[u].cost
		}
	}
	for _, s := range g.open {
		if g.mayStop[s] && ch.st.target[s] && len(ch.there[s]) > 0 {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(load[a], load[b]) })
	return out, load
}

// empty moves everything off s, or changes nothing.
func (ch *chain) empty(s int) bool {
	mark := len(ch.log)
	ch.st.target[s] = false
	units := slices.Clone(ch.there[s])
	slices.SortStableFunc(units, func(a, b int32) int { return cmp.Compare(ch.size(b), ch.size(a)) })
	for _, u := range units {
		ch.lift(u)
	}
	for i, u := range units {
		if !ch.place(u, s, chainDepth) {
			ch.undo(mark)
			for _, w := range units[i:] {
				ch.put(w, s)
			}
			ch.st.target[s] = true
			return false
		}
	}
	return true
}

func (ch *chain) size(u int32) float64 { return ch.g.kinds[ch.g.units[u].kind].size }

// lift takes a unit off its server.
func (ch *chain) lift(u int32) {
	s := ch.st.host[ch.g.units[u].vms[0]]
	list := ch.there[s]
	i := slices.Index(list, u)
	list[i] = list[len(list)-1]
	ch.there[s] = list[:len(list)-1]
	ch.g.lift(ch.st, u)
}

// put places a unit that is nowhere.
func (ch *chain) put(u int32, s int) {
	for _, v := range ch.g.units[u].vms {
		ch.st.put(v, s)
	}
	ch.there[s] = append(ch.there[s], u)
}

// place finds a server for a unit that has been taken off from.
func (ch *chain) place(u int32, from, depth int) bool {
	ch.work -= len(ch.stay)
	if t := ch.g.tightest(ch.st, ch.stay, u); t >= 0 {
		ch.put(u, t)
		ch.log = append(ch.log, hop{u, from, t})
		return true
	}
	if depth == 0 {
		return false
	}
	for _, p := range ch.pushes(u) {
		if ch.work < 0 {
			return false
		}
		if ch.push(u, from, p, depth) {
			return true
		}
	}
	return false
}

// pushing is a server and the units that leave it for another.
type pushing struct {
	server int
	n      int
	units  [mostPushed]int32
	size   float64
}

// mostPushed bounds the units that one push takes off a server.
const mostPushed = 3

func (p *pushing) out() []int32 { return p.units[:p.n] }

func (p *pushing) before(q *pushing) bool {
	return p.n < q.n || p.n == q.n && p.size < q.size
}

func (ch *chain) push(u int32, from int, p pushing, depth int) bool {
	mark := len(ch.log)
	out := p.out()
	for _, w := range out {
		ch.lift(w)
	}
	if ch.g.fits(ch.st, u, p.server) {
		ch.put(u, p.server)
		ch.log = append(ch.log, hop{u, from, p.server})
		for i, w := range out {
			if !ch.place(w, p.server, depth-1) {
				ch.undo(mark + 1)
				ch.log = ch.log[:mark]
				ch.lift(u) // nowhere, as before
				for _, x := range out[i:] {
					ch.put(x, p.server)
				}
				return false
			}
		}
		return true
	}
	for _, w := range out {
		ch.put(w, p.server)
	}
	return false
}

// undo takes hops back, the last first.
func (ch *chain) undo(mark int) {
	for len(ch.log) > mark {
		h := ch.log[len(ch.log)-1]
		ch.log = ch.log[:len(ch.log)-1]
		ch.lift(h.unit)
		ch.put(h.unit, h.from)
	}
}

// cost is how much the hops since mark add to the moves of the plan.
func (ch *chain) cost(mark int) int64 {
	first := map[int32]int{}
	for _, h := range ch.log[mark:] {
		if _, ok := first[h.unit]; !ok {
			first[h.unit] = h.from
		}
	}
	sum := int64(0)
	for u, from := range first {
		unit := &ch.g.units[u]
		sum += unit.cost * int64(boolInt(int(ch.st.host[unit.vms[0]]) != unit.home)-boolInt(from != unit.home))
	}
	return sum
}

// pushes lists servers on which the unit would fit if smaller units left,
// those first of which least has to leave.
func (ch *chain) pushes(u int32) []pushing {
	g, nd := ch.g, ch.g.c.nd
	need := g.kinds[g.units[u].kind].need
	size := ch.size(u)
	ch.work -= 3 * len(ch.stay)
	list := make([]pushing, 0, chainWidth+1)
	lack := make([]int64, nd)
	for _, s := range ch.stay {
		if !ch.st.target[s] {
			continue
		}
		for d, n := range need {
			lack[d] = 0
			if n > 0 {
				lack[d] = n - ch.st.free[s*nd+d]
			}
		}
		p, ok := ch.ejection(s, size, lack)
		if !ok || len(list) == chainWidth && !p.before(&list[chainWidth-1]) || !ch.st.allowed(g.units[u].vms, s) {
			continue
		}
		i := len(list)
		for list = append(list, p); i > 0 && p.before(&list[i-1]); i-- {
			list[i] = list[i-1]
		}
		list[i] = p
		list = list[:min(len(list), chainWidth)]
	}
	return list
}

// ejection picks units on s, each smaller than size, whose leaving covers what
// is lacking: the smallest single one, or else large ones until it is enough.
// It works on lack.
func (ch *chain) ejection(s int, size float64, lack []int64) (pushing, bool) {
	g := ch.g
	p := pushing{server: s, size: size}
	for _, u := range ch.there[s] {
		kind := &g.kinds[g.units[u].kind]
		if kind.size < p.size && !g.fixed[u] && covers(kind.need, lack) {
			p.units[0], p.n, p.size = u, 1, kind.size
		}
	}
	if p.n == 1 {
		return p, true
	}
	p.size = 0
	for p.n < mostPushed {
		next, most := int32(-1), 0.0
		for _, u := range ch.there[s] {
			if x := ch.size(u); x < size && x > most && !g.fixed[u] && !slices.Contains(p.out(), u) {
				next, most = u, x
			}
		}
		if next < 0 {
			return p, false
		}
		p.units[p.n] = next
		p.n++
		p.size += most
		need := g.kinds[g.units[next].kind].need
		if covers(need, lack) {
			return p, true
		}
		for d := range lack {
			lack[d] -= need[d]
		}
	}
	return p, false
}

func covers(need, lack []int64) bool {
	for d, n := range lack {
		if n > need[d] {
			return false
		}
	}
	return true
}
