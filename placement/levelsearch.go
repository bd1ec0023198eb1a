package placement

import (
	"cmp"
	"math"
	"slices"
)

// leveller is one search for an even load.
type leveller struct {
	pl      *planner
	c       *Cluster
	st      *state
	bal     *balance
	units   []levelUnit
	there   [][]int32 // per server the units that may move
	game    []int     // servers that take part
	started []int
	weight  []float64
	heat    []float64
	slope   []float64 // scratch of bestMove
	turn    int       // of windows
	gain    float64   // least gain of a move, for one of its cost
	budget  int64     // moves still allowed
}

type levelUnit struct {
	vms      []int
	home, at int
	cost     int64
	need     []int64   // per dimension of the problem
	weigh    []float64 // the same for those of the balance
}

func (pl *planner) newLeveller(started []int) *leveller {
	c := pl.c
	l := &leveller{pl: pl, c: c, st: c.now.clone(), started: started, there: make([][]int32, len(c.p.Servers)), heat: make([]float64, len(c.p.Servers)), budget: math.MaxInt64}
	for _, s := range started {
		l.st.target[s] = true
	}
	if b := c.p.Settings.MoveBudget; b > 0 {
		l.budget = int64(b)
	}
	l.bal = newBalance(c, l.st, pl.running(started))
	l.weight = make([]float64, l.bal.nd)
	l.slope = make([]float64, len(c.p.Servers)*l.bal.nd)
	l.gain = 0.02 / float64(max(l.bal.n, 1))
	if g := c.p.Settings.MinGain; g > 0 {
		l.gain = float64(g) / 1000 / float64(max(l.bal.n, 1))
	}
	for s := range c.p.Servers {
		if l.bal.runs[s] && c.p.gathers(&c.p.Servers[s]) {
			l.game = append(l.game, s)
		} else {
			l.st.target[s] = false
		}
	}
	l.findUnits()
	return l
}

func (l *leveller) findUnits() {
	c := l.c
	in := make([]bool, len(c.p.Servers))
	for _, s := range l.game {
		in[s] = true
	}
	seen := make([]bool, len(c.p.VMs))
	for v, h := range l.st.host {
		if h < 0 || seen[v] || !in[h] || !l.st.active[v] {
			continue
		}
		vms := []int{v}
		if c.unitOf[v] >= 0 {
			vms = c.unit(l.st, v)
		}
		for _, w := range vms {
			seen[w] = true
		}
		if _, no := l.pl.unitStays(vms); no {
			continue
		}
		u := levelUnit{vms: vms, home: int(h), at: int(h), cost: c.unitCost(vms), need: make([]int64, c.nd), weigh: make([]float64, l.bal.nd)}
		for _, w := range vms {
			if l.st.active[w] {
				for d, n := range c.demand(w) {
					u.need[d] += n
				}
			}
		}
		for d := range u.weigh {
			u.weigh[d] = float64(u.need[l.bal.from+d])
		}
		l.there[h] = append(l.there[h], int32(len(l.units)))
		l.units = append(l.units, u)
	}
}

func (l *leveller) fits(u *levelUnit, t int) bool {
	if !l.st.target[t] {
		return false
	}
	free := l.st.free[t*l.c.nd : (t+1)*l.c.nd]
	for d, n := range u.need {
		if n > free[d] && n > 0 {
			return false
		}
	}
	return l.st.allowed(u.vms, t)
}

func (l *leveller) lift(u *levelUnit) {
	for _, v := range u.vms {
		l.st.take(v)
	}
}

func (l *leveller) drop(u *levelUnit, t int) {
	for _, v := range u.vms {
		l.st.put(v, t)
	}
}

// relocate moves a unit and keeps score.
func (l *leveller) relocate(i int32, t int) {
	u := &l.units[i]
	l.lift(u)
	l.drop(u, t)
	l.account(i, t)
}

// account keeps score of a unit that has moved to t.
func (l *leveller) account(i int32, t int) {
	u := &l.units[i]
	list := l.there[u.at]
	k := slices.Index(list, i)
	list[k] = list[len(list)-1]
	l.there[u.at] = list[:len(list)-1]
	l.there[t] = append(l.there[t], i)
	l.bal.move(u.need, u.at, t)
	l.budget += l.price(u, u.at) - l.price(u, t)
	u.at = t
}

