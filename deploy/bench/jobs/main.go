// Command jobs measures what the controller itself costs a job: replacements
// of physical machines, 15 steps each, run by three managers with real Raft on
// disk against a simulated world whose effects take no time. All that a step
// takes then is ours: locks, durable intent, the call's way, the durable end.
// Beside it, in the same run, etcd's put: a step is two such commits at least.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"yagura/deploy/bench/peer"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node"
	"yagura/node/nodetest"
)

func main() {
	testing.Init()
	flag.Parse()
	dir, err := os.MkdirTemp("", "yagura-bench-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-jobs:", err)
		os.Exit(1)
	}
	defer os.RemoveAll(dir)
	fmt.Printf("bench-jobs: %d cores, %s\n\n", runtime.NumCPU(), runtime.Version())
	for _, n := range []int{1, 10, 100} {
		var failed error
		testing.Benchmark(func(b *testing.B) {
			if failed == nil && b.N == 1 {
				failed = measure(b, n)
			}
		})
		if failed == nil {
			failed = besides(dir, n)
		}
		if failed != nil {
			fmt.Fprintln(os.Stderr, "bench-jobs:", failed)
			os.Exit(1)
		}
	}
}

// goal is the median overhead of a step with 100 replacements side by side.
const goal = 50 * time.Millisecond

// measure runs n replacements side by side.
func measure(b *testing.B, n int) error {
	w := world(n)
	c := nodetest.New(b, 3, func(_ int, cfg *node.Config) {
		cfg.Drivers = func(*fsm.Store) node.DriverSource { return clients{w} }
		cfg.Log = slog.New(slog.DiscardHandler)
	})
	c.WaitReady()
	c.Update("inventory", func(tx *fsm.Tx) error { return rows(tx, n) })
	begin := time.Now()
	c.Update("replace", func(tx *fsm.Tx) error {
		for i := range n {
			if _, err := fsm.RequestReplace(tx, group(i), host(i)); err != nil {
				return err
			}
		}
		return nil
	})
	store := c.Node(c.WaitLeader()).Store()
	if err := ended(store); err != nil {
		return err
	}
	took := time.Since(begin)
	steps, jobs, err := durations(store)
	if err != nil {
		return err
	}
	if err := replaced(w, store, n); err != nil {
		return err
	}
	sm, sw := peer.Spread(steps)
	jm, jw := peer.Spread(jobs)
	slices.Sort(steps)
	fmt.Printf("%3d replacements side by side: overhead a step median %v, p99 %v, worst %v", n, peer.MS(sm), peer.MS(steps[len(steps)*99/100]), peer.MS(sw))
	if n == 100 {
		fmt.Printf(" (goal: median below %v)", goal)
	}
	fmt.Printf("\n    a whole job median %v, worst %v; all in %v, %.0f steps/s\n", peer.MS(jm), peer.MS(jw), took.Round(time.Millisecond), float64(len(steps))/took.Seconds())
	return nil
}

// ended waits until no job is live.
func ended(store *fsm.Store) error {
	limit := time.After(2 * time.Minute)
	for {
		changed := store.Watch(fsm.Jobs)
		if len(fsm.LiveJobs(store.View())) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-limit:
			return errors.New("the jobs don't end")
		}
	}
}

// durations are how long each step took since the end of the one before it,
// and each job.
func durations(store *fsm.Store) (steps, jobs []time.Duration, err error) {
	v := store.View()
	for j := range fsm.Jobs.All(v) {
		if j.State != schema.JobSucceeded {
			return nil, nil, fmt.Errorf("job %s %s: %s", j.Id, j.State, j.Error)
		}
		jobs = append(jobs, j.Ended.AsTime().Sub(j.Started.AsTime()))
		last := j.Started.AsTime()
		for _, s := range fsm.StepsOf(v, j.Id) {
			if s.State == schema.StepSkipped {
				continue
			}
			steps = append(steps, s.Ended.AsTime().Sub(last))
			last = s.Ended.AsTime()
		}
	}
	return steps, jobs, nil
}

// replaced holds that each pool machine has taken its group's place, and that
// nothing was done twice.
func replaced(w *fake.World, store *fsm.Store, n int) error {
	v := store.View()
	for i := range n {
		if m, _ := fsm.Machines.Get(v, machine("b", i)); m.GetHost() != host(i) {
			return fmt.Errorf("%s doesn't run on %s", host(i), machine("b", i))
		}
	}
	if again := w.Repeated(); len(again) > 0 {
		return fmt.Errorf("%d effects took place twice, such as %s of %s", len(again), again[0].Op, again[0].Object)
	}
	if bad := w.Violations(); len(bad) > 0 {
		return errors.New(bad[0])
	}
	return nil
}

// besides measures etcd's puts by as many writers.
func besides(dir string, writers int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp(dir, "etcd")
	if err != nil {
		return err
	}
	e, err := peer.StartEtcd(ctx, dir)
	if err != nil {
		return err
	}
	defer e.Stop()
	leader, err := e.Leader(ctx)
	if err != nil {
		return err
	}
	c, err := e.Client(leader)
	if err != nil {
		return err
	}
	defer c.Close()
	r := peer.Load(ctx, writers, 2*time.Second, peer.EtcdPut(c))
	fmt.Printf("    beside it: etcd's put by %d writers, median %v; a step is two commits\n", writers, peer.MS(r.P50))
	return nil
}
