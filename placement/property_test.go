package placement_test

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"yagura/placement"
)

// drawProblem makes small problems with everything in them: full and overfull
// servers, all states, rules that are broken already.
func drawProblem(t *rapid.T) *placement.Problem {
	p := &placement.Problem{Name: rapid.SampledFrom([]string{"", "a b", "night"}).Draw(t, "problem")}
	for d := range rapid.IntRange(0, 2).Draw(t, "dimensions") {
		p.Dimensions = append(p.Dimensions, placement.Dimension{Name: fmt.Sprintf("d%d", d), Measured: rapid.Bool().Draw(t, "measured")})
	}
	few := func(label string, from ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, 2, rapid.ID[string]).Draw(t, label)
	}
	p.Settings = placement.Settings{Seed: rapid.Uint64Range(0, 3).Draw(t, "seed"), MoveBudget: rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "budget"),
		ReserveFailures: rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "reserve"), ColdMove: rapid.Bool().Draw(t, "cold move"), Hold: rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "hold")}
	if rapid.Bool().Draw(t, "models") {
		p.Models = []placement.ServerModel{{Name: "m1", Placement: true, Low: 20, TargetLow: 40, TargetHigh: 80, High: 90}, {Name: "m2"}}
	} else {
		p.Models = []placement.ServerModel{{Name: "m1", Placement: true, High: 100, TargetHigh: 100}, {Name: "m2", Placement: true, High: 100, TargetHigh: 100}}
	}
	p.Settings.ReserveFailures = min(p.Settings.ReserveFailures, 1)
	n := rapid.IntRange(1, 7).Draw(t, "servers")
	p.Settings.ReserveFailures = min(p.Settings.ReserveFailures, n)
	state := rapid.SampledFrom([]placement.ServerState{"on", "on", "on", "on", "on", "off", "failed", "disconnected"})
	for i := range n {
		s := placement.Server{Name: fmt.Sprintf("s %d", i), Model: rapid.SampledFrom([]string{"", "m1", "m2"}).Draw(t, "model"),
			Datacenter: rapid.SampledFrom([]string{"A", "A", "A", "B"}).Draw(t, "dc"), Rack: rapid.SampledFrom([]string{"", "r1", "r2"}).Draw(t, "rack"),
			State: state.Draw(t, "state"), Maintenance: rapid.IntRange(0, 7).Draw(t, "maintenance") == 0, Startable: rapid.Bool().Draw(t, "startable"),
			KeepOn: rapid.IntRange(0, 5).Draw(t, "keep") == 0, Capacity: rapid.Int64Range(1, 40).Draw(t, "capacity"), Datastores: few("stores", "x", "x", "y"), Networks: few("nets", "n"),
			SinceChange: rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "changed")}
		for range p.Dimensions {
			s.Limits = append(s.Limits, placement.Limit{Limit: rapid.Int64Range(1, 40).Draw(t, "limit"), Own: rapid.Int64Range(0, 3).Draw(t, "own"), Size: rapid.SampledFrom([]int64{0, 50}).Draw(t, "size")})
		}
		p.Servers = append(p.Servers, s)
	}
	for i := range rapid.IntRange(0, 20).Draw(t, "vms") {
		m := placement.VM{Name: fmt.Sprintf("v%d", i), Cost: rapid.Int64Range(0, 12).Draw(t, "cost"), Power: rapid.SampledFrom([]placement.Power{"on", "on", "on", "off", "suspended"}).Draw(t, "power"),
			OptimalStart: rapid.Bool().Draw(t, "optimal"), Networks: few("vm nets", "n", "n", "o")[:0], Priority: rapid.IntRange(-1, 2).Draw(t, "priority"), LocalDisk: rapid.IntRange(0, 9).Draw(t, "local") == 0,
			MoveCost: rapid.SampledFrom([]int64{0, 0, 2}).Draw(t, "move cost"), SinceMove: rapid.SampledFrom([]time.Duration{0, 0, time.Minute}).Draw(t, "moved")}
		m.Networks = nil
		if rapid.IntRange(0, 4).Draw(t, "placed") > 0 {
			m.Server = p.Servers[rapid.IntRange(0, n-1).Draw(t, "on")].Name
		} else if m.Power == placement.PowerSuspended {
			m.Power = placement.PowerOff
		}
		if rapid.IntRange(0, 5).Draw(t, "tied") == 0 {
			m.ServerModels = []string{"m1"}
		}
		if rapid.IntRange(0, 5).Draw(t, "stored") == 0 {
			m.Datastores = []string{"x"}
		}
		for range p.Dimensions {
			m.Demand = append(m.Demand, rapid.Int64Range(0, 12).Draw(t, "demand"))
		}
		p.VMs = append(p.VMs, m)
	}
	if len(p.VMs) > 1 {
		drawRules(t, p)
	}
	return p
}

func drawRules(t *rapid.T, p *placement.Problem) {
	names := make([]string, len(p.VMs))
	for i := range p.VMs {
		names[i] = p.VMs[i].Name
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "rules") {
		r := placement.Rule{Name: fmt.Sprintf("rule %d", i), Kind: rapid.SampledFrom([]placement.RuleKind{"apart", "together", "spread", "pin", "forbid", "hold"}).Draw(t, "kind"),
			VMs: rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 4, rapid.ID[string]).Draw(t, "members")}
		switch r.Kind {
		case placement.RuleApart, placement.RuleSpread:
			r.Max = rapid.IntRange(0, 2).Draw(t, "max")
		case placement.RulePin, placement.RuleForbid:
			r.Servers = []string{p.Servers[rapid.IntRange(0, len(p.Servers)-1).Draw(t, "server")].Name}
		}
		p.Rules = append(p.Rules, r)
		if p.Validate() != nil { // contradicts an earlier one
			p.Rules = p.Rules[:len(p.Rules)-1]
		}
	}
}

