package placement_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"yagura/placement"
)

// facts answers, from the problem alone, whether a rejection is true for a
// question about one VM.
type facts struct {
	p   *placement.Problem
	req placement.Request
	vm  *placement.VM
}

func (f *facts) server(name string) *placement.Server {
	i := slices.IndexFunc(f.p.Servers, func(s placement.Server) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &f.p.Servers[i]
}

// free is what the other VMs leave free of a dimension; 0 is the capacity.
func (f *facts) free(s *placement.Server, d int) int64 {
	n := s.Capacity
	if d > 0 {
		n = s.Limits[d-1].Limit
	}
	for i := range f.p.VMs {
		m := &f.p.VMs[i]
		if m.Server != s.Name || m.Power != placement.PowerOn || m.Name == f.vm.Name {
			continue
		}
		if d == 0 {
			n -= m.Cost
		} else {
			n -= m.Demand[d-1]
		}
	}
	return n
}

// near counts the rule's other VMs on the server, or in its rack.
func (f *facts) near(r *placement.Rule, s *placement.Server) int {
	n := 0
	for i := range f.p.VMs {
		m := &f.p.VMs[i]
		if m.Name == f.vm.Name || m.Server == "" || !slices.Contains(r.VMs, m.Name) {
			continue
		}
		o := f.server(m.Server)
		if o.State == placement.ServerFailed {
			continue
		}
		if o == s || r.Kind == placement.RuleSpread && o.Rack != "" && o.Rack == s.Rack {
			n++
		}
	}
	return n
}

func (f *facts) rule(name string, kind placement.RuleKind) *placement.Rule {
	for i := range f.p.Rules {
		if r := &f.p.Rules[i]; r.Name == name && r.Kind == kind && slices.Contains(r.VMs, f.vm.Name) {
			return r
		}
	}
	return nil
}

func (f *facts) fits(s *placement.Server) bool {
	ok := f.vm.Cost == 0 || f.vm.Cost <= f.free(s, 0)
	for d, n := range f.vm.Demand {
		ok = ok && (n == 0 || f.p.Dimensions[d].Measured || n <= f.free(s, d+1))
	}
	return ok
}

func (f *facts) holds(r placement.Rejection) bool {
	s := f.server(r.Server)
	if r.VM != f.vm.Name {
		return false
	}
	if s == nil {
		return f.holdsEverywhere(r)
	}
	switch r.Rule {
	case placement.NoServerFailed:
		return s.State == placement.ServerFailed
	case placement.NoServerDisconnected:
		return s.State == placement.ServerDisconnected
	case placement.NoServerOff:
		return s.State == placement.ServerOff && (!s.Startable || f.req.NoServerStart || s.Name == f.vm.Server)
	case placement.NoMaintenance:
		return s.Maintenance
	case placement.NoModel:
		return len(f.vm.ServerModels) > 0 && !slices.Contains(f.vm.ServerModels, s.Model)
	case placement.NoDatacenter:
		return f.vm.Datacenter != s.Datacenter
	case placement.NoDatastore:
		return slices.Contains(f.vm.Datastores, r.Subject) && !slices.Contains(s.Datastores, r.Subject)
	case placement.NoNetwork:
		return slices.Contains(f.vm.Networks, r.Subject) && !slices.Contains(s.Networks, r.Subject)
	case placement.NoCapacity:
		return r.Need == f.vm.Cost && r.Free == f.free(s, 0) && r.Need > r.Free
	case placement.NoDimension:
		d := slices.IndexFunc(f.p.Dimensions, func(d placement.Dimension) bool { return d.Name == r.Subject })
		return d >= 0 && r.Need == f.vm.Demand[d] && r.Free == f.free(s, d+1) && r.Need > r.Free
	case placement.NoPin:
		rule := f.rule(r.Subject, placement.RulePin)
		return rule != nil && !slices.Contains(rule.Servers, s.Name)
	case placement.NoForbid:
		rule := f.rule(r.Subject, placement.RuleForbid)
		return rule != nil && slices.Contains(rule.Servers, s.Name)
	case placement.NoApart:
		rule := f.rule(r.Subject, placement.RuleApart)
		return rule != nil && f.near(rule, s) >= max(rule.Max, 1)
	case placement.NoSpread:
		rule := f.rule(r.Subject, placement.RuleSpread)
		return rule != nil && f.near(rule, s) >= max(rule.Max, 1)
	case placement.NoTogether:
		rule := f.rule(r.Subject, placement.RuleTogether)
		return rule != nil && f.near(rule, s) == 0
	case placement.NotLeastFree:
		o := f.server(r.Subject)
		return o != nil && f.fits(s) && s.State == placement.ServerOn && f.free(o, 0) <= f.free(s, 0)
	case placement.NotRunning:
		return s.State == placement.ServerOff && f.fits(s) && f.server(r.Subject).State == placement.ServerOn
	case placement.NotStarted:
		return s.State == placement.ServerOff && f.fits(s) && f.free(f.server(r.Subject), 0) <= f.free(s, 0)
	case placement.NotCurrent:
		return f.vm.Server == r.Subject && f.fits(f.server(r.Subject))
	}
	return false
}

func (f *facts) holdsEverywhere(r placement.Rejection) bool {
	switch r.Rule {
	case placement.NoOptimalStart:
		return !f.vm.OptimalStart
	case placement.NoSuspended:
		return f.vm.Power == placement.PowerSuspended
	case placement.NoLocalDisk:
		return f.vm.LocalDisk
	case placement.NoHold:
		return f.rule(r.Subject, placement.RuleHold) != nil
	case placement.NoSource:
		return f.server(f.vm.Server).State == placement.ServerDisconnected
	}
	return false
}

// Every explanation names a rule that is true, and every server has one.
func TestExplanationsAreTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		p.Settings.ReserveFailures = 0
		if len(p.VMs) == 0 {
			return
		}
		f := &facts{p: p, vm: &p.VMs[rapid.IntRange(0, len(p.VMs)-1).Draw(t, "vm")]}
		f.req = placement.Request{Objective: placement.Start, VMs: []string{f.vm.Name}, NoServerStart: rapid.Bool().Draw(t, "no start")}
		if f.vm.Server == "" {
			f.req.Objective = placement.Create
		}
		if f.vm.Datacenter == "" && f.vm.Server != "" {
			f.vm.Datacenter = f.server(f.vm.Server).Datacenter
		}
		plan := mustSolve(t, p, f.req)
		list := plan.Rejections
		for _, u := range plan.Unplaced {
			list = append(list, u.Reasons...)
		}
		for _, r := range list {
			if !f.holds(r) {
				t.Fatalf("%+v is not true: %s", r, r.Sentence())
			}
		}
		seen := map[string]int{}
		for _, r := range list {
			seen[r.Server]++
		}
		for name, n := range seen {
			if n > 1 {
				t.Fatalf("%q has %d reasons", name, n)
			}
		}
		if len(plan.Moves) > 0 && len(seen) < len(p.Servers)-1 {
			t.Fatalf("%d of %d servers have a reason", len(seen), len(p.Servers))
		}
	})
}

