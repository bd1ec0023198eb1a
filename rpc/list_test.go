package rpc_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

func TestListJobs(t *testing.T) {
	c := start(t, 1)
	c.log.Do(func(tx *fsm.Tx) error {
		for i, j := range []*schema.Job{
			{State: schema.JobSucceeded}, {State: schema.JobRunning}, {State: schema.JobQueued, Parent: "00002"}, {State: schema.JobParked}, {State: schema.JobFailed},
		} {
			j.Id = "0000" + strconv.Itoa(i+1)
			if err := fsm.Jobs.Put(tx, j); err != nil {
				return err
			}
		}
		return fsm.Steps.Put(tx, &schema.Step{Job: "00002", Number: 1, State: schema.StepStarted})
	})
	cl := c.as(observer)
	for _, test := range []struct {
		req  *api.ListJobsRequest
		want []string
	}{
		{&api.ListJobsRequest{}, []string{"00002", "00004"}},
		{&api.ListJobsRequest{All: true}, []string{"00001", "00002", "00003", "00004", "00005"}},
		{&api.ListJobsRequest{All: true, Limit: 2}, []string{"00004", "00005"}},
		{&api.ListJobsRequest{Limit: 1}, []string{"00004"}},
		{&api.ListJobsRequest{State: schema.JobRunning}, []string{"00002"}},
		{&api.ListJobsRequest{State: schema.JobFailed}, []string{"00005"}},
		{&api.ListJobsRequest{State: schema.JobQueued, All: true}, []string{"00003"}},
	} {
		r, err := cl.Jobs.ListJobs(t.Context(), test.req)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, j := range r.Jobs {
			ids = append(ids, j.Job.Id)
			if (j.Job.Id == "00002") != (len(j.Steps) == 1) {
				t.Errorf("job %s has %d steps", j.Job.Id, len(j.Steps))
			}
		}
		if !slices.Equal(ids, test.want) {
			t.Errorf("%v: got %q, want %q", test.req, ids, test.want)
		}
	}
}

func TestListJobsOfNoState(t *testing.T) {
	_, err := start(t, 1).as(observer).Jobs.ListJobs(t.Context(), &api.ListJobsRequest{State: "runing"})
	if schema.KindOf(err) != schema.KindInvalid || !strings.Contains(err.Error(), schema.JobCancelling) {
		t.Errorf("%v, want all states named", err)
	}
}

func TestListEventsAndAudit(t *testing.T) {
	c := start(t, 1)
	c.log.Do(func(tx *fsm.Tx) error {
		if err := fsm.Groups.Put(tx, &schema.Group{Name: "web", Kind: schema.MachineVM}); err != nil {
			return err
		}
		for i := 1; i <= 12; i++ {
			e := &schema.Event{Id: strconv.Itoa(i), Notifier: schema.NotifierSNMP, State: schema.EventHandled}
			if i%5 == 0 {
				e.Notifier, e.Target, e.Group = schema.NotifierPVM, "web01", "web"
			}
			if err := fsm.Events.Put(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	cl := c.as(observer)
	for _, test := range []struct {
		req  *api.ListEventsRequest
		want []string
	}{
		{&api.ListEventsRequest{Limit: 3}, []string{"10", "11", "12"}},
		{&api.ListEventsRequest{After: "8", Limit: 2}, []string{"9", "10"}},
		{&api.ListEventsRequest{After: "10"}, []string{"11", "12"}},
		{&api.ListEventsRequest{Target: "web01"}, []string{"5", "10"}},
		{&api.ListEventsRequest{Group: "web", Limit: 1}, []string{"10"}},
		{&api.ListEventsRequest{Notifier: schema.NotifierPVM, After: "5"}, []string{"10"}},
	} {
		r, err := cl.Events.ListEvents(t.Context(), test.req)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, e := range r.Events {
			ids = append(ids, e.Id)
		}
		if !slices.Equal(ids, test.want) {
			t.Errorf("%v: got %q, want %q", test.req, ids, test.want)
		}
	}
	_, err := cl.Events.ListEvents(t.Context(), &api.ListEventsRequest{After: "x"})
	wantKind(t, err, schema.KindInvalid)
	_, err = cl.Events.ListEvents(t.Context(), &api.ListEventsRequest{Limit: -1})
	wantKind(t, err, schema.KindInvalid)
	_, err = cl.Events.ListEvents(t.Context(), &api.ListEventsRequest{Group: "none"})
	wantKind(t, err, schema.KindGroupNotFound)
	if e, err := cl.Events.GetEvent(t.Context(), &api.EventRequest{Id: "10"}); err != nil || e.Target != "web01" {
		t.Errorf("got %v, %v", e, err)
	}
	_, err = cl.Events.GetEvent(t.Context(), &api.EventRequest{Id: "99"})
	wantKind(t, err, schema.KindNotFound)
	_, err = cl.Events.GetEvent(t.Context(), &api.EventRequest{Id: "x"})
	wantKind(t, err, schema.KindInvalid)

	if _, err := c.as(admin).Auth.DeleteUser(t.Context(), &api.NameRequest{Name: operator}); err != nil {
		t.Fatal(err)
	}
	audit, err := cl.Events.ListAudit(t.Context(), &api.ListAuditRequest{User: admin})
	if err != nil || len(audit.Audit) != 1 || audit.Audit[0].Op != "DeleteUser" || audit.Audit[0].Node != "m1" {
		t.Errorf("got %v, %v", audit, err)
	}
}

func TestClusterMethods(t *testing.T) {
	c := start(t, 2)
	cl := c.as(admin, 1)
	nodes, err := cl.Cluster.ListNodes(t.Context(), &api.Empty{})
	if err != nil || len(nodes.Nodes) != 1 || nodes.Nodes[0].Id != "m2" {
		t.Fatalf("got %v, %v", nodes, err)
	}
	_, err = cl.Cluster.RemoveNode(t.Context(), &api.NodeRequest{})
	wantKind(t, err, schema.KindInvalid)
	// What can't be done, and what needn't be, leaves no audit row.
	_, err = cl.Cluster.RemoveNode(t.Context(), &api.NodeRequest{Id: "nope"})
	wantKind(t, err, schema.KindNotFound)
	_, err = cl.Cluster.Transfer(t.Context(), &api.NodeRequest{Id: "nope"})
	wantKind(t, err, schema.KindNotFound)
	if to, err := cl.Cluster.Transfer(t.Context(), &api.NodeRequest{Id: "m1"}); err != nil || to.Id != "m1" {
		t.Fatalf("got %v, %v", to, err)
	}
	if _, err := cl.Cluster.RemoveNode(t.Context(), &api.NodeRequest{Id: "m3"}); err != nil {
		t.Fatal(err)
	}
	if calls := c.nodes[0].control.noted(); !slices.Equal(calls, []string{"remove m3"}) {
		t.Fatalf("the leader saw %q", calls)
	}
	audit, err := cl.Events.ListAudit(t.Context(), &api.ListAuditRequest{User: admin})
	if err != nil || len(audit.Audit) != 1 || audit.Audit[0].Op != "RemoveNode" || !slices.Equal(audit.Audit[0].Objects, []string{"manager/m3"}) {
		t.Errorf("got %v, %v", audit, err)
	}
	_, err = c.as(operator, 1).Cluster.RemoveNode(t.Context(), &api.NodeRequest{Id: "m3"})
	wantKind(t, err, schema.KindPermission)
}
