package rpc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// doc is a document with these fields in its spec.
func doc(t *testing.T, kind, name string, fields map[string]any) *api.Document {
	t.Helper()
	spec, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return &api.Document{Kind: kind, Name: name, Spec: spec}
}

// shop applies a small inventory: category shop, group web with a model, two
// machines in its pool, one of them with a BMC, and a subsystem.
func shop(t *testing.T, cl *client.Client) {
	t.Helper()
	_, err := cl.Inventory.Apply(t.Context(), &api.ApplyRequest{Documents: []*api.Document{
		doc(t, "Category", "shop", nil),
		doc(t, "Software", "agent", map[string]any{"kind": "script"}),
		doc(t, "Policy", "careful", map[string]any{"description": "none"}),
		doc(t, "Group", "web", map[string]any{"category": "shop", "kind": "physical", "software": map[string]any{"run": []any{"agent"}}}),
		doc(t, "Model", "web/small", map[string]any{"kind": "physical"}),
		doc(t, "Subsystem", "vc1", map[string]any{"kind": "vcenter", "address": "https://127.0.0.1:1/sdk", "user": "u", "password": "topsecret"}),
		doc(t, "Machine", "ph01", map[string]any{"kind": "physical", "managed": true, "pool_groups": []any{"web"},
			"bmc": map[string]any{"kind": "redfish", "address": "https://127.0.0.1:2", "user": "u", "password": "topsecret"}}),
		doc(t, "Machine", "ph02", map[string]any{"kind": "physical", "managed": true, "pool_groups": []any{"web"}}),
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestApplyGetAndList(t *testing.T) {
	c := start(t, 2)
	cl := c.as(admin, 1)
	shop(t, cl)

	o, err := cl.Inventory.Get(t.Context(), &api.GetRequest{Kind: "Group", Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if o.Kind != "Group" || o.Name != "web" || o.Spec.Fields["category"].GetStringValue() != "shop" || o.Row.Fields["name"].GetStringValue() != "web" {
		t.Fatalf("got %v", o)
	}
	// What Get gives, Apply takes, and nothing changes.
	r, err := cl.Inventory.Apply(t.Context(), &api.ApplyRequest{Documents: []*api.Document{{Kind: o.Kind, Name: o.Name, Spec: o.Spec}}})
	if err != nil || len(r.Applied) != 1 || r.Applied[0].Action != fsm.ActionUnchanged {
		t.Fatalf("got %v, %v", r, err)
	}
	_, err = cl.Inventory.Get(t.Context(), &api.GetRequest{Kind: "Group", Name: "none"})
	wantKind(t, err, schema.KindGroupNotFound)
	_, err = cl.Inventory.Get(t.Context(), &api.GetRequest{Kind: "Thing", Name: "none"})
	wantKind(t, err, schema.KindInvalid)

	// Pages of one row are the list of all.
	var names []string
	for token := ""; ; {
		page, err := cl.Inventory.List(t.Context(), &api.ListRequest{Kind: "Machine", PageSize: 1, PageToken: token})
		if err != nil || len(page.Machines) != 1 || len(page.Objects) != 0 {
			t.Fatalf("got %v, %v", page, err)
		}
		names = append(names, page.Machines[0].Name)
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	if !slices.Equal(names, []string{"ph01", "ph02"}) {
		t.Fatalf("got %q", names)
	}
	list, err := cl.Inventory.List(t.Context(), &api.ListRequest{Kind: "Model", Group: "shop"})
	if err != nil || len(list.Objects) != 1 || list.Objects[0].Name != "web/small" || list.NextPageToken != "" {
		t.Fatalf("got %v, %v", list, err)
	}
	_, err = cl.Inventory.List(t.Context(), &api.ListRequest{Kind: "Model", PageSize: -1})
	wantKind(t, err, schema.KindInvalid)
}

func TestSpecsOfMachinesAreWhatApplyTakes(t *testing.T) {
	c := start(t, 1)
	cl := c.as(admin)
	shop(t, cl)
	list, err := cl.Inventory.List(t.Context(), &api.ListRequest{Kind: "machine", Specs: true})
	if err != nil || len(list.Objects) != 2 || len(list.Machines) != 0 {
		t.Fatalf("got %v, %v", list, err)
	}
	var docs []*api.Document
	for _, o := range list.Objects {
		if o.Row != nil {
			t.Errorf("%s has its row, which nobody asked for", o.Name)
		}
		one, err := cl.Inventory.Get(t.Context(), &api.GetRequest{Kind: "Machine", Name: o.Name})
		if err != nil || !proto.Equal(one.Spec, o.Spec) {
			t.Errorf("%s: got %v alone and %v in the list, %v", o.Name, one.GetSpec(), o.Spec, err)
		}
		docs = append(docs, &api.Document{Kind: o.Kind, Name: o.Name, Spec: o.Spec})
	}
	r, err := cl.Inventory.Apply(t.Context(), &api.ApplyRequest{Documents: docs})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range r.Applied {
		if a.Action != fsm.ActionUnchanged {
			t.Errorf("%s: %s %q", a.Name, a.Action, a.Changes)
		}
	}
}

func TestApplyOfVeryManyDocuments(t *testing.T) {
	c := start(t, 1)
	cl := c.as(admin)
	for count, kept := range map[int]int{1000: 1000, 10_000: 0} {
		docs := make([]*api.Document, count)
		for i := range docs {
			docs[i] = doc(t, "Category", fmt.Sprintf("c%d-%d", count, i), map[string]any{"description": strings.Repeat("x", 200)})
		}
		ctx := client.WithRequestID(t.Context(), fmt.Sprintf("apply %d", count))
		first, err := cl.Inventory.Apply(ctx, &api.ApplyRequest{Documents: docs})
		if err != nil || len(first.Applied) != count || len(first.Applied[0].Changes) == 0 || first.Cut {
			t.Fatalf("%d: got %.200v, %v", count, first, err)
		}
		again, err := cl.Inventory.Apply(ctx, &api.ApplyRequest{Documents: docs})
		if err != nil || len(again.Applied) != kept || !again.Cut {
			t.Fatalf("%d: the repeated call gave %.200v, %v", count, again, err)
		}
		for _, a := range again.Applied {
			if a.Action != fsm.ActionCreated || len(a.Changes) != 0 {
				t.Fatalf("%d: kept was %v", count, a)
			}
		}
	}
}

func TestNoSecretLeaves(t *testing.T) {
	c := start(t, 1)
	cl := c.as(admin)
	shop(t, cl)
	sub, err := cl.Inventory.Get(t.Context(), &api.GetRequest{Kind: "Subsystem", Name: "vc1"})
	if err != nil {
		t.Fatal(err)
	}
	machine, err := cl.Inventory.Get(t.Context(), &api.GetRequest{Kind: "Machine", Name: "ph01"})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []*api.Object{sub, machine} {
		if text := o.String(); strings.Contains(text, "topsecret") || !strings.Contains(text, "password_set") {
			t.Errorf("got %s", text)
		}
		if _, ok := o.Spec.Fields["password"]; ok {
			t.Errorf("the spec has a password: %v", o.Spec)
		}
	}
	if v := sub.Row.Fields["password"].GetStringValue(); v != "" {
		t.Errorf("the row has a password: %q", v)
	}
	if _, err := cl.Inventory.Apply(t.Context(), &api.ApplyRequest{Documents: []*api.Document{
		doc(t, "Group", "web", map[string]any{"monitoring": map[string]any{"kind": "snmp", "community": "topsecret"}}),
	}}); err != nil {
		t.Fatal(err)
	}
	polled, err := cl.Inventory.Get(t.Context(), &api.GetRequest{Kind: "Group", Name: "web"})
	monitoring := polled.GetRow().GetFields()["monitoring"].GetStructValue().GetFields()
	if err != nil || monitoring["community"].GetStringValue() != "" || !monitoring["community_set"].GetBoolValue() || strings.Contains(polled.String(), "topsecret") {
		t.Errorf("got %v, %v", polled, err)
	}
	list, err := cl.Inventory.List(t.Context(), &api.ListRequest{Kind: "Machine"})
	if err != nil {
		t.Fatal(err)
	}
	group, err := cl.Inventory.GroupMachines(t.Context(), &api.GroupRequest{Group: "web"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range append(list.Machines, group.Pool...) {
		if len(m.GetBmc().GetPassword()) > 0 {
			t.Errorf("the password of %s leaves", m.Name)
		}
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	c := start(t, 2)
	cl := c.as(admin, 1)
	before := c.log.Store().View().Digest()
	r, err := cl.Inventory.Apply(t.Context(), &api.ApplyRequest{DryRun: true, Documents: []*api.Document{doc(t, "Category", "shop", nil)}})
	if err != nil || !r.DryRun || len(r.Applied) != 1 || r.Applied[0].Action != fsm.ActionCreated {
		t.Fatalf("got %v, %v", r, err)
	}
	if c.log.Store().View().Digest() != before {
		t.Fatal("the dry run has changed the state")
	}
	_, err = cl.Inventory.Apply(t.Context(), &api.ApplyRequest{Documents: []*api.Document{
		doc(t, "Category", "shop", nil), doc(t, "Group", "web", map[string]any{"category": "none", "kind": "vm"}),
	}})
	if err == nil || c.log.Store().View().Digest() != before {
		t.Fatalf("half of a broken call was applied (%v)", err)
	}
	_, err = cl.Inventory.Apply(t.Context(), &api.ApplyRequest{Documents: []*api.Document{doc(t, "Category", "shop", map[string]any{"colour": "red"})}})
	wantKind(t, err, schema.KindInvalid)
}

func TestGroupsAndPolicies(t *testing.T) {
	c := start(t, 2)
	cl := c.as(admin, 1)
	shop(t, cl)
	g, err := cl.Inventory.GroupMachines(t.Context(), &api.GroupRequest{Group: `shop¥web`})
	if err != nil || g.Group != "shop/web" || len(g.Running) != 0 || len(g.Pool) != 2 || !slices.Equal(g.Software, []string{"agent"}) {
		t.Fatalf("got %v, %v", g, err)
	}
	_, err = cl.Inventory.GroupMachines(t.Context(), &api.GroupRequest{Group: "none"})
	wantKind(t, err, schema.KindGroupNotFound)

	if _, err := cl.Inventory.SetPolicy(t.Context(), &api.SetPolicyRequest{Group: "web", Policy: "careful"}); err != nil {
		t.Fatal(err)
	}
	_, err = cl.Inventory.SetPolicy(t.Context(), &api.SetPolicyRequest{Group: "web", Policy: "none"})
	wantKind(t, err, schema.KindPolicyNotFound)
	p, err := cl.Inventory.ShowPolicy(t.Context(), &api.GroupRequest{Group: "shop"})
	if err != nil || len(p.Settings) != 1 || p.Settings[0].Group != "web" || p.Settings[0].Policy != "careful" || len(p.Settings[0].Models) != 1 || len(p.Policies) != 1 {
		t.Fatalf("got %v, %v", p, err)
	}

	_, err = cl.Inventory.SetMaintenance(t.Context(), &api.SetMaintenanceRequest{On: true, Group: "web", Host: "none"})
	if err == nil {
		t.Fatal("a host that isn't there went into maintenance")
	}
	_, err = cl.Inventory.Unset(t.Context(), &api.UnsetRequest{Kind: "Category", Name: "shop"})
	wantKind(t, err, schema.KindConflict)
	if _, err := cl.Inventory.SetPolicy(t.Context(), &api.SetPolicyRequest{Group: "web"}); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Inventory.Unset(t.Context(), &api.UnsetRequest{Kind: "Policy", Name: "careful"}); err != nil {
		t.Fatal(err)
	}
	_, err = cl.Inventory.Get(t.Context(), &api.GetRequest{Kind: "Policy", Name: "careful"})
	wantKind(t, err, schema.KindPolicyNotFound)
}

func TestDisarmNeedsAReason(t *testing.T) {
	c := start(t, 2)
	cl := c.as(operator, 1)
	_, err := cl.Inventory.Arm(t.Context(), &api.ArmRequest{Disarm: true})
	wantKind(t, err, schema.KindInvalid)
	r, err := cl.Inventory.Arm(client.WithReason(t.Context(), "maintenance window"), &api.ArmRequest{Disarm: true})
	if err != nil || !strings.Contains(r.State, "by oper: maintenance window") {
		t.Fatalf("got %v, %v", r, err)
	}
	st, err := cl.Cluster.Status(t.Context(), &api.Empty{})
	if err != nil || st.Automation != r.State {
		t.Fatalf("got %v, %v", st, err)
	}
	if r, err := cl.Inventory.Arm(t.Context(), &api.ArmRequest{}); err != nil || r.State != "armed" {
		t.Fatalf("got %v, %v", r, err)
	}
}

func TestOperationsQueueJobs(t *testing.T) {
	c := start(t, 2)
	c.log.Do(func(tx *fsm.Tx) error {
		return fsm.Subsystems.Put(tx, &schema.Subsystem{Name: "vc1", Kind: "vcenter", Address: "https://127.0.0.1:1/sdk"})
	})
	cl := c.as(operator, 1)
	r, err := cl.Inventory.Collect(t.Context(), &api.CollectRequest{})
	if err != nil || !slices.Equal(r.Jobs, []string{"00001"}) {
		t.Fatalf("got %v, %v", r, err)
	}
	ops := cl.Operations
	_, err = ops.AddVM(t.Context(), &api.AddVMRequest{Group: "none", Vm: "x"})
	wantKind(t, err, schema.KindGroupNotFound)
	_, err = ops.DeleteVM(t.Context(), &api.DeleteVMRequest{Group: "none", Host: "x"})
	wantKind(t, err, schema.KindGroupNotFound)
	_, err = ops.MigrateVM(t.Context(), &api.MigrateVMRequest{Group: "none", Host: "x", VmServer: "y"})
	wantKind(t, err, schema.KindGroupNotFound)
	_, err = ops.Evacuate(t.Context(), &api.EvacuateRequest{VmServer: "none"})
	wantKind(t, err, schema.KindMachineNotFound)
	_, err = cl.Inventory.Collect(t.Context(), &api.CollectRequest{Subsystem: "none"})
	wantKind(t, err, schema.KindNotFound)

	locks, err := cl.Jobs.ListLocks(t.Context(), &api.Empty{})
	if err != nil || len(locks.Locks) != 0 || len(locks.Waiting) != 1 {
		t.Fatalf("got %v, %v", locks, err)
	}
	_, err = cl.Jobs.ResumeJob(t.Context(), &api.ResumeJobRequest{Id: "1"})
	wantKind(t, err, schema.KindConflict)
	_, err = cl.Jobs.RollbackJob(t.Context(), &api.JobRequest{Id: "1"})
	wantKind(t, err, schema.KindConflict)
	if _, err := cl.Jobs.CancelJob(t.Context(), &api.JobRequest{Id: "1"}); err != nil {
		t.Fatal(err)
	}
	job, err := cl.Jobs.GetJob(t.Context(), &api.JobRequest{Id: "00001"})
	if err != nil || !job.Job.Cancel || job.Job.CancelBy != operator {
		t.Fatalf("got %v, %v", job, err)
	}
}
