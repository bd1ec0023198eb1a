package placement

import (
	"math"
	"math/rand/v2"
)

// annealing of a levelling: how many changes are tried. Pairs of a unit and a
// server are what there is to choose from.
const (
	annealMost    = 150_000
	annealLargest = 2_000_000 // pairs above which it is not worth the time
)

func annealTries(pairs int) int {
	return min(int(math.Pow(float64(pairs), 1.5)/14), annealMost)
}

// anneal looks for a better set of moves of about the same number: units go
// home again while others go in their place, or choose another server. Worse
// states are passed through with falling probability (Kirkpatrick 1983); the
// best one met is kept.
func (l *leveller) anneal() {
	pairs := len(l.units) * len(l.game)
	n := annealTries(pairs)
	if n == 0 || len(l.game) < 2 || pairs > annealLargest {
		return
	}
	a := annealer{leveller: l, rng: rand.New(rand.NewPCG(l.c.p.Settings.Seed, 0x6c6576656c))}
	a.value = l.bal.score() + l.gain*float64(l.moved())
	a.spent = l.moved()
	a.place = make([]int, len(l.units))
	for i := range l.units {
		a.place[i] = -1
		if u := &l.units[i]; u.at != u.home {
			a.setAway(int32(i), true)
		}
	}
	a.keep()
	hot, cold := annealHot*a.value, annealCold*a.value
	cool := math.Pow(cold/hot, 1/float64(n))
	for t := hot; n > 0; n-- {
		a.try(t)
		t *= cool
		if n%1024 == 0 && l.pl.ctx.Err() != nil {
			break
		}
	}
	a.restore()
}

// Temperatures at the start and the end, as shares of the value.
const (
	annealHot  = 0.03
	annealCold = 0.002
)

type annealer struct {
	*leveller
	rng    *rand.Rand
	value  float64 // score and price of the moves
	spent  int64   // cost of the moves
	away   []int32 // units that are not at home
	place  []int   // of a unit in away, or -1
	best   float64
	bestAt []int32
}

func (l *leveller) moved() int64 {
	sum := int64(0)
	for i := range l.units {
		sum += l.price(&l.units[i], l.units[i].at)
	}
	return sum
}

func (a *annealer) keep() {
	a.best = a.value
	if a.bestAt == nil {
		a.bestAt = make([]int32, len(a.units))
	}
	for i := range a.units {
		a.bestAt[i] = int32(a.units[i].at)
	}
}

// restore goes back to the best state met.
func (a *annealer) restore() {
	if a.value <= a.best {
		return
	}
	for i := range a.units {
		if u := &a.units[i]; u.at != int(a.bestAt[i]) {
			a.relocate(int32(i), int(a.bestAt[i]))
		}
	}
}

func (a *annealer) setAway(i int32, away bool) {
	switch k := a.place[i]; {
	case away && k < 0:
		a.place[i] = len(a.away)
		a.away = append(a.away, i)
	case !away && k >= 0:
		last := a.away[len(a.away)-1]
		a.away[k] = last
		a.place[last] = k
		a.away = a.away[:len(a.away)-1]
		a.place[i] = -1
	}
}

// try proposes one change: a unit goes elsewhere; or another unit goes where
// one that is away is, which goes home; or two that are away change places.
func (a *annealer) try(temperature float64) {
	if len(a.away) == 0 || a.rng.IntN(4) == 0 {
		a.single(int32(a.rng.IntN(len(a.units))), temperature)
		return
	}
	i := a.away[a.rng.IntN(len(a.away))]
	u := &a.units[i]
	switch a.rng.IntN(8) {
	case 0:
		a.single(i, temperature)
	case 1:
		k := a.away[a.rng.IntN(len(a.away))]
		a.exchange(i, k, temperature)
	case 2, 3: // a unit of anywhere for it
		k := int32(a.rng.IntN(len(a.units)))
		a.both(i, u.home, k, a.game[a.rng.IntN(len(a.game))], temperature)
	default: // another unit of the same home for it
		if near := a.there[u.home]; len(near) > 0 {
			a.exchange(i, near[a.rng.IntN(len(near))], temperature)
		}
	}
}

// single proposes that unit i goes to some server, or home.
func (a *annealer) single(i int32, temperature float64) {
	u := &a.units[i]
	t := a.game[a.rng.IntN(len(a.game))]
	if a.rng.IntN(4) == 0 {
		t = u.home
	}
	cost := a.price(u, t) - a.price(u, u.at)
	if t == u.at || cost > a.budget {
		return
	}
	value := a.bal.after(u.need, u.at, t) + a.gain*float64(a.spent+cost)
	if a.accepts(value, temperature) && a.fits(u, t) {
		a.commit(i, t, value)
	}
}

// exchange proposes that two units change places.
func (a *annealer) exchange(i, k int32, temperature float64) {
	u, w := &a.units[i], &a.units[k]
	s, t := u.at, w.at
	cost := a.price(u, t) - a.price(u, s) + a.price(w, s) - a.price(w, t)
	if s == t || cost > a.budget {
		return
	}
	value := a.bal.afterSwap(u.weigh, w.weigh, s, t) + a.gain*float64(a.spent+cost)
	if a.accepts(value, temperature) {
		a.settleBoth(i, t, k, s, value)
	}
}

// both proposes that unit i goes to s and unit k to t.
func (a *annealer) both(i int32, s int, k int32, t int, temperature float64) {
	u, w := &a.units[i], &a.units[k]
	if i == k || u.at == s || w.at == t {
		return
	}
	cost := a.price(u, s) - a.price(u, u.at) + a.price(w, t) - a.price(w, w.at)
	if cost > a.budget {
		return
	}
	was := u.at
	a.bal.move(u.need, was, s)
	value := a.bal.after(w.need, w.at, t) + a.gain*float64(a.spent+cost)
	a.bal.move(u.need, s, was)
	if a.accepts(value, temperature) {
		a.settleBoth(i, s, k, t, value)
	}
}

// settleBoth moves unit i to s and unit k to t if they fit; each may need the
// place of the other.
func (a *annealer) settleBoth(i int32, s int, k int32, t int, value float64) {
	u, w := &a.units[i], &a.units[k]
	wasU, wasW := u.at, w.at
	a.lift(u)
	a.lift(w)
	if a.fits(u, s) {
		a.drop(u, s)
		if a.fits(w, t) {
			a.drop(w, t)
			a.account(i, s)
			a.account(k, t)
			a.settled(value, i, k)
			return
		}
		a.lift(u)
	}
	a.drop(u, wasU)
	a.drop(w, wasW)
}

func (a *annealer) accepts(value, temperature float64) bool {
	d := value - a.value
	return d <= 0 || d < 20*temperature && a.rng.Float64() < math.Exp(-d/temperature)
}

func (a *annealer) commit(i int32, t int, value float64) {
	a.relocate(i, t)
	a.settled(value, i)
}

// settled notes that units have moved, and what the state is worth now.
func (a *annealer) settled(value float64, units ...int32) {
	a.value = value
	for _, i := range units {
		away := a.units[i].at != a.units[i].home
		if was := a.place[i] >= 0; was != away {
			a.spent += a.units[i].cost * int64(boolInt(away)-boolInt(was))
		}
		a.setAway(i, away)
	}
	if value < a.best-1e-9 {
		a.keep()
	}
}
