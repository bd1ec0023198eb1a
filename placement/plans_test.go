package placement_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"yagura/placement"
)

func reasonFor(plan *placement.Plan, server string) placement.RuleName {
	for _, r := range plan.Rejections {
		if r.Server == server {
			return r.Rule
		}
	}
	return ""
}

func TestEvacuationPushesOthersAside(t *testing.T) {
	p := parse(t, `
server s1 capacity=100 state=failed
server s2 capacity=100
server s3 capacity=100
vm big on=s1 cost=80
vm a on=s2 cost=40
vm b on=s3 cost=30
`)
	plan := solve(t, p, placement.Request{Objective: placement.Evacuate, Servers: []string{"s1"}})
	if got, want := brief(plan), "hot-migrate b s3>s2; failover big s1>s3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if plan.Moves[0].Wave >= plan.Moves[1].Wave {
		t.Errorf("room is made in wave %d, used in wave %d", plan.Moves[0].Wave, plan.Moves[1].Wave)
	}
}

func TestSavePowerGathersAndStops(t *testing.T) {
	p := parse(t, `
setting hold=1h0m0s
model esx placement low=20 target=30..80 high=90
model fixed
server full capacity=100 model=esx startable
server half capacity=100 model=esx startable
server light capacity=100 model=esx startable
server empty capacity=100 model=esx startable
server kept capacity=100 model=esx startable keep-on
server remote capacity=100 model=esx
server other capacity=100 model=fixed startable
server young capacity=100 model=esx startable changed=5m0s
server pinned capacity=100 model=esx startable
vm f on=full cost=70
vm h on=half cost=40
vm l on=light cost=20
vm o on=other cost=1
vm y on=young cost=75
vm p on=pinned cost=75
vm k on=kept cost=75
vm r on=remote cost=75
rule hold stay vms=p
`)
	plan := solve(t, p, placement.Request{Objective: placement.SavePower})
	if got, want := brief(plan), "hot-migrate l light>half; stop light; stop empty"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for server, want := range map[string]placement.RuleName{"kept": placement.NoKeepOn, "remote": placement.NoStartable, "other": placement.NoPlacement,
		"young": placement.NoHoldServer, "pinned": placement.NoFixedVM, "full": placement.NotNeeded, "half": placement.NotNeeded, "light": ""} {
		if got := reasonFor(plan, server); got != want {
			t.Errorf("%s: reason %q, want %q", server, got, want)
		}
	}
	if plan.Bound > plan.After.ServersOn || plan.Bound < 6 {
		t.Errorf("bound %d with %d servers on", plan.Bound, plan.After.ServersOn)
	}
}

