package placement

import (
	"fmt"
	"slices"
)

// evacuate empties the servers: VMs that are on before VMs that are off, each
// by falling priority, so that the most important run again first. VMs that
// can't be moved or find no server stay and are listed as unplaced.
func (pl *planner) evacuate(servers []int) {
	st := pl.work()
	for _, s := range servers {
		st.target[s], st.barred[s] = false, true
	}
	var steps []step
	for _, unit := range pl.unitsOn(servers) {
		if s, ok := pl.evacuateUnit(unit); ok {
			steps = append(steps, s)
		}
	}
	for _, s := range pl.schedule(steps) {
		for _, v := range s.unit {
			pl.unplaced(v, pl.refusals(s.unit, -1)...)
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

// evacuateUnit finds a server for the unit and puts it there.
func (pl *planner) evacuateUnit(unit []int) (step, bool) {
	c := pl.c
	for _, v := range unit {
		if bar, barred := pl.immovable(v); barred {
			for _, w := range unit {
				pl.unplaced(w, bar)
			}
			return step{}, false
		}
	}
	from := c.p.VMs[unit[0]].Server
	s, start := pl.choose(unit, -1)
	if s < 0 {
		reasons := pl.refusals(unit, -1)
		for _, v := range unit {
			pl.unplaced(v, reasons...)
		}
		return step{}, false
	}
	reason := fmt.Sprintf("%s is emptied; %s", from, pl.choiceReason(s, start))
	if start {
		pl.startServer(s, fmt.Sprintf("no server that runs can take %s", c.vmName(unit[0])))
	}
	for _, v := range unit {
		pl.st.take(v)
	}
	for _, v := range unit {
		pl.st.put(v, s)
	}
	return step{unit: unit, to: s, reason: reason}, true
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
