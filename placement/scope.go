package placement

import (
	"encoding/binary"
	"math"
)

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
