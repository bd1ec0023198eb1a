package placement

import "slices"

// state is where the VMs are at one moment of a plan.
type state struct {
	c      *Cluster
	host   []int32   // per VM the server, or -1
	active []bool    // per VM: is on, so uses capacity
	free   []int64   // server*nd+d; negative where overloaded
	target []bool    // per server: runs and may take VMs
	barred []bool    // per server: is being emptied, so takes no VMs even after a start
	dense  [][]int32 // per group of many VMs: how many are at each place; nil for small groups
}

// denseGroup is the size from which a group's VMs are counted per place
// instead of looked up one by one.
const denseGroup = 48

func (c *Cluster) initialState() state {
	st := state{c: c, host: make([]int32, len(c.p.VMs)), active: make([]bool, len(c.p.VMs)), free: slices.Clone(c.limits),
		target: make([]bool, len(c.p.Servers)), barred: make([]bool, len(c.p.Servers)), dense: make([][]int32, len(c.groups))}
	for g := range c.groups {
		if len(c.groups[g].vms) >= denseGroup {
			st.dense[g] = make([]int32, len(c.p.Servers))
		}
	}
	for i := range c.p.Servers {
		s := &c.p.Servers[i]
		st.target[i] = s.State == ServerOn && !s.Maintenance
	}
	for v := range c.p.VMs {
		m := &c.p.VMs[v]
		st.host[v] = -1
		st.active[v] = m.Power == PowerOn
		if m.Server != "" {
			st.put(v, c.serverIdx[m.Server])
		}
	}
	return st
}

func (st *state) clone() *state {
	out := &state{}
	out.copyFrom(st)
	return out
}

// copyFrom makes st equal to from, in the memory that st has already.
func (st *state) copyFrom(from *state) {
	st.c = from.c
	st.host = append(st.host[:0], from.host...)
	st.active = append(st.active[:0], from.active...)
	st.free = append(st.free[:0], from.free...)
	st.target = append(st.target[:0], from.target...)
	st.barred = append(st.barred[:0], from.barred...)
	st.dense = slices.Grow(st.dense[:0], len(from.dense))[:len(from.dense)]
	for g, counts := range from.dense {
		if counts == nil {
			st.dense[g] = nil
		} else {
			st.dense[g] = append(st.dense[g][:0], counts...)
		}
	}
}

// place is where a group counts: the server, or the rack.
func (c *Cluster) place(g int32, s int) int {
	if c.groups[g].rack {
		return c.racks[s]
	}
	return s
}

// counts says whether VMs on server s count in groups. On a failed server they
// don't: they run nowhere, and will run elsewhere.
func (c *Cluster) counts(s int) bool { return c.p.Servers[s].State != ServerFailed }

// count is how many VMs of the group are where s is, those in except left out.
func (st *state) count(g int32, s int, except []int) int {
	c := st.c
	at, n := c.place(g, s), 0
	if counts := st.dense[g]; counts != nil {
		n = int(counts[at])
		for _, w := range except {
			if h := st.host[w]; h >= 0 && c.counts(int(h)) && c.place(g, int(h)) == at && slices.Contains(c.groupsOf[w], g) {
				n--
			}
		}
		return n
	}
	for _, w := range c.groups[g].vms {
		if h := st.host[w]; h >= 0 && c.counts(int(h)) && c.place(g, int(h)) == at && !slices.Contains(except, w) {
			n++
		}
	}
	return n
}

// put counts VM v, which is nowhere, on server s.
func (st *state) put(v, s int) {
	st.host[v] = int32(s)
	if st.active[v] {
		st.use(v, s, 1)
	}
	for _, g := range st.c.groupsOf[v] {
		if counts := st.dense[g]; counts != nil && st.c.counts(s) {
			counts[st.c.place(g, s)]++
		}
	}
}

// take removes VM v from its server.
func (st *state) take(v int) {
	s := int(st.host[v])
	st.host[v] = -1
	if st.active[v] {
		st.use(v, s, -1)
	}
	for _, g := range st.c.groupsOf[v] {
		if counts := st.dense[g]; counts != nil && st.c.counts(s) {
			counts[st.c.place(g, s)]--
		}
	}
}

func (st *state) use(v, s int, sign int64) {
	free := st.free[s*st.c.nd : (s+1)*st.c.nd]
	for d, n := range st.c.demand(v) {
		free[d] -= sign * n
	}
}

