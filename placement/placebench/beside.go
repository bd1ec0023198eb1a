package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"yagura/placement"
)

// besideHsqueeze compares with hsqueeze under its own rule: each server that
// stays on keeps twice the standard allocation free (--target-resources).
func (b *bench) besideHsqueeze() error {
	for _, n := range []int{10, 20} {
		p := generate(spec{servers: n, vms: 10 * n, seed: 1, level: true})
		path := filepath.Join(b.dir, fmt.Sprintf("squeeze%d", n))
		if err := writeGaneti(p, path); err != nil {
			return err
		}
		for i := range p.Servers {
			p.Servers[i].Limits[0].Limit -= 2 * 2048
			p.Servers[i].Limits[1].Limit -= 2 * 2
		}
		plan, t, err := typical(p, placement.Request{Objective: placement.SavePower})
		if err != nil {
			return err
		}
		goal, ratio, speed := "not run", float64(none), ""
		if b.peers {
			out, theirs, err := peer("hsqueeze", "-t", path+".data", "-C", "-v")
			if err != nil {
				return err
			}
			off, moves := count(out, `power -f off`), count(out, `gnt-instance migrate`)
			goal = fmt.Sprintf("hsqueeze: %d on, %d moves, %v", n-off, moves, theirs.Round(10*time.Millisecond))
			ratio, speed = float64(plan.After.ServersOn)/float64(n-off), times(theirs, t)
			if fewer := p; plan.After.ServersOn < n-off { // and for as many servers as hsqueeze stops
				fewer.Settings.MoveBudget = moves
				same, _, err := answer(fewer, placement.Request{Objective: placement.SavePower})
				if err != nil {
					return err
				}
				row(fmt.Sprintf("save power, %d servers, as many moves", n), fmt.Sprintf("%d on, %d moves", same.After.ServersOn, len(same.Moves)), goal, float64(same.After.ServersOn)/float64(n-off), same.Gap(), t)
			}
		}
		row(fmt.Sprintf("save power, %d servers", n), fmt.Sprintf("%d on, %d moves", plan.After.ServersOn, len(plan.Moves)), goal, ratio, plan.Gap(), t)
		if speed != "" {
			row("  speed", speed, "100 times", none, none, t)
		}
	}
	return nil
}

// besideHbal compares with hbal by its own score, with four fifths of its moves.
func (b *bench) besideHbal() error {
	for _, n := range []int{20, 40} {
		p := generate(spec{servers: n, vms: 10 * n, seed: 1, load: true})
		path := filepath.Join(b.dir, fmt.Sprintf("bal%d", n))
		if err := writeGaneti(p, path); err != nil {
			return err
		}
		name := fmt.Sprintf("level load, %d servers", n)
		if !b.peers {
			plan, t, err := answer(p, placement.Request{Objective: placement.Level})
			if err != nil {
				return err
			}
			row(name, fmt.Sprintf("%.4f to %.4f, %d moves", plan.Before.Score, plan.After.Score, len(plan.Moves)), "not run", none, none, t)
			continue
		}
		out, theirs, err := peer("hbal", "-t", path+".data", "-U", path+".util", "-v", "-C")
		if err != nil {
			return err
		}
		before, err := number(out, `Initial score: ([0-9.]+)`)
		if err != nil {
			return err
		}
		after, err := number(out, `improved from [0-9.]+ to ([0-9.]+)`)
		if err != nil {
			return err
		}
		moves, err := number(out, `Solution length=([0-9]+)`)
		if err != nil {
			return err
		}
		p.Settings.MoveBudget = int(moves * 0.8)
		plan, t, err := typical(p, placement.Request{Objective: placement.Level})
		if err != nil {
			return err
		}
		if d := plan.Before.Score - before; d > 1e-6 || d < -1e-6 {
			return fmt.Errorf("the score of the start is %v here and %v in hbal", plan.Before.Score, before)
		}
		row(name, fmt.Sprintf("%.4f to %.4f, %d moves", plan.Before.Score, plan.After.Score, len(plan.Moves)), fmt.Sprintf("hbal: %.4f, %.0f moves, %v", after, moves, theirs.Round(10*time.Millisecond)), plan.After.Score/after, none, t)
		row("  speed", times(theirs, t), "1000 times", none, none, t)
	}
	return nil
}

