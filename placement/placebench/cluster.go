package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"yagura/placement"
)

// answer solves a request on a compiled cluster, checks the plan and measures
// the CPU time of solving it.
func answer(p *placement.Problem, req placement.Request) (*placement.Plan, time.Duration, error) {
	c, err := placement.Compile(p)
	if err != nil {
		return nil, 0, err
	}
	return answerOn(c, p, req)
}

func answerOn(c *placement.Cluster, p *placement.Problem, req placement.Request) (plan *placement.Plan, t time.Duration, err error) {
	runtime.GC()
	t = cpu(func() { plan, err = c.Solve(context.Background(), req) })
	if err == nil {
		err = placement.Verify(p, plan)
	}
	return plan, t, err
}

// typical is answer with the median time of several runs: for questions that
// take less than the noise.
func typical(p *placement.Problem, req placement.Request) (plan *placement.Plan, t time.Duration, err error) {
	var took []time.Duration
	c, err := placement.Compile(p)
	if err != nil {
		return nil, 0, err
	}
	for range 15 {
		t := cpu(func() { plan, err = c.Solve(context.Background(), req) })
		if err == nil {
			err = placement.Verify(p, plan)
		}
		if err != nil {
			return nil, 0, err
		}
		took = append(took, t)
	}
	slices.Sort(took)
	return plan, took[len(took)/2], nil
}

func (b *bench) snapshot() error {
	if b.data == "" {
		row("real cluster snapshot", "no data", "needs -data", none, none, 0)
		return nil
	}
	for _, budget := range []int{0, 25, 50, 100} {
		p, err := readSnapshot(filepath.Join(b.data, "binpack", "vmcluster"))
		if err != nil {
			return err
		}
		p.Settings.MoveBudget = budget
		plan, t, err := answer(p, placement.Request{Objective: placement.SavePower})
		if err != nil {
			return err
		}
		on, freed := plan.After.ServersOn, plan.Before.ServersOn-plan.After.ServersOn
		if budget == 0 {
			row("snapshot, servers on", fmt.Sprintf("%d with %d moves", on, len(plan.Moves)), fmt.Sprintf("bound %d + 1 %%", plan.Bound), float64(on)/float64(plan.Bound), plan.Gap(), t)
			continue
		}
		greedy := greedyFreed(p, budget)
		row(fmt.Sprintf("snapshot, servers freed with %d moves", budget), fmt.Sprintf("%d with %d moves", freed, len(plan.Moves)), fmt.Sprintf("at least greedy's %d", greedy),
			float64(freed)/float64(max(greedy, 1)), plan.Gap(), t)
	}
	return nil
}

// greedyFreed is how many servers the plain way frees: the one with the fewest
// VMs first, each VM to the fullest server that takes it.
func greedyFreed(p *placement.Problem, budget int) int {
	free := map[string][]int64{}
	vms := map[string][]*placement.VM{}
	for i := range p.Servers {
		s := &p.Servers[i]
		for _, l := range s.Limits {
			free[s.Name] = append(free[s.Name], l.Limit)
		}
	}
	for i := range p.VMs {
		m := &p.VMs[i]
		vms[m.Server] = append(vms[m.Server], m)
		for d, n := range m.Demand {
			free[m.Server][d] -= n
		}
	}
	order := slices.Clone(p.Servers)
	slices.SortStableFunc(order, func(a, b placement.Server) int { return len(vms[a.Name]) - len(vms[b.Name]) })
	freed := 0
	gone := map[string]bool{}
	for i := range order {
		s := &order[i]
		list := slices.Clone(vms[s.Name])
		if len(list) > budget {
			break
		}
		slices.SortStableFunc(list, func(a, b *placement.VM) int { return int(b.Demand[0] - a.Demand[0]) })
		trial := map[string][]int64{}
		ok := true
		for _, m := range list {
			best := ""
			for k := range p.Servers {
				t := &p.Servers[k]
				room := free[t.Name]
				if r, changed := trial[t.Name]; changed {
					room = r
				}
				if t.Name == s.Name || gone[t.Name] || t.Datacenter != s.Datacenter || room[0] < m.Demand[0] || room[1] < m.Demand[1] {
					continue
				}
				if best == "" || room[0] < roomOf(trial, free, best)[0] {
					best = t.Name
				}
			}
			if ok = best != ""; !ok {
				break
			}
			room := slices.Clone(roomOf(trial, free, best))
			for d, n := range m.Demand {
				room[d] -= n
			}
			trial[best] = room
		}
		if ok {
			for name, room := range trial {
				free[name] = room
			}
			gone[s.Name] = true
			budget -= len(list)
			freed++
		}
	}
	return freed
}

func roomOf(trial, free map[string][]int64, name string) []int64 {
	if r, ok := trial[name]; ok {
		return r
	}
	return free[name]
}

