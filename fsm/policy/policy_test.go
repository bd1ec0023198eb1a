package policy_test

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
)

// standard returns one of the manual's policies as a row.
func standard(t *testing.T, name string) *schema.Policy {
	t.Helper()
	for _, p := range catalog.Policies() {
		if p.Name != name {
			continue
		}
		row := &schema.Policy{Name: p.Name}
		for _, r := range p.Rules {
			row.Rules = append(row.Rules, &schema.PolicyRule{Name: r.Name, Notifier: r.Notifier, Selector: r.Selector, Actions: r.Actions})
		}
		return row
	}
	t.Fatalf("no policy %s", name)
	return nil
}

func event(notifier, source, id string) *schema.Event {
	return &schema.Event{Notifier: notifier, Source: source, EventId: id, TargetHint: "m"}
}

func brief(d policy.Decision) string {
	out := d.Decision
	for _, a := range d.Actions {
		out += " " + a.Slug
		switch {
		case a.Notify:
		case a.Status != "":
			out += ":" + a.Status
		case a.Job != nil:
			out += ":" + cmp.Or(a.Job.Params[fsm.ParamMode], a.Job.Sequence)
		default:
			out += ":" + a.Result
		}
	}
	return out
}

// decide decides with the rule that the policy has for the event.
func decide(f policy.Facts) policy.Decision {
	if f.Policy != nil {
		f.Rule = policy.RuleFor(f.Policy, f.Event, time.Now())
	}
	if f.Machine != nil && f.Machine.Group != "" {
		f.Group = &schema.Group{Name: f.Machine.Group}
	}
	return policy.Decide(f)
}

func TestStandardPolicies(t *testing.T) {
	const esm, vmware, perf = schema.NotifierESMPRO, schema.NotifierVMware, schema.NotifierPerf
	physical := &schema.Machine{Name: "m", Kind: schema.MachinePhysical, Group: "g"}
	vms := &schema.Machine{Name: "m", Kind: schema.MachineVMServer, Group: "g"}
	for _, c := range []struct {
		policy           string
		machine          *schema.Machine
		notifier, source string
		id               string
		want             string
	}{
		{"standard", physical, esm, "ESMCommonService", "0x800002BD", "acted notify set-status-degraded:degraded"},
		{"standard", physical, esm, "ESMCommonService", "0xC0000451", "acted notify set-status-failed:failed"},
		{"standard", physical, esm, "ESMCpuPerf", "0x80000066", "acted notify set-status-failed:failed"},
		// By its own rule failed, although its category is the recovery.
		{"standard", physical, esm, "ESMCpuPerf", "0x80000065", "acted notify set-status-failed:failed"},
		{"standard", physical, esm, "ESMCpuPerf", "0x40000067", "acted notify set-status-normal:normal"},
		{"standard", physical, esm, "ESM Mylex Service", "0x80040205", "acted set-status-degraded:degraded"},
		{"standard", physical, esm, "ESMMylexService", "0x80040205", "acted set-status-degraded:degraded"},
		{"standard", physical, esm, "ESMDSVNT", "0xc0000002", "acted notify set-status-failed:failed"},
		{"standard", physical, esm, "ESMDSVNT", "0x40000001", "acted notify set-status-normal:normal"},
		{"standard", physical, esm, "CLUSTERPRO", "0xC00008A4", "acted notify set-status-failed:failed"},
		{"standard", physical, vmware, "", "Alarm Virtual Machine Heartbeat on VM changed from green to red", "acted notify set-status-failed:failed"},
		{"standard", physical, vmware, "", "Alarm Virtual Machine Heartbeat on VM changed from green to gray", "ignored"},
		{"standard", physical, perf, "", "1000000a", "ignored do-nothing:done"},
		{"standard", physical, esm, "Nobody", "0x1", "ignored"},
		{"standard-vms", vms, esm, "ESMDSVNT", "0xC0000002", "acted notify set-status-failed:failed vms-move-all-migrate-failover:migrate-failover"},
		{"standard-vms", vms, esm, "ESMDSVNT", "0x40000001", "acted notify set-status-normal:normal"},
		{"standard-vms", vms, vmware, "", "Alarm Host connection state on VMS changed from green to red", "ignored do-nothing:done"},
		{"standard-vms", vms, perf, "", "11000006", "acted vms-load-balance:LoadBalanceVMServer"},
		{"standard-vms", vms, perf, "", "11000007", "ignored"},
		{"standard-vms", physical, perf, "", "11000006", "acted vms-load-balance:not-carried-out"},
		{"standard-vms", physical, esm, "ESMDSVNT", "0xC0000002", "acted notify set-status-failed:failed vms-move-all-migrate-failover:not-carried-out"},
		{"standard-vms-powersave", vms, perf, "", "11000007", "acted vms-power-save:PowerSaveVMServer"},
		{"standard-vms-powersave", vms, perf, "", "11000006", "acted vms-load-balance:LoadBalanceVMServer"},
	} {
		f := policy.Facts{Event: event(c.notifier, c.source, c.id), Machine: c.machine, Policy: standard(t, c.policy), From: "group g", Placement: true}
		d := decide(f)
		if got := brief(d); got != c.want || !strings.HasSuffix(d.Reason, ".") {
			t.Errorf("%s on %s[%s]: %s (%s), want %s", c.policy, c.source, c.id, got, d.Reason, c.want)
		}
	}
}

