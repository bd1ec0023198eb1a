package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/gosnmp/gosnmp"
	"google.golang.org/protobuf/types/known/structpb"

	"yagura/deploy/bench/peer"
	"yagura/deploy/bench/trapload"
	"yagura/deploy/testbed"
	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// world is a cluster with the demo's simulated datacenter, and a policy that
// starts a quick job on each of some events.
type world struct {
	bed    *testbed.Bed
	client *client.Client
	sinks  []string
	leader int
	hosts  []string // of the machines that faults are about
	storm  string   // host of the machine that the storm is about, none of hosts
}

const (
	benchPolicy = "bench"
	benchGroup  = "web"
	// faultIDs are as many events as the policy knows: each is used once, so that
	// none is counted into another.
	faultIDs = 64
	// stormID is the event of the storm, a warning.
	stormID = "0x800002BD"
)

// faultID is the i-th event that leads to a job.
func faultID(i int) string { return fmt.Sprintf("0xC01000%02X", i%faultIDs) }

// startWorld starts managers and datacenter on loopback addresses of their own.
func startWorld(ctx context.Context, bin, dir string) (w *world, err error) {
	w = &world{}
	if w.bed, err = testbed.New(dir, filepath.Join(bin, "pvmd"), 3, 11); err != nil {
		return nil, err
	}
	w.bed.Extra = unlimited
	if err := w.bed.Prepare(); err != nil {
		return w, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := w.bed.StartSim(); err != nil {
		return w, err
	}
	for i, n := range w.bed.Nodes {
		if err := w.bed.StartNode(i); err != nil {
			return w, err
		}
		w.sinks = append(w.sinks, n.Trap())
	}
	if w.leader, err = w.bed.Leader(ctx); err != nil {
		return w, fmt.Errorf("%w\n%s", err, w.bed.LogTail("node1", 5))
	}
	if err := w.bed.LoadDemo(ctx, io.Discard); err != nil {
		return w, err
	}
	if w.client, err = w.bed.Client(); err != nil {
		return w, err
	}
	if err := w.setPolicy(ctx); err != nil {
		return w, err
	}
	machines, err := api.NewInventoryClient(w.client).GroupMachines(ctx, &api.GroupRequest{Group: benchGroup})
	if err != nil {
		return w, err
	}
	for _, m := range machines.Running {
		if m.Power == schema.PowerOn {
			w.hosts = append(w.hosts, m.Host)
		}
	}
	last := len(w.hosts) - 1
	if last < 1 {
		return w, fmt.Errorf("fewer than two machines of group %s are on", benchGroup)
	}
	w.hosts, w.storm = w.hosts[:last], w.hosts[last]
	return w, nil
}

func (w *world) stop() {
	if w.client != nil {
		w.client.Close()
	}
	w.bed.StopAll()
}

// setPolicy sets the policy: each fault starts a job, and those among the storm
// and the storm itself are told of, too. Starting a machine that is on is the quickest job.
func (w *world) setPolicy(ctx context.Context) error {
	rules := []any{map[string]any{"name": "storm", "notifier": schema.NotifierESMPRO, "selector": "ESMDSVNT[" + stormID + "]", "actions": []any{"notify"}}}
	for i := range faultIDs {
		actions := []any{"start-machine"}
		if i >= reactions {
			actions = []any{"notify", "start-machine"}
		}
		rules = append(rules, map[string]any{
			"name": faultID(i), "notifier": schema.NotifierESMPRO, "selector": "ESMDSVNT[" + faultID(i) + "]", "actions": actions,
		})
	}
	policy, err := structpb.NewStruct(map[string]any{"rules": rules})
	if err != nil {
		return err
	}
	group, err := structpb.NewStruct(map[string]any{"policy": benchPolicy})
	if err != nil {
		return err
	}
	_, err = api.NewInventoryClient(w.client).Apply(ctx, &api.ApplyRequest{Documents: []*api.Document{
		{Kind: "Policy", Name: benchPolicy, Spec: policy}, {Kind: "Group", Name: benchGroup, Spec: group},
	}})
	return err
}

// events are the events of the sinks about the machines of a group, all for an
// empty name, oldest first.
func (w *world) events(ctx context.Context, group string) ([]*schema.Event, error) {
	r, err := api.NewEventsClient(w.client).ListEvents(ctx, &api.ListEventsRequest{Notifier: schema.NotifierESMPRO, Group: group})
	return r.GetEvents(), err
}

// begun waits until an event's job has ended, and gives the time from the
// arrival of the event to the beginning of the job's first step, by the times in
// the rows.
func (w *world) begun(ctx context.Context, id string, limit time.Duration) (time.Duration, error) {
	last := errors.New("no such event was recorded")
	for end := time.Now().Add(limit); time.Now().Before(end) && ctx.Err() == nil; peer.Pause(ctx, 100*time.Millisecond) {
		all, err := w.events(ctx, benchGroup)
		if err != nil {
			last = err
			continue
		}
		i := slices.IndexFunc(all, func(e *schema.Event) bool { return e.EventId == id })
		if i < 0 {
			continue
		}
		e := all[i]
		if len(e.Jobs) == 0 {
			last = fmt.Errorf("it is %s, decision %q: %s", e.State, e.Decision, e.Reason)
			continue
		}
		j, err := api.NewJobsClient(w.client).GetJob(ctx, &api.JobRequest{Id: e.Jobs[0]})
		if err != nil {
			last = err
			continue
		}
		last = fmt.Errorf("job %s is %s", j.Job.Id, j.Job.State)
		if schema.JobEnded(j.Job.State) && len(j.Steps) > 0 && j.Steps[0].Started != nil {
			return j.Steps[0].Started.AsTime().Sub(e.Received.AsTime()), nil
		}
	}
	return 0, fmt.Errorf("event %s led to no step within %v: %w", id, limit, last)
}

// fault encodes a notification of the i-th event that leads to a job.
func (w *world) fault(kind gosnmp.PDUType, i int) ([]byte, error) {
	return trapload.Encode(kind, trapload.FirstID+uint32(i), faultID(i), w.hosts[i%len(w.hosts)])
}