func TestSavePowerKeepsTheMoveBudgetAndTheHoldTime(t *testing.T) {
	text := `
server a capacity=100 startable
server b capacity=100 startable
server c capacity=100 startable
vm a1 on=a cost=50
vm b1 on=b cost=10
vm b2 on=b cost=10
vm c1 on=c cost=10 MOVED
`
	for _, tc := range []struct{ name, settings, moved, want string }{
		{"free", "", "", "hot-migrate a1 a>b; hot-migrate c1 c>b; stop a; stop c"},
		{"budget", "setting move-budget=1", "", "hot-migrate a1 a>b; stop a"},
		{"hold", "setting hold=1h0m0s", "moved=1m0s", "hot-migrate a1 a>c; hot-migrate b1 b>c; hot-migrate b2 b>c; stop a; stop b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := parse(t, tc.settings+strings.ReplaceAll(text, "MOVED", tc.moved))
			if got := brief(solve(t, p, placement.Request{Objective: placement.SavePower})); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestSavePowerKeepsTheReserveForFailures(t *testing.T) {
	text := `
server a capacity=100 startable
server b capacity=100 startable
server c capacity=100 startable
vm a1 on=a cost=30
vm b1 on=b cost=30
vm c1 on=c cost=30
`
	if plan := solve(t, parse(t, text), placement.Request{Objective: placement.SavePower}); plan.After.ServersOn != 1 {
		t.Errorf("without reserve %d servers run, want 1", plan.After.ServersOn)
	}
	if plan := solve(t, parse(t, "setting reserve-failures=1"+text), placement.Request{Objective: placement.SavePower}); plan.After.ServersOn != 2 {
		t.Errorf("with a reserve for one failure %d servers run, want 2", plan.After.ServersOn)
	}
	// The number of moves stays bounded beside the reserve.
	more := text + "vm a2 on=a cost=1\nvm b2 on=b cost=1\nvm c2 on=c cost=1\n"
	for budget, want := range map[string]int{"1": 3, "2": 2, "6": 2} {
		plan := solve(t, parse(t, "setting reserve-failures=1 move-budget="+budget+more), placement.Request{Objective: placement.SavePower})
		if plan.After.ServersOn != want {
			t.Errorf("with a reserve and at most %s moves %d servers run, want %d", budget, plan.After.ServersOn, want)
		}
	}
}

func TestStartKeepsTheReserveForFailures(t *testing.T) {
	p := parse(t, `
setting reserve-failures=1
server a capacity=100
server b capacity=100
server c capacity=100 state=off startable
vm a1 on=a cost=50
vm b1 on=b cost=50
vm n on=a cost=20 power=off optimal-start
`)
	plan := solve(t, p, placement.Request{Objective: placement.Start, VMs: []string{"n"}})
	if got, want := brief(plan), "start c; cold-migrate n a>c; start n c>c"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := reasonFor(plan, "b"); got != placement.NoReserve {
		t.Errorf("b: reason %q", got)
	}
}

func TestLevelStartsAServerOnlyIfNeeded(t *testing.T) {
	text := `
dimension load measured
model esx placement low=20 target=40..70 high=80
server a capacity=100 load=1000 model=esx
server b capacity=100 load=1000 model=esx
server c capacity=100 load=1000 model=esx state=off startable
vm a1 on=a load=A
vm a2 on=a load=A
vm b1 on=b load=B
vm b2 on=b load=B
`
	plan := solve(t, parse(t, strings.NewReplacer("=A", "=450", "=B", "=100").Replace(text)), placement.Request{Objective: placement.Level})
	if len(plan.StartBefore) != 0 || plan.After.Score > 0.01 || len(plan.Moves) != 2 {
		t.Errorf("got %q, score %v to %v; a swap of one VM levels", brief(plan), plan.Before.Score, plan.After.Score)
	}
	plan = solve(t, parse(t, strings.NewReplacer("=A", "=450", "=B", "=430").Replace(text)), placement.Request{Objective: placement.Level})
	if len(plan.StartBefore) != 1 || plan.StartBefore[0].Server != "c" {
		t.Errorf("got %q; both servers stay above 80 %% without c", brief(plan))
	}
	p := parse(t, strings.NewReplacer("=A", "=450", "=B", "=430", "startable", "").Replace(text))
	plan = solve(t, p, placement.Request{Objective: placement.Level})
	if reasonFor(plan, "a") != placement.StillHigh || reasonFor(plan, "b") != placement.StillHigh {
		t.Errorf("%+v; both stay high", plan.Rejections)
	}
	c, err := placement.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	if l := c.LoadLevels(); len(l) != 2 || l[0] != (placement.ServerLevel{Server: "a", Percent: 90, Level: placement.HighLoad}) {
		t.Errorf("load levels %+v", l)
	}
}

// Two VMs whose servers are full change places by way of a third server.
func TestSwapGoesThroughAThirdServer(t *testing.T) {
	p := parse(t, `
dimension load measured
model esx placement high=100 target=0..100
server a capacity=100 load=1000 model=esx
server b capacity=100 load=1000 model=esx
server via capacity=60 load=100000 model=esx
vm a1 on=a cost=60 load=600
vm a2 on=a cost=40 load=600
vm b1 on=b cost=60 load=0
vm b2 on=b cost=40 load=0
rule forbid not-a1 vms=a1,a2 servers=via
rule forbid not-b vms=b2 servers=via
`)
	plan := solve(t, p, placement.Request{Objective: placement.Level})
	via := 0
	for _, m := range plan.Moves {
		if m.To == "via" {
			via++
		}
	}
	if plan.After.Score > plan.Before.Score-0.1 || via != 1 {
		t.Errorf("got %q, score %v to %v", brief(plan), plan.Before.Score, plan.After.Score)
	}
}

func TestCheckFailuresFindsAndRepairs(t *testing.T) {
	text := `
server a capacity=100
server b capacity=100
server c capacity=100 state=off STARTABLE
vm a1 on=a cost=60
vm b1 on=b cost=60
`
	plan := solve(t, parse(t, strings.ReplaceAll(text, "STARTABLE", "startable")), placement.Request{Objective: placement.CheckFailures})
	if got := brief(plan); got != "start c" || plan.Missing != nil {
		t.Errorf("got %q, missing %v; starting c is enough", got, plan.Missing)
	}
	for _, f := range plan.Failures {
		if len(f.Unplaced) > 0 || len(f.Moves) != 1 || f.Moves[0].To != "c" {
			t.Errorf("loss of %s: %+v", f.Server, f)
		}
	}
	plan = solve(t, parse(t, strings.ReplaceAll(text, "STARTABLE", "")), placement.Request{Objective: placement.CheckFailures})
	if plan.Missing == nil || plan.Missing.Servers != 1 || len(plan.Failures[0].Unplaced) != 1 {
		t.Errorf("missing %v, %+v; one server is", plan.Missing, plan.Failures)
	}
	if r := plan.Failures[0].Unplaced[0].Reasons[0]; r.Server != "b" || r.Rule != placement.NoCapacity || r.Free != 40 {
		t.Errorf("reason %+v", r)
	}
}

func TestRoomCountsMoreVMs(t *testing.T) {
	p := parse(t, `
dimension mem
server a capacity=100 mem=1000
server b capacity=100 mem=100
server c capacity=100 mem=1000 state=off startable
server d capacity=100 mem=1000 maintenance
vm v on=a cost=30 mem=100
vm w on=b cost=10 mem=80
`)
	plan := solve(t, p, placement.Request{Objective: placement.Room, VMs: []string{"v"}})
	want := []int64{3, 0, 3, 0}
	for i, r := range plan.Rooms {
		if r.VMs != want[i] || (r.VMs == 0) != (r.Why != nil) || r.Stopped != (r.Server == "c") {
			t.Errorf("%+v, want %d", r, want[i])
		}
	}
}

func TestDeadlineStillGivesAPlan(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), -time.Second)
	defer cancel()
	p := parse(t, lab)
	for _, objective := range []placement.Objective{placement.SavePower, placement.Level, placement.CheckFailures} {
		plan, err := placement.Solve(ctx, p, placement.Request{Objective: objective})
		if err != nil {
			t.Fatalf("%s: %v", objective, err)
		}
		if err := placement.Verify(p, plan); err != nil {
			t.Errorf("%s: %v", objective, err)
		}
	}
}

func TestVerifyFindsWhatIsWrong(t *testing.T) {
	p := parse(t, `
server a capacity=100
server b capacity=100
server off capacity=100 state=off
vm v on=a cost=60
vm w on=b cost=60
rule apart x vms=v,w
`)
	move := func(vm, from, to string, kind placement.MoveKind, wave int) placement.Move {
		return placement.Move{VM: vm, From: from, To: to, Kind: kind, Wave: wave}
	}
	for name, plan := range map[string]placement.Plan{
		"capacity":        {Moves: []placement.Move{move("v", "a", "b", placement.HotMigrate, 1)}},
		"swap in a wave":  {Moves: []placement.Move{move("v", "a", "b", placement.HotMigrate, 1), move("w", "b", "a", placement.HotMigrate, 1)}},
		"off server":      {Moves: []placement.Move{move("v", "a", "off", placement.HotMigrate, 1)}},
		"wrong source":    {Moves: []placement.Move{move("v", "b", "a", placement.HotMigrate, 1)}},
		"wrong kind":      {Moves: []placement.Move{move("v", "a", "b", placement.ColdMigrate, 1)}},
		"unknown vm":      {Moves: []placement.Move{move("u", "a", "b", placement.HotMigrate, 1)}},
		"stop with VMs":   {StopAfter: []placement.ServerAction{{Server: "a"}}},
		"start forbidden": {StartBefore: []placement.ServerAction{{Server: "off"}}},
	} {
		if err := placement.Verify(p, &plan); err == nil {
			t.Errorf("%s: nothing found", name)
		}
	}
}

func TestParseGaneti(t *testing.T) {
	data := `g1|uuid-1|preferred||

n1|1000|100|800|0|0|4|M|uuid-1|1||N|0|0|1.0
n2|1000|100|900|0|0|4|N|uuid-1|1||N|0|0|1.0
n3|1000|100|900|0|0|4|Y|uuid-1|1||N|0|0|1.0

i1|100|0|2|running|Y|n1||ext|web:a|1|-
i2|100|0|1|ADMIN_down|Y|n2||ext|web:a|1|-
i3|100|5|1|running|Y|n1|n2|drbd||1|-
i4|100|5|1|running|Y|n1||plain||1|-

htools:iextags:web

|2048,2,20480,1,1,1|128,1,0,0,1,1;131072,64,1048576,16,8,64|ext|2|64.0
g1|2048,2,20480,1,1,1|128,1,0,0,1,1;131072,64,1048576,16,8,64|ext|1.5|64.0
`
	p, err := placement.ParseGaneti(strings.NewReader(data), strings.NewReader("i1 0.5 0 0 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	n1, i1 := p.Servers[0], p.VMs[0]
	if n1.Limits[0] != (placement.Limit{Limit: 900, Own: 100, Size: 1000}) || n1.Limits[1].Limit != 6 || !n1.KeepOn || p.Servers[2].State != placement.ServerFailed {
		t.Errorf("servers %+v", p.Servers)
	}
	if i1.Demand[0] != 100 || i1.Demand[1] != 2 || i1.Demand[2] != 5000 || p.VMs[1].Power != placement.PowerOff || !p.VMs[3].LocalDisk {
		t.Errorf("VMs %+v", p.VMs)
	}
	if len(p.Rules) != 2 || p.Rules[0].Kind != placement.RulePin || p.Rules[1].Kind != placement.RuleApart {
		t.Errorf("rules %+v", p.Rules)
	}
	for _, tc := range []struct{ old, new, want string }{
		{"n1|1000", "n1|lots", "line 3: node"},
		{"|uuid-1|1||N", "|uuid-9|1||N", "line 3: node \"n1\": group \"uuid-9\" is unknown"},
		{"i1|100", "i1|-5", "line 7: instance"},
		{"|ext|1.5|", "|ext|NaN|", "vcpu ratio"},
		{"n1||ext|web:a", "n9||ext|web:a", "n9"},
	} {
		_, err := placement.ParseGaneti(strings.NewReader(strings.Replace(data, tc.old, tc.new, 1)), nil)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.new, err, tc.want)
		}
	}
}

// Twelve triplets that fill their servers exactly; first fit takes more.
func TestCreateManyUsesTheFewestServers(t *testing.T) {
	var b strings.Builder
	for i := range 8 {
		fmt.Fprintf(&b, "server s%d capacity=100 state=off startable\n", i)
	}
	for i, triplet := range [][3]int{{48, 27, 25}, {44, 30, 26}, {41, 33, 26}, {39, 35, 26}, {47, 28, 25}, {43, 29, 28}} {
		for k, cost := range triplet {
			fmt.Fprintf(&b, "vm v%d%d cost=%d\n", i, k, cost)
		}
	}
	p := parse(t, b.String())
	req := placement.Request{Objective: placement.Create}
	for i := range p.VMs {
		req.VMs = append(req.VMs, p.VMs[i].Name)
	}
	plan := solve(t, p, req)
	if plan.After.ServersOn != 6 || plan.Bound != 6 || len(plan.Moves) != 18 {
		t.Errorf("%d servers on, bound %d, %d VMs placed", plan.After.ServersOn, plan.Bound, len(plan.Moves))
	}
}

// Questions may be asked side by side.
func TestSolveSideBySide(t *testing.T) {
	p := parse(t, lab)
	c, err := placement.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	requests := []placement.Request{{Objective: placement.SavePower}, {Objective: placement.Level}, {Objective: placement.CheckFailures},
		{Objective: placement.Start, VMs: []string{"d"}}, {Objective: placement.Create, VMs: []string{"n1", "n2"}}, {Objective: placement.Evacuate, Servers: []string{"esx01"}}}
	for _, req := range requests {
		go func() {
			for range 20 {
				plan, err := c.Solve(context.Background(), req)
				if err == nil {
					err = placement.Verify(p, plan)
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range requests {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestParseLargeFile(t *testing.T) {
	var b strings.Builder
	b.WriteString("dimension mem\nserver s capacity=1000000 mem=100000000\n")
	for i := range 100_000 {
		fmt.Fprintf(&b, "vm v%d on=s cost=1 mem=%d\n", i, i)
	}
	b.WriteString("vm last on=s cost=none\n")
	_, err := placement.Parse(strings.NewReader(b.String()))
	if err == nil || !strings.Contains(err.Error(), `line 100003: vm "last"`) {
		t.Errorf("got %v", err)
	}
}
