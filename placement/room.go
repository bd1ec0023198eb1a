package placement

import "math"

// room makes the answer of the Room objective: how many more VMs like v fit on
// each server beside what is there.
func (pl *planner) room(v int) {
	c, st := pl.c, pl.work()
	if h, was := st.host[v], st.active[v]; h >= 0 {
		st.take(v) // a VM that exists is only the pattern
		defer func() {
			st.active[v] = was
			st.put(v, int(h))
		}()
	}
	st.active[v] = true
	for s := range c.p.Servers {
		r := ServerRoom{Server: c.serverName(s), Stopped: pl.startable(s)}
		switch why, no := st.reject([]int{v}, s); {
		case no:
			r.Why = &why
		case !st.target[s] && (!r.Stopped || pl.req.NoServerStart):
			why.Rule = NoServerOff
			r.Why = &why
		default:
			r.VMs = pl.copies(v, s)
		}
		pl.plan.Rooms = append(pl.plan.Rooms, r)
	}
}

// copies is how many VMs like v, which is nowhere, fit on s.
func (pl *planner) copies(v, s int) int64 {
	c, st := pl.c, pl.st
	n := int64(math.MaxInt64)
	for d, need := range c.demand(v) {
		if need > 0 {
			n = min(n, st.free[s*c.nd+d]/need)
		}
	}
	for _, g := range c.groupsOf[v] {
		n = min(n, int64(c.groups[g].max-st.count(g, s, nil)))
	}
	if n == math.MaxInt64 { // needs nothing
		return MaxQuantity
	}
	return n
}
