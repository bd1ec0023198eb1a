package rpc_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
)

// TestPerformance holds that samples come from the manager that answers, with the thresholds that the database has for them, and why there are none.
func TestPerformance(t *testing.T) {
	c := start(t, 2)
	c.log.Do(func(tx *fsm.Tx) error {
		thresholds := []*schema.Threshold{{Event: "10000001", Metric: schema.MetricCPU, Value: 90}, {Event: "10000002", Metric: schema.MetricDisk, Value: 90}}
		for _, g := range []*schema.Group{
			{Name: "db", Kind: schema.MachinePhysical, Performance: &schema.Performance{}, Thresholds: thresholds}, {Name: "old", Kind: schema.MachinePhysical},
		} {
			if err := fsm.Groups.Put(tx, g); err != nil {
				return err
			}
		}
		for _, m := range []*schema.Machine{
			{Name: "ph01", Power: schema.PowerOn, Group: "db", Crossed: []*schema.Crossing{{Event: "10000001", Metric: schema.MetricCPU, Since: timestamppb.Now(), Host: "db/ph01"}}},
			{Name: "ph02", Power: schema.PowerOff, Group: "db"}, {Name: "ph03", Power: schema.PowerOn, Group: "old"}, {Name: "ph04"},
		} {
			m.Kind, m.Managed = schema.MachinePhysical, true
			if m.Group != "" {
				m.Host, m.Model = m.Name, "m"
			}
			if err := fsm.Machines.Put(tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	cl := c.as(operator, 1)
	got, err := cl.Inventory.Performance(t.Context(), &api.PerformanceRequest{Machine: "ph01", Metric: "cpu", SinceSeconds: 60})
	if err != nil || len(got.Series) != 1 || len(got.Thresholds) != 1 || len(got.Crossed) != 1 || len(got.Problems) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	if calls := c.nodes[0].control.noted(); !slices.Contains(calls, "samples of ph01 cpu") {
		t.Errorf("the leader saw %v", calls)
	}
	for name, want := range map[string]string{
		"ph02": "ph02 isn't sampled: its power is off", "ph03": "ph03 isn't sampled: its group old has no performance setting",
		"ph04": "ph04 isn't sampled: it runs in no group",
	} {
		if got, err := cl.Inventory.Performance(t.Context(), &api.PerformanceRequest{Machine: name}); err != nil || len(got.Problems) != 1 || got.Problems[0] != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, bad := range []struct {
		req  *api.PerformanceRequest
		want schema.Kind
	}{
		{&api.PerformanceRequest{Machine: "nobody"}, schema.KindMachineNotFound},
		{&api.PerformanceRequest{}, schema.KindMachineNotFound},
		{&api.PerformanceRequest{Machine: "ph01", Metric: "heat"}, schema.KindInvalid},
		{&api.PerformanceRequest{Machine: "ph01", SinceSeconds: -1}, schema.KindInvalid},
	} {
		_, err := cl.Inventory.Performance(t.Context(), bad.req)
		wantKind(t, err, bad.want)
	}

	// Managers ask each other, and nobody else does.
	peer := api.NewPeerClient(c.raw(0, c.ca.client(t, rpc.ManagerOrganization, "m2")))
	if got, err := peer.LookAtSamples(t.Context(), &api.PerformanceRequest{Machine: "ph01"}); err != nil || got.Machine != "ph01" {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = api.NewPeerClient(c.raw(0, c.ca.client(t, rpc.UserOrganization, admin))).LookAtSamples(t.Context(), &api.PerformanceRequest{Machine: "ph01"})
	wantKind(t, apierr.FromError(err), schema.KindPermission)

	// A stream of samples is its manager's own.
	if _, err := peer.RecordEvents(t.Context(), &api.RecordEventsRequest{Node: "m2" + fsm.SampleStream}); err != nil {
		t.Error(err)
	}
	_, err = peer.RecordEvents(t.Context(), &api.RecordEventsRequest{Node: "m1" + fsm.SampleStream})
	wantKind(t, apierr.FromError(err), schema.KindPermission)
}
