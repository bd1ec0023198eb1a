package scheduler_test

import (
	"slices"
	"testing"

	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

// TestActionsToTheEnd follows an event to the world for each of the manual's
// policy actions [4.2].
func TestActionsToTheEnd(t *testing.T) {
	off := func(vm string) func(*schedulertest.Rig) {
		return func(r *schedulertest.Rig) {
			r.World.SetVMState(vm, "off")
			edit(r, vm, func(m *schema.Machine) { m.Power = schema.PowerOff })
		}
	}
	host := func(state, machine string) func(*schedulertest.Rig) bool {
		return func(r *schedulertest.Rig) bool { return r.Machine(machine).Power == state }
	}
	hardware := func(status, machine string) func(*schedulertest.Rig) bool {
		return func(r *schedulertest.Rig) bool { return r.Machine(machine).HardwareStatus == status }
	}
	empty := func(r *schedulertest.Rig) bool { return len(onServer(t, r, "esx02")) == 0 }
	effect := func(op, object string) func(*schedulertest.Rig) bool {
		return func(r *schedulertest.Rig) bool { return r.World.Count(op, object) > 0 }
	}
	load := func(mhz int64) func(*schedulertest.Rig) {
		return func(r *schedulertest.Rig) {
			placementOn(r, nil)
			loaded(r, map[string]int64{"esx01": 100, "esx02": mhz, "esx03": 100, "esx04": 100})
		}
	}
	cases := map[string]struct {
		target  string
		prepare func(*schedulertest.Rig)
		holds   func(*schedulertest.Rig) bool
	}{
		"notify": {"ph01", nil, func(r *schedulertest.Rig) bool {
			for e := range fsm.Events.All(r.Rows()) {
				if e.Operation == "notification" && e.Target == "ph01" {
					return true
				}
			}
			return false
		}},
		"do-nothing":          {"ph01", nil, func(r *schedulertest.Rig) bool { return len(r.World.Ledger()) == 0 }},
		"set-status-normal":   {"ph01", failed("ph01"), hardware(schema.HardwareNormal, "ph01")},
		"set-status-degraded": {"ph01", nil, hardware(schema.HardwareDegraded, "ph01")},
		"set-status-failed":   {"ph01", nil, hardware(schema.HardwareFailed, "ph01")},
		"start-machine":       {"web01", off("web01"), host(schema.PowerOn, "web01")},
		"reboot-machine":      {"web01", nil, effect("reboot", "web01")},
		"shutdown-machine":    {"ph01", nil, host(schema.PowerOff, "ph01")},
		"replace-machine":     {"ph01", nil, func(r *schedulertest.Rig) bool { return r.Machine("ph03").Host == "db01" }},
		"group-add-machine":   {"ph01", freeHost, func(r *schedulertest.Rig) bool { return r.Machine("ph03").Host == "db03" }},
		"group-create-machine": {"web01", nil, func(r *schedulertest.Rig) bool {
			m := r.Machine("web20")
			return m != nil && m.Host == "web20" && m.Power == schema.PowerOn
		}},
		"group-remove-machine": {"ph01", nil, func(r *schedulertest.Rig) bool {
			m := r.Machine("ph01")
			return m.Group == "" && slices.Contains(m.PoolGroups, "db") && m.Power == schema.PowerOff
		}},
		"group-delete-vm":               {"web01", off("web05"), func(r *schedulertest.Rig) bool { return r.Machine("web05") == nil }},
		"group-start-machine":           {"web01", off("web05"), host(schema.PowerOn, "web05")},
		"group-suspend-machine":         {"web01", nil, host(schema.PowerSuspended, "web12")},
		"group-shutdown-machine":        {"web01", nil, host(schema.PowerOff, "web12")},
		"vms-move-all-migrate":          {"esx02", nil, empty},
		"vms-move-all-migrate-failover": {"esx02", func(r *schedulertest.Rig) { r.World.HostDown("esx02", false) }, empty},
		"vms-move-all-failover":         {"esx02", func(r *schedulertest.Rig) { r.World.HostDown("esx02", false) }, empty},
		"vms-power-save":                {"esx02", load(100), effect("migrate", "")},
		"vms-load-balance":              {"esx02", load(3000), effect("migrate", "")},
	}
	for _, slug := range catalog.ActionSlugs() {
		c, ok := cases[slug]
		if !ok {
			t.Errorf("no case for the action %s", slug)
			continue
		}
		t.Run(slug, func(t *testing.T) {
			r := schedulertest.New(t)
			if c.prepare != nil {
				c.prepare(r)
			}
			group := r.Machine(c.target).Group
			r.Cluster.Do(func(tx *fsm.Tx) error {
				rule := &schema.PolicyRule{Name: "r", Notifier: schema.NotifierESMPRO, Selector: "category:machine-inaccessible", Actions: []string{slug}}
				if err := fsm.Policies.Put(tx, &schema.Policy{Name: "p", Rules: []*schema.PolicyRule{rule}}); err != nil {
					return err
				}
				return fsm.SetPolicy(tx, group, "p")
			})
			record(t, r, "node1", trap(1, inaccessible, c.target, r.Clock.Now()))
			r.Start()
			e := awaitEvents(r)[0]
			r.MustSucceed(e.Jobs...)
			if !c.holds(r) {
				t.Errorf("%s: %v\n%s", e.Reason, e.Actions, r.Dump())
			}
			if v := r.World.Violations(); len(v) > 0 {
				t.Error(v)
			}
		})
	}
}