func TestEveryRuleOfTheStandardPoliciesCanBeReached(t *testing.T) {
	for _, p := range catalog.Policies() {
		row := standard(t, p.Name)
		for i, r := range row.Rules {
			hit := false
			for _, e := range catalog.Events() {
				got := policy.RuleFor(row, event(e.Notifier, e.Source, e.ID), time.Now())
				hit = hit || got == row.Rules[i]
			}
			if !hit {
				t.Errorf("%s: no event leads to the rule %s (%s)", p.Name, r.Name, r.Selector)
			}
		}
	}
}

func TestRecovery(t *testing.T) {
	fault, well := event(schema.NotifierESMPRO, "ESMDSVNT", "0xC0000002"), event(schema.NotifierESMPRO, "ESMDSVNT", "0x40000001")
	other := event(schema.NotifierESMPRO, "ESMCpuPerf", "0x40000067")
	byCatalog := &schema.PolicyRule{Notifier: schema.NotifierESMPRO, Selector: "ESMDSVNT[0xC0000002]"}
	byRule := &schema.PolicyRule{Notifier: schema.NotifierESMPRO, Selector: "ESMDSVNT[0xC0000002]", Recovery: "ESMCpuPerf[0x40000067]"}
	for _, c := range []struct {
		rule *schema.PolicyRule
		e    *schema.Event
		want bool
	}{{byCatalog, well, true}, {byCatalog, other, false}, {byRule, well, false}, {byRule, other, true}} {
		if got := policy.Recovers(c.rule, fault, c.e); got != c.want {
			t.Errorf("recovery %q by %s: %v", c.rule.Recovery, policy.Describe(c.e), got)
		}
	}
}

// jobs are n jobs of automation for a group.
func jobs(n int, group string) (out []*schema.Job) {
	for range n {
		out = append(out, &schema.Job{Sequence: fsm.SeqFailoverVMServer, Group: group, Event: "1"})
	}
	return out
}

func TestHeldBack(t *testing.T) {
	rule := &schema.PolicyRule{Name: "r", Notifier: schema.NotifierESMPRO, Selector: "ESMDSVNT[0xC0000002]", Actions: []string{"notify", "vms-move-all-failover"}, SuppressSeconds: 60}
	facts := func(change func(*policy.Facts)) policy.Facts {
		f := policy.Facts{
			Event: event(schema.NotifierESMPRO, "ESMDSVNT", "0xC0000002"), Machine: &schema.Machine{Name: "m", Kind: schema.MachineVMServer, Group: "g"},
			Policy: &schema.Policy{Name: "p", Rules: []*schema.PolicyRule{rule}}, From: "group g", Due: true, Limits: policy.Limits{Jobs: 5, GroupJobs: 2},
		}
		change(&f)
		return f
	}
	for name, c := range map[string]struct {
		change func(*policy.Facts)
		want   string
	}{
		"free":           {func(*policy.Facts) {}, "acted notify vms-move-all-failover:failover"},
		"waits":          {func(f *policy.Facts) { f.Due = false }, "suppressed"},
		"maintenance":    {func(f *policy.Facts) { f.Machine.Maintenance = true }, "maintenance"},
		"disarmed":       {func(f *policy.Facts) { f.Disarmed = "by admin" }, "disarmed"},
		"brake":          {func(f *policy.Facts) { f.Running = jobs(5, "other") }, "braked notify vms-move-all-failover:not-carried-out"},
		"group brake":    {func(f *policy.Facts) { f.Running = jobs(2, "g") }, "braked notify vms-move-all-failover:not-carried-out"},
		"done":           {func(f *policy.Facts) { f.MovedBy = "00001" }, "acted notify vms-move-all-failover:done"},
		"off on purpose": {func(f *policy.Facts) { f.ShutDown = "a job shut it down" }, "ignored"},
		"no target":      {func(f *policy.Facts) { f.Machine = nil }, "ignored"},
		"no group":       {func(f *policy.Facts) { f.Machine.Group, f.Policy = "", nil }, "ignored"},
		"no policy":      {func(f *policy.Facts) { f.Policy = nil }, "ignored"},
	} {
		d := decide(facts(c.change))
		if got := brief(d); got != c.want || d.Reason == "" {
			t.Errorf("%s: %s (%s), want %s", name, got, d.Reason, c.want)
		}
	}
}

func TestRearrangementHeldBack(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*policy.Facts)
		want   string
	}{
		"free":          {func(*policy.Facts) {}, "acted vms-load-balance:LoadBalanceVMServer"},
		"placement off": {func(f *policy.Facts) { f.Placement = false }, "acted vms-load-balance:not-carried-out"},
		"under way":     {func(f *policy.Facts) { f.PlacedBy = "00001" }, "acted vms-load-balance:done"},
		"being emptied": {func(f *policy.Facts) { f.MovedBy = "00001" }, "acted vms-load-balance:not-carried-out"},
		"brake":         {func(f *policy.Facts) { f.Limits.Jobs, f.Running = 5, jobs(5, "other") }, "braked vms-load-balance:not-carried-out"},
		"maintenance":   {func(f *policy.Facts) { f.Machine.Maintenance = true }, "maintenance"},
		"disarmed":      {func(f *policy.Facts) { f.Disarmed = "by admin" }, "disarmed"},
	} {
		f := policy.Facts{
			Event: event(schema.NotifierPerf, "", "11000006"), Machine: &schema.Machine{Name: "m", Kind: schema.MachineVMServer, Group: "g"},
			Policy: standard(t, "standard-vms"), From: "group g", Placement: true,
		}
		c.change(&f)
		if d := decide(f); brief(d) != c.want || d.Reason == "" {
			t.Errorf("%s: %s (%s), want %s", name, brief(d), d.Reason, c.want)
		}
	}
}