// failures checks every single loss with code of its own, and compares one
// allocation under N+1 with hail's.
func (b *bench) failures() error {
	p := generate(spec{servers: 1000, vms: 14_000, seed: 5, mixed: true, apart: true})
	plan, t, err := answer(p, placement.Request{Objective: placement.CheckFailures})
	if err != nil {
		return err
	}
	bad := 0
	for i := range plan.Failures {
		f := &plan.Failures[i]
		lost := *p
		lost.Servers = slices.Clone(p.Servers)
		for k := range lost.Servers {
			if lost.Servers[k].Name == f.Server {
				lost.Servers[k].State = placement.ServerFailed
			}
		}
		if err := placement.Verify(&lost, &placement.Plan{Moves: f.Moves}); err != nil {
			return fmt.Errorf("loss of %s: %w", f.Server, err)
		}
		if len(f.Unplaced) > 0 {
			bad++
		}
	}
	row("N+1 check, 1,000 servers", fmt.Sprintf("%d losses placed and checked, %d not", len(plan.Failures)-bad, bad), "200 ms", none, none, t)
	for _, n := range []int{20, 100} {
		if err := b.besideHail(n); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) besideHail(n int) error {
	p := generate(spec{servers: n, vms: 10 * n, seed: 1})
	path := filepath.Join(b.dir, fmt.Sprintf("hail%d.json", n))
	if err := writeHail(p, path); err != nil {
		return err
	}
	p.Settings.ReserveFailures = 1
	p.VMs = append(p.VMs, placement.VM{Name: "newvm", Datacenter: "g1", Power: placement.PowerOn, Demand: []int64{8192, 4}})
	plan, t, err := typical(p, placement.Request{Objective: placement.Create, VMs: []string{"newvm"}})
	if err != nil {
		return err
	}
	goal, ours := "not run", "not placed"
	if len(plan.Moves) == 1 {
		ours = "placed on " + plan.Moves[0].To
	}
	if b.peers {
		out, theirs, err := peer("/usr/lib/ganeti/iallocators/hail", path)
		if err != nil {
			return err
		}
		goal = fmt.Sprintf("hail: success %v, %v", count(out, `"success":true`) == 1, theirs.Round(10*time.Millisecond))
		ours += ", " + times(theirs, t)
	}
	row(fmt.Sprintf("one VM under N+1, %d servers", n), ours, goal, none, none, t)
	return nil
}

// optimalStart measures the start of one VM, one question after the other.
func (b *bench) optimalStart() error {
	rng := rand.New(rand.NewPCG(1, 1))
	p := &placement.Problem{Dimensions: []placement.Dimension{{Name: "mem"}}}
	for i := range 1000 {
		p.Servers = append(p.Servers, placement.Server{Name: fmt.Sprintf("s%d", i), State: placement.ServerOn, Capacity: 200, Limits: []placement.Limit{{Limit: 1000}}})
	}
	for i := range 20_000 {
		m := placement.VM{Name: fmt.Sprintf("v%d", i), Power: placement.PowerOn, OptimalStart: true, Server: p.Servers[rng.IntN(1000)].Name, Cost: 10, Demand: []int64{1 + rng.Int64N(60)}}
		if i%10 == 0 {
			m.Power = placement.PowerOff
		}
		p.VMs = append(p.VMs, m)
	}
	c, err := placement.Compile(p)
	if err != nil {
		return err
	}
	var took []time.Duration
	moved := 0
	for i := 0; i < len(p.VMs); i += 10 {
		var plan *placement.Plan
		took = append(took, cpu(func() {
			plan, err = c.Solve(context.Background(), placement.Request{Objective: placement.Start, VMs: []string{p.VMs[i].Name}})
		}))
		if err != nil {
			return err
		}
		if len(plan.Moves) > 1 {
			moved++
		}
	}
	slices.Sort(took)
	row("optimal start, 1,000 servers, 20,000 VMs", fmt.Sprintf("median %v, %d of %d elsewhere", took[len(took)/2].Round(time.Microsecond), moved, len(took)), "p99 1 ms", none, none, took[len(took)*99/100])
	return nil
}
