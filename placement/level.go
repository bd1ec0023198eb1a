package placement

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// level makes the plan of the Level objective. If servers stay above their
// high-load boundary, stopped servers are started one by one.
func (pl *planner) level() {
	best := pl.newLeveller(nil)
	highBefore := best.aboveHigh()
	best.run()
	for _, s := range pl.byStartCost() {
		high := best.aboveHigh()
		if pl.req.NoServerStart || high == 0 || pl.ctx.Err() != nil {
			break
		}
		more := pl.newLeveller(append(slices.Clone(best.started), s))
		if more.run(); more.aboveHigh() < high {
			best = more
		}
	}
	for _, s := range best.started {
		if len(best.there[s]) > 0 {
			pl.startServer(s, "the servers that run stay above their high-load boundary without it")
		}
	}
	var steps []step
	for i := range best.units {
		u := &best.units[i]
		if u.at != u.home {
			steps = append(steps, step{unit: u.vms, to: u.at, reason: best.reason(u)})
		}
	}
	before := newBalance(pl.c, &pl.c.now, pl.running(nil)).score()
	pl.schedule(steps)
	bal := newBalance(pl.c, pl.st, pl.running(nil))
	if len(pl.started) == 0 && (bal.score() > before || best.aboveHigh() > highBefore) {
		pl.st, pl.plan.Moves = nil, nil
	}
	pl.plan.ScoreBound = bal.floor(pl.c, pl.view())
	pl.levelRejections()
}

// running tells which servers run, with more and those started for the plan.
func (pl *planner) running(more []int) []bool {
	runs := make([]bool, len(pl.c.p.Servers))
	for s := range runs {
		runs[s] = pl.c.p.Servers[s].State == ServerOn
	}
	for _, list := range [][]int{more, pl.started} {
		for _, s := range list {
			runs[s] = true
		}
	}
	return runs
}

// byStartCost lists the servers that may be started for levelling.
func (pl *planner) byStartCost() []int {
	var out []int
	p := &pl.c.p
	for s := range p.Servers {
		srv := &p.Servers[s]
		if held := srv.SinceChange > 0 && srv.SinceChange < p.Settings.Hold; pl.startable(s) && p.gathers(srv) && !held {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int {
		x, y := &p.Servers[a], &p.Servers[b]
		return cmp.Or(cmp.Compare(max(x.StartCost, 1), max(y.StartCost, 1)), cmp.Compare(x.StartTime, y.StartTime))
	})
	return out
}

// levelRejections says which servers took no part in levelling, and which stay
// above their high-load boundary all the same.
func (pl *planner) levelRejections() {
	c, st := pl.c, pl.view()
	runs := pl.running(nil)
	for s, on := range runs {
		srv := &c.p.Servers[s]
		m := c.p.modelOf(srv)
		switch {
		case !on || m == nil:
		case !m.Placement:
			pl.plan.Rejections = append(pl.plan.Rejections, Rejection{Server: srv.Name, Rule: NoPlacement, Subject: m.Name})
		case m.High > 0 && c.loadPercent(st, s) > float64(m.High):
			pl.plan.Rejections = append(pl.plan.Rejections, Rejection{Server: srv.Name, Rule: StillHigh, Need: int64(math.Ceil(c.loadPercent(st, s))), Free: int64(m.High)})
		}
	}
}

// aboveHigh counts the servers above the high-load boundary of their model.
func (l *leveller) aboveHigh() int {
	n := 0
	for _, s := range l.game {
		if m := l.c.p.modelOf(&l.c.p.Servers[s]); m != nil && m.High > 0 && l.c.loadPercent(l.st, s) > float64(m.High) {
			n++
		}
	}
	return n
}

// loadPercent is the load that the boundaries of a VM-server model speak of:
// the greatest share over the measured dimensions; where none is measured, of
// the capacity; where no VM has a cost, over the reserved dimensions.
func (c *Cluster) loadPercent(st *state, s int) float64 {
	percent, measured := 0.0, false
	for d, dim := range c.p.Dimensions {
		if dim.Measured {
			measured = true
			used := c.limits[s*c.nd+1+d] - st.free[s*c.nd+1+d] + c.p.Servers[s].Limits[d].Own
			percent = max(percent, share(used, c.p.Servers[s].Limits[d].Limit))
		}
	}
	switch {
	case measured:
		return percent
	case c.costed:
		cap := c.p.Servers[s].Capacity
		return share(cap-st.free[s*c.nd], cap)
	}
	for d := range c.p.Dimensions {
		limit := c.p.Servers[s].Limits[d]
		percent = max(percent, share(c.limits[s*c.nd+1+d]-st.free[s*c.nd+1+d]+limit.Own, limit.Limit))
	}
	return percent
}

// share is a part of a whole in percent.
func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

func (l *leveller) reason(u *levelUnit) string {
	return fmt.Sprintf("evens out the load: %s was at %.0f %%, %s at %.0f %%", l.c.serverName(u.home), l.c.loadPercent(&l.c.now, u.home),
		l.c.serverName(u.at), l.c.loadPercent(&l.c.now, u.at))
}
