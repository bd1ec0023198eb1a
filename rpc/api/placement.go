package api

import (
	"strconv"
	"strings"

	"yagura/placement"
)

// PlanMessage is a plan as the API tells it, with the load of each VM server of
// the problem before and after it. scope says in words what the problem is about.
func PlanMessage(p *placement.Problem, plan *placement.Plan, scope string) (*PlacementPlan, error) {
	out := &PlacementPlan{
		Objective: string(plan.Objective), Scope: scope, Starts: actions(plan.StartBefore), Moves: moves(plan.Moves), Stops: actions(plan.StopAfter),
		Unplaced: unplaced(plan.Unplaced), Rejections: rejections(plan.Rejections), VmServers: loads(p, plan),
		Before: totals(plan.Before), After: totals(plan.After), Bound: int32(plan.Bound), Gap: plan.Gap(), Rooms: rooms(plan.Rooms),
	}
	for _, d := range p.Dimensions {
		if d.Measured {
			out.Measured = append(out.Measured, d.Name)
		}
	}
	for _, f := range plan.Failures {
		out.Failures = append(out.Failures, &PlacementFailure{VmServer: f.Server, Moves: moves(f.Moves), Unplaced: unplaced(f.Unplaced)})
	}
	if m := plan.Missing; m != nil {
		out.Missing = plural(m.Servers, "more VM server") + " like " + m.Like
	}
	var b strings.Builder
	if err := placement.Picture(&b, p, plan); err != nil {
		return nil, err
	}
	out.Picture = b.String()
	return out, nil
}

func rooms(in []placement.ServerRoom) []*PlacementRoom {
	var out []*PlacementRoom
	for _, r := range in {
		m := &PlacementRoom{VmServer: r.Server, Vms: r.VMs, Stopped: r.Stopped}
		if r.Why != nil {
			m.Why = r.Why.Sentence()
		}
		out = append(out, m)
	}
	return out
}

func actions(in []placement.ServerAction) []*PlacementAction {
	var out []*PlacementAction
	for _, a := range in {
		out = append(out, &PlacementAction{VmServer: a.Server, Reason: a.Reason})
	}
	return out
}

func moves(in []placement.Move) []*PlacementMove {
	var out []*PlacementMove
	for _, m := range in {
		out = append(out, &PlacementMove{Vm: m.VM, From: m.From, To: m.To, Kind: string(m.Kind), Wave: int32(m.Wave), Reason: m.Reason})
	}
	return out
}

func rejections(in []placement.Rejection) []*PlacementRejection {
	var out []*PlacementRejection
	for _, r := range in {
		out = append(out, &PlacementRejection{Vm: r.VM, VmServer: r.Server, Rule: string(r.Rule), Message: r.Sentence()})
	}
	return out
}

func unplaced(in []placement.Unplaced) []*PlacementUnplaced {
	var out []*PlacementUnplaced
	for _, u := range in {
		out = append(out, &PlacementUnplaced{Vm: u.VM, Reasons: rejections(u.Reasons)})
	}
	return out
}

func totals(t placement.Totals) *PlacementTotals {
	return &PlacementTotals{VmServersOn: int32(t.ServersOn), VmsOn: int32(t.VMsOn), Capacity: t.Capacity, Cost: t.Cost, Score: t.Score}
}

// use is what the VMs that are on use of a VM server.
type use struct {
	vms    int32
	cost   int64
	demand []int64
}

func (u *use) add(m *placement.VM) {
	u.vms++
	u.cost += m.Cost
	for d, n := range m.Demand {
		u.demand[d] += n
	}
}

// loads is the load of each VM server before and after a plan.
func loads(p *placement.Problem, plan *placement.Plan) []*PlacementLoad {
	vms := make(map[string]*placement.VM, len(p.VMs))
	at := make(map[string]string, len(p.VMs))
	on := map[string]bool{}
	for i := range p.VMs {
		m := &p.VMs[i]
		vms[m.Name], at[m.Name], on[m.Name] = m, m.Server, m.Power == placement.PowerOn
	}
	before := uses(p, at, on)
	state := map[string]placement.ServerState{}
	for _, a := range plan.StartBefore {
		state[a.Server] = placement.ServerOn
	}
	for _, a := range plan.StopAfter {
		state[a.Server] = placement.ServerOff
	}
	for _, mv := range plan.Moves {
		at[mv.VM] = mv.To
		if mv.Kind == placement.PowerOnVM || mv.Kind == placement.CreateVM {
			on[mv.VM] = true
		}
	}
	after := uses(p, at, on)
	var out []*PlacementLoad
	for i := range p.Servers {
		s := &p.Servers[i]
		b, a := before[s.Name], after[s.Name]
		l := &PlacementLoad{
			VmServer: s.Name, Before: string(s.State), After: string(s.State), Capacity: s.Capacity, CostBefore: b.cost, CostAfter: a.cost,
			VmsBefore: b.vms, VmsAfter: a.vms,
		}
		if to, ok := state[s.Name]; ok {
			l.After = string(to)
		}
		l.LoadBefore, l.LoadAfter = percent(p, s, b, l.Before), percent(p, s, a, l.After)
		out = append(out, l)
	}
	return out
}

func uses(p *placement.Problem, at map[string]string, on map[string]bool) map[string]*use {
	out := make(map[string]*use, len(p.Servers))
	for i := range p.Servers {
		out[p.Servers[i].Name] = &use{demand: make([]int64, len(p.Dimensions))}
	}
	for i := range p.VMs {
		m := &p.VMs[i]
		if u := out[at[m.Name]]; u != nil && on[m.Name] {
			u.add(m)
		}
	}
	return out
}

// percent is the load of a VM server: the greatest of its measured dimensions,
// of all dimensions if none is measured, or of the capacity if there are none.
func percent(p *placement.Problem, s *placement.Server, u *use, state string) float64 {
	if state != string(placement.ServerOn) {
		return 0
	}
	measured, best := false, 0.0
	for d, dim := range p.Dimensions {
		l := s.Limits[d]
		size := l.Size
		if size == 0 {
			size = l.Limit + l.Own
		}
		share := 100 * float64(u.demand[d]+l.Own) / float64(max(size, 1))
		switch {
		case dim.Measured && !measured:
			measured, best = true, share
		case dim.Measured == measured:
			best = max(best, share)
		}
	}
	if measured {
		return best
	}
	return max(best, 100*float64(u.cost)/float64(max(s.Capacity, 1)))
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}
