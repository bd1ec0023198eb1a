package placement

import (
	"encoding/binary"
	"fmt"
	"math"
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

// newGather prepares the search from a state: units, kinds, and room, which is
// cut to the proper range if proper is set.
func (pl *planner) newGather(from *state, proper bool) *gather {
	c := pl.c
	n := len(c.p.Servers)
	g := &gather{pl: pl, c: c, base: from.clone(), on: make([][]int32, n), mayStop: make([]bool, n), weight: make([]float64, c.nd), budget: int64(c.p.Settings.MoveBudget), runs: pl.running(nil)}
	pl.stays = make([]Rejection, n)
	for s := range n {
		srv := &c.p.Servers[s]
		if !g.runs[s] {
			continue
		}
		r, no := pl.mustStay(s)
		pl.stays[s] = r
		g.mayStop[s] = !no
		if proper {
			if c.p.gathers(srv) {
				g.properRange(s)
			} else {
				g.base.target[s] = false
			}
		}
		if g.base.target[s] || g.mayStop[s] || !proper {
			g.open = append(g.open, s)
		}
	}
	g.findUnits()
	g.weigh(sharpness[0])
	for s := range n {
		if proper && g.mayStop[s] && len(g.on[s]) == 0 {
			g.base.target[s] = false // idle: it is stopped, not filled
		}
	}
	return g
}

// gathers says whether VM placement is on for the server: it is unless its
// model says otherwise.
func (p *Problem) gathers(s *Server) bool {
	m := p.modelOf(s)
	return m == nil || m.Placement
}

func (p *Problem) modelOf(s *Server) *ServerModel {
	for i := range p.Models {
		if p.Models[i].Name == s.Model {
			return &p.Models[i]
		}
	}
	return nil
}

// mustStay returns why a server can't be stopped, VMs left aside.
func (pl *planner) mustStay(s int) (Rejection, bool) {
	p := &pl.c.p
	srv := &p.Servers[s]
	r := Rejection{Server: srv.Name}
	switch {
	case srv.KeepOn:
		r.Rule = NoKeepOn
	case !srv.Startable:
		r.Rule = NoStartable
	case !p.gathers(srv):
		r.Rule, r.Subject = NoPlacement, srv.Model
	case srv.SinceChange > 0 && srv.SinceChange < p.Settings.Hold:
		r.Rule = NoHoldServer
	default:
		return r, false
	}
	return r, true
}

// properRange cuts the room on a server to the upper end of its model's
// target range.
func (g *gather) properRange(s int) {
	c := g.c
	srv := &c.p.Servers[s]
	free := g.base.free[s*c.nd : (s+1)*c.nd]
	high := int64(100)
	if m := c.p.modelOf(srv); m != nil && m.TargetHigh > 0 {
		high = int64(m.TargetHigh)
	}
	measured := false
	for d, dim := range c.p.Dimensions {
		if !dim.Measured {
			continue
		}
		measured = true
		l := srv.Limits[d]
		used := unlimited - free[1+d]
		free[1+d] = l.Limit*high/100 - l.Own - used
	}
	if !measured {
		used := srv.Capacity - free[0]
		free[0] = min(free[0], srv.Capacity*high/100-used)
	}
}

// findUnits lists the units that are on, and marks servers that hold one that
// can't move.
func (g *gather) findUnits() {
	c := g.c
	kindOf := map[string]int{}
	seen := make([]bool, len(c.p.VMs))
	for v, h := range g.base.host {
		if h < 0 || seen[v] || !g.runs[h] {
			continue
		}
		vms := []int{v}
		if c.unitOf[v] >= 0 {
			vms = c.unit(g.base, v)
		}
		active := false
		for _, w := range vms {
			seen[w] = true
			active = active || g.base.active[w]
		}
		if !active {
			continue
		}
		u := gatherUnit{vms: vms, home: int(h), cost: c.unitCost(vms)}
		u.kind = g.kindOf(vms, kindOf)
		g.units = append(g.units, u)
		g.on[h] = append(g.on[h], int32(len(g.units)-1))
		r, no := g.pl.unitStays(vms)
		g.fixed = append(g.fixed, no)
		if no && g.mayStop[h] {
			g.mayStop[h] = false
			g.pl.stays[h] = Rejection{Server: c.serverName(int(h)), VM: r.VM, Rule: NoFixedVM, Subject: r.Sentence()}
		}
	}
}

// unitStays returns why a unit can't be moved for levelling or saving.
func (pl *planner) unitStays(vms []int) (Rejection, bool) {
	for _, v := range vms {
		if r, no := pl.immovable(v); no {
			return r, true
		}
		if m := &pl.c.p.VMs[v]; m.SinceMove > 0 && m.SinceMove < pl.c.p.Settings.Hold {
			return Rejection{VM: m.Name, Rule: NoHoldTime}, true
		}
	}
	return Rejection{}, false
}

// kindOf finds or makes the kind of a unit. Units of more than one VM are a
// kind of their own.
func (g *gather) kindOf(vms []int, known map[string]int) int {
	c := g.c
	need := make([]int64, c.nd)
	for _, v := range vms {
		if g.base.active[v] {
			for d, n := range c.demand(v) {
				need[d] += n
			}
		}
	}
	if len(vms) > 1 {
		g.kinds = append(g.kinds, unitKind{need: need, class: -1})
		return len(g.kinds) - 1
	}
	key := binary.AppendVarint(g.key[:0], int64(c.classOf[vms[0]]))
	for _, n := range need {
		key = binary.AppendVarint(key, n)
	}
	g.key = key
	k, ok := known[string(key)]
	if !ok {
		k = len(g.kinds)
		known[string(key)] = k
		g.kinds = append(g.kinds, unitKind{need: need, class: c.classOf[vms[0]]})
	}
	return k
}

// weigh finds how scarce each dimension is: its demand over what the servers
// offer, sharpened, per unit of an average server's room.
func (g *gather) weigh(sharp float64) {
	c := g.c
	clear(g.weight)
	need, offer := make([]float64, c.nd), make([]float64, c.nd)
	for i := range g.units {
		for d, n := range g.kinds[g.units[i].kind].need {
			need[d] += float64(n)
		}
	}
	for _, s := range g.open {
		for d := range offer {
			offer[d] += float64(min(g.capacity(s, d), unlimited/1e6))
		}
	}
	scarcest := 0.0
	for d := range need {
		if offer[d] > 0 {
			scarcest = max(scarcest, need[d]/offer[d])
		}
	}
	for d := range need {
		if offer[d] > 0 && scarcest > 0 {
			share := need[d] / offer[d] / scarcest
			g.weight[d] = math.Pow(share, sharp) * float64(len(g.open)) / offer[d]
		}
	}
	for k := range g.kinds {
		g.kinds[k].size = 0
		for d, n := range g.kinds[k].need {
			g.kinds[k].size += g.weight[d] * float64(n)
		}
	}
}

// capacity is what units that are on may use of server s in all, inside the
// proper range.
func (g *gather) capacity(s, d int) int64 {
	sum := g.base.free[s*g.c.nd+d]
	for _, u := range g.on[s] {
		sum += g.kinds[g.units[u].kind].need[d]
	}
	return max(sum, 0)
}

// gatherMoves schedules the moves of a result.
func (pl *planner) gatherMoves(g *gather, best *filled) {
	c := pl.c
	var steps []step
	for i := range g.units {
		u := &g.units[i]
		if to := int(best.st.host[u.vms[0]]); to != u.home {
			reason := fmt.Sprintf("%s is emptied to be stopped; fewer servers carry the load", c.serverName(u.home))
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
		keep(g.emptiestFirst())
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
