package placement

import (
	"slices"
)

// step is a wish to have a unit of VMs on another server.
type step struct {
	unit   []int
	to     int
	reason string
}

// schedule orders the steps into waves that can be carried out from the
// present state, and makes the result the planner's state. In a wave all VMs
// arrive before any leaves, so a unit must fit beside everything that is
// there. When no step of the rest can be done, one unit goes through another
// server; when that can't help either, the rest is dropped. It returns the
// steps that were dropped.
func (pl *planner) schedule(steps []step) (dropped []step) {
	w := waves{pl: pl, st: pl.c.now.clone(), wave: pl.lastWave() + 1, hopped: map[int]bool{}, pending: slices.Clone(steps)}
	if pl.st != nil {
		copy(w.st.target, pl.st.target)
		copy(w.st.barred, pl.st.barred)
	}
	for _, s := range pl.started {
		w.st.target[s] = true
	}
	for len(w.pending) > 0 && (w.run() || w.detour()) {
	}
	pl.st = w.st
	return w.pending
}

type waves struct {
	pl      *planner
	st      *state
	wave    int
	pending []step
	hopped  map[int]bool // units that went through another server, by first VM
}

// run carries out one wave and says whether anything moved.
func (w *waves) run() bool {
	var moved, rest []step
	busy := map[int32]bool{} // groups of which a VM moves in this wave
	for _, s := range w.pending {
		if w.free(s.unit, busy) && w.st.fits(s.unit, s.to) {
			w.arrive(s, busy)
			moved = append(moved, s)
		} else {
			rest = append(rest, s)
		}
	}
	w.end(moved)
	w.pending = rest
	return len(moved) > 0
}

// free says whether no VM of a group of the unit moves in this wave, so that
// counting the groups where their VMs were is right.
func (w *waves) free(unit []int, busy map[int32]bool) bool {
	for _, v := range unit {
		for _, g := range w.pl.c.groupsOf[v] {
			if busy[g] {
				return false
			}
		}
	}
	return true
}

// arrive counts the unit on its new server beside the old.
func (w *waves) arrive(s step, busy map[int32]bool) {
	c := w.pl.c
	for _, v := range s.unit {
		w.pl.plan.Moves = append(w.pl.plan.Moves, Move{VM: c.vmName(v), From: c.serverName(int(w.st.host[v])), To: c.serverName(s.to),
			Kind: w.st.kindOf(v, int(w.st.host[v]), s.to), Wave: w.wave, Reason: s.reason})
		if w.st.active[v] {
			w.st.use(v, s.to, 1)
		}
		for _, g := range c.groupsOf[v] {
			busy[g] = true
		}
	}
}

// end lets the units of the wave leave their old servers.
func (w *waves) end(moved []step) {
	for _, s := range moved {
		for _, v := range s.unit {
			w.st.take(v)
			if w.st.active[v] { // arrive has counted it already
				w.st.use(v, s.to, -1)
			}
			w.st.put(v, s.to)
		}
	}
	if len(moved) > 0 {
		w.wave++
	}
}

// detour moves one unit to a server from which it can go on later, to break a
// circle of units that wait for each other's place. It prefers the unit with
// the least cost, and the server with the most room.
func (w *waves) detour() bool {
	c := w.pl.c
	order := slices.Clone(w.pending)
	slices.SortStableFunc(order, func(a, b step) int { return int(min(max(c.unitCost(a.unit)-c.unitCost(b.unit), -1), 1)) })
	for _, s := range order {
		if w.hopped[s.unit[0]] {
			continue
		}
		best := -1
		for t := range c.p.Servers {
			if t != s.to && int32(t) != w.st.host[s.unit[0]] && w.st.fits(s.unit, t) && (best < 0 || w.st.free[t*c.nd] > w.st.free[best*c.nd]) {
				best = t
			}
		}
		if best < 0 {
			continue
		}
		w.hopped[s.unit[0]] = true
		hop := step{unit: s.unit, to: best, reason: "makes room on " + c.serverName(int(w.st.host[s.unit[0]])) + " and goes on to " + c.serverName(s.to) + " later"}
		w.arrive(hop, map[int32]bool{})
		w.end([]step{hop})
		return true
	}
	return false
}

// unitCost is what moving the unit weighs.
func (c *Cluster) unitCost(unit []int) int64 {
	sum := int64(0)
	for _, v := range unit {
		sum += max(c.p.VMs[v].MoveCost, 1)
	}
	return sum
}
