package placement

import (
	"fmt"
	"slices"

	"yagura/placement/internal/pack"
)

// createVMs places VMs that don't exist yet. They use capacity from their
// creation, since a VM is created to be started.
func (pl *planner) createVMs(vms []int) {
	if len(vms) > 1 && pl.createPacked(vms) {
		return
	}
	st := pl.work()
	for _, v := range pl.c.byPriority(vms) {
		was := st.active[v]
		st.active[v] = true
		unit := []int{v}
		s, start := pl.choose(unit, -1)
		if s < 0 {
			pl.unplaced(v, pl.refusals(unit, -1)...)
			st.active[v] = was
			continue
		}
		pl.rejectOthers(unit, s, -1)
		reason := pl.choiceReason(s, start)
		if start {
			pl.startServer(s, fmt.Sprintf("no server that runs can take %s", pl.c.vmName(v)))
		}
		pl.move(unit, s, 1, reason)
	}
}

// Bounds of the search for a packing of new VMs.
const (
	packRounds = 1  // one dimension
	packSteps  = 16 // several
)

// createPacked creates the VMs on as few stopped servers as possible, all of
// one kind: a bin packing problem. It leaves the plan alone and returns false
// if the problem isn't of that form: servers run that could take one of the
// VMs, the stopped ones differ, a rule ties VMs, or not all can be placed.
func (pl *planner) createPacked(vms []int) bool {
	c, st := pl.c, pl.work()
	bins, class := pl.likeStopped(), c.classOf[vms[0]]
	if len(bins) == 0 || pl.req.NoServerStart || c.p.Settings.ReserveFailures > 0 {
		return false
	}
	for _, v := range vms {
		if len(c.groupsOf[v]) > 0 || c.unitOf[v] >= 0 || c.classOf[v] != class {
			return false
		}
	}
	for s, can := range c.classes[class].allowed {
		if st.target[s] && can || !can && slices.Contains(bins, s) {
			return false
		}
	}
	r := pl.packBins(vms, bins[0])
	if r == nil || r.Used > int64(len(bins)) {
		return false
	}
	k := 0
	for _, b := range r.Bins {
		for range b.Times {
			s := bins[k]
			k++
			pl.startServer(s, fmt.Sprintf("one of %d servers that the VMs need; fewer than %d are proven too few", r.Used, r.Bound))
			for _, it := range b.Items {
				for range it.N {
					v := pl.kindQueue[it.Size][0]
					pl.kindQueue[it.Size] = pl.kindQueue[it.Size][1:]
					st.active[v] = true
					pl.move([]int{v}, s, 1, fmt.Sprintf("packed with others so that %d servers are enough", r.Used))
				}
			}
		}
	}
	running := 0
	for s := range c.p.Servers {
		running += boolInt(c.p.Servers[s].State == ServerOn)
	}
	pl.plan.Bound = running + int(r.Bound)
	return true
}

// likeStopped lists the stopped servers that may be started if they are all
// empty and offer the same.
func (pl *planner) likeStopped() []int {
	c, st := pl.c, pl.view()
	var out []int
	for s := range c.p.Servers {
		if !pl.startable(s) {
			continue
		}
		if !slices.Equal(st.free[s*c.nd:(s+1)*c.nd], c.limits[s*c.nd:(s+1)*c.nd]) {
			return nil
		}
		if len(out) > 0 && !slices.Equal(c.limits[s*c.nd:(s+1)*c.nd], c.limits[out[0]*c.nd:(out[0]+1)*c.nd]) {
			return nil
		}
		out = append(out, s)
	}
	return out
}

// packBins packs the VMs, grouped by what they need, into bins like server s.
// It leaves the VMs of each group in kindQueue.
func (pl *planner) packBins(vms []int, s int) *pack.Result {
	c := pl.c
	var dims []int // that limit anything
	for d := range c.nd {
		if c.limits[s*c.nd+d] < unlimited && slices.ContainsFunc(vms, func(v int) bool { return c.demands[v*c.nd+d] > 0 }) {
			dims = append(dims, d)
		}
	}
	index := map[string]int{}
	var size [][]int64
	var count []int64
	pl.kindQueue = nil
	for _, v := range c.byPriority(vms) {
		need := make([]int64, len(dims))
		for i, d := range dims {
			need[i] = c.demands[v*c.nd+d]
		}
		key := fmt.Sprint(need)
		k, ok := index[key]
		if !ok {
			k = len(size)
			index[key] = k
			size, count, pl.kindQueue = append(size, need), append(count, 0), append(pl.kindQueue, nil)
		}
		count[k]++
		pl.kindQueue[k] = append(pl.kindQueue[k], v)
	}
	room := make([]int64, len(dims))
	for i, d := range dims {
		room[i] = c.limits[s*c.nd+d]
	}
	var r *pack.Result
	var err error
	if len(dims) == 1 && !slices.ContainsFunc(size, func(w []int64) bool { return w[0] == 0 }) {
		flat := make([]int64, len(size))
		for i := range size {
			flat[i] = size[i][0]
		}
		r, err = pack.OneDim(pl.ctx, room[0], flat, count, c.p.Settings.Seed, packRounds)
	} else {
		r, err = pack.Vector(pl.ctx, room, size, count, c.p.Settings.Seed, packSteps)
	}
	if err != nil { // a VM that fits no server: the caller says of each why
		return nil
	}
	return r
}