// A cluster that follows changes answers like one compiled anew.
func TestChangedClusterIsLikeANewOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProblem(t)
		c, err := placement.Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		other := drawProblem(t)
		for i := range rapid.IntRange(1, 6).Draw(t, "changes") {
			change(t, c, other, i)
		}
		now := c.Problem()
		if err := now.Validate(); err != nil {
			t.Fatalf("the problem became invalid: %v", err)
		}
		req := drawRequest(t, now)
		if len(req.VMs) > 1 {
			req.VMs = req.VMs[:1]
		}
		got, err := c.Solve(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if err := placement.Verify(now, got); err != nil {
			t.Fatalf("%+v: %v", got, err)
		}
		want := mustSolve(t, now, req)
		if got.Before != want.Before {
			t.Fatalf("before: %+v, a new cluster has %+v", got.Before, want.Before)
		}
		if req.Objective == placement.Start || req.Objective == placement.Create {
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, a new cluster gets %+v", got, want)
			}
		}
	})
}

// change makes one change to the cluster, with things drawn from another
// problem where they fit.
func change(t *rapid.T, c *placement.Cluster, other *placement.Problem, i int) {
	now := c.Problem()
	dims := len(now.Dimensions)
	switch rapid.IntRange(0, 3).Draw(t, "change") {
	case 0:
		s := other.Servers[rapid.IntRange(0, len(other.Servers)-1).Draw(t, "server")]
		s.Limits = make([]placement.Limit, dims)
		for d := range s.Limits {
			s.Limits[d].Limit = rapid.Int64Range(1, 40).Draw(t, "limit")
		}
		if rapid.Bool().Draw(t, "new") {
			s.Name = fmt.Sprintf("new%d", i)
		}
		if err := c.SetServer(s); err != nil {
			t.Fatal(err)
		}
	case 1:
		if len(now.VMs) > 0 {
			if err := c.RemoveVM(now.VMs[rapid.IntRange(0, len(now.VMs)-1).Draw(t, "vm")].Name); err != nil {
				t.Fatal(err)
			}
		}
	default:
		if len(other.VMs) == 0 {
			return
		}
		m := other.VMs[rapid.IntRange(0, len(other.VMs)-1).Draw(t, "vm")]
		m.Demand = make([]int64, dims)
		for d := range m.Demand {
			m.Demand[d] = rapid.Int64Range(0, 12).Draw(t, "demand")
		}
		if m.Server != "" {
			m.Server = now.Servers[rapid.IntRange(0, len(now.Servers)-1).Draw(t, "on")].Name
		}
		if err := c.SetVM(m); err != nil {
			t.Fatal(err)
		}
	}
}
