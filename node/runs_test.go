package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node/nodetest"
	"yagura/rpc/api"
)

// TestLocalScriptIsHandedOver runs a real local script while leadership moves
// on, once by transfer and once by the leader's death: whoever leads follows the
// run where it is, and it is never begun a second time.
func TestLocalScriptIsHandedOver(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 3, nil)
	c.WaitReady()
	leader := c.WaitLeader()
	cl := c.Client(leader)
	dir := t.TempDir()
	// The script says that it is there, and goes on when it is let.
	body := "#!/bin/sh\necho begun >>" + dir + "/ran\necho hello\nwhile [ -e " + dir + " ] && [ ! -e " + dir + "/go-on ]; do sleep 0.1; done\necho bye\n"
	spec := func(fields map[string]any) *structpb.Struct {
		s, err := structpb.NewStruct(fields)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if _, err := cl.Inventory.Apply(t.Context(), &api.ApplyRequest{Documents: []*api.Document{
		{Kind: "Subsystem", Name: "scripts", Spec: spec(map[string]any{"kind": "local"})},
		{Kind: "Software", Name: "slow", Spec: spec(map[string]any{"kind": "script", "subsystem": "scripts", "body": body})},
		{Kind: "Machine", Name: "ph01", Spec: spec(map[string]any{"kind": "physical", "managed": true, "address": "127.0.0.1"})},
	}}); err != nil {
		t.Fatal(err)
	}
	begun := func() int {
		text, err := os.ReadFile(filepath.Join(dir, "ran"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Count(string(text), "begun")
	}
	for round, lose := range []func(l int){
		func(l int) {
			if _, err := c.Node(l).Transfer(context30(t), ""); err != nil {
				t.Fatal(err)
			}
		},
		func(l int) {
			c.Kill(l)
			c.Wait("another leader", func() bool { i := c.Leader(); return i >= 0 && i != l })
			c.Gone()
			c.Start(l)
		},
	} {
		reply, err := cl.Operations.Deploy(t.Context(), &api.DeployRequest{Machine: "ph01", Software: []string{"slow"}, Only: true})
		if err != nil {
			t.Fatal(err)
		}
		c.Wait("the script to begin", func() bool { return begun() == round+1 })
		lose(c.WaitLeader())
		if err := os.WriteFile(filepath.Join(dir, "go-on"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var job *api.JobInfo
		c.Wait("the job to end", func() bool {
			if job, err = cl.Jobs.GetJob(t.Context(), &api.JobRequest{Id: reply.Jobs[0]}); err != nil {
				return false
			}
			return schema.JobEnded(job.Job.State) || job.Job.State == schema.JobParked
		})
		if job.Job.State != schema.JobSucceeded || begun() != round+1 || job.Steps[0].Tail != "hello\nbye\n" {
			t.Fatalf("round %d: the script was begun %d times; %v", round, begun(), job)
		}
		if err := os.Remove(filepath.Join(dir, "go-on")); err != nil {
			t.Fatal(err)
		}
	}
	if n := fsm.LiveJobs(c.Node(c.WaitLeader()).Store().View()); len(n) > 0 {
		t.Errorf("jobs are left: %v", n)
	}
}
