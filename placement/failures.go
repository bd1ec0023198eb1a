package placement

import (
	"cmp"
	"slices"
)

// checkFailures makes the answer of the CheckFailures objective. If some loss
// leaves VMs without a place, stopped servers are started one by one, those
// that cost least first, as far as each helps; what is lacking even then is
// told as a number of further servers.
func (pl *planner) checkFailures() {
	f := pl.newFailures(&pl.c.now)
	results := make([]loss, 0, len(f.g.open))
	for _, s := range f.g.open {
		results = append(results, f.lose(s))
	}
	for _, s := range pl.byStartCost() {
		bad := unplacedIn(results)
		if bad == 0 || pl.req.NoServerStart || pl.ctx.Err() != nil {
			break
		}
		f.open(s)
		again := slices.Clone(results)
		for i := range again {
			if len(again[i].left) > 0 {
				again[i] = f.lose(again[i].server)
			}
		}
		if unplacedIn(again) < bad {
			results = again
			pl.startServer(s, "without it the VMs of some server would find no place if that failed")
		} else {
			f.close(s)
		}
	}
	for i := range results {
		pl.plan.Failures = append(pl.plan.Failures, f.report(&results[i]))
	}
	pl.plan.Missing = f.missing(results)
}

func unplacedIn(results []loss) int {
	n := 0
	for i := range results {
		n += len(results[i].left)
	}
	return n
}

// survives says whether in the state every loss of servers that the settings
// reserve for leaves a place for all VMs.
func (pl *planner) survives(st *state) bool {
	f := pl.newFailures(st)
	for _, s := range f.g.open {
		if l := f.lose(s); len(l.left) > 0 {
			return false
		}
	}
	return true
}

// loss is what happens if a server fails.
type loss struct {
	server int
	put    []hop   // where its units would go
	left   []int32 // those that find no place
}

// failures checks losses one after the other on one state.
type failures struct {
	g      *gather
	st     *state
	roomy  []int // running servers, the one with most room first
	loaded []int // the same, the one with most load first
}

func (pl *planner) newFailures(from *state) *failures {
	g := pl.newGather(from, false)
	f := &failures{g: g, st: g.base}
	f.sort()
	return f
}

func (f *failures) sort() {
	f.roomy = f.roomy[:0]
	room := make([]float64, len(f.st.target))
	load := make([]float64, len(f.st.target))
	for s, is := range f.st.target {
		if is {
			f.roomy = append(f.roomy, s)
			room[s] = f.g.slack(f.st, s)
		}
	}
	for _, s := range f.g.open {
		for _, u := range f.g.on[s] {
			load[s] += f.g.kinds[f.g.units[u].kind].size
		}
	}
	slices.SortStableFunc(f.roomy, func(a, b int) int { return cmp.Compare(room[b], room[a]) })
	f.loaded = slices.Clone(f.g.open)
	slices.SortStableFunc(f.loaded, func(a, b int) int { return cmp.Compare(load[b], load[a]) })
}

func (f *failures) open(s int) {
	f.st.target[s] = true
	f.sort()
}

func (f *failures) close(s int) {
	f.st.target[s] = false
	f.sort()
}

// lose finds places for the units of s, and if more than one failure is
// reserved for, of the most loaded others with it. It leaves the state as it
// was.
func (f *failures) lose(s int) loss {
	lost := []int{s}
	for _, t := range f.loaded {
		if len(lost) >= f.g.c.p.Settings.ReserveFailures {
			break
		}
		if t != s {
			lost = append(lost, t)
		}
	}
	var units []int32
	was := make([]bool, len(lost))
	for i, t := range lost {
		was[i] = f.st.target[t]
		f.st.target[t] = false
		units = append(units, f.g.on[t]...)
	}
	slices.SortStableFunc(units, func(a, b int32) int { return cmp.Compare(f.size(b), f.size(a)) })
	for _, u := range units {
		f.g.lift(f.st, u)
	}
	best := f.try(s, units, f.firstRoomy)
	if len(best.left) > 0 {
		if l := f.try(s, units, f.tightest); len(l.left) < len(best.left) {
			best = l
		}
	}
	for _, u := range units {
		f.put(u, f.g.units[u].home)
	}
	for i, t := range lost {
		f.st.target[t] = was[i]
	}
	return best
}

