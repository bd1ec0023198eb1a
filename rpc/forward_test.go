package rpc_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
	"yagura/rpc/client"
)

func TestWriteThroughAFollowerTellsItsIndexAndNode(t *testing.T) {
	c := start(t, 3)
	for i := range c.nodes {
		cl := c.as(admin, i)
		var r client.Reply
		ctx := client.WithReply(t.Context(), &r)
		if _, err := cl.Inventory.Arm(client.WithReason(ctx, "test"), &api.ArmRequest{Disarm: true}); err != nil {
			t.Fatal(err)
		}
		if r.Node != "m1" || r.Index == 0 || r.Index > c.log.Store().View().Index() {
			t.Fatalf("through m%d: got %+v", i+1, r)
		}
		if _, err := cl.Inventory.Arm(t.Context(), &api.ArmRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	var seen []string
	for a := range fsm.Audits.All(c.log.Store().View()) {
		if a.Op == "Arm" {
			seen = append(seen, a.Node+" "+a.User+" "+a.From+" "+a.Reason)
		}
	}
	want := []string{"m1 admin 127.0.0.1 test", "m1 admin 127.0.0.1 ", "m2 admin 127.0.0.1 test", "m2 admin 127.0.0.1 ", "m3 admin 127.0.0.1 test", "m3 admin 127.0.0.1 "}
	if len(seen) != len(want) {
		t.Fatalf("the audit trail says %q", seen)
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Fatalf("the audit trail says %q, want %q", seen, want)
		}
	}
}

func TestReadLevels(t *testing.T) {
	c := start(t, 2)
	cl := c.as(admin, 1)
	read := func(level string) (client.Reply, error) {
		var r client.Reply
		_, err := cl.Jobs.ListJobs(client.WithConsistency(client.WithReply(t.Context(), &r), level), &api.ListJobsRequest{})
		return r, err
	}
	for level, node := range map[string]string{api.Stale: "m2", api.LeaderRead: "m1", api.Linear: "m1"} {
		r, err := read(level)
		if err != nil {
			t.Fatal(err)
		}
		if r.Node != node || r.Age != 7*time.Millisecond || r.Index != c.log.Store().View().Index() {
			t.Errorf("%s: got %+v", level, r)
		}
	}
	if calls := c.nodes[0].control.noted(); len(calls) != 1 || calls[0] != "read index" {
		t.Errorf("the leader was asked for %v", calls)
	}
	if _, err := read("newest"); schema.KindOf(err) != schema.KindInvalid {
		t.Errorf("got %v", err)
	}
	c.nodes[0].control.linear = func() (uint64, error) {
		return 0, schema.Errorf(schema.KindTimeout, "cluster", "no quorum answered")
	}
	_, err := read(api.Linear)
	wantKind(t, err, schema.KindTimeout)
}

func TestReadsWaitForMinIndex(t *testing.T) {
	c := start(t, 2)
	cl := c.as(admin, 1)
	if _, err := cl.Auth.WhoAmI(t.Context(), &api.Empty{}); err != nil {
		t.Fatal(err)
	}
	next := c.log.Store().View().Index() + 1
	ctx, cancel := context.WithTimeout(client.WithMinIndex(client.WithConsistency(t.Context(), api.Stale), next), 200*time.Millisecond)
	defer cancel()
	_, err := cl.Jobs.ListJobs(ctx, &api.ListJobsRequest{})
	wantKind(t, err, schema.KindTimeout)

	done := make(chan error, 1)
	go func() {
		_, err := cl.Jobs.ListJobs(client.WithMinIndex(client.WithConsistency(t.Context(), api.Stale), next), &api.ListJobsRequest{})
		done <- err
	}()
	c.log.Do(func(tx *fsm.Tx) error {
		return fsm.SettingsTable.Put(tx, &schema.Settings{Key: schema.SettingsKey, MaxJobs: 5})
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWithoutALeaderStaleReadsWorkAndTheRestSaysSo(t *testing.T) {
	c := start(t, 2)
	conn := c.raw(1, c.ca.client(t, rpc.UserOrganization, admin))
	c.lead(-1)
	stale := metadata.AppendToOutgoingContext(t.Context(), api.KeyConsistency, api.Stale)
	if _, err := api.NewJobsClient(conn).ListJobs(stale, &api.ListJobsRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.NewClusterClient(conn).Status(t.Context(), &api.Empty{}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err := api.NewJobsClient(conn).ListJobs(t.Context(), &api.ListJobsRequest{})
	wantKind(t, apierr.FromError(err), schema.KindNoLeader)
	_, err = api.NewInventoryClient(conn).Arm(t.Context(), &api.ArmRequest{})
	wantKind(t, apierr.FromError(err), schema.KindNoLeader)
	if took := time.Since(began); took > 5*time.Second {
		t.Fatalf("that took %v", took)
	}
}

func TestWriteWithoutALeaderHasNoUnknownOutcome(t *testing.T) {
	for _, wait := range []time.Duration{50 * time.Millisecond, time.Minute} { // both shorter and longer than the caller's time
		c := start(t, 2, func(cfg *rpc.Config) { cfg.LeaderWait = wait })
		c.lead(-1)
		ctx, cancel := context.WithTimeout(client.WithReason(t.Context(), "test"), time.Second)
		defer cancel()
		_, err := c.as(admin).Inventory.Arm(ctx, &api.ArmRequest{Disarm: true})
		wantKind(t, err, schema.KindNoLeader)
	}
}

func TestCallsWaitForTheNextLeader(t *testing.T) {
	c := start(t, 2, func(cfg *rpc.Config) { cfg.LeaderWait = time.Minute })
	cl := api.NewInventoryClient(c.raw(1, c.ca.client(t, rpc.UserOrganization, admin)))
	c.lead(-1)
	done := make(chan error, 1)
	go func() {
		_, err := cl.Arm(t.Context(), &api.ArmRequest{})
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("it didn't wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	c.lead(0)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestForwardedCallLeavesALeaderThatHangs(t *testing.T) {
	c := start(t, 2, func(cfg *rpc.Config) { cfg.LeaderWait = time.Minute })
	cl := api.NewInventoryClient(c.raw(1, c.ca.client(t, rpc.UserOrganization, admin)))
	hang, hung := make(chan struct{}), make(chan struct{})
	var once sync.Once
	c.log.Fault(func(int) error {
		first := false
		once.Do(func() { first = true })
		if first {
			close(hung)
			<-hang
			return schema.Errorf(schema.KindOutcomeUnknown, "write", "leadership was lost")
		}
		return nil
	})
	done := make(chan error, 1)
	go func() {
		_, err := cl.Arm(metadata.AppendToOutgoingContext(t.Context(), api.KeyReason, "test"), &api.ArmRequest{Disarm: true})
		done <- err
	}()
	<-hung
	c.lead(1)
	close(hang)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if d := fsm.Settings(c.nodes[1].store.View()).Disarm; d == nil {
		t.Fatal("the write is missing")
	}
}

func TestCallIsForwardedOnce(t *testing.T) {
	c := start(t, 2, func(cfg *rpc.Config) { cfg.LeaderWait = 100 * time.Millisecond })
	// Each takes the other for the leader.
	for i, m := range c.nodes {
		other := c.nodes[1-i]
		m.control.set(rpc.Leader{ID: other.id, Address: other.grpc.Addr().String()})
	}
	cl := api.NewInventoryClient(c.raw(1, c.ca.client(t, rpc.UserOrganization, admin)))
	_, err := cl.Arm(t.Context(), &api.ArmRequest{})
	wantKind(t, apierr.FromError(err), schema.KindNoLeader)
}

func TestRequestIDIsAppliedOnce(t *testing.T) {
	c := start(t, 2)
	c.log.Do(func(tx *fsm.Tx) error {
		return fsm.Categories.Put(tx, &schema.Category{Path: "shop"})
	})
	cl := c.as(admin)
	ctx := client.WithRequestID(t.Context(), "one")
	first, err := cl.Inventory.Arm(client.WithReason(ctx, "because"), &api.ArmRequest{Disarm: true, Category: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Inventory.Arm(t.Context(), &api.ArmRequest{Category: "shop"}); err != nil {
		t.Fatal(err)
	}
	again, err := c.as(admin, 1).Inventory.Arm(client.WithReason(ctx, "because"), &api.ArmRequest{Disarm: true, Category: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if again.State != first.State {
		t.Fatalf("the stored answer is %v, the first was %v", again, first)
	}
	if cat, _ := fsm.Categories.Get(c.log.Store().View(), "shop"); cat.Disarm != nil {
		t.Fatal("the write was applied twice")
	}
	_, err = cl.Inventory.Unset(ctx, &api.UnsetRequest{Kind: "Category", Name: "shop"})
	wantKind(t, err, schema.KindConflict)
}

func TestLostAnswerIsAskedForAgain(t *testing.T) {
	c := start(t, 2)
	cl := c.as(admin, 1)
	if _, err := cl.Auth.WhoAmI(t.Context(), &api.Empty{}); err != nil {
		t.Fatal(err)
	}
	// The first entry is applied by nobody, and its proposer can't tell.
	c.log.Fault(func(n int) error {
		if n == 1 {
			return schema.Errorf(schema.KindOutcomeUnknown, "write", "leadership was lost")
		}
		return nil
	})
	if _, err := cl.Inventory.Arm(client.WithReason(t.Context(), "test"), &api.ArmRequest{Disarm: true}); err != nil {
		t.Fatal(err)
	}
}

func TestTransferAnswersAlthoughItEndsTheReign(t *testing.T) {
	c := start(t, 3)
	c.nodes[0].control.transfer = func() { c.lead(1) }
	for _, i := range []int{2, 0} { // through a follower, and at the leader itself
		c.lead(0)
		r, err := c.as(admin, i).Cluster.Transfer(t.Context(), &api.NodeRequest{})
		if err != nil || r.Id != "m2" {
			t.Fatalf("through m%d: got %v, %v", i+1, r, err)
		}
	}
	if calls := c.nodes[0].control.noted(); len(calls) != 2 {
		t.Fatalf("the leader saw %v", calls)
	}
}

func TestUnknownFieldsAreRefused(t *testing.T) {
	c := start(t, 2)
	cl := api.NewInventoryClient(c.raw(1, c.ca.client(t, rpc.UserOrganization, admin)))
	extra := protowire.AppendVarint(protowire.AppendTag(nil, 77, protowire.VarintType), 1)
	doc := &api.Document{Kind: "Category", Name: "a"}
	doc.ProtoReflect().SetUnknown(extra)
	_, err := cl.Apply(t.Context(), &api.ApplyRequest{Documents: []*api.Document{{Kind: "Category", Name: "b"}, doc}})
	wantKind(t, apierr.FromError(err), schema.KindInvalid)
	var e *schema.Error
	if !errors.As(apierr.FromError(err), &e) || e.Object != "Document" || e.Msg != "unknown field 77" || e.Hint == "" {
		t.Fatalf("got %#v", e)
	}
	req := &api.JobRequest{Id: "1"}
	req.ProtoReflect().SetUnknown(extra)
	for i := range 2 {
		s, err := api.NewJobsClient(c.raw(i, c.ca.client(t, rpc.UserOrganization, admin))).WatchJob(t.Context(), req)
		if err == nil {
			_, err = s.Recv()
		}
		wantKind(t, apierr.FromError(err), schema.KindInvalid)
	}
}

func TestPanicsAreContained(t *testing.T) {
	c := start(t, 1)
	c.nodes[0].control.linear = func() (uint64, error) { panic("boom") }
	conn := c.raw(0, c.ca.client(t, rpc.UserOrganization, admin))
	ctx := metadata.AppendToOutgoingContext(t.Context(), api.KeyConsistency, api.Linear)
	_, err := api.NewJobsClient(conn).ListJobs(ctx, &api.ListJobsRequest{})
	wantKind(t, apierr.FromError(err), schema.KindInternal)
	if _, err := api.NewJobsClient(conn).ListJobs(t.Context(), &api.ListJobsRequest{}); err != nil {
		t.Fatal(err)
	}
}

func TestOversizedRequestIsRefused(t *testing.T) {
	c := start(t, 1)
	conn := c.raw(0, c.ca.client(t, rpc.UserOrganization, admin))
	_, err := api.NewJobsClient(conn).GetJob(t.Context(), &api.JobRequest{Id: string(make([]byte, api.MaxRequest+1))}, grpc.MaxCallSendMsgSize(2*api.MaxRequest))
	wantKind(t, apierr.FromError(err), schema.KindTooLarge)
	ctx := metadata.AppendToOutgoingContext(t.Context(), api.KeyRequestID, strings.Repeat("x", api.MaxRequestID+1))
	_, err = api.NewInventoryClient(conn).Arm(ctx, &api.ArmRequest{})
	wantKind(t, apierr.FromError(err), schema.KindInvalid)
}
