package placement

import (
	"fmt"
	"slices"
)

// startVMs makes the plan of the Start objective, by the manual's decision
// table (1.3.7): on the current server if that is possible; else, with optimal
// start, elsewhere; else not at all.
func (pl *planner) startVMs(vms []int) {
	for _, v := range pl.c.byPriority(vms) {
		pl.startVM(v)
	}
}

func (pl *planner) startVM(v int) {
	c, st := pl.c, pl.work()
	m := &c.p.VMs[v]
	current := int(st.host[v])
	if st.active[v] && c.p.Servers[current].State == ServerOn {
		return
	}
	if m.Power == PowerSuspended {
		pl.unplaced(v, Rejection{VM: m.Name, Rule: NoSuspended})
		return
	}
	was := st.active[v]
	st.take(v)
	st.active[v] = true
	why, no := st.rejectStart(v, current)
	if !no && !pl.keepsReserve([]int{v}, current) {
		why.Rule, no = NoReserve, true
	}
	if !no {
		pl.currentPreferred(v, current)
		st.put(v, current)
		pl.powerOn(v, current, fmt.Sprintf("%s can start it where it is", m.Server))
		return
	}
	if !pl.startElsewhere(v, current, why) {
		st.active[v] = was
		st.put(v, current)
	}
}

// startElsewhere chooses another server for v, which is taken off current
// because of why, and says whether it found one.
func (pl *planner) startElsewhere(v, current int, why Rejection) bool {
	m := &pl.c.p.VMs[v]
	if !m.OptimalStart {
		pl.unplaced(v, why, Rejection{VM: m.Name, Rule: NoOptimalStart})
		return false
	}
	if bar, barred := pl.immovable(v); barred {
		pl.unplaced(v, why, bar)
		return false
	}
	unit := []int{v}
	s, start := pl.choose(unit, current)
	if s < 0 {
		reasons := pl.refusals(unit, current)
		pl.unplaced(v, append(reasons, why)...)
		return false
	}
	pl.plan.Rejections = append(pl.plan.Rejections, why)
	pl.rejectOthers(unit, s, current)
	reason := fmt.Sprintf("%s; %s", why.Sentence(), pl.choiceReason(s, start))
	if start {
		pl.startServer(s, fmt.Sprintf("no server that runs can take %s", m.Name))
	}
	pl.move(unit, s, pl.lastWave()+1, reason)
	pl.powerOn(v, s, "started after its move")
	return true
}

// rejectStart says whether v, which is taken off server s for the moment,
// can't start there: s is stopped, in maintenance mode or has no room left.
func (st *state) rejectStart(v, s int) (Rejection, bool) {
	srv := &st.c.p.Servers[s]
	r := Rejection{VM: st.c.vmName(v), Server: srv.Name}
	switch {
	case srv.State == ServerFailed:
		r.Rule = NoServerFailed
	case srv.State == ServerDisconnected:
		r.Rule = NoServerDisconnected
	case srv.State == ServerOff && !st.target[s]:
		r.Rule = NoServerOff
	case srv.Maintenance:
		r.Rule = NoMaintenance
	default:
		return st.rejectLoad([]int{v}, s)
	}
	return r, true
}

func (pl *planner) currentPreferred(v, current int) {
	if pl.brief {
		return
	}
	st := pl.view()
	unit := []int{v}
	out := slices.Grow(pl.plan.Rejections, len(pl.c.p.Servers))
	for s := range pl.c.p.Servers {
		if s == current {
			continue
		}
		r, no := st.reject(unit, s)
		if !no {
			r.Rule, r.Subject = NotCurrent, pl.c.serverName(current)
		}
		out = append(out, r)
	}
	pl.plan.Rejections = out
}

// powerOn notes the start of v on s, beside other starts just before.
func (pl *planner) powerOn(v, s int, reason string) {
	name, wave := pl.c.serverName(s), pl.lastWave()
	if n := len(pl.plan.Moves); n == 0 || pl.plan.Moves[n-1].Kind != PowerOnVM {
		wave++
	}
	pl.plan.Moves = append(pl.plan.Moves, Move{VM: pl.c.vmName(v), From: name, To: name, Kind: PowerOnVM, Wave: wave, Reason: reason})
}

// lastWave is the number of the plan's last wave so far.
func (pl *planner) lastWave() int {
	if n := len(pl.plan.Moves); n > 0 {
		return pl.plan.Moves[n-1].Wave
	}
	return 0
}

func (pl *planner) unplaced(v int, reasons ...Rejection) {
	pl.plan.Unplaced = append(pl.plan.Unplaced, Unplaced{VM: pl.c.vmName(v), Reasons: reasons})
}