func (f *failures) size(u int32) float64 { return f.g.kinds[f.g.units[u].kind].size }

func (f *failures) put(u int32, s int) {
	for _, v := range f.g.units[u].vms {
		f.st.put(v, s)
	}
}

// try places the units by one way to choose, and takes them off again.
func (f *failures) try(s int, units []int32, choose func(u int32) int) loss {
	l := loss{server: s}
	for _, u := range units {
		t := -1
		if !f.stuck(u) {
			t = choose(u)
		}
		if t < 0 {
			l.left = append(l.left, u)
			continue
		}
		f.put(u, t)
		l.put = append(l.put, hop{u, f.g.units[u].home, t})
	}
	for _, h := range l.put {
		f.g.lift(f.st, h.unit)
	}
	return l
}

// stuck says whether a unit can't be restarted elsewhere wherever there is room.
func (f *failures) stuck(u int32) bool {
	for _, v := range f.g.units[u].vms {
		if f.g.c.p.VMs[v].LocalDisk {
			return true
		}
	}
	return false
}

// firstRoomy is the first server, from those with most room on, that can take
// the unit.
func (f *failures) firstRoomy(u int32) int {
	for _, t := range f.roomy {
		if f.g.fits(f.st, u, t) {
			return t
		}
	}
	return -1
}

func (f *failures) tightest(u int32) int { return f.g.tightest(f.st, f.roomy, u) }

// report puts a loss into words.
func (f *failures) report(l *loss) Failure {
	c := f.g.c
	out := Failure{Server: c.serverName(l.server)}
	for _, h := range l.put {
		for _, v := range f.g.units[h.unit].vms {
			out.Moves = append(out.Moves, Move{VM: c.vmName(v), From: c.serverName(h.from), To: c.serverName(h.to), Kind: Failover, Wave: 1, Reason: "if the server failed"})
		}
	}
	for _, u := range l.left {
		for _, v := range f.g.units[u].vms {
			un := Unplaced{VM: c.vmName(v)}
			if f.stuck(u) {
				un.Reasons = []Rejection{{VM: un.VM, Rule: NoLocalDisk}}
			} else {
				un.Reasons = f.refusals(l, u)
			}
			out.Unplaced = append(out.Unplaced, un)
		}
	}
	return out
}

// refusals says for each server why it can't take unit u of the loss, with the
// other units of it in their places.
func (f *failures) refusals(l *loss, u int32) []Rejection {
	st := f.st
	for _, h := range l.put {
		f.g.lift(st, h.unit)
		f.put(h.unit, h.to)
	}
	home := f.g.units[u].home
	was := st.target[home]
	st.target[home] = false
	f.g.lift(st, u)
	var out []Rejection
	for s := range st.target {
		if s == home {
			continue
		}
		if r, no := st.reject(f.g.units[u].vms, s); no {
			out = append(out, r)
		} else if !st.target[s] {
			r.Rule = NoServerOff
			out = append(out, r)
		}
	}
	f.put(u, home)
	st.target[home] = was
	for _, h := range l.put {
		f.g.lift(st, h.unit)
		f.put(h.unit, h.from)
	}
	return out
}

// missing is how many further servers, like the largest that runs, would take
// what is left over in the worst loss; nil if nothing is.
func (f *failures) missing(results []loss) *Missing {
	c := f.g.c
	like := -1
	for _, s := range f.g.open {
		if like < 0 || f.whole(s) > f.whole(like) {
			like = s
		}
	}
	worst := 0
	for i := range results {
		var bins [][]int64
		for _, u := range results[i].left {
			if f.stuck(u) {
				continue
			}
			need := f.g.kinds[f.g.units[u].kind].need
			k := slices.IndexFunc(bins, func(room []int64) bool { return covers(room, need) })
			if k < 0 {
				room := slices.Clone(c.limits[like*c.nd : (like+1)*c.nd])
				if !covers(room, need) {
					continue
				}
				bins, k = append(bins, room), len(bins)
			}
			for d, n := range need {
				bins[k][d] -= n
			}
		}
		worst = max(worst, len(bins))
	}
	if worst == 0 {
		return nil
	}
	return &Missing{Servers: worst, Like: c.serverName(like)}
}

func (f *failures) whole(s int) float64 {
	sum := 0.0
	for d, w := range f.g.weight {
		sum += w * float64(f.g.capacity(s, d))
	}
	return sum
}
