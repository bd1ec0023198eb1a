package placement

import (
	"fmt"
	"slices"
)

// savePower makes the plan of the SavePower objective.
func (pl *planner) savePower() {
	g := pl.newGather(&pl.c.now, true)
	pl.plan.Bound = g.lowerBound()
	if best := pl.bestKeepingReserve(g); best != nil {
		pl.gatherMoves(g, best)
	}
	pl.stopEmptied(g)
	if idle := g.idle(); len(pl.plan.Moves) > 0 && len(pl.plan.StopAfter) <= idle {
		pl.st, pl.plan.Moves, pl.plan.StopAfter = nil, nil, nil // moving has emptied nothing
		pl.stopEmptied(g)
	}
	pl.stayRejections(g)
}

// idle counts the servers that may be stopped as they are.
func (g *gather) idle() int {
	n := 0
	for s, may := range g.mayStop {
		n += boolInt(may && len(g.on[s]) == 0)
	}
	return n
}

// bestKeepingReserve searches with more and more servers on until the reserve
// for failures is kept. If it isn't kept now nothing is gathered.
func (pl *planner) bestKeepingReserve(g *gather) *filled {
	if pl.c.p.Settings.ReserveFailures == 0 {
		return g.search(pl.plan.Bound)
	}
	now := g.measure(g.base).running
	if !pl.survives(&pl.c.now) {
		pl.noReserve = true
		return nil
	}
	for least, more := pl.plan.Bound, 1; least < now && pl.ctx.Err() == nil; more *= 2 {
		best := g.search(least)
		if best == nil || pl.survives(g.real(best)) {
			return best
		}
		least = best.running + more
	}
	return nil
}

// real is the state of a result with the room that there is, not cut to the
// proper range, and with the emptied servers off.
func (g *gather) real(f *filled) *state {
	st := g.c.now.clone()
	for i := range g.units {
		u := &g.units[i]
		to := int(f.st.host[u.vms[0]])
		if to == u.home {
			continue
		}
		for _, v := range u.vms {
			st.take(v)
			st.put(v, to)
		}
	}
	busy := g.busy(f.st)
	for s := range busy {
		if g.mayStop[s] && !busy[s] {
			st.target[s] = false
		}
	}
	return st
}

// gatherMoves schedules the moves of a result.
func (pl *planner) gatherMoves(g *gather, best *filled) {
	c := pl.c
	var steps []step
	for i := range g.units {
		u := &g.units[i]
		if to := int(best.st.host[u.vms[0]]); to != u.home {
			reason := fmt.Sprintf("%s is emptied to be stopped; %s stays on and has room", c.serverName(u.home), c.serverName(to))
			if best.st.target[u.home] {
				reason = fmt.Sprintf("makes room on %s for the VMs of a server that is emptied", c.serverName(u.home))
			}
			steps = append(steps, step{unit: u.vms, to: to, reason: reason})
		}
	}
	pl.schedule(steps)
}

// stopEmptied stops the servers that are left without running VMs.
func (pl *planner) stopEmptied(g *gather) {
	busy := make([]bool, len(g.mayStop))
	st := pl.view()
	for v, h := range st.host {
		if h >= 0 && st.active[v] {
			busy[h] = true
		}
	}
	for s := range busy {
		if g.mayStop[s] && !busy[s] {
			pl.plan.StopAfter = append(pl.plan.StopAfter, ServerAction{Server: pl.c.serverName(s), Reason: "no running VM is left on it"})
		}
	}
}

// stayRejections says for each server that stays on why it does.
func (pl *planner) stayRejections(g *gather) {
	stopped := map[string]bool{}
	for _, a := range pl.plan.StopAfter {
		stopped[a.Server] = true
	}
	running := 0
	for s := range g.mayStop {
		if pl.c.p.Servers[s].State == ServerOn && !stopped[pl.c.serverName(s)] {
			running++
		}
	}
	for s := range g.mayStop {
		name := pl.c.serverName(s)
		if pl.c.p.Servers[s].State != ServerOn || stopped[name] {
			continue
		}
		r := pl.stays[s]
		switch {
		case g.mayStop[s] && pl.noReserve:
			r = Rejection{Server: name, Rule: NoReserve}
		case g.mayStop[s]:
			r = Rejection{Server: name, Rule: NotNeeded, Need: int64(pl.plan.Bound), Free: int64(running)}
		}
		pl.plan.Rejections = append(pl.plan.Rejections, r)
	}
}

// search tries sets of servers to empty, from the number that the bound
// allows downwards, and returns the best result, nil if nothing is gained.
func (g *gather) search(bound int) *filled {
	now := g.measure(g.base)
	best := now
	keep := func(f *filled) {
		if f.better(best) && (g.budget == 0 || f.moves <= g.budget) {
			best, f = f, best
		}
		if f != now {
			g.spare = f.st
		}
	}
	if g.budget > 0 {
		keep(g.emptiestFirst(bound))
	}
	tries, vain := 0, 0
	for k := now.running - bound; k > 0 && now.running-k < best.running && vain < 1; k-- {
		out := g.choose(k)
		if len(out) < k && g.budget == 0 {
			continue
		}
		before := best.running
		for v := 0; v < 2*len(sharpness) && tries < searchTries && g.pl.ctx.Err() == nil && now.running-len(out) < best.running; v++ {
			was := slices.Clone(g.weight)
			if g.weigh(sharpness[v/2]); v%2 == 0 && v > 0 && slices.Equal(was, g.weight) {
				break // all dimensions are as scarce: sharpness changes nothing
			}
			keep(g.attempt(out, v%2 == 0, false))
			tries++
		}
		if vain++; best.running < before {
			vain = 0
		}
		if g.budget > 0 {
			break
		}
	}
	g.weigh(sharpness[0])
	for k, try := now.running-bound, 0; g.budget == 0 && float64(best.running) > nearBound*float64(bound) && try < chainedTries && g.pl.ctx.Err() == nil; try++ {
		out := g.choose(k)
		if len(out) == 0 {
			break
		}
		f := g.attempt(out, true, true)
		kept := f.running - (now.running - len(out))
		keep(f)
		if kept <= 1 {
			break
		}
		k = len(out) - (kept+1)/2
	}
	filled := best
	if filled.running > bound {
		keep(g.polish(filled, bound))
	}
	if g.budget > 0 && filled != now && best.running > bound {
		keep(g.polish(now, bound))
	}
	if best == now {
		return nil
	}
	return best
}

// searchTries bounds the fillings that search tries.
const searchTries = 40

// chainedTries bounds the fillings with ejection chains.
const chainedTries = 4

// sharpness is how much more a scarce dimension counts than a plentiful one,
// as the exponent of its share in use; none is right for every problem.
var sharpness = [...]float64{16, 4, 48}
