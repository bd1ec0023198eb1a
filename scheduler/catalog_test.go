package scheduler_test

import (
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

// table reads one of the catalog's tables, which must have this many rows.
func table(t *testing.T, file string, want int) (rows []map[string]string) {
	t.Helper()
	f, err := os.Open("../fsm/catalog/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records[1:] {
		row := map[string]string{}
		for i, name := range records[0] {
			row[name] = r[i]
		}
		rows = append(rows, row)
	}
	if len(rows) != want {
		t.Fatalf("%s has %d rows, the manual has %d", file, len(rows), want)
	}
	return rows
}

// catalogEvent is one event that the manual lists, and how the selector of a
// rule names it alone.
type catalogEvent struct {
	notifier, source, id, category string
	selector                       string
}

// catalogEvents are all events of the manual's three tables [4.1].
func catalogEvents(t *testing.T) (out []catalogEvent) {
	for _, r := range table(t, "events_esmpro.csv", 95) {
		out = append(out, catalogEvent{schema.NotifierESMPRO, r["source"], r["event_id"], r["category"], r["source"] + "[" + r["event_id"] + "]"})
	}
	for _, r := range table(t, "events_vmware.csv", 60) {
		text := fmt.Sprintf("Alarm %s on %s changed from %s to %s", r["alarm"], r["target"], r["from"], r["to"])
		out = append(out, catalogEvent{schema.NotifierVMware, "", text, r["category"], text})
	}
	for _, r := range table(t, "events_perf.csv", 17) {
		out = append(out, catalogEvent{schema.NotifierPerf, "", r["event_id"], r["category"], r["event_id"]})
	}
	return out
}

// standardRule finds the row of a standard policy that the manual has for an
// event: the one that names it goes before the one that names its category.
func standardRule(rules []map[string]string, policy string, e catalogEvent) map[string]string {
	for _, selector := range []string{e.selector, "category:" + e.category} {
		for _, r := range rules {
			if r["policy"] == policy && r["notifier"] == e.notifier && r["selector"] == selector {
				return r
			}
		}
	}
	return nil
}

// jobOf are the sequences that the actions of standard policies start.
var jobOf = map[string]string{
	"vms-move-all-migrate-failover": fsm.SeqFailoverVMServer,
	"vms-load-balance":              fsm.SeqLoadBalanceVMServer,
	"vms-power-save":                fsm.SeqPowerSaveVMServer,
}

var statusOf = map[string]string{
	"set-status-normal": schema.HardwareNormal, "set-status-degraded": schema.HardwareDegraded, "set-status-failed": schema.HardwareFailed,
}

// TestEveryEventOfTheManualMeetsTheStandardPolicies sends every event of the
// manual's tables to a machine under each of the three standard policies, by
// the way that real ones take, and sees what the policy's table says.
func TestEveryEventOfTheManualMeetsTheStandardPolicies(t *testing.T) {
	events, rules := catalogEvents(t), table(t, "policies.csv", 52)
	met := make(map[string]bool)
	for name, target := range map[string]string{"standard": "ph01", "standard-vms": "esx02", "standard-vms-powersave": "esx02"} {
		t.Run(name, func(t *testing.T) {
			calm := policyRig(t, name, target, "")
			for i, e := range events {
				rule := standardRule(rules, name, e)
				r := calm
				if rule != nil {
					met[fmt.Sprint(rule)] = true
					if startsJob(rule) {
						r = policyRig(t, name, target, rule["actions"]) // the job changes the world
					}
				}
				checkEvent(t, r, target, uint64(i+1), e, rule)
			}
		})
	}
	for _, r := range rules {
		if !met[fmt.Sprint(r)] {
			t.Errorf("no event of the manual leads to %s: %s (%s)", r["policy"], r["rule"], r["selector"])
		}
	}
}

func startsJob(rule map[string]string) bool {
	return slices.ContainsFunc(strings.Split(rule["actions"], ";"), func(a string) bool { return jobOf[a] != "" })
}

// policyRig is the demo world, with a scheduler, in which the group of target
// has the standard policy of this name, and these actions have something to do.
func policyRig(t *testing.T, name, target, actions string) *schedulertest.Rig {
	t.Helper()
	r := schedulertest.New(t)
	placementOn(r, nil)
	mhz := int64(100) // of each VM: little to do
	if strings.Contains(actions, "vms-load-balance") {
		mhz = 3000
	}
	loaded(r, map[string]int64{"esx01": 100, "esx02": mhz, "esx03": 100, "esx04": 100})
	if strings.Contains(actions, "failover") {
		r.World.HostDown("esx02", false)
	}
	r.Cluster.Do(func(tx *fsm.Tx) error {
		for _, p := range catalog.Policies() {
			row := &schema.Policy{Name: p.Name}
			for _, r := range p.Rules {
				row.Rules = append(row.Rules, &schema.PolicyRule{Name: r.Name, Notifier: r.Notifier, Selector: r.Selector, Actions: r.Actions})
			}
			if err := fsm.Policies.Put(tx, row); err != nil {
				return err
			}
		}
		m, _ := fsm.Machines.Get(tx, target)
		g, _ := fsm.Groups.Edit(tx, m.Group)
		g.Policy = name
		return fsm.Groups.Put(tx, g)
	})
	r.Start()
	return r
}

// checkEvent sends an event and checks its decision, its actions and what they did.
func checkEvent(t *testing.T, r *schedulertest.Rig, target string, sequence uint64, e catalogEvent, rule map[string]string) {
	t.Helper()
	before := r.Machine(target).HardwareStatus
	r.Cluster.Do(func(tx *fsm.Tx) error {
		_, _, err := policy.RecordEvents(tx, "node1", []*schema.Event{{
			Sequence: sequence, Notifier: e.notifier, Source: e.source, EventId: e.id, TargetHint: target, Received: timestamppb.New(time.Now()),
		}})
		return err
	})
	var got *schema.Event
	r.Until(e.selector+" to be decided on", func(v *fsm.View) bool {
		got = nil
		for ev := range fsm.Events.Backward(v) {
			if ev.Notifier == e.notifier && ev.Sequence == sequence {
				got = ev
				break
			}
		}
		return got != nil && got.State == schema.EventHandled
	})
	want, status := schema.DecisionIgnored, before
	var actions []string
	if rule != nil {
		for a := range strings.SplitSeq(rule["actions"], ";") {
			result := "done"
			if jobOf[a] != "" {
				result = "started"
			}
			if a != "do-nothing" {
				want = schema.DecisionActed
			}
			if statusOf[a] != "" {
				status = statusOf[a]
			}
			actions = append(actions, a+" "+result)
		}
	}
	var done []string
	for _, a := range got.Actions {
		done = append(done, a.Action+" "+a.Result)
	}
	if got.Category != e.category || got.Target != target || got.Decision != want || got.Rule != rule["rule"] || !slices.Equal(done, actions) || got.Reason == "" {
		t.Errorf("%s: %s of %q, decision %s by %q, actions %q: %s; want %s by %q, %q", e.selector, got.Category, got.Target, got.Decision, got.Rule, done, got.Reason, want, rule["rule"], actions)
	}
	if m := r.Machine(target); m.HardwareStatus != status {
		t.Errorf("%s: %s is %s, want %s", e.selector, target, m.HardwareStatus, status)
	}
	for _, a := range got.Actions {
		if a.Job == "" {
			continue
		}
		r.MustSucceed(a.Job)
		if j := r.Job(a.Job); j.Sequence != jobOf[a.Action] || j.Event != got.Id {
			t.Errorf("%s: %s started %s, want %s", e.selector, a.Action, j.Sequence, jobOf[a.Action])
		}
	}
}