// price is what it costs that the unit ends on t.
func (l *leveller) price(u *levelUnit, t int) int64 {
	if t == u.home {
		return 0
	}
	return u.cost
}

// coldest is how many of the least loaded servers a step looks at.
const coldest = 24

// run finds moves that even out the load: greedily first, then by annealing,
// and greedily again from there.
func (l *leveller) run() {
	l.descend()
	l.anneal()
	l.descend()
}

// descend moves units from loaded servers to less loaded ones, then swaps
// units between them, each round by round as long as it pays, until no round
// finds anything that gains enough.
func (l *leveller) descend() {
	few := len(l.game) / 50
	for kind, idle := 0, 0; idle < len(rounds) && l.pl.ctx.Err() == nil && l.bal.score() > 1e-9; {
		if rounds[kind](l) > few {
			idle = 0
		} else {
			kind = (kind + 1) % len(rounds)
			idle++
		}
	}
}

// rounds are the kinds of rounds in the order in which they are tried.
var rounds = []func(*leveller) int{
	func(l *leveller) int { return l.moves(false) },
	func(l *leveller) int { return l.moves(true) },
	func(l *leveller) int { return l.swaps() },
}

// moves goes through the servers from the most loaded on, makes the best move
// from each, and returns how many it made. In a small cluster it makes one:
// the best of all. A wide round looks at servers from the whole range.
func (l *leveller) moves(wide bool) int {
	order := l.byHeat(l.allHeat)
	n := len(order)
	if n <= 2*coldest {
		if wide {
			return boolInt(l.bestMove(order, order))
		}
		return boolInt(l.bestMove(order[n*2/5:], order[:(n*3+4)/5]))
	}
	made := 0
	for k := n - 1; k >= n/2 && made <= n/20; k-- {
		made += boolInt(l.bestMove(order[k:k+1], l.window(order[:n/2], wide)))
	}
	return made
}

// swaps goes through the servers from the most loaded in the most uneven
// dimension on, and makes the best swap of two units with one of the least
// loaded. Units alike in all other dimensions change one dimension only.
func (l *leveller) swaps() int {
	b, worst := l.bal, 0
	for d := range b.nd {
		if deviation(b.n, b.sum[d], b.sq[d]) > deviation(b.n, b.sum[worst], b.sq[worst]) {
			worst = d
		}
	}
	order := l.byHeat(func(s int) float64 { return b.used[s*b.nd+worst] })
	n, made := len(order), 0
	for k := n - 1; k >= n/2 && l.budget >= 2; k-- {
		window := l.window(order[:n/2], false)
		if len(window) > swapWindow {
			window = window[:swapWindow]
		}
		made += boolInt(l.bestSwap(order[k], window, worst))
	}
	return made
}

// swapWindow is how many servers a swap is looked for with.
const swapWindow = 8

// bestSwap makes the swap of a unit of s with one of a server of to that gains
// most for its cost; the unit that leaves s is the larger one in the
// worst dimension.
func (l *leveller) bestSwap(s int, to []int, worst int) bool {
	b := l.bal
	b.steep(l.weight)
	left, right, best := int32(-1), int32(-1), 0.0
	for _, t := range to {
		if t == s {
			continue
		}
		for _, i := range l.there[s] {
			u := &l.units[i]
			for _, k := range l.there[t] {
				w := &l.units[k]
				if w.weigh[worst] >= u.weigh[worst] {
					continue
				}
				x := 0.0
				for d, f := range l.weight {
					y := u.weigh[d] - w.weigh[d]
					ys, yt := y*b.inv[s*b.nd+d], y*b.inv[t*b.nd+d]
					mean := b.sum[d] / float64(b.n)
					x += f * (ys*(ys-2*(b.used[s*b.nd+d]-mean)) + yt*(yt+2*(b.used[t*b.nd+d]-mean)))
				}
				if x >= best {
					continue
				}
				cost := l.price(u, t) - l.price(u, s) + l.price(w, s) - l.price(w, t)
				if x += l.gain * float64(cost); x < best && cost <= l.budget {
					left, right, best = i, k, x
				}
			}
		}
	}
	return left >= 0 && l.swap(left, right)
}

