package placement_test

import (
	"context"
	"strings"
	"testing"

	"yagura/placement"
)

const lab = `
model esx placement low=20 target=40..70 high=80
model old
server esx01 capacity=100 model=esx dc=DC1 datastores=shared networks=lan
server esx02 capacity=100 model=esx dc=DC1 datastores=shared networks=lan
server esx03 capacity=100 model=esx dc=DC1 datastores=shared networks=lan state=off startable
server esx04 capacity=100 model=old dc=DC1 datastores=shared networks=lan
server esx05 capacity=100 model=esx dc=DC2 datastores=shared networks=lan
server esx06 capacity=100 model=esx dc=DC1 networks=lan
server esx07 capacity=100 model=esx dc=DC1 datastores=shared
server esx08 capacity=100 model=esx dc=DC1 datastores=shared networks=lan maintenance
server esx09 capacity=100 model=esx dc=DC1 datastores=shared networks=lan state=failed
server esx10 capacity=100 model=esx dc=DC1 datastores=shared networks=lan state=disconnected
vm a on=esx01 cost=60
vm b on=esx02 cost=30
vm c on=esx01 cost=40 power=off optimal-start models=esx datastores=shared networks=lan
vm d on=esx01 cost=50 power=off optimal-start models=esx datastores=shared networks=lan
vm e on=esx01 cost=50 power=off models=esx datastores=shared networks=lan
vm f on=esx01 cost=80 power=off optimal-start models=esx datastores=shared networks=lan
vm g on=esx01 cost=101 power=off optimal-start models=esx datastores=shared networks=lan
vm h on=esx01 cost=1 power=suspended optimal-start
vm n1 cost=10 models=esx dc=DC1 datastores=shared networks=lan
vm n2 cost=60 models=esx dc=DC1 datastores=shared networks=lan
`