// drawRequest asks something of the problem that makes sense for it.
func drawRequest(t *rapid.T, p *placement.Problem) placement.Request {
	req := placement.Request{NoServerStart: rapid.Bool().Draw(t, "no start")}
	var placed, loose []string
	for i := range p.VMs {
		if p.VMs[i].Server != "" {
			placed = append(placed, p.VMs[i].Name)
		} else {
			loose = append(loose, p.VMs[i].Name)
		}
	}
	kinds := []placement.Objective{placement.Evacuate, placement.SavePower, placement.Level, placement.CheckFailures}
	if len(placed) > 0 {
		kinds = append(kinds, placement.Start, placement.Room)
	}
	if len(loose) > 0 {
		kinds = append(kinds, placement.Create)
	}
	some := func(from []string, most int) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, most, rapid.ID[string]).Draw(t, "of")
	}
	switch req.Objective = rapid.SampledFrom(kinds).Draw(t, "objective"); req.Objective {
	case placement.Start:
		req.VMs = some(placed, 3)
	case placement.Room:
		req.VMs = some(placed, 1)
	case placement.Create:
		req.VMs = some(loose, 4)
	case placement.Evacuate:
		var names []string
		for i := range p.Servers {
			names = append(names, p.Servers[i].Name)
		}
		req.Servers = some(names, 2)
	}
	return req
}

func mustSolve(t *rapid.T, p *placement.Problem, req placement.Request) *placement.Plan {
	plan, err := placement.Solve(context.Background(), p, req)
	if err != nil {
		t.Fatalf("%+v: %v", req, err)
	}
	return plan
}

// Capacity and rules hold after every move; the same question gets the same
// answer; and the answer is never worse than doing nothing.
func TestEveryPlanIsValidDeterministicAndNoWorse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		req := drawRequest(t, p)
		plan := mustSolve(t, p, req)
		if err := placement.Verify(p, plan); err != nil {
			t.Fatalf("%+v: %v", plan, err)
		}
		if again := mustSolve(t, p, req); !reflect.DeepEqual(plan, again) {
			t.Fatalf("first %+v, then %+v", plan, again)
		}
		switch req.Objective {
		case placement.SavePower:
			if plan.After.ServersOn > plan.Before.ServersOn {
				t.Fatalf("saves %d servers by running %d", plan.Before.ServersOn, plan.After.ServersOn)
			}
			if plan.After.ServersOn < plan.Bound {
				t.Fatalf("%d servers run, below the bound %d", plan.After.ServersOn, plan.Bound)
			}
			if len(plan.Moves) > 0 && len(plan.StopAfter) == 0 {
				t.Fatal("moves, but stops nothing")
			}
		case placement.Level:
			if len(plan.StartBefore) == 0 && plan.After.Score > plan.Before.Score+1e-9 {
				t.Fatalf("score %v after %v", plan.After.Score, plan.Before.Score)
			}
			if plan.After.Score < plan.ScoreBound-1e-9 {
				t.Fatalf("score %v is below the bound %v", plan.After.Score, plan.ScoreBound)
			}
		}
		budget := int64(p.Settings.MoveBudget)
		if cost := costOf(p, plan); budget > 0 && (req.Objective == placement.SavePower || req.Objective == placement.Level) && cost > 2*budget {
			t.Fatalf("moves cost %d, the budget is %d", cost, budget)
		}
	})
}

// costOf is the weight of a plan's moves; a VM that goes by way of another
// server moves twice.
func costOf(p *placement.Problem, plan *placement.Plan) int64 {
	cost := int64(0)
	for _, mv := range plan.Moves {
		i := slices.IndexFunc(p.VMs, func(m placement.VM) bool { return m.Name == mv.VM })
		cost += max(p.VMs[i].MoveCost, 1)
	}
	return cost
}

func TestPrintThenParseIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		var b bytes.Buffer
		if err := placement.Print(&b, p); err != nil {
			t.Fatal(err)
		}
		again, err := placement.Parse(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		var c bytes.Buffer
		if err := placement.Print(&c, again); err != nil {
			t.Fatal(err)
		}
		if b.String() != c.String() {
			t.Fatalf("printed\n%s\nthen\n%s", b.String(), c.String())
		}
		if normal(p); !reflect.DeepEqual(p, normal(again)) {
			t.Fatalf("parsed %+v, want %+v", again, p)
		}
	})
}

// normal makes empty lists and missing ones the same.
func normal(p *placement.Problem) *placement.Problem {
	for i := range p.Servers {
		s := &p.Servers[i]
		if len(s.Datastores) == 0 {
			s.Datastores = nil
		}
		if len(s.Networks) == 0 {
			s.Networks = nil
		}
		if len(s.Limits) == 0 {
			s.Limits = nil
		}
	}
	for i := range p.VMs {
		if len(p.VMs[i].Demand) == 0 {
			p.VMs[i].Demand = nil
		}
	}
	return p
}

// Parse takes any text without a crash; what it takes is valid.
func TestParseTakesAnything(t *testing.T) {
	word := rapid.SampledFrom([]string{"server", "vm", "rule", "apart", "s", "v", "capacity=", "1", "-1", "=", ",", `"`, "#", "\n", " ", "mem", "dimension", "cost=9", "on=s", "vms=v", "NaN", "99999999999999999999"})
	rapid.Check(t, func(t *rapid.T) {
		text := ""
		for _, w := range rapid.SliceOf(word).Draw(t, "words") {
			text += w
		}
		p, err := placement.Parse(bytes.NewReader([]byte(text)))
		if err == nil && p.Validate() != nil {
			t.Fatalf("parsed %q to an invalid problem", text)
		}
	})
}
