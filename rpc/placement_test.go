package rpc_test

import (
	"testing"
	"time"

	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
	"yagura/rpc"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// vmServers are two VM servers of one model and one of another group, with VMs.
func vmServers(tx *fsm.Tx) error {
	for _, g := range []string{"esx", "old"} {
		if err := fsm.Groups.Put(tx, &schema.Group{Name: g, Kind: schema.MachineVMServer}); err != nil {
			return err
		}
		if err := fsm.Models.Put(tx, &schema.Model{Group: g, Name: "big", Kind: schema.MachineVMServer, Capacity: 100, Placement: &schema.Placement{
			Enabled: true, Low: 20, TargetLow: 30, TargetHigh: 60, High: 80,
		}}); err != nil {
			return err
		}
	}
	for name, group := range map[string]string{"esx01": "esx", "esx02": "esx", "old01": "old"} {
		if err := fsm.Hosts.Put(tx, &schema.Host{Group: group, Name: name, Machine: name}); err != nil {
			return err
		}
		if err := fsm.Machines.Put(tx, &schema.Machine{
			Name: name, Kind: schema.MachineVMServer, Managed: true, Group: group, Host: name, Model: "big", Power: schema.PowerOn, Connected: true,
			SharedDatastores: []string{"shared"}, Bmc: &schema.Bmc{Kind: "redfish"},
		}); err != nil {
			return err
		}
	}
	for name, on := range map[string]string{"a": "esx01", "b": "esx01", "c": "esx02", "d": "old01"} {
		if err := fsm.Machines.Put(tx, &schema.Machine{
			Name: name, Kind: schema.MachineVM, Managed: true, Power: schema.PowerOn, Connected: true, VmServer: on, Datastores: []string{"shared"},
		}); err != nil {
			return err
		}
	}
	return nil
}

func measured(now time.Time, vms map[string]int64) planning.Load {
	l := planning.Load{Time: now, CPUTotal: 1000, MemTotal: 1000, VMCPUMHz: vms, VMemMiB: map[string]int64{}}
	for _, n := range vms {
		l.CPUMHz += n
	}
	return l
}

func TestPlacementGoesByTheLeadersLoads(t *testing.T) {
	meters := make([]planning.Meter, 2)
	next := 0
	c := start(t, 2, func(cfg *rpc.Config) {
		cfg.Meter = &meters[next]
		next++
	})
	c.log.Do(vmServers)
	now := time.Now()
	meters[0].Put(map[string]planning.Load{
		"esx01": measured(now, map[string]int64{"a": 450, "b": 450}), "esx02": measured(now, map[string]int64{"c": 20}), "old01": measured(now, map[string]int64{"d": 10}),
	})
	ask := &api.PlacementRequest{Objective: "level", Group: "esx"}
	plan, err := c.as(admin, 1).Placement.Plan(t.Context(), ask) // forwarded
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Measured) != 2 || len(plan.Moves) != 1 || plan.Moves[0].From != "esx01" || plan.Moves[0].To != "esx02" || plan.Moves[0].Reason == "" || len(plan.VmServers) != 2 {
		t.Errorf("the leader's plan is %v", plan)
	}
	if l := plan.VmServers[0]; l.LoadBefore != 90 || l.LoadAfter != 45 || l.VmsAfter != 1 || l.CostAfter != schema.DefaultCost {
		t.Errorf("esx01: %v", l)
	}
	stale := c.dial(client.Options{Servers: c.servers(1), TLS: c.ca.client(t, rpc.UserOrganization, admin), Consistency: api.Stale})
	if plan, err = stale.Placement.Plan(t.Context(), ask); err != nil || len(plan.Measured) != 0 {
		t.Errorf("another manager's stale plan is %v, %v", plan, err)
	}
}

func TestPlacementScopesAndErrors(t *testing.T) {
	c := start(t, 1)
	c.log.Do(vmServers)
	cl := c.as(admin)
	for group, want := range map[string]int{"": 3, "esx": 2, "old/big": 1} {
		plan, err := cl.Placement.Plan(t.Context(), &api.PlacementRequest{Objective: "check-failures", Group: group})
		if err != nil || len(plan.Failures) != want {
			t.Errorf("group %q: %v, %v", group, plan, err)
		}
	}
	for name, q := range map[string]struct {
		req  *api.PlacementRequest
		kind schema.Kind
	}{
		"objective":    {&api.PlacementRequest{Objective: "best"}, schema.KindInvalid},
		"group":        {&api.PlacementRequest{Objective: "level", Group: "nowhere"}, schema.KindGroupNotFound},
		"VM server":    {&api.PlacementRequest{Objective: "evacuate", VmServers: []string{"nobody"}}, schema.KindMachineNotFound},
		"VM":           {&api.PlacementRequest{Objective: "start", Vms: []string{"nobody"}}, schema.KindMachineNotFound},
		"no VM group":  {&api.PlacementRequest{Objective: "create", Group: "esx", Vms: []string{"x"}}, schema.KindGroupNotFound},
		"no VM server": {&api.PlacementRequest{Objective: "evacuate"}, schema.KindInvalid},
	} {
		plan, err := cl.Placement.Plan(t.Context(), q.req)
		if got := schema.KindOf(err); got != q.kind {
			t.Errorf("%s: %v, %q (%v), want %q", name, plan, got, err, q.kind)
		}
	}
	if _, err := cl.Placement.Explain(t.Context(), &api.NameRequest{Name: "nobody"}); schema.KindOf(err) != schema.KindMachineNotFound {
		t.Errorf("nobody is explained: %v", err)
	}
	e, err := cl.Placement.Explain(t.Context(), &api.NameRequest{Name: "esx01"})
	if err != nil || e.Load.GetVmsBefore() != 2 || len(e.Moves) != 2 {
		t.Errorf("esx01: %v, %v", e, err)
	}
	e, err = cl.Placement.Explain(t.Context(), &api.NameRequest{Name: "a"})
	if err != nil || len(e.Choices) != 2 || !e.Choices[0].Possible || e.Kind != schema.MachineVM {
		t.Errorf("a: %v, %v", e, err)
	}
}
