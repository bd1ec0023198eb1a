package placement

import (
	"fmt"
	"slices"
)

// immovable returns the rule that keeps VM v on its server altogether.
func (pl *planner) immovable(v int) (Rejection, bool) {
	c := pl.c
	m := &c.p.VMs[v]
	r := Rejection{VM: m.Name}
	if m.Server == "" {
		return r, false
	}
	src := &c.p.Servers[c.serverIdx[m.Server]]
	switch {
	case src.State == ServerDisconnected:
		r.Rule = NoSource
	case m.Power == PowerSuspended:
		r.Rule = NoSuspended
	case c.held[v] != "" && src.State == ServerOn:
		r.Rule, r.Subject = NoHold, c.held[v]
	case m.LocalDisk && !(c.p.Settings.ColdMove && m.Power == PowerOff && src.State == ServerOn):
		r.Rule = NoLocalDisk
	default:
		return r, false
	}
	return r, true
}

// kindOf says how VM v gets from server from, or -1 for nowhere, to s.
func (st *state) kindOf(v, from, s int) MoveKind {
	c := st.c
	if from < 0 {
		return CreateVM
	}
	m, src := &c.p.VMs[v], &c.p.Servers[from]
	switch {
	case src.State != ServerOn && !st.target[from]:
		return Failover
	case m.Power == PowerOn:
		return HotMigrate
	case m.LocalDisk:
		return ColdMove
	}
	for _, ds := range m.Datastores {
		if !slices.Contains(c.p.Servers[s].Datastores, ds) {
			return ColdMove
		}
	}
	return ColdMigrate
}

// choose picks the server for a unit: among those that run and can take it the
// one with the least free capacity; failing that, and if servers may be
// started, the same among the stopped ones. It returns -1 if there is none.
// avoid is a server that isn't a candidate, or -1.
func (pl *planner) choose(vms []int, avoid int) (s int, start bool) {
	clear(pl.refused)
	for {
		if s, start = pl.candidate(vms, avoid); s < 0 || start || pl.keepsReserve(vms, s) {
			return s, start
		}
		if pl.refused == nil {
			pl.refused = map[int]bool{}
		}
		pl.refused[s] = true
	}
}

func (pl *planner) candidate(vms []int, avoid int) (s int, start bool) {
	st := pl.view()
	if s = pl.leastFree(vms, func(s int) bool { return s != avoid && !pl.refused[s] && st.fits(vms, s) }); s >= 0 {
		return s, false
	}
	if pl.req.NoServerStart {
		return -1, false
	}
	s = pl.leastFree(vms, func(s int) bool { return s != avoid && pl.startable(s) && pl.fitsAfterStart(vms, s) })
	return s, s >= 0
}

// keepsReserve says whether the reserve for failures, if there is one and it is
// kept now, is kept with the unit on s. Evacuating doesn't ask: VMs that run
// come before a reserve.
func (pl *planner) keepsReserve(vms []int, s int) bool {
	if pl.c.p.Settings.ReserveFailures == 0 || pl.req.Objective == Evacuate {
		return true
	}
	if pl.reserve == nil {
		kept := pl.survives(&pl.c.now)
		pl.reserve = &kept
	}
	if !*pl.reserve {
		return true
	}
	st := pl.work()
	for _, v := range vms {
		st.put(v, s)
	}
	kept := pl.survives(st)
	for _, v := range vms {
		st.take(v)
	}
	return kept
}

func (pl *planner) leastFree(vms []int, can func(int) bool) int {
	best := -1
	free := pl.view().free
	for s := range pl.c.p.Servers {
		if (best < 0 || free[s*pl.c.nd] < free[best*pl.c.nd]) && can(s) {
			best = s
		}
	}
	return best
}

// startable says whether the plan may start server s.
func (pl *planner) startable(s int) bool {
	srv := &pl.c.p.Servers[s]
	if srv.State != ServerOff || !srv.Startable || srv.Maintenance || pl.view().target[s] || pl.view().barred[s] {
		return false
	}
	for i := range pl.plan.Moves { // it was failed over from as it is off
		if pl.plan.Moves[i].From == srv.Name {
			return false
		}
	}
	return true
}

func (pl *planner) fitsAfterStart(vms []int, s int) bool {
	st := pl.view()
	d, _, _ := st.lacks(vms, s)
	return d < 0 && st.allowed(vms, s)
}

// startServer makes s a target and notes the start.
func (pl *planner) startServer(s int, reason string) {
	pl.work().target[s] = true
	pl.started = append(pl.started, s)
	pl.plan.StartBefore = append(pl.plan.StartBefore, ServerAction{Server: pl.c.serverName(s), Reason: reason})
}

// move puts the unit on s and notes the moves in the wave.
func (pl *planner) move(vms []int, s, wave int, reason string) {
	st := pl.work()
	for _, v := range vms {
		from := -1
		if name := pl.c.p.VMs[v].Server; name != "" {
			from = pl.c.serverIdx[name]
		}
		pl.plan.Moves = append(pl.plan.Moves, Move{VM: pl.c.vmName(v), From: pl.c.p.VMs[v].Server, To: pl.c.serverName(s),
			Kind: pl.st.kindOf(v, from, s), Wave: wave, Reason: reason})
		if st.host[v] >= 0 {
			st.take(v)
		}
	}
	for _, v := range vms {
		st.put(v, s)
	}
}

// refusals returns why each server but skip can't take the unit now.
func (pl *planner) refusals(vms []int, skip int) []Rejection {
	st := pl.view()
	var out []Rejection
	for s := range pl.c.p.Servers {
		if s == skip {
			continue
		}
		switch r, no := st.reject(vms, s); {
		case no:
			out = append(out, r)
		case pl.refused[s]:
			r.Rule = NoReserve
			out = append(out, r)
		case !st.target[s]:
			r.Rule = NoServerOff
			out = append(out, r)
		}
	}
	return out
}

// rejectOthers notes for every server but chosen and skip why it was not
// chosen. Call it before the unit is put on chosen.
func (pl *planner) rejectOthers(vms []int, chosen, skip int) {
	if pl.brief {
		return
	}
	st := pl.view()
	out := slices.Grow(pl.plan.Rejections, len(pl.c.p.Servers))
	name := pl.c.serverName(chosen)
	for s := range pl.c.p.Servers {
		if s == chosen || s == skip {
			continue
		}
		r, no := st.reject(vms, s)
		if !no {
			r.Subject = name
			switch {
			case pl.refused[s]:
				r.Rule, r.Subject = NoReserve, ""
			case st.target[s]:
				r.Rule = NotLeastFree
			case st.target[chosen]:
				r.Rule = NotRunning
			default:
				r.Rule = NotStarted
			}
		}
		out = append(out, r)
	}
	pl.plan.Rejections = out
}

// choiceReason says why s was chosen; call it before the unit is put there.
func (pl *planner) choiceReason(s int, start bool) string {
	free, name := pl.view().free[s*pl.c.nd], pl.c.serverName(s)
	if start {
		return fmt.Sprintf("%s is started, since no server that runs can take it", name)
	}
	return fmt.Sprintf("%s has the least free capacity (%d) of the servers that run and can take it", name, free)
}
