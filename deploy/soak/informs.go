package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"yagura/deploy/bench/trapload"
	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

const (
	informRate  = 500              // a second, over all sinks
	killEvery   = 10 * time.Second // the leader
	faultEvery  = informRate       // each so manieth inform is a fault that leads to a job: one a second
	informGroup = "web"            // the faults are about its machines
	plainEvent  = "0x800002BD"     // no policy knows it
	eventPage   = 5000
)

// informsUnderKills sends informs to all three sinks while the leader is killed
// and started again all the time. In the end each inform that was answered has
// one row, counted once however often it was sent, and each of those that a
// policy knows has led to one job. One that its sender has given up has at most one.
func informsUnderKills(ctx context.Context, s *soak) error {
	hosts, err := s.faultHosts(ctx)
	if err != nil {
		return err
	}
	if err := s.informPolicy(ctx, len(hosts)); err != nil {
		return err
	}
	last, err := api.NewEventsClient(s.client).ListEvents(ctx, &api.ListEventsRequest{Limit: 1})
	if err != nil {
		return err
	}
	after := "0"
	if n := len(last.Events); n > 0 {
		after = last.Events[n-1].Id
	}
	load, err := newInformLoad(s.bed, hosts)
	if err != nil {
		return err
	}
	defer load.close()
	loading, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan error, 1)
	go func() {
		_, err := trapload.Paced(loading, informRate, s.informs, load.next)
		ended <- err
	}()
	kills, err := s.killLeaders(ctx, s.informs)
	if err != nil {
		end()
	}
	if err = errors.Join(err, <-ended); err != nil {
		return err
	}
	if err := until(ctx, time.Minute, "not every inform is answered or given up", func(context.Context) (bool, error) {
		if n := load.waiting(); n > 0 {
			return false, fmt.Errorf("%d wait", n)
		}
		return true, nil
	}); err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	sent := load.results()
	if !slices.ContainsFunc(sent, func(r result) bool { return r.took > 0 }) {
		return errors.New("no inform was answered")
	}
	fmt.Printf("%d informs in %v, leader killed %d times: %s\n", len(sent), s.informs, kills, delays(sent))
	return s.onceEach(ctx, after, sent)
}

// killLeaders kills the leader again and again for d and starts it at once.
func (s *soak) killLeaders(ctx context.Context, d time.Duration) (kills int, err error) {
	tick := time.NewTicker(killEvery)
	defer tick.Stop()
	over := time.After(d - killEvery/2)
	for {
		select {
		case <-ctx.Done():
			return kills, ctx.Err()
		case <-over:
			return kills, nil
		case <-tick.C:
		}
		one, cancel := context.WithTimeout(ctx, killEvery)
		i, err := s.bed.Leader(one)
		if err == nil {
			err = s.bed.Kill(one, s.bed.Nodes[i].ID)
		}
		cancel()
		if err == nil {
			err = s.bed.StartNode(i)
		}
		if err != nil {
			return kills, err
		}
		kills++
	}
}

// faultHosts are the hosts of the group whose machines are on.
func (s *soak) faultHosts(ctx context.Context) (hosts []string, err error) {
	machines, err := api.NewInventoryClient(s.client).GroupMachines(ctx, &api.GroupRequest{Group: informGroup})
	for _, m := range machines.GetRunning() {
		if m.Power == schema.PowerOn {
			hosts = append(hosts, m.Host)
		}
	}
	if err == nil && len(hosts) == 0 {
		err = fmt.Errorf("no machine of group %s is on", informGroup)
	}
	return hosts, err
}

// faultID is the event of the n-th fault. Each event is used once for each
// host, so that none is counted into an earlier one.
func faultID(n, hosts int) string { return fmt.Sprintf("0xC01%05X", n/hosts) }