// lacks returns the first dimension in which the active ones of vms don't fit
// on s beside what is there, with need and free; -1 if they fit.
func (st *state) lacks(vms []int, s int) (d int, need, free int64) {
	for d := range st.c.nd {
		need = 0
		for _, v := range vms {
			if st.active[v] && int(st.host[v]) != s {
				need += st.c.demands[v*st.c.nd+d]
			}
		}
		if free = st.free[s*st.c.nd+d]; need > 0 && need > free {
			return d, need, free
		}
	}
	return -1, 0, 0
}

// crowded returns the first apart or spread group that keeps the unit off s,
// and the VM that it concerns; -1 if there is none. VMs of the unit don't stand
// in their own way.
func (st *state) crowded(vms []int, s int) (g int32, v int) {
	for _, v := range vms {
		for _, g := range st.c.groupsOf[v] {
			n := st.count(g, s, vms)
			for _, w := range vms {
				if w == v || slices.Contains(st.c.groupsOf[w], g) {
					n++
				}
			}
			if n > st.c.groups[g].max {
				return g, v
			}
		}
	}
	return -1, -1
}

// fits says whether the unit vms can go to server s now.
func (st *state) fits(vms []int, s int) bool {
	if !st.target[s] || !st.allowed(vms, s) {
		return false
	}
	if d, _, _ := st.lacks(vms, s); d >= 0 {
		return false
	}
	return true
}

// allowed says whether every rule but state and load lets the unit go to s.
func (st *state) allowed(vms []int, s int) bool {
	for _, v := range vms {
		if !st.c.classes[st.c.classOf[v]].allowed[s] {
			return false
		}
	}
	g, _ := st.crowded(vms, s)
	return g < 0 && st.separated(vms, s) == ""
}

// separated returns the first together rule that s would break for the unit:
// some of its VMs are placed elsewhere and none is on s. It is empty if there
// is none.
func (st *state) separated(vms []int, s int) string {
	for _, v := range vms {
		for i := range st.c.matesOf[v] {
			m := &st.c.matesOf[v][i]
			elsewhere := false
			for _, w := range m.vms {
				if h := st.host[w]; h >= 0 && !slices.Contains(vms, w) {
					if elsewhere = int(h) != s; !elsewhere {
						break
					}
				}
			}
			if elsewhere {
				return m.rule
			}
		}
	}
	return ""
}

// reject returns the first rule that keeps the unit off server s, or ok.
func (st *state) reject(vms []int, s int) (r Rejection, rejected bool) {
	c := st.c
	srv := &c.p.Servers[s]
	r = Rejection{VM: c.vmName(vms[0]), Server: srv.Name}
	switch {
	case srv.State == ServerFailed:
		r.Rule = NoServerFailed
	case srv.State == ServerDisconnected:
		r.Rule = NoServerDisconnected
	case srv.Maintenance:
		r.Rule = NoMaintenance
	case st.barred[s]:
		r.Rule = NoEvacuated
	case srv.State == ServerOff && !srv.Startable:
		r.Rule = NoServerOff
	}
	if r.Rule != "" {
		return r, true
	}
	for _, v := range vms {
		if r.Rule, r.Subject = c.staticRule(v, s); r.Rule != "" {
			r.VM = c.vmName(v)
			return r, true
		}
	}
	if load, no := st.rejectLoad(vms, s); no {
		return load, true
	}
	if g, v := st.crowded(vms, s); g >= 0 {
		r.VM, r.Rule, r.Subject = c.vmName(v), NoApart, c.groups[g].rule
		if c.groups[g].rack {
			r.Rule = NoSpread
		}
		return r, true
	}
	if rule := st.separated(vms, s); rule != "" {
		r.Rule, r.Subject = NoTogether, rule
		return r, true
	}
	return r, false
}

// rejectLoad returns the dimension in which s has no room for the unit.
func (st *state) rejectLoad(vms []int, s int) (Rejection, bool) {
	r := Rejection{VM: st.c.vmName(vms[0]), Server: st.c.serverName(s)}
	d, need, free := st.lacks(vms, s)
	if d < 0 {
		return r, false
	}
	r.Rule, r.Need, r.Free = NoCapacity, need, free
	if d > 0 {
		r.Rule, r.Subject = NoDimension, st.c.p.Dimensions[d-1].Name
	}
	return r, true
}
