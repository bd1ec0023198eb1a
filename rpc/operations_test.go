package rpc_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
	"yagura/rpc/client"
)

// center applies physical machines: ph01 and ph02 run as db01 and db02 of
// shop/db, whose pool has ph03 and, in maintenance, ph05; ph02 is in the pool of
// batch too. ph04 is in the common pool. The VM vm1 runs as vm1 of shop/web.
func center(t *testing.T, c *cluster) {
	t.Helper()
	machine := func(name string, more map[string]any) *api.Document {
		spec := map[string]any{"kind": "physical", "managed": true, "bmc": map[string]any{"kind": "redfish", "address": "https://127.0.0.1:2", "user": "u", "password": "topsecret"}}
		for k, v := range more {
			spec[k] = v
		}
		return doc(t, "Machine", name, spec)
	}
	host := func(name, ip string) *api.Document {
		return doc(t, "Host", name, map[string]any{"nics": []any{map[string]any{"addresses": []any{map[string]any{"ip": ip, "prefix": 24}}}}})
	}
	_, err := c.as(admin).Inventory.Apply(t.Context(), &api.ApplyRequest{Documents: []*api.Document{
		doc(t, "Category", "shop", nil),
		doc(t, "Software", "agent", map[string]any{"kind": "script", "body": "#!/bin/sh\n"}),
		doc(t, "Software", "tool", map[string]any{"kind": "script", "body": "#!/bin/sh\n"}),
		doc(t, "Group", "db", map[string]any{"category": "shop", "kind": "physical", "software": map[string]any{"run": []any{"agent"}}}),
		doc(t, "Model", "db/m", map[string]any{"kind": "physical"}),
		host("db/db01", "192.168.1.1"), host("db/db02", "192.168.1.2"), host("db/db03", "192.168.1.3"),
		doc(t, "Group", "batch", map[string]any{"kind": "physical"}),
		doc(t, "Model", "batch/m", map[string]any{"kind": "physical"}),
		doc(t, "Group", "lab", map[string]any{"kind": "physical"}),
		doc(t, "Model", "lab/m", map[string]any{"kind": "physical"}),
		doc(t, "Host", "lab/l1", nil), doc(t, "Host", "lab/l2", nil),
		doc(t, "Group", "web", map[string]any{"category": "shop", "kind": "vm"}),
		doc(t, "Model", "web/m", map[string]any{"kind": "vm"}),
		host("web/vm1", "192.168.2.1"),
		machine("ph01", map[string]any{"group": "db", "model": "m", "host": "db01", "pool_groups": []any{"db"}}),
		machine("ph02", map[string]any{"group": "db", "model": "m", "host": "db02", "pool_groups": []any{"db", "batch"}}),
		machine("ph03", map[string]any{"pool_groups": []any{"db"}}),
		machine("ph04", nil),
		machine("ph06", map[string]any{"group": "lab", "model": "m", "host": "l2"}),
		machine("ph05", map[string]any{"pool_groups": []any{"db"}, "maintenance": true}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.log.Do(func(tx *fsm.Tx) error { // VMs are there only when a subsystem has reported them
		return errors.Join(
			fsm.Machines.Put(tx, &schema.Machine{Name: "vm1", Kind: schema.MachineVM, Managed: true, Group: "web", Model: "m", Host: "vm1", Power: schema.PowerOn, Status: schema.StatusReady}),
			fsm.Machines.Put(tx, &schema.Machine{Name: "vm2", Kind: schema.MachineVM, Managed: true, Power: schema.PowerOff, Status: schema.StatusReady}))
	})
}

// started runs a call that must queue jobs, and gives them.
func started(t *testing.T, c *cluster, reply *api.JobsReply, err error) []*schema.Job {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var jobs []*schema.Job
	for _, id := range reply.Jobs {
		job, err := fsm.JobRow(c.nodes[0].store.View(), id)
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, job)
	}
	return jobs
}

// TestReconfigurationsQueueJobs holds which action sequence each command starts,
// for whom, and that an operator may.
func TestReconfigurationsQueueJobs(t *testing.T) {
	for name, test := range map[string]struct {
		call func(t *testing.T, o api.OperationsClient) (*api.JobsReply, error)
		want []string // sequence and machine
	}{
		"replace": {func(t *testing.T, o api.OperationsClient) (*api.JobsReply, error) {
			return o.ReplaceMachine(t.Context(), &api.ReplaceMachineRequest{Group: `shop\db`, Host: "db01"})
		}, []string{"TakeOverMachine ph01"}},
		"add": {func(t *testing.T, o api.OperationsClient) (*api.JobsReply, error) {
			return o.AddMachines(t.Context(), &api.AddMachinesRequest{Group: "shop"})
		}, []string{"MoveFromPoolToGroup "}},
		"add by name": {func(t *testing.T, o api.OperationsClient) (*api.JobsReply, error) {
			return o.AddMachines(t.Context(), &api.AddMachinesRequest{Group: "shop¥db", Machine: "ph03", Netinfo: "192.168.1.3"})
		}, []string{"MoveFromPoolToGroup ph03"}},
		"add master": {func(t *testing.T, o api.OperationsClient) (*api.JobsReply, error) {
			return o.AddMachines(t.Context(), &api.AddMachinesRequest{Group: "db", Machine: "ph04", Master: true})
		}, []string{"MoveMasterMachineToGroup ph04"}},
		"delete two": {func(t *testing.T, o api.OperationsClient) (*api.JobsReply, error) {
			return o.RemoveMachines(t.Context(), &api.RemoveMachinesRequest{Group: "shop/db", Count: 2})
		}, []string{"MoveFromGroupToPool ", "MoveFromGroupToPool "}},
		"deploygrp": {func(t *testing.T, o api.OperationsClient) (*api.JobsReply, error) {
			return o.Deploy(t.Context(), &api.DeployRequest{Group: "db", Sequential: true})
		}, []string{"DistributeSoftwareToMachinesInGroup "}},
		"deploygrp /p": {func(t *testing.T, o api.OperationsClient) (*api.JobsReply, error) {
			return o.Deploy(t.Context(), &api.DeployRequest{Group: "db", Software: []string{"tool"}, Only: true})
		}, []string{"DistributeSoftwareToMachinesInGroupWithScenario "}},
		"deploysrv": {func(t *testing.T, o api.OperationsClient) (*api.JobsReply, error) {
			return o.Deploy(t.Context(), &api.DeployRequest{Group: "db", Host: "db01", Software: []string{"agent"}})
		}, []string{"DistributeSoftwareToMachine ph01"}},
		"deploypsv": {func(t *testing.T, o api.OperationsClient) (*api.JobsReply, error) {
			return o.Deploy(t.Context(), &api.DeployRequest{Machine: "ph04", Software: []string{"tool", "agent"}, Only: true})
		}, []string{"DistributeSoftwareToMachineWithScenario ph04"}},
		"pool add": {func(t *testing.T, o api.OperationsClient) (*api.JobsReply, error) {
			return o.ChangePool(t.Context(), &api.ChangePoolRequest{Group: "batch", Machine: "ph04"})
		}, []string{"MoveFromManagedToPool ph04"}},
		"pool remove": {func(t *testing.T, o api.OperationsClient) (*api.JobsReply, error) {
			return o.ChangePool(t.Context(), &api.ChangePoolRequest{Group: "db", Machine: "ph03", Remove: true})
		}, []string{"MoveFromPoolToManaged ph03"}},
		"vmdestroy": {func(t *testing.T, o api.OperationsClient) (*api.JobsReply, error) {
			return o.DestroyVM(t.Context(), &api.DestroyVMRequest{Vm: "vm2"})
		}, []string{"DeleteManagedVirtualMachine vm2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, 1)
			center(t, c)
			_, err := test.call(t, c.as(observer).Operations)
			wantKind(t, err, schema.KindPermission)
			reply, err := test.call(t, c.as(operator).Operations)
			var got []string
			for _, job := range started(t, c, reply, err) {
				got = append(got, job.Sequence+" "+job.Params[fsm.ParamMachine])
				if job.CreatedBy != operator || job.State != schema.JobQueued {
					t.Errorf("got the job %v", job)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestRepurpose holds that a machine that runs in one group and is in the pool of
// another can be moved there, once there is a host setting, and by all spellings.
// TestNothingNamed holds that an operation without its object is malformed.
func TestNothingNamed(t *testing.T) {
	cl := start(t, 1).as(operator)
	for what, call := range map[string]func() error{
		"evacuate":  func() error { _, err := cl.Operations.Evacuate(t.Context(), &api.EvacuateRequest{}); return err },
		"vmdestroy": func() error { _, err := cl.Operations.DestroyVM(t.Context(), &api.DestroyVMRequest{}); return err },
		"power":     func() error { _, err := cl.Operations.Power(t.Context(), &api.PowerRequest{Group: "web"}); return err },
	} {
		if err := call(); schema.KindOf(err) != schema.KindInvalid || !strings.HasPrefix(err.Error(), what+": ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRepurpose(t *testing.T) {
	c := start(t, 1)
	center(t, c)
	o := c.as(operator).Operations
	_, err := o.ChangeUse(t.Context(), &api.ChangeUseRequest{Group: "batch", Source: "shop/db"})
	wantKind(t, err, schema.KindGroupUnusable) // batch has no host setting
	if _, err := c.as(admin).Inventory.Apply(t.Context(), &api.ApplyRequest{Documents: []*api.Document{doc(t, "Host", "batch/b1", nil)}}); err != nil {
		t.Fatal(err)
	}
	reply, err := o.ChangeUse(t.Context(), &api.ChangeUseRequest{Group: "batch", Source: "shop/db", Host: "db02"})
	jobs := started(t, c, reply, err)
	if len(jobs) != 1 || jobs[0].Sequence != fsm.SeqChangeServerGroup || jobs[0].Params[fsm.ParamMachine] != "ph02" || jobs[0].Params[fsm.ParamSource] != "shop/db" {
		t.Errorf("got %v", jobs)
	}
}

// TestRepeatedReconfigurationsQueueOnce holds that a call that is sent again
// under its request id is answered with the jobs of the first.
func TestRepeatedReconfigurationsQueueOnce(t *testing.T) {
	c := start(t, 2)
	center(t, c)
	cl := c.as(operator, 1) // through a manager that forwards
	ctx := client.WithRequestID(t.Context(), "retry-1")
	first, err := cl.Operations.AddMachines(ctx, &api.AddMachinesRequest{Group: "db"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := cl.Operations.AddMachines(ctx, &api.AddMachinesRequest{Group: "db"})
	if err != nil || !slices.Equal(first.Jobs, again.Jobs) {
		t.Fatalf("got %v, then %v, %v", first, again, err)
	}
	if n := len(fsm.LiveJobs(c.nodes[0].store.View())); n != 1 {
		t.Errorf("%d jobs are queued", n)
	}
}

// TestCausesOfTheManual holds the exit code of every cause of the manual's
// table [3.2.1] that a reconfiguration, distribution or VM command can meet,
// that the message names the object, and that nothing is queued.
func TestCausesOfTheManual(t *testing.T) {
	c := start(t, 1)
	center(t, c)
	cl := c.as(operator)
	o := cl.Operations
	move := func(req *api.ChangeUseRequest) func() error {
		return func() error { _, err := o.ChangeUse(t.Context(), req); return err }
	}
	add := func(req *api.AddMachinesRequest) func() error {
		return func() error { _, err := o.AddMachines(t.Context(), req); return err }
	}
	remove := func(req *api.RemoveMachinesRequest) func() error {
		return func() error { _, err := o.RemoveMachines(t.Context(), req); return err }
	}
	replace := func(group, host string) func() error {
		return func() error {
			_, err := o.ReplaceMachine(t.Context(), &api.ReplaceMachineRequest{Group: group, Host: host})
			return err
		}
	}
	deploy := func(req *api.DeployRequest) func() error {
		return func() error { _, err := o.Deploy(t.Context(), req); return err }
	}
	pool := func(group, machine string) func() error {
		return func() error {
			_, err := o.ChangePool(t.Context(), &api.ChangePoolRequest{Group: group, Machine: machine})
			return err
		}
	}
	vmadd := func(req *api.AddVMRequest) func() error {
		return func() error { _, err := o.AddVM(t.Context(), req); return err }
	}
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		code  int
		cause string
		call  func() error
		names string // what the message must name
	}{
		{1, "no host", replace("db", ""), "replace"},
		{1, "negative number", add(&api.AddMachinesRequest{Group: "db", Count: -1}), "-1"},
		{1, "number and host", remove(&api.RemoveMachinesRequest{Group: "db", Host: "db01", Count: 2}), "db01"},
		{1, "number and machine", add(&api.AddMachinesRequest{Group: "db", Machine: "ph03", Count: 1}), "ph03"},
		{1, "number and source host", move(&api.ChangeUseRequest{Group: "batch", Source: "db", Host: "db02", Count: 1}), "db02"},
		{1, "all and named software", deploy(&api.DeployRequest{Group: "db", Full: true, Software: []string{"agent"}, Only: true}), ""},
		{1, "neither group nor machine", deploy(&api.DeployRequest{Full: true}), ""},
		{2, "replace: no machine under the host", replace("db", "db03"), "db03"},
		{2, "delete: no machine under the host", remove(&api.RemoveMachinesRequest{Group: "db", Host: "nope"}), "nope"},
		{2, "delete: more than run", remove(&api.RemoveMachinesRequest{Group: "db", Count: 3}), "only 2 of the 3"},
		{2, "delete: none runs", remove(&api.RemoveMachinesRequest{Group: "batch"}), "batch"},
		{2, "deploysrv: no machine under the host", deploy(&api.DeployRequest{Group: "db", Host: "nope"}), "nope"},
		{2, "deploypsv: no machine", deploy(&api.DeployRequest{Machine: "nope", Software: []string{"agent"}, Only: true}), "nope"},
		{2, "deploygrp: none runs", deploy(&api.DeployRequest{Group: "batch"}), "batch"},
		{2, "pool: no machine", pool("db", "nope"), "nope"},
		{2, "vmdestroy: no VM", func() error {
			_, err := o.DestroyVM(t.Context(), &api.DestroyVMRequest{Vm: "ph04"})
			return err
		}, "ph04"},
		{2, "shutdown: a host twice", func() error {
			_, err := o.Power(t.Context(), &api.PowerRequest{Op: "shutdown", Group: "db", Hosts: []string{"db01", "db01"}})
			return err
		}, "db01"},
		{2, "vmadd: no VM server", vmadd(&api.AddVMRequest{Group: "web", Vm: "new", VmServer: "nope"}), "nope"},
		{3, "replace: no group", replace("nope", "db01"), "nope"},
		{3, "replace: a category", replace("shop", "db01"), "shop"},
		{3, "replace: a VM", replace("web", "vm1"), "vm1"},
		{3, "add: a category with a machine", add(&api.AddMachinesRequest{Group: "shop", Machine: "ph03"}), "shop"},
		{3, "move: no destination", move(&api.ChangeUseRequest{Group: "nope", Source: "db"}), "nope"},
		{3, "move: no source", move(&api.ChangeUseRequest{Group: "batch", Source: "nope"}), "nope"},
		{3, "move: no host settings", move(&api.ChangeUseRequest{Group: "batch", Source: "db"}), "batch"},
		{3, "move: not in the pool", move(&api.ChangeUseRequest{Group: "lab", Source: "db", Host: "db01"}), "ph01"},
		{3, "move: VMs", move(&api.ChangeUseRequest{Group: "db", Source: "web"}), "web"},
		{3, "move: to itself", move(&api.ChangeUseRequest{Group: "db", Source: "shop/db"}), "db"},
		{3, "deploygrp: no group", deploy(&api.DeployRequest{Group: "nope"}), "nope"},
		{3, "pool: no group", pool("nope", "ph04"), "nope"},
		{4, "add: too few host settings", add(&api.AddMachinesRequest{Group: "batch"}), "batch"},
		{4, "add: more than host settings", add(&api.AddMachinesRequest{Group: "db", Count: 5}), "only 1 of the 5"},
		{4, "addspecname: no such setting", add(&api.AddMachinesRequest{Group: "db", Netinfo: "192.168.9.9"}), "192.168.9.9"},
		{4, "addspecname: setting in use", add(&api.AddMachinesRequest{Group: "db", Netinfo: "db01"}), "ph01"},
		{4, "addspecname: address in use", add(&api.AddMachinesRequest{Group: "db", Netinfo: "192.168.1.2", Machine: "ph03"}), "ph02"},
		{2, "add: no such machine", add(&api.AddMachinesRequest{Group: "db", Machine: "nope"}), "nope"},
		{5, "add: the pool is empty", add(&api.AddMachinesRequest{Group: "lab"}), "lab"},
		{5, "replace: nobody is left in the pool", replace("lab", "l2"), "lab"},
		{5, "add: machine isn't in the pool", add(&api.AddMachinesRequest{Group: "db", Machine: "ph04"}), "ph04"},
		{5, "move: no candidate", move(&api.ChangeUseRequest{Group: "lab", Source: "db"}), "ph01 ph02"},
		{5, "move: none under the host", move(&api.ChangeUseRequest{Group: "batch", Source: "db", Host: "nope"}), "nope"},
		{8, "deploygrp: unknown software", deploy(&api.DeployRequest{Group: "db", Software: []string{"nope"}, Only: true}), "nope"},
		{8, "deploysrv: unknown software", deploy(&api.DeployRequest{Group: "db", Host: "db01", Software: []string{"agent", "nope"}}), "nope"},
		{8, "deploysrv /a: not registered", deploy(&api.DeployRequest{Group: "db", Host: "db01", Software: []string{"tool"}}), "tool"},
		{8, "deploypsv: unknown software", deploy(&api.DeployRequest{Machine: "ph04", Software: []string{"nope"}, Only: true}), "nope"},
		{10, "vmadd: the name is taken", vmadd(&api.AddVMRequest{Group: "web", Vm: "vm2"}), "vm2"},
		{11, "vmadd /a: it runs", vmadd(&api.AddVMRequest{Group: "web", Vm: "vm1", Existing: true}), "vm1"},
		{11, "add: it runs", add(&api.AddMachinesRequest{Group: "db", Machine: "ph01"}), "ph01"},
		{15, "a group too long", add(&api.AddMachinesRequest{Group: long}), "group"},
		{15, "a path too long", add(&api.AddMachinesRequest{Group: strings.Repeat("abc/", 500)}), "group"},
		{15, "a group with a forbidden character", remove(&api.RemoveMachinesRequest{Group: "grp;1"}), "grp;1"},
		{15, "maintenance of a group with a forbidden character", func() error {
			_, err := cl.Inventory.SetMaintenance(t.Context(), &api.SetMaintenanceRequest{Group: "grp#1"})
			return err
		}, "grp#1"},
		{15, "the machines of a group too long", func() error {
			_, err := cl.Inventory.GroupMachines(t.Context(), &api.GroupRequest{Group: long})
			return err
		}, "group"},
		{15, "a host too long", replace("db", long), "host"},
		{15, "a host with a forbidden character", replace("db", "db 01"), "db 01"},
		{15, "a machine with a control character", add(&api.AddMachinesRequest{Group: "db", Machine: "ph\x0703"}), "machine"},
		{15, "a machine too long", deploy(&api.DeployRequest{Machine: long, Software: []string{"agent"}, Only: true}), "machine"},
		{15, "software too long", deploy(&api.DeployRequest{Group: "db", Software: []string{long}, Only: true}), "software"},
		{15, "software with a comma", deploy(&api.DeployRequest{Group: "db", Software: []string{"agent,tool"}, Only: true}), "agent,tool"},
		{15, "a host setting with a forbidden character", add(&api.AddMachinesRequest{Group: "db", Netinfo: "192.168.1.1/24"}), "192.168.1.1/24"},
		{15, "a VM's name with a forbidden character", vmadd(&api.AddVMRequest{Group: "web", Vm: "vm 3"}), "vm 3"},
		{15, "a VM's name too long", vmadd(&api.AddVMRequest{Group: "web", Vm: long}), "VM"},
	} {
		t.Run(fmt.Sprintf("%d %s", test.code, test.cause), func(t *testing.T) {
			err := test.call()
			if got := apierr.ExitCode(err); got != test.code {
				t.Fatalf("exit code %d, want %d: %v", got, test.code, err)
			}
			for name := range strings.FieldsSeq(test.names) {
				if !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), test.names) {
					t.Errorf("the message doesn't say %q: %v", name, err)
				}
			}
		})
	}
	if jobs := fsm.LiveJobs(c.nodes[0].store.View()); len(jobs) > 0 {
		t.Errorf("%d jobs are queued, the first is %v", len(jobs), jobs[0])
	}
}

// TestSecondReplacementIsntStarted holds exit code 6: a machine is replaced once.
func TestSecondReplacementIsntStarted(t *testing.T) {
	c := start(t, 1)
	center(t, c)
	o := c.as(operator).Operations
	reply, err := o.ReplaceMachine(t.Context(), &api.ReplaceMachineRequest{Group: "db", Host: "db01"})
	jobs := started(t, c, reply, err)
	_, err = o.ReplaceMachine(t.Context(), &api.ReplaceMachineRequest{Group: "db", Host: "db01"})
	if apierr.ExitCode(err) != 6 || !strings.Contains(err.Error(), jobs[0].Id) {
		t.Errorf("got %v", err)
	}
}

// TestPreviewPolicy holds that a preview tells what a policy would do, and for
// what there is none; that it changes nothing; and that it refuses what is no event.
func TestPreviewPolicy(t *testing.T) {
	c := start(t, 1)
	center(t, c)
	adm := c.as(admin)
	_, err := adm.Inventory.Apply(t.Context(), &api.ApplyRequest{Documents: []*api.Document{
		doc(t, "Policy", "n+1", map[string]any{"rules": []any{map[string]any{
			"name": "down", "notifier": "SystemMonitorEvent", "selector": "ESMDSVNT[0xC0000002]", "actions": []any{"notify", "set-status-failed", "replace-machine"}}}}),
		doc(t, "Group", "db", map[string]any{"policy": "n+1"}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	in := c.as(observer).Inventory
	reply, err := in.PreviewPolicy(t.Context(), &api.PreviewPolicyRequest{Event: "ESMDSVNT[0xC0000002]", Group: "shop/db", Host: "db01"})
	if err != nil {
		t.Fatal(err)
	}
	d := reply.Cases[0].Decision
	if len(reply.Cases) != 1 || reply.Cases[0].Machine != "ph01" || reply.Cases[0].Host != "db01" || d.Decision != schema.DecisionActed || d.Policy != "n+1" || d.Rule != "down" {
		t.Fatalf("got %v", reply)
	}
	if len(d.Actions) != 3 || !d.Actions[0].CarriedOut || d.Actions[1].Effect != "sets the hardware status to failed" ||
		d.Actions[2].Sequence != fsm.SeqTakeOverMachine || d.Actions[2].Params[fsm.ParamMachine] != "ph01" {
		t.Errorf("got the actions %v", d.Actions)
	}
	reply, err = in.PreviewPolicy(t.Context(), &api.PreviewPolicyRequest{Event: "category:machine-inaccessible", Group: "lab"})
	if err != nil || len(reply.Cases) != 1 || reply.Cases[0].Decision.Decision != schema.DecisionIgnored || len(reply.Cases[0].Decision.Actions) > 0 {
		t.Errorf("got %v, %v", reply, err)
	}
	_, err = in.PreviewPolicy(t.Context(), &api.PreviewPolicyRequest{Event: "category:nothing", Group: "lab"})
	wantKind(t, err, schema.KindInvalid)
	_, err = in.PreviewPolicy(t.Context(), &api.PreviewPolicyRequest{Event: "category:machine-inaccessible", Group: "nope"})
	wantKind(t, err, schema.KindGroupNotFound)
	if v := c.nodes[0].store.View(); len(fsm.LiveJobs(v)) > 0 || fsm.Events.Len(v) > 0 {
		t.Error("a preview left something behind")
	}
}

// TestStatusTellsOfAStorm holds that automation that a storm holds isn't shown as armed.
func TestStatusTellsOfAStorm(t *testing.T) {
	c := start(t, 1)
	for _, test := range []struct {
		last time.Duration // ago
		want string
	}{{time.Second, "held by a storm: 12 machines"}, {time.Hour, "armed"}} {
		c.log.Do(func(tx *fsm.Tx) error {
			s, _ := fsm.SettingsTable.Edit(tx, schema.SettingsKey)
			s.Storm = &schema.Storm{Since: timestamppb.New(tx.Now().Add(-2 * time.Hour)), Last: timestamppb.New(tx.Now().Add(-test.last)), Machines: []string{"ph01"}, Count: 12}
			return fsm.SettingsTable.Put(tx, s)
		})
		st, err := c.as(observer).Cluster.Status(t.Context(), &api.Empty{})
		if err != nil || !strings.HasPrefix(st.Automation, test.want) {
			t.Errorf("got %q, %v", st.GetAutomation(), err)
		}
	}
}

// TestReconfigurationByJSON holds that the gateway serves the commands, too.
func TestReconfigurationByJSON(t *testing.T) {
	c := start(t, 2)
	center(t, c)
	w := c.web(1, operator)
	code, _, body := w.do("POST", "/v1/replace", `{"group":"shop/db","host":"db01"}`)
	if code != 200 || body != `{"jobs":["00001"]}` {
		t.Errorf("got %d %s", code, body)
	}
	code, _, body = w.do("POST", "/v1/deploy", `{"machine":"ph04","software":["tool"],"only":true}`)
	if code != 200 || body != `{"jobs":["00002"]}` {
		t.Errorf("got %d %s", code, body)
	}
	code, _, body = w.do("POST", "/v1/add", `{"group":"lab","count":3}`)
	wantProblem(t, code, body, 409, schema.KindTooFewMachines)
	code, _, body = w.do("POST", "/v1/move", `{"group":"db","from":"lab"}`)
	wantProblem(t, code, body, 400, schema.KindInvalid)
	code, _, body = w.do("POST", "/v1/delete", `{"group":"db","count":"many"}`)
	wantProblem(t, code, body, 400, schema.KindInvalid)
	code, _, body = w.do("GET", "/v1/policy/preview?event=category:machine-inaccessible&group=db&host=db02", "")
	if code != 200 || !strings.Contains(body, `"machine":"ph02"`) {
		t.Errorf("got %d %s", code, body)
	}
}
