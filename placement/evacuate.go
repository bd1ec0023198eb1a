package placement

import (
	"fmt"
	"slices"
)

// evacuate empties the servers: VMs that are on before VMs that are off, each
// by falling priority, so that the most important run again first. A VM that
// finds no room may push VMs of other servers aside. VMs that can't be moved or
// find no server even so stay, and are listed as unplaced.
func (pl *planner) evacuate(servers []int) {
	st := pl.work()
	for _, s := range servers {
		st.target[s], st.barred[s] = false, true
	}
	var steps []step
	var left [][]int
	for _, unit := range pl.unitsOn(servers) {
		if bar, barred := pl.unitBarred(unit); barred {
			for _, v := range unit {
				pl.unplaced(v, bar)
			}
		} else if s, ok := pl.evacuateUnit(unit); ok {
			steps = append(steps, s)
		} else {
			left = append(left, unit)
		}
	}
	if len(left) > 0 {
		var more []step
		more, left = pl.pushIn(left, servers)
		steps = mergeSteps(steps, more)
	}
	for _, s := range pl.schedule(steps) {
		left = append(left, s.unit)
	}
	for _, unit := range left {
		reasons := pl.refusals(unit, -1)
		for _, v := range unit {
			pl.unplaced(v, reasons...)
		}
	}
}

// unitsOn returns the VMs on the servers in units that move together, in the
// order in which they are to be placed.
func (pl *planner) unitsOn(servers []int) [][]int {
	c := pl.c
	var vms []int
	for v, h := range c.now.host {
		if h >= 0 && slices.Contains(servers, int(h)) {
			vms = append(vms, v)
		}
	}
	vms = c.byPriority(vms)
	slices.SortStableFunc(vms, func(a, b int) int {
		return boolInt(c.now.active[b]) - boolInt(c.now.active[a])
	})
	var units [][]int
	seen := map[int]bool{}
	for _, v := range vms {
		if seen[v] {
			continue
		}
		unit := c.unit(&c.now, v)
		for _, w := range unit {
			seen[w] = true
		}
		units = append(units, unit)
	}
	return units
}

// unit returns v with the VMs that a together rule moves with it: those on the
// same server.
func (c *Cluster) unit(st *state, v int) []int {
	u := c.unitOf[v]
	if u < 0 {
		return []int{v}
	}
	var unit []int
	for _, w := range c.together[u] {
		if st.host[w] == st.host[v] {
			unit = append(unit, w)
		}
	}
	return unit
}

func (pl *planner) unitBarred(unit []int) (Rejection, bool) {
	for _, v := range unit {
		if bar, barred := pl.immovable(v); barred {
			return bar, true
		}
	}
	return Rejection{}, false
}

// evacuateUnit finds a server for the unit and puts it there.
func (pl *planner) evacuateUnit(unit []int) (step, bool) {
	from := pl.c.p.VMs[unit[0]].Server
	s, start := pl.choose(unit, -1)
	if s < 0 {
		return step{}, false
	}
	reason := fmt.Sprintf("%s is emptied; %s", from, pl.choiceReason(s, start))
	if start {
		pl.startServer(s, fmt.Sprintf("no server that runs can take %s", pl.c.vmName(unit[0])))
	}
	for _, v := range unit {
		pl.st.take(v)
	}
	for _, v := range unit {
		pl.st.put(v, s)
	}
	return step{unit: unit, to: s, reason: reason}, true
}

// pushIn finds places for units by pushing other units aside, on the planner's
// state. It returns the steps and the units that still have no place.
func (pl *planner) pushIn(units [][]int, servers []int) (steps []step, left [][]int) {
	g := pl.newGather(pl.st, false)
	for _, s := range servers {
		g.runs[s] = true
	}
	g.units, g.on, g.kinds, g.fixed = nil, make([][]int32, len(g.runs)), nil, nil
	g.findUnits()
	g.weigh(sharpness[0])
	ch := newChain(g, g.base)
	index := map[int]int32{}
	for u := range g.units {
		index[g.units[u].vms[0]] = int32(u)
	}
	for _, unit := range units {
		u, known := index[unit[0]]
		if !known { // it is off and needs no room: rules keep it
			left = append(left, unit)
			continue
		}
		ch.work = chainWork
		home := g.units[u].home
		ch.lift(u)
		if !ch.place(u, home, chainDepth) {
			ch.put(u, home)
			left = append(left, unit)
		}
	}
	for u := range g.units {
		unit := &g.units[u]
		to := int(g.base.host[unit.vms[0]])
		if to == unit.home {
			continue
		}
		from := pl.c.serverName(int(pl.c.now.host[unit.vms[0]]))
		reason := fmt.Sprintf("makes room on %s for VMs of a server that is emptied", from)
		if slices.Contains(servers, int(pl.c.now.host[unit.vms[0]])) {
			reason = fmt.Sprintf("%s is emptied; VMs on %s make room for it", from, pl.c.serverName(to))
		}
		steps = append(steps, step{unit: unit.vms, to: to, reason: reason})
	}
	return steps, left
}

// mergeSteps lets later steps replace earlier ones of the same unit, and keeps
// the order of the rest.
func mergeSteps(steps, later []step) []step {
	at := map[int]int{}
	for i, s := range steps {
		at[s.unit[0]] = i
	}
	for _, s := range later {
		if i, ok := at[s.unit[0]]; ok {
			steps[i] = s
		} else {
			steps = append(steps, s)
		}
	}
	return steps
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
