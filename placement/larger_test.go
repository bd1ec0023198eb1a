package placement_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"yagura/placement"
)

// larger makes a cluster in which chains, swaps, detours and waves come up:
// two thirds to nine tenths full, with rules that hold VMs apart and together.
func larger(seed uint64) *placement.Problem {
	rng := rand.New(rand.NewPCG(seed, 99))
	p := &placement.Problem{Dimensions: []placement.Dimension{{Name: "mem"}, {Name: "load", Measured: true}}, Settings: placement.Settings{Seed: seed}}
	p.Models = []placement.ServerModel{{Name: "m", Placement: true, Low: 10, TargetLow: 30, TargetHigh: 95, High: 98}}
	n := 8 + rng.IntN(30)
	full := 0.65 + 0.25*rng.Float64()
	for i := range n {
		s := placement.Server{Name: fmt.Sprintf("s%d", i), Model: "m", State: placement.ServerOn, Startable: true, Rack: fmt.Sprintf("r%d", i%5), Capacity: 100 + 20*rng.Int64N(3)}
		if i > 2 && rng.IntN(12) == 0 {
			s.State = placement.ServerOff
		}
		s.Limits = []placement.Limit{{Limit: 1000}, {Limit: 1000}}
		p.Servers = append(p.Servers, s)
		if s.State == placement.ServerOff {
			continue
		}
		for cost, mem := int64(0), int64(0); ; {
			m := placement.VM{Name: fmt.Sprintf("v%d", len(p.VMs)), Server: s.Name, Power: placement.PowerOn, Priority: rng.IntN(3),
				Cost: []int64{2, 4, 8, 16, 32}[rng.IntN(5)], Demand: []int64{20 + 20*rng.Int64N(9), rng.Int64N(150)}}
			cost, mem = cost+m.Cost, mem+m.Demand[0]
			if float64(cost) > full*float64(s.Capacity) || float64(mem) > full*1000 {
				break
			}
			if rng.IntN(15) == 0 {
				m.Power = placement.PowerOff
			}
			p.VMs = append(p.VMs, m)
		}
	}
	for i := range n {
		kind := []placement.RuleKind{placement.RuleApart, placement.RuleApart, placement.RuleSpread, placement.RuleTogether, placement.RuleHold}[rng.IntN(5)]
		r := placement.Rule{Name: fmt.Sprintf("rule%d", i), Kind: kind}
		for range 2 + rng.IntN(4) {
			r.VMs = append(r.VMs, p.VMs[rng.IntN(len(p.VMs))].Name)
		}
		if kind == placement.RuleTogether { // of one server, so that they are one unit
			first := rng.IntN(len(p.VMs) - 1)
			if p.VMs[first].Server != p.VMs[first+1].Server {
				continue
			}
			r.VMs = []string{p.VMs[first].Name, p.VMs[first+1].Name}
		}
		p.Rules = append(p.Rules, r)
		if p.Validate() != nil {
			p.Rules = p.Rules[:len(p.Rules)-1]
		}
	}
	return p
}

func TestLargerClustersStayValid(t *testing.T) {
	saved, evened := 0, 0
	for seed := range uint64(60) {
		p := larger(seed)
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, req := range []placement.Request{{Objective: placement.SavePower}, {Objective: placement.Level}, {Objective: placement.CheckFailures},
			{Objective: placement.Evacuate, Servers: []string{"s0", "s1"}, NoServerStart: true}} {
			plan, err := placement.Solve(context.Background(), p, req)
			if err != nil {
				t.Fatal(err)
			}
			if err := placement.Verify(p, plan); err != nil {
				t.Fatalf("seed %d, %s: %v", seed, req.Objective, err)
			}
			if again, err := placement.Solve(context.Background(), p, req); err != nil || !reflect.DeepEqual(plan, again) {
				t.Fatalf("seed %d, %s: the second plan differs (%v)", seed, req.Objective, err)
			}
			if plan.Bound > plan.After.ServersOn {
				t.Fatalf("seed %d: %d servers on, below the bound %d", seed, plan.After.ServersOn, plan.Bound)
			}
			saved += plan.Before.ServersOn - plan.After.ServersOn
			if req.Objective == placement.Level && plan.After.Score < 0.6*plan.Before.Score {
				evened++
			}
			checkLosses(t, p, plan)
		}
	}
	if saved < 60 || evened < 40 {
		t.Errorf("%d servers saved, %d of 60 clusters evened out: the search finds too little", saved, evened)
	}
}

// checkLosses carries each loss of a CheckFailures plan out.
func checkLosses(t *testing.T, p *placement.Problem, plan *placement.Plan) {
	t.Helper()
	for i := range plan.Failures {
		f := &plan.Failures[i]
		lost := *p
		lost.Servers = append([]placement.Server(nil), p.Servers...)
		for k := range lost.Servers {
			if lost.Servers[k].Name == f.Server {
				lost.Servers[k].State = placement.ServerFailed
			}
		}
		if err := placement.Verify(&lost, &placement.Plan{StartBefore: plan.StartBefore, Moves: f.Moves}); err != nil {
			t.Fatalf("loss of %s: %v", f.Server, err)
		}
	}
}
