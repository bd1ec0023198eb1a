package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// job puts a job in this state.
func (c *cluster) job(state string, progress int32) {
	c.t.Helper()
	c.log.Do(func(tx *fsm.Tx) error {
		return fsm.Jobs.Put(tx, &schema.Job{Id: "00001", Sequence: "StartupMachine", State: state, Progress: progress})
	})
}

func TestWatchJobSeesItsEnd(t *testing.T) {
	c := start(t, 2)
	c.job(schema.JobQueued, 0)
	for i := range 2 {
		var states []string
		err := c.as(observer, i).WatchJob(t.Context(), "1", func(info *api.JobInfo) error {
			states = append(states, info.Job.State)
			switch info.Job.State {
			case schema.JobQueued:
				c.job(schema.JobRunning, 50)
			case schema.JobRunning:
				c.job(schema.JobSucceeded, 100)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{schema.JobQueued, schema.JobRunning, schema.JobSucceeded}; !slices.Equal(states, want) {
			t.Fatalf("saw %v, want %v", states, want)
		}
		c.job(schema.JobQueued, 0)
	}
}

func TestWatchJobErrors(t *testing.T) {
	c := start(t, 2)
	cl := c.as(observer, 1)
	wantKind(t, cl.WatchJob(t.Context(), "77", func(*api.JobInfo) error { return nil }), schema.KindNotFound)
	c.job(schema.JobRunning, 1)
	own := errors.New("enough")
	if err := cl.WatchJob(t.Context(), "1", func(*api.JobInfo) error { return own }); err != own {
		t.Fatalf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := cl.WatchJob(ctx, "1", func(*api.JobInfo) error { cancel(); return nil })
	wantKind(t, err, schema.KindCancelled)
}

func TestWatchGoesOnWhenManagersDie(t *testing.T) {
	c := start(t, 3)
	c.job(schema.JobRunning, 0)
	cl := c.as(observer, 1, 2, 0)
	progress := make(chan int32, 100)
	done := make(chan error, 1)
	go func() {
		done <- cl.WatchJob(t.Context(), "1", func(info *api.JobInfo) error {
			progress <- info.Job.Progress
			return nil
		})
	}()
	await := func(want int32) {
		t.Helper()
		for deadline := time.After(10 * time.Second); ; {
			select {
			case got := <-progress:
				if got == want {
					return
				}
			case err := <-done:
				t.Fatalf("the watch ended: %v", err)
			case <-deadline:
				t.Fatalf("progress %d was never seen", want)
			}
		}
	}
	await(0)
	c.nodes[1].kill() // the manager that the client talks to
	c.job(schema.JobRunning, 10)
	await(10)
	c.lead(2) // the leader changes
	c.job(schema.JobRunning, 20)
	await(20)
	c.nodes[0].kill() // and the old one dies
	c.job(schema.JobRunning, 30)
	await(30)
	c.job(schema.JobSucceeded, 100)
	await(100)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWatchEventsGoesOnBehindTheLastOneSeen(t *testing.T) {
	c := start(t, 2)
	event := func(id, state string) {
		c.log.Do(func(tx *fsm.Tx) error {
			return fsm.Events.Put(tx, &schema.Event{Id: id, Notifier: schema.NotifierSNMP, State: state})
		})
	}
	event("1", schema.EventHandled)
	event("2", schema.EventNew)
	var seen []string
	stop := errors.New("stop")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := c.as(observer, 1, 0).WatchEvents(ctx, &api.ListEventsRequest{After: "1"}, func(e *schema.Event) error {
		seen = append(seen, e.Id+" "+e.State)
		switch len(seen) {
		case 1:
			event("9", schema.EventHandled)
		case 2:
			c.nodes[1].kill()
			event("2", schema.EventWaiting) // it was new when it was seen
			event("10", schema.EventHandled)
		case 4:
			event("2", schema.EventHandled)
		case 5:
			return stop
		}
		return nil
	})
	want := []string{"2 new", "9 handled", "2 waiting", "10 handled", "2 handled"}
	if err != stop || !slices.Equal(seen, want) {
		t.Fatalf("saw %q, %v, want %q", seen, err, want)
	}
}

func TestSnapshotTravelsWhole(t *testing.T) {
	c := start(t, 2)
	for i := range 2 {
		cl := c.as(admin, i)
		var got bytes.Buffer
		if err := cl.SaveSnapshot(t.Context(), &got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), snapshotText) {
			t.Fatalf("got %d bytes, want %d", got.Len(), len(snapshotText))
		}
		if err := cl.RestoreSnapshot(t.Context(), &got); err != nil {
			t.Fatal(err)
		}
		wantKind(t, cl.RestoreSnapshot(t.Context(), &got), schema.KindCorrupt)
		wantKind(t, c.as(operator, i).RestoreSnapshot(t.Context(), bytes.NewReader(snapshotText)), schema.KindPermission)
	}
	if calls := c.nodes[0].control.noted(); len(calls) != 4 {
		t.Fatalf("the leader saw %v", calls)
	}
}

func TestClientSurvivesTheLossOfAnyManager(t *testing.T) {
	c := start(t, 3)
	cl := c.as(admin)
	arm := func() {
		t.Helper()
		if _, err := cl.Inventory.Arm(client.WithReason(t.Context(), "test"), &api.ArmRequest{Disarm: true}); err != nil {
			t.Fatal(err)
		}
	}
	arm()
	c.lead(1)
	arm()
	c.nodes[0].kill()
	arm()
	c.lead(2)
	c.nodes[1].kill()
	arm()
	c.nodes[2].kill()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := cl.Inventory.Arm(ctx, &api.ArmRequest{})
	if k := schema.KindOf(err); k != schema.KindUnavailable && k != schema.KindOutcomeUnknown {
		t.Fatalf("got %v", err)
	}
}
