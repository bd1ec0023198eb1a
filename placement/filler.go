package placement

import "math"

// Bounds of the search for the best filling of one server.
const (
	fillNodes = 400
	fillKinds = 80 // kinds of units looked at; of more, some of every size
)

// filler fills one server after the other with units from the queues.
type filler struct {
	g     *gather
	st    *state
	queue [][]int32 // per kind, the units still to be placed

	usable []int // kinds that may go to the server, large before small
	count  []int // of usable: how many there are
	take   []int
	best   []int
	room   []int64
	least  float64
	nodes  int
	turn   int // of thinning
}

// server fills server s with the kinds of units that leave the least weighted
// room: a search of bounded length, large units first (bin completion).
func (f *filler) server(s int, kinds []int) {
	g := f.g
	f.room = append(f.room[:0], f.st.free[s*g.c.nd:(s+1)*g.c.nd]...)
	f.usable, f.count, f.take = f.usable[:0], f.count[:0], f.take[:0]
	f.turn++
	stride := len(kinds)/(4*fillKinds) + 1
	for i := f.turn % stride; i < len(kinds); i += stride {
		k := kinds[i]
		kind := &g.kinds[k]
		if len(f.queue[k]) == 0 || kind.class >= 0 && !g.c.classes[kind.class].allowed[s] || !f.holds(kind.need) {
			continue
		}
		f.usable = append(f.usable, k)
		f.count = append(f.count, len(f.queue[k]))
		f.take = append(f.take, 0)
	}
	if len(f.usable) == 0 {
		return
	}
	f.thin()
	f.nodes, f.least = fillNodes, math.Inf(1)
	f.best = f.best[:0]
	f.dig(0, g.slack(f.st, s))
	for i, n := range f.best {
		f.place(s, f.usable[i], n)
	}
}

// thin keeps every few of too many kinds, another choice at each server.
func (f *filler) thin() {
	n := len(f.usable)
	if n <= fillKinds {
		return
	}
	stride := (n + fillKinds - 1) / fillKinds
	k := 0
	for i := f.turn % stride; i < n; i += stride {
		f.usable[k], f.count[k] = f.usable[i], f.count[i]
		k++
	}
	f.usable, f.count, f.take = f.usable[:k], f.count[:k], f.take[:k]
}

func (f *filler) holds(need []int64) bool {
	for d, n := range need {
		if n > f.room[d] && n > 0 {
			return false
		}
	}
	return true
}

func (f *filler) dig(i int, slack float64) {
	if slack < f.least {
		f.least = slack
		f.best = append(f.best[:0], f.take...)
	}
	for ; i < len(f.usable) && f.least > 1e-12; i++ {
		kind := &f.g.kinds[f.usable[i]]
		if f.take[i] >= f.count[i] || !f.holds(kind.need) {
			continue
		}
		if f.nodes--; f.nodes < 0 {
			return
		}
		used := 0.0
		for d, n := range kind.need {
			f.room[d] -= n
			used += f.g.weight[d] * float64(n)
		}
		f.take[i]++
		f.dig(i, slack-used)
		f.take[i]--
		for d, n := range kind.need {
			f.room[d] += n
		}
	}
}

// place puts up to n units of the kind on s; units that a rule keeps off s
// stay in the queue.
func (f *filler) place(s, kind, n int) {
	q := f.queue[kind]
	kept := 0
	for i := len(q) - 1; i >= 0 && n > 0; i-- {
		if f.g.fits(f.st, q[i], s) {
			f.g.drop(f.st, q[i], s)
			n--
			q = append(q[:i], q[i+1:]...)
		} else if kept++; kept > 20 {
			break
		}
	}
	f.queue[kind] = q
}
