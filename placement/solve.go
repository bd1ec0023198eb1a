package placement

import (
	"context"
	"fmt"
	"slices"
)

// Solve compiles the problem and answers one request.
func Solve(ctx context.Context, p *Problem, req Request) (*Plan, error) {
	c, err := Compile(p)
	if err != nil {
		return nil, err
	}
	return c.Solve(ctx, req)
}

// Solve answers a request. It doesn't change the cluster. When the context
// ends, the best plan found so far is returned; an error means that the
// request itself is wrong, never that nothing could be done.
func (c *Cluster) Solve(ctx context.Context, req Request) (*Plan, error) {
	vms, servers, err := c.resolve(req)
	if err != nil {
		return nil, err
	}
	pl := &planner{c: c, ctx: ctx, req: req, plan: &Plan{Objective: req.Objective}, brief: len(vms) > mostExplained}
	switch req.Objective {
	case Start:
		pl.startVMs(vms)
	case Create:
		pl.createVMs(vms)
	case Evacuate:
		pl.evacuate(servers)
	case SavePower:
		pl.savePower()
	case Level:
		pl.level()
	case CheckFailures:
		pl.checkFailures()
	case Room:
		pl.room(vms[0])
	}
	pl.finish()
	if pl.st != nil {
		c.spare.Put(pl.st)
	}
	return pl.plan, nil
}

// mostExplained is the number of VMs of a request up to which the plan says of
// each why every other server was not chosen.
const mostExplained = 20

// resolve checks the names of a request.
func (c *Cluster) resolve(req Request) (vms, servers []int, err error) {
	takes, known := map[Objective]string{Start: "VMs", Create: "VMs", Room: "one VM", Evacuate: "servers", SavePower: "", Level: "", CheckFailures: ""}[req.Objective]
	switch {
	case !known:
		return nil, nil, invalid("request", "objective %q is unknown", req.Objective)
	case (takes == "VMs") != (len(req.VMs) > 0) && takes != "one VM", takes == "one VM" && len(req.VMs) != 1, (takes == "servers") != (len(req.Servers) > 0):
		if takes == "" {
			takes = "neither VMs nor servers"
		}
		return nil, nil, invalid("request", "%s takes %s", req.Objective, takes)
	}
	for _, name := range req.VMs {
		v, ok := c.vmIdx[name]
		if !ok {
			return nil, nil, &Error{Kind: KindNotFound, Object: fmt.Sprintf("vm %q", name), Msg: "is not in the problem"}
		}
		if on := c.p.VMs[v].Server; on != "" && req.Objective == Create {
			return nil, nil, invalid(fmt.Sprintf("vm %q", name), "exists already, on server %q", on)
		} else if on == "" && req.Objective == Start {
			return nil, nil, &Error{Kind: KindInvalid, Object: fmt.Sprintf("vm %q", name), Msg: "is on no server", Hint: "create it first"}
		}
		vms = append(vms, v)
	}
	for _, name := range req.Servers {
		s, ok := c.serverIdx[name]
		if !ok {
			return nil, nil, &Error{Kind: KindNotFound, Object: fmt.Sprintf("server %q", name), Msg: "is not in the problem"}
		}
		servers = append(servers, s)
	}
	for _, names := range [][]string{req.VMs, req.Servers} {
		if dup := repeated(names); dup != "" {
			return nil, nil, invalid("request", "names %q twice", dup)
		}
	}
	return vms, servers, nil
}

// planner builds one plan.
type planner struct {
	c         *Cluster
	ctx       context.Context
	req       Request
	plan      *Plan
	st        *state      // private copy; nil while nothing has changed
	started   []int       // servers started for the plan
	stays     []Rejection // per server why it can't be stopped; SavePower only
	kindQueue [][]int     // VMs to be created, by what they need
	brief     bool        // too many VMs to say of each why not elsewhere
	// noReserve: the reserve for failures isn't kept as it is
	noReserve bool
	reserve   *bool        // it is kept; nil while not known
	refused   map[int]bool // servers on which the VM in hand would break the reserve
}

// work returns the planner's state, which it may change.
func (pl *planner) work() *state {
	if pl.st == nil {
		pl.st, _ = pl.c.spare.Get().(*state)
		if pl.st == nil {
			pl.st = &state{}
		}
		pl.st.copyFrom(&pl.c.now)
	}
	return pl.st
}

// view returns the state for reading.
func (pl *planner) view() *state {
	if pl.st != nil {
		return pl.st
	}
	return &pl.c.now
}

// byPriority sorts VMs by falling priority, then falling cost, then name.
func (c *Cluster) byPriority(vms []int) []int {
	out := slices.Clone(vms)
	slices.SortFunc(out, func(a, b int) int {
		x, y := &c.p.VMs[a], &c.p.VMs[b]
		switch {
		case x.Priority != y.Priority:
			return y.Priority - x.Priority
		case x.Cost != y.Cost:
			return int(min(max(y.Cost-x.Cost, -1), 1))
		case x.Name < y.Name:
			return -1
		}
		return 1
	})
	return out
}

// finish fills in loads and totals.
func (pl *planner) finish() {
	before, after := &pl.c.now, pl.view()
	pl.plan.Before = pl.c.totals(before, nil, nil)
	pl.plan.After = pl.c.totals(after, pl.plan.StartBefore, pl.plan.StopAfter)
	if before == after {
		return
	}
	var touched []int
	for _, m := range pl.plan.Moves {
		touched = append(touched, pl.c.serverIdx[m.To])
		if m.From != "" {
			touched = append(touched, pl.c.serverIdx[m.From])
		}
	}
	slices.Sort(touched)
	for _, s := range slices.Compact(touched) {
		cap := pl.c.p.Servers[s].Capacity
		pl.plan.Loads = append(pl.plan.Loads, ServerLoad{Server: pl.c.serverName(s), Capacity: cap,
			Before: cap - before.free[s*pl.c.nd], After: cap - after.free[s*pl.c.nd]})
	}
}

func (c *Cluster) totals(st *state, start, stop []ServerAction) Totals {
	var t Totals
	runs := make([]bool, len(c.p.Servers))
	for s := range c.p.Servers {
		runs[s] = c.p.Servers[s].State == ServerOn
	}
	for _, a := range start {
		runs[c.serverIdx[a.Server]] = true
	}
	for _, a := range stop {
		runs[c.serverIdx[a.Server]] = false
	}
	for s, on := range runs {
		if on {
			t.ServersOn++
			t.Capacity += c.p.Servers[s].Capacity
			t.Cost += c.p.Servers[s].Capacity - st.free[s*c.nd]
		}
	}
	for v, h := range st.host {
		if h >= 0 && st.active[v] && runs[h] {
			t.VMsOn++
		}
	}
	t.Score = newBalance(c, st, runs).score()
	return t
}