// informPolicy sets the policy that knows the faults, and limits that are out
// of the way. Starting a machine that is on is the quickest job.
func (s *soak) informPolicy(ctx context.Context, hosts int) error {
	informs := informRate * (int(s.informs.Seconds()) + 1)
	if err := s.apply(ctx, "Settings", "cluster", map[string]any{"max_events": 10 * informs, "brake_jobs": 1000, "brake_jobs_per_group": 1000}); err != nil {
		return err
	}
	var rules []any
	for n := 0; n <= informs/faultEvery; n += hosts {
		id := faultID(n, hosts)
		rules = append(rules, map[string]any{"name": id, "notifier": schema.NotifierESMPRO, "selector": "ESMDSVNT[" + id + "]", "actions": []any{"start-machine"}})
	}
	if err := s.apply(ctx, "Policy", "informs", map[string]any{"rules": rules}); err != nil {
		return err
	}
	return s.apply(ctx, "Group", informGroup, map[string]any{"policy": "informs"})
}

// about is what an event is known by here.
type about struct{ event, target string }

// onceEach wants one event for each inform, no other, and one job for each fault.
func (s *soak) onceEach(ctx context.Context, after string, sent []result) error {
	rows := map[about]*schema.Event{}
	read := func(ctx context.Context) error {
		clear(rows)
		for from := after; ; {
			reply, err := api.NewEventsClient(s.client).ListEvents(client.WithConsistency(ctx, api.Linear), &api.ListEventsRequest{After: from, Limit: eventPage, Notifier: schema.NotifierESMPRO})
			if err != nil {
				return err
			}
			for _, e := range reply.Events {
				k := about{e.EventId, e.TargetHint}
				if old := rows[k]; old != nil {
					return fmt.Errorf("events %s and %s are both %s about %s", old.Id, e.Id, e.EventId, e.TargetHint)
				}
				rows[k] = e
			}
			if len(reply.Events) < eventPage {
				return nil
			}
			from = reply.Events[eventPage-1].Id
		}
	}
	if err := until(ctx, 30*time.Second, "not every event is decided on", func(ctx context.Context) (bool, error) {
		err := read(ctx)
		for k, e := range rows {
			if e.State != schema.EventHandled && err == nil {
				err = fmt.Errorf("event %s, %s about %s, is %s", e.Id, k.event, k.target, e.State)
			}
		}
		return err == nil, err
	}); err != nil {
		return err
	}
	jobs, err := s.jobsByEvent(ctx)
	if err != nil {
		return err
	}
	var found, transmissions, faults int
	for _, r := range sent {
		e := rows[r.about]
		if e == nil && r.took == 0 {
			continue
		}
		if e == nil {
			return fmt.Errorf("the answered inform %s about %s is lost", r.about.event, r.about.target)
		}
		delete(rows, r.about)
		if e.Count != 1 {
			return fmt.Errorf("event %s is counted %d times, its inform was sent %d times", e.Id, e.Count, r.tries)
		}
		found++
		transmissions += r.tries
		want := 0
		if r.fault {
			faults++
			want = 1
		}
		if len(jobs[e.Id]) != want || len(e.Jobs) != want || want == 1 && e.Jobs[0] != jobs[e.Id][0] {
			return fmt.Errorf("event %s, %s about %s, led to jobs %v and names %v, want %d; its decision is %s: %s",
				e.Id, r.about.event, r.about.target, jobs[e.Id], e.Jobs, want, e.Decision, e.Reason)
		}
	}
	for _, e := range rows {
		return fmt.Errorf("event %s, %s about %s, was never sent", e.Id, e.EventId, e.TargetHint)
	}
	fmt.Printf("  each is one event: %d rows, each counted once, of %d transmissions; each of %d faults made one job\n", found, transmissions, faults)
	return nil
}

// jobsByEvent are the ids of the jobs that each event has led to.
func (s *soak) jobsByEvent(ctx context.Context) (map[string][]string, error) {
	jobs, err := s.jobs(ctx)
	out := map[string][]string{}
	for id, j := range jobs {
		if j.Event != "" && j.Parent == "" {
			out[j.Event] = append(out[j.Event], id)
		}
	}
	return out, err
}

// delays tells how long answers took, from the first transmission.
func delays(sent []result) string {
	var all []time.Duration
	again := 0
	for _, r := range sent {
		if r.took > 0 {
			all = append(all, r.took)
		}
		if r.tries > 1 {
			again++
		}
	}
	slices.Sort(all)
	return fmt.Sprintf("%d answered, median %v, 99 %% within %v, worst %v; %d were sent more than once",
		len(all), all[len(all)/2].Round(10*time.Microsecond), all[len(all)*99/100].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond), again)
}
