package node_test

import (
	"context"
	"testing"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node"
	"yagura/node/nodetest"
	"yagura/rpc/api"
	"yagura/scheduler/sequence"
)

// fakeDrivers lead to one simulated world.
type fakeDrivers struct {
	sequence.Drivers
	w *fake.World
}

// Hypervisor implements node.DriverSource.
func (d fakeDrivers) Hypervisor(context.Context, string) (drivers.Hypervisor, error) {
	return d.w.Hypervisor(), nil
}

// Power implements node.DriverSource.
func (d fakeDrivers) Power(context.Context, string) (drivers.Power, error) { return d.w.Power(), nil }

// Close implements node.DriverSource.
func (d fakeDrivers) Close() {}

// TestPlansHaveNoEffect asks for plans of every kind and for explanations: the
// answers name moves, and yet nothing in the world or in the rows has changed.
func TestPlansHaveNoEffect(t *testing.T) {
	t.Parallel()
	w := fake.Demo(fake.Options{})
	c := nodetest.New(t, 1, func(_ int, cfg *node.Config) {
		cfg.Drivers = func(*fsm.Store) node.DriverSource { return fakeDrivers{w: w} }
	})
	c.WaitReady()
	c.Update("demo", func(tx *fsm.Tx) error {
		return fsm.Subsystems.Put(tx, &schema.Subsystem{Name: w.System(), Kind: "vcenter", Address: "https://127.0.0.1", AutoManage: true})
	})
	c.Update("collect", func(tx *fsm.Tx) error {
		_, err := fsm.RequestCollect(tx, w.System())
		return err
	})
	store := c.Node(0).Store()
	c.Wait("the inventory", func() bool {
		m, ok := fsm.Machines.Get(store.View(), "web12")
		return ok && m.VmServer == "esx04" && len(fsm.LiveJobs(store.View())) == 0
	})
	before := store.View()
	cl := c.Client(0)
	for _, q := range []struct {
		req  *api.PlacementRequest
		want func(*api.PlacementPlan) bool
	}{
		{&api.PlacementRequest{Objective: "evacuate", VmServers: []string{"esx02"}}, func(p *api.PlacementPlan) bool { return len(p.Moves) == 3 }},
		{&api.PlacementRequest{Objective: "save-power"}, func(p *api.PlacementPlan) bool {
			return len(p.Measured) == 0 && len(p.Stops) == 0 && len(p.Rejections) == 4
		}},
		{&api.PlacementRequest{Objective: "level"}, func(p *api.PlacementPlan) bool { return len(p.Moves) == 0 && len(p.VmServers) == 4 }},
		{&api.PlacementRequest{Objective: "start", Vms: []string{"spare01"}}, func(p *api.PlacementPlan) bool { return len(p.Moves) == 1 && p.Moves[0].To == "esx04" }},
		{&api.PlacementRequest{Objective: "room", Vms: []string{"web01"}}, func(p *api.PlacementPlan) bool { return len(p.Rooms) == 4 && p.Rooms[0].Vms > 0 }},
		{&api.PlacementRequest{Objective: "check-failures"}, func(p *api.PlacementPlan) bool { return len(p.Failures) == 4 && len(p.Failures[0].Moves) > 0 }},
	} {
		plan, err := cl.Placement.Plan(t.Context(), q.req)
		if err != nil || !q.want(plan) || plan.Picture == "" {
			t.Errorf("%s: %v, %v", q.req.Objective, plan, err)
		}
	}
	for _, name := range []string{"web01", "esx01"} {
		if e, err := cl.Placement.Explain(t.Context(), &api.NameRequest{Name: name}); err != nil || e.Name != name || len(e.Facts) == 0 {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
	for _, req := range []*api.PlacementRequest{
		{}, {Objective: "best"}, {Objective: "evacuate", VmServers: []string{"nobody"}}, {Objective: "create", Group: "nowhere"}, {Objective: "level", Group: "nowhere"},
	} {
		if plan, err := cl.Placement.Plan(t.Context(), req); err == nil {
			t.Errorf("%v is answered: %v", req, plan)
		}
	}
	if effects := w.Ledger(); len(effects) > 0 {
		t.Errorf("a preview had effects: %v", effects)
	}
	if now := store.View(); now.Index() != before.Index() {
		t.Errorf("a preview wrote rows: index %d, %d before", now.Index(), before.Index())
	}
	// The same for real is seen in both.
	c.Update("evacuate", func(tx *fsm.Tx) error {
		_, err := fsm.RequestEvacuate(tx, "esx02", false)
		return err
	})
	c.Wait("the evacuation", func() bool { return w.Count("migrate", "") == 3 })
}
