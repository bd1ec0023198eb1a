package scheduler

import (
	"slices"
	"testing"
	"time"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
)

// TestCrossing holds when a load raises an event: after several samples in a
// row, once until it has recovered, and again while it lasts, ever more rarely.
func TestCrossing(t *testing.T) {
	p := &schema.Placement{Enabled: true, Low: 20, TargetLow: 30, TargetHigh: 60, High: 80, HoldSeconds: 10}
	const high, low = perfHighLoad, perfLowLoad
	for name, c := range map[string]struct {
		loads []float64
		want  []string // after each
	}{
		"a peak":                 {[]float64{90, 90, 50, 90, 90}, []string{"", "", "", "", ""}},
		"at the boundary":        {[]float64{80, 80, 80, 20, 20, 20}, []string{"", "", "", "", "", ""}},
		"high":                   {[]float64{81, 99, 90}, []string{"", "", high}},
		"low":                    {[]float64{10, 19, 0}, []string{"", "", low}},
		"once":                   {[]float64{90, 90, 90, 90}, []string{"", "", high, ""}},
		"not recovered":          {[]float64{90, 90, 90, 70, 70, 90}, []string{"", "", high, "", "", ""}},
		"again, while it lasts":  {[]float64{90, 90, 90, 90, 90, 90, 90, 90, 90}, []string{"", "", high, "", high, "", "", "", high}},
		"recovered, then again":  {[]float64{90, 90, 90, 60, 90, 90, 90}, []string{"", "", high, "", "", "", high}},
		"from high to low":       {[]float64{90, 90, 90, 10, 10, 10}, []string{"", "", high, "", "", low}},
		"low, recovered, low":    {[]float64{5, 5, 5, 25, 30, 5, 5, 5}, []string{"", "", low, "", "", "", "", low}},
		"low and not recovered":  {[]float64{5, 5, 5, 25, 5}, []string{"", "", low, "", ""}},
		"between, after a start": {[]float64{40, 45, 50}, []string{"", "", ""}},
	} {
		c1, now := &crossing{}, time.Unix(0, 0)
		for i, load := range c.loads {
			if got := c1.count(load, p, now); got != c.want[i] {
				t.Errorf("%s: sample %d (%.0f %%) raises %q, want %q", name, i+1, load, got, c.want[i])
			}
			now = now.Add(samplePeriod)
		}
	}
}

// TestLoadWatch holds that low load is told only where a policy asks for it,
// and that another policy makes the watch begin anew.
func TestLoadWatch(t *testing.T) {
	c := fsmtest.New(t)
	policyOfGroup := func(name string) {
		c.Do(func(tx *fsm.Tx) error {
			return fsm.Groups.Put(tx, &schema.Group{Name: "vmservers", Kind: schema.MachineVMServer, Policy: name})
		})
	}
	c.Do(func(tx *fsm.Tx) error {
		rule := func(id string) *schema.PolicyRule {
			return &schema.PolicyRule{Name: id, Notifier: schema.NotifierPerf, Selector: id, Actions: []string{"vms-load-balance"}}
		}
		for _, err := range []error{
			fsm.Policies.Put(tx, &schema.Policy{Name: "high", Rules: []*schema.PolicyRule{rule(perfHighLoad)}}),
			fsm.Policies.Put(tx, &schema.Policy{Name: "both", Rules: []*schema.PolicyRule{rule(perfHighLoad), rule(perfLowLoad)}}),
			fsm.Models.Put(tx, &schema.Model{Group: "vmservers", Name: "esx", Kind: schema.MachineVMServer, Placement: &schema.Placement{
				Enabled: true, Low: 20, TargetLow: 30, TargetHigh: 60, High: 80,
			}}),
			fsm.Hosts.Put(tx, &schema.Host{Group: "vmservers", Name: "esx01", Machine: "esx01"}),
			fsm.Machines.Put(tx, &schema.Machine{
				Name: "esx01", Kind: schema.MachineVMServer, Subsystem: "vc1", Managed: true, Group: "vmservers", Host: "esx01", Model: "esx",
				Power: schema.PowerOn, Connected: true,
			}),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	w, now := loadWatch{}, time.Unix(1000, 0)
	// after gives the events of so many new samples of a load.
	after := func(samples int, percent int64) (out []string) {
		for range samples {
			now = now.Add(samplePeriod)
			load := planning.Load{Time: now, CPUMHz: percent, CPUTotal: 100, MemTotal: 100}
			for _, e := range w.look(c.Store().View(), map[string]planning.Load{"esx01": load}, now) {
				out = append(out, e.Target+" "+e.EventId)
			}
			if again := w.look(c.Store().View(), map[string]planning.Load{"esx01": load}, now); len(again) > 0 {
				t.Errorf("a sample counted twice: %v", again)
			}
		}
		return out
	}
	want := func(what string, got []string, events ...string) {
		t.Helper()
		if !slices.Equal(got, events) {
			t.Errorf("%s: %q, want %q", what, got, events)
		}
	}
	policyOfGroup("high")
	want("low load that no rule is for", after(5, 10))
	want("high load", after(3, 90), "esx01 11000006")
	want("low load again", after(5, 10))
	policyOfGroup("both")
	want("another policy", after(3, 10), "esx01 11000007")
	want("the same, once", after(3, 10))
	policyOfGroup("")
	want("high load without a policy", after(3, 90), "esx01 11000006")
	if w.look(c.Store().View(), nil, now); len(w) != 0 {
		t.Errorf("a VM server without samples is still watched: %v", w)
	}
}
