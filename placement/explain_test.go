package placement_test

import (
	"strings"
	"testing"

	"yagura/placement"
)

func TestExplainVM(t *testing.T) {
	c, err := placement.Compile(parse(t, lab))
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.ExplainVM("d")
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Fits) != 2 || e.Fits[0] != (placement.Fit{Server: "esx02", Free: 70}) || !e.Fits[1].Stopped || len(e.Others) != 7 || e.Held != nil {
		t.Errorf("%+v", e)
	}
	if e, err = c.ExplainVM("h"); err != nil || e.Held == nil || e.Held.Rule != placement.NoSuspended {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err = c.ExplainVM("nobody"); err == nil {
		t.Error("a VM that isn't there is explained")
	}
}

func TestExplainServer(t *testing.T) {
	c, err := placement.Compile(parse(t, lab))
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.ExplainServer("esx01")
	if err != nil {
		t.Fatal(err)
	}
	if e.Uses[0] != (placement.Use{Dimension: "capacity", Used: 60, Limit: 100}) || e.Load != 60 || e.Model.High != 80 || len(e.VMs) != 7 {
		t.Errorf("%+v", e)
	}
	if e.MustRun == nil || e.MustRun.Rule != placement.NoStartable || len(e.Fixed) != 1 || e.Fixed[0].VM != "h" {
		t.Errorf("must run %+v, fixed %+v", e.MustRun, e.Fixed)
	}
	if _, err = c.ExplainServer("nowhere"); err == nil {
		t.Error("a server that isn't there is explained")
	}
}

func TestPictureShowsBeforeAndAfter(t *testing.T) {
	p := parse(t, `
model esx placement low=20 target=30..75 high=90
server a capacity=100 model=esx startable
server long-name capacity=100 model=esx startable
server off capacity=100 state=off
vm v on=a cost=25
vm w on=long-name cost=50
`)
	var b strings.Builder
	if err := placement.Picture(&b, p, solve(t, p, placement.Request{Objective: placement.SavePower})); err != nil {
		t.Fatal(err)
	}
	want := `server     before                          after
a          ######............|.....  25 %  off
long-name  ############......|.....  50 %  ##################|.....  75 %
off        off                             off
servers on 2 -> 1, VMs on 2 -> 2, unevenness 0.125 -> 0.000, proven least 1 servers (gap 0.0 %)
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if err := placement.Picture(&b, p, &placement.Plan{Moves: []placement.Move{{VM: "x", To: "a"}}}); err == nil {
		t.Error("a plan of another problem is drawn")
	}
}

func TestPictureOfReservations(t *testing.T) {
	p := parse(t, `
dimension mem
server a capacity=100 mem=100
server b capacity=100 mem=100
vm v on=a mem=60
vm w on=a mem=30
`)
	var b strings.Builder
	plan := solve(t, p, placement.Request{Objective: placement.Level})
	if err := placement.Picture(&b, p, plan); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" 90 %", " 60 %"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the picture lacks%s:\n%s", want, b.String())
		}
	}
	if len(plan.Moves) != 1 || plan.Moves[0].Reason != "evens out the load: a was at 90 %, b at 0 %" {
		t.Errorf("moves %v", plan.Moves)
	}
}