func parse(t *testing.T, text string) *placement.Problem {
	t.Helper()
	p, err := placement.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func solve(t *testing.T, p *placement.Problem, req placement.Request) *placement.Plan {
	t.Helper()
	plan, err := placement.Solve(context.Background(), p, req)
	if err != nil {
		t.Fatal(err)
	}
	if err := placement.Verify(p, plan); err != nil {
		t.Fatalf("the plan breaks a rule: %v", err)
	}
	return plan
}

// brief writes the actions of a plan in one line.
func brief(plan *placement.Plan) string {
	var out []string
	for _, a := range plan.StartBefore {
		out = append(out, "start "+a.Server)
	}
	for _, m := range plan.Moves {
		out = append(out, string(m.Kind)+" "+m.VM+" "+m.From+">"+m.To)
	}
	for _, a := range plan.StopAfter {
		out = append(out, "stop "+a.Server)
	}
	for _, u := range plan.Unplaced {
		out = append(out, "unplaced "+u.VM)
	}
	return strings.Join(out, "; ")
}

// The manual's decision table for starting a VM, 1.3.7.
func TestStartFollowsTheDecisionTable(t *testing.T) {
	for _, tc := range []struct{ name, vm, want string }{
		{"possible on the current server", "c", "start c esx01>esx01"},
		{"impossible, optimal start on", "d", "cold-migrate d esx01>esx02; start d esx02>esx02"},
		{"impossible, optimal start off", "e", "unplaced e"},
		{"only a stopped server fits", "f", "start esx03; cold-migrate f esx01>esx03; start f esx03>esx03"},
		{"no server fits", "g", "unplaced g"},
		{"suspended", "h", "unplaced h"},
		{"already on", "a", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			plan := solve(t, parse(t, lab), placement.Request{Objective: placement.Start, VMs: []string{tc.vm}})
			if got := brief(plan); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestUnplacedVMHasAReasonForEveryServer(t *testing.T) {
	plan := solve(t, parse(t, lab), placement.Request{Objective: placement.Start, VMs: []string{"g"}})
	got := map[string]placement.RuleName{}
	for _, r := range plan.Unplaced[0].Reasons {
		got[r.Server] = r.Rule
		if s := r.Sentence(); !strings.Contains(s, r.Server) {
			t.Errorf("sentence %q doesn't name %s", s, r.Server)
		}
	}
	want := map[string]placement.RuleName{"esx01": placement.NoCapacity, "esx02": placement.NoCapacity, "esx03": placement.NoCapacity,
		"esx04": placement.NoModel, "esx05": placement.NoDatacenter, "esx06": placement.NoDatastore, "esx07": placement.NoNetwork,
		"esx08": placement.NoMaintenance, "esx09": placement.NoServerFailed, "esx10": placement.NoServerDisconnected}
	if len(got) != len(want) {
		t.Errorf("%d servers have a reason, want %d", len(got), len(want))
	}
	for s, r := range want {
		if got[s] != r {
			t.Errorf("%s: rule %q, want %q", s, got[s], r)
		}
	}
}

func TestCreatePrefersLeastFree(t *testing.T) {
	for _, tc := range []struct{ vm, want string }{
		{"n1", "create n1 >esx01"},
		{"n2", "create n2 >esx02"},
	} {
		plan := solve(t, parse(t, lab), placement.Request{Objective: placement.Create, VMs: []string{tc.vm}})
		if got := brief(plan); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func TestStoppedServerIsNotStartedWhenForbidden(t *testing.T) {
	plan := solve(t, parse(t, lab), placement.Request{Objective: placement.Start, VMs: []string{"f"}, NoServerStart: true})
	if got := brief(plan); got != "unplaced f" {
		t.Errorf("got %q", got)
	}
}

func TestEvacuateFailedServerByPriority(t *testing.T) {
	p := parse(t, `
server s1 capacity=100 state=failed
server s2 capacity=100
server s3 capacity=100
vm low on=s1 cost=50 priority=1
vm high on=s1 cost=60 priority=9
vm off on=s1 cost=90 power=off priority=10
vm big on=s1 cost=90 priority=0
vm x on=s2 cost=40
vm y on=s3 cost=20
`)
	plan := solve(t, p, placement.Request{Objective: placement.Evacuate, Servers: []string{"s1"}})
	want := "failover high s1>s2; failover low s1>s3; failover off s1>s2; unplaced big"
	if got := brief(plan); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEvacuateMovesTogetherGroupsAsOne(t *testing.T) {
	p := parse(t, `
server s1 capacity=100 maintenance
server s2 capacity=100
server s3 capacity=100
vm a on=s1 cost=30
vm b on=s1 cost=30
vm x on=s2 cost=50
vm y on=s3 cost=10
rule together pair vms=a,b
`)
	plan := solve(t, p, placement.Request{Objective: placement.Evacuate, Servers: []string{"s1"}})
	if got, want := brief(plan), "hot-migrate a s1>s3; hot-migrate b s1>s3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRequestErrors(t *testing.T) {
	p := parse(t, lab)
	for _, tc := range []struct {
		req  placement.Request
		kind placement.ErrorKind
	}{
		{placement.Request{Objective: placement.Start}, placement.KindInvalid},
		{placement.Request{Objective: placement.Start, VMs: []string{"nobody"}}, placement.KindNotFound},
		{placement.Request{Objective: placement.Start, VMs: []string{"c", "c"}}, placement.KindInvalid},
		{placement.Request{Objective: placement.Create, VMs: []string{"c"}}, placement.KindInvalid},
		{placement.Request{Objective: placement.Start, VMs: []string{"n1"}}, placement.KindInvalid},
		{placement.Request{Objective: placement.Evacuate, Servers: []string{"nowhere"}}, placement.KindNotFound},
		{placement.Request{Objective: "dance"}, placement.KindInvalid},
	} {
		_, err := placement.Solve(context.Background(), p, tc.req)
		e, ok := err.(*placement.Error)
		if !ok || e.Kind != tc.kind {
			t.Errorf("%+v: got %v, want kind %s", tc.req, err, tc.kind)
		}
	}
}