// swap lets two units change places if they fit and the score falls.
func (l *leveller) swap(i, k int32) bool {
	u, w := &l.units[i], &l.units[k]
	s, t := u.at, w.at
	before := l.bal.score()
	cost := l.price(u, t) - l.price(u, s) + l.price(w, s) - l.price(w, t)
	l.lift(u)
	l.lift(w)
	if l.fits(u, t) {
		l.drop(u, t)
		if l.fits(w, s) {
			l.drop(w, s)
			l.account(i, t)
			l.account(k, s)
			if l.bal.score()+l.gain*float64(cost) < before-1e-12 {
				return true
			}
			l.relocate(i, s)
			l.relocate(k, t)
			return false
		}
		l.lift(u)
	}
	l.drop(u, s)
	l.drop(w, t)
	return false
}

// window picks the next few targets: from the coldest servers, or if wide from
// all in order.
func (l *leveller) window(order []int, wide bool) []int {
	l.turn++
	if !wide {
		if len(order) <= coldest {
			return order
		}
		last := max(len(order)/10, coldest)
		at := l.turn * 7 % (last - coldest + 1)
		return order[at : at+coldest]
	}
	out := make([]int, 0, coldest)
	stride := max(len(order)/coldest, 1)
	for i := l.turn % stride; i < len(order); i += stride {
		out = append(out, order[i])
	}
	return out
}

// bestMove makes the move between the servers that gains most, for its cost.
func (l *leveller) bestMove(from, to []int) bool {
	b := l.bal
	b.steep(l.weight)
	nd := b.nd
	// The change of the score is about linear in what a server gets, plus
	// a square term; both are the same for all units.
	for _, t := range to {
		for d, w := range l.weight {
			l.slope[t*nd+d] = 2 * w * (b.used[t*nd+d] - b.sum[d]/float64(b.n)) * b.inv[t*nd+d]
		}
	}
	unit, dest, best := int32(-1), -1, 0.0
	for _, s := range from {
		for _, i := range l.there[s] {
			u := &l.units[i]
			leave := 0.0
			for d, w := range l.weight {
				x, inv := u.weigh[d], b.inv[s*nd+d]
				leave += w * x * inv * (x*inv - 2*(b.used[s*nd+d]-b.sum[d]/float64(b.n)))
			}
			if u.at != u.home {
				leave -= l.gain * float64(u.cost)
			}
			for _, t := range to {
				x := leave
				for d, w := range l.weight {
					y := u.weigh[d]
					x += y * (l.slope[t*nd+d] + w*y*b.inv[t*nd+d]*b.inv[t*nd+d])
				}
				if x >= best || t == s {
					continue
				}
				if t != u.home {
					x += l.gain * float64(u.cost)
				}
				if x < best && l.price(u, t)-l.price(u, s) <= l.budget && l.fits(u, t) {
					unit, dest, best = i, t, x
				}
			}
		}
	}
	if unit < 0 {
		return false
	}
	u := &l.units[unit]
	if b.after(u.need, u.at, dest)+l.gain*float64(l.price(u, dest)-l.price(u, u.at)) >= b.score()-1e-12 {
		return false
	}
	l.relocate(unit, dest)
	return true
}

// allHeat is how much the score would fall if s had less.
func (l *leveller) allHeat(s int) float64 {
	b, sum := l.bal, 0.0
	for d, w := range l.weight {
		sum += w * (b.used[s*b.nd+d] - b.sum[d]/float64(b.n))
	}
	return sum
}

// byHeat sorts the servers, the coldest first.
func (l *leveller) byHeat(heat func(int) float64) []int {
	l.bal.steep(l.weight)
	for _, s := range l.game {
		l.heat[s] = heat(s)
	}
	order := slices.Clone(l.game)
	slices.SortFunc(order, func(x, y int) int {
		if k := cmp.Compare(l.heat[x], l.heat[y]); k != 0 {
			return k
		}
		return x - y
	})
	return order
}
