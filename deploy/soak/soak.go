package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"yagura/deploy/testbed"
	"yagura/drivers/sim"
	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// soak is the cluster under test.
type soak struct {
	bin, dir string
	trials   int
	pause    time.Duration
	informs  time.Duration

	bed    *testbed.Bed
	sim    *sim.Client
	client *client.Client

	acked sync.Map // name of each category whose write was acknowledged
}

// start starts managers and simulated datacenter and loads the demo.
func (s *soak) start(ctx context.Context) error {
	var err error
	if s.bed, err = testbed.New(s.dir, filepath.Join(s.bin, "pvmd"), 3, 11); err != nil {
		return err
	}
	s.bed.FirstUID = 20001
	if err := os.RemoveAll(s.bed.Dir); err != nil {
		return err
	}
	if err := s.bed.Prepare(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.bed.StartSim(); err != nil {
		return err
	}
	for i := range s.bed.Nodes {
		if err := s.bed.StartNode(i); err != nil {
			return err
		}
	}
	if _, err := s.bed.AwaitSim(ctx); err != nil {
		return err
	}
	if _, err := s.bed.Leader(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, s.bed.LogTail("node1", 5))
	}
	if err := s.bed.LoadDemo(ctx, os.Stdout); err != nil {
		return err
	}
	if s.sim, err = sim.Dial(s.bed.Dir); err != nil {
		return err
	}
	s.client, err = s.bed.Client()
	return err
}

func (s *soak) stop() {
	if s.client != nil {
		s.client.Close()
	}
	s.bed.StopAll()
}

// until asks cond every 50 ms until it says yes, with a bound.
func until(ctx context.Context, limit time.Duration, what string, cond func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		ok, err := cond(ctx)
		if err == nil && ok {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("within %v: %s", limit, what), last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// write writes one category and remembers it once it is acknowledged.
func (s *soak) write(ctx context.Context, c *client.Client, name string) error {
	_, err := api.NewInventoryClient(c).Apply(ctx, &api.ApplyRequest{Documents: []*api.Document{{
		Kind: "Category", Name: name, Spec: &structpb.Struct{},
	}}})
	if err == nil {
		s.acked.Store(name, true)
	}
	return err
}

// writer writes until stop is called, which gives how many were acknowledged.
func (s *soak) writer(ctx context.Context, prefix string) (stop func() (acked, failed int)) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan [2]int, 1)
	go func() {
		var n [2]int
		for i := 0; ctx.Err() == nil; i++ {
			one, end := context.WithTimeout(ctx, 10*time.Second)
			if s.write(one, s.client, fmt.Sprintf("%s-%05d", prefix, i)) == nil {
				n[0]++
			} else if ctx.Err() == nil {
				n[1]++
			}
			end()
		}
		done <- n
	}()
	return func() (int, int) {
		cancel()
		n := <-done
		return n[0], n[1]
	}
}

// check looks at what must hold at the end of each campaign: no acknowledged
// write is lost, all replicas are equal, no effect happened twice.
func (s *soak) check(ctx context.Context) error {
	if err := s.settled(ctx); err != nil {
		return err
	}
	reply, err := api.NewInventoryClient(s.client).List(client.WithConsistency(ctx, api.Linear), &api.ListRequest{Kind: "Category"})
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, o := range reply.Objects {
		there[o.Name] = true
	}
	lost := 0
	s.acked.Range(func(name, _ any) bool {
		if !there[name.(string)] {
			lost++
			err = fmt.Errorf("the acknowledged write of %v is lost", name)
		}
		return true
	})
	if lost > 0 {
		return fmt.Errorf("%w, one of %d", err, lost)
	}
	return nil
}

// settled waits until all managers run, are ready, and hold the same state.
func (s *soak) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return s.bed.Settled(ctx)
}

// fault is one way to take a manager away and to give it back.
type fault struct {
	name       string
	do, mend   func(ctx context.Context, s *soak, i int) error
	lastsPause bool // it lasts for the pause; otherwise it is mended once all is well
}

var faults = []fault{
	{"kill -9", func(ctx context.Context, s *soak, i int) error { return s.bed.Kill(ctx, s.bed.Nodes[i].ID) },
		func(_ context.Context, s *soak, i int) error { return s.bed.StartNode(i) }, false},
	{"SIGSTOP", func(_ context.Context, s *soak, i int) error { return s.bed.Signal(s.bed.Nodes[i].ID, syscall.SIGSTOP) },
		func(_ context.Context, s *soak, i int) error { return s.bed.Signal(s.bed.Nodes[i].ID, syscall.SIGCONT) }, true},
	{"cut off", func(_ context.Context, s *soak, i int) error { return s.cut(i, "-A") },
		func(_ context.Context, s *soak, i int) error { return s.cut(i, "-D") }, true},
}

// cut drops (-A) or lets pass again (-D) all packets between manager i and the
// other two, TCP and UDP. The simulated datacenter and clients still reach it.
func (s *soak) cut(i int, op string) error {
	for j := range s.bed.Nodes {
		if j == i {
			continue
		}
		for _, rule := range [][2]int{{i, j}, {j, i}} {
			from, to := s.bed.FirstUID+rule[0], s.bed.Nodes[rule[1]].IP
			if err := command("iptables", op, "OUTPUT", "-m", "owner", "--uid-owner", fmt.Sprint(from), "-d", to, "-j", "DROP"); err != nil {
				return err
			}
		}
	}
	return nil
}

// noLeader tells whether an error says that nothing was written for want of a leader.
func noLeader(err error) bool {
	k := schema.KindOf(err)
	return k == schema.KindNoLeader || k == schema.KindOutcomeUnknown || k == schema.KindTimeout
}