func (b *bench) savePower() error {
	for _, s := range []spec{
		{servers: 1000, vms: 10_000, seed: 1, mixed: true, apart: true},
		{servers: 1000, vms: 14_000, seed: 2, mixed: true, apart: true, level: true},
		{servers: 1000, vms: 18_000, seed: 3, mixed: true, apart: true, level: true},
	} {
		p := generate(s)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		plan, t, err := answer(p, placement.Request{Objective: placement.SavePower})
		if err != nil {
			return err
		}
		runtime.ReadMemStats(&after)
		vms := map[string]int{}
		for i := range p.VMs {
			vms[p.VMs[i].Server]++
		}
		stopped, counts := 0, []int{}
		for _, a := range plan.StopAfter {
			stopped += vms[a.Server]
		}
		for i := range p.Servers {
			counts = append(counts, vms[p.Servers[i].Name])
		}
		slices.Sort(counts)
		emptiest := 0
		for _, n := range counts[:len(plan.StopAfter)] {
			emptiest += n
		}
		name := fmt.Sprintf("save power, 1,000 servers, %d VMs", s.vms)
		row(name, fmt.Sprintf("%d servers on", plan.After.ServersOn), fmt.Sprintf("bound %d + 0.5 %%, 500 ms", plan.Bound), float64(plan.After.ServersOn)/float64(plan.Bound), plan.Gap(), t)
		row("  moves over VMs of the stopped servers", fmt.Sprintf("%d", len(plan.Moves)), fmt.Sprintf("%d * 1.02", stopped), float64(len(plan.Moves))/float64(stopped), none, 0)
		row("  moves over VMs of the emptiest servers", fmt.Sprintf("%d", len(plan.Moves)), fmt.Sprintf("%d", emptiest), float64(len(plan.Moves))/float64(emptiest), none, 0)
		row("  allocated", fmt.Sprintf("%d MB in all", (after.TotalAlloc-before.TotalAlloc)>>20), "50 MB", none, none, 0)
	}
	return nil
}

func (b *bench) levelLarge() error {
	for _, s := range []struct {
		spec
		goal string
	}{
		{spec{servers: 100, vms: 1000, seed: 1, load: true}, "50 ms"},
		{spec{servers: 1000, vms: 10_000, seed: 1, load: true}, "1 s"},
		{spec{servers: 1000, vms: 10_000, seed: 1, load: true, mild: true}, "score 0.3, 1 s"},
	} {
		p := generate(s.spec)
		plan, t, err := answer(p, placement.Request{Objective: placement.Level})
		if err != nil {
			return err
		}
		name := fmt.Sprintf("level load, %d servers", s.servers)
		if s.mild {
			name += ", no VM above the mean"
		}
		row(name, fmt.Sprintf("%.3f to %.3f, %d moves", plan.Before.Score, plan.After.Score, len(plan.Moves)), fmt.Sprintf("%s; bound %.3f", s.goal, plan.ScoreBound), none, scoreGap(plan), t)
	}
	return nil
}

// scoreGap is how far a score is above its bound; none where the bound is 0.
func scoreGap(plan *placement.Plan) float64 {
	if plan.ScoreBound == 0 {
		return none
	}
	return plan.After.Score/plan.ScoreBound - 1
}

// replan changes one VM in a hundred after a plan was carried out, and compares
// planning again with planning the changed problem from the first layout.
func (b *bench) replan() error {
	for _, objective := range []placement.Objective{placement.SavePower, placement.Level} {
		p := generate(spec{servers: 1000, vms: 14_000, seed: 4, mixed: objective == placement.SavePower, load: objective == placement.Level})
		c, err := placement.Compile(p)
		if err != nil {
			return err
		}
		req := placement.Request{Objective: objective}
		first, _, err := answerOn(c, p, req)
		if err != nil {
			return err
		}
		if err := c.Apply(first); err != nil {
			return err
		}
		now := c.Problem()
		var spent time.Duration
		for i := 0; i < len(p.VMs); i += 100 {
			f := flavours[i/100%len(flavours)]
			demand := append([]int64{f.mem, f.cpu}, p.VMs[i].Demand[2:]...)
			m := now.VMs[i]
			m.Demand, p.VMs[i].Demand = demand, demand
			spent += cpu(func() { err = c.SetVM(m) })
			if err != nil {
				return err
			}
		}
		again, t, err := answerOn(c, c.Problem(), req)
		if err != nil {
			return err
		}
		spent += t
		var whole *placement.Cluster
		t = cpu(func() { whole, err = placement.Compile(p) })
		if err != nil {
			return err
		}
		full, solving, err := answerOn(whole, p, req)
		if err != nil {
			return err
		}
		t += solving
		name := "re-plan after 1 % change, " + string(objective)
		row(name, fmt.Sprintf("%d moves", len(again.Moves)), fmt.Sprintf("10 %% of %v for all anew", t.Round(time.Millisecond)), spent.Seconds()/t.Seconds(), again.Gap(), spent)
		if objective == placement.SavePower {
			row("  quality", fmt.Sprintf("%d servers on", again.After.ServersOn), fmt.Sprintf("%d + 0.5 %%", full.After.ServersOn), float64(again.After.ServersOn)/float64(full.After.ServersOn), again.Gap(), 0)
		} else {
			row("  quality", fmt.Sprintf("score %.4f", again.After.Score), fmt.Sprintf("%.4f + 0.5 %%", full.After.Score), again.After.Score/full.After.Score, none, 0)
		}
	}
	return nil
}
