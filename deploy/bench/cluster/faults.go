package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"yagura/deploy/bench/peer"
)

// kills measures from kill -9 of the leader to the next acknowledged write.
func (b *bench) kills(ctx context.Context) error {
	var ours, theirs []time.Duration
	for range b.trials {
		d, err := b.disturbOurs(ctx, true)
		if err != nil {
			return err
		}
		ours = append(ours, d)
		if d, err = b.disturbEtcd(ctx, true); err != nil {
			return err
		}
		theirs = append(theirs, d)
	}
	b.lineSpread("kill -9 of the leader to next write", ours, theirs, "<= 0.2 (stretch 0.05)")
	return nil
}

// pauses measures from SIGSTOP of the leader to the next acknowledged write.
func (b *bench) pauses(ctx context.Context) error {
	var ours, theirs []time.Duration
	for range b.hangs {
		d, err := b.disturbOurs(ctx, false)
		if err != nil {
			return err
		}
		ours = append(ours, d)
		if d, err = b.disturbEtcd(ctx, false); err != nil {
			return err
		}
		theirs = append(theirs, d)
	}
	b.lineSpread("SIGSTOP of the leader to next write", ours, theirs, "<= 1.0")
	return nil
}

func (b *bench) lineSpread(what string, ours, theirs []time.Duration, goal string) {
	om, ow := peer.Spread(ours)
	pm, pw := peer.Spread(theirs)
	peer.Line(what+", median", peer.MS(om).String(), peer.MS(pm).String(), float64(om)/float64(pm), goal)
	peer.Line("  worst of "+fmt.Sprint(len(ours)), peer.MS(ow).String(), peer.MS(pw).String(), float64(ow)/float64(pw), "-")
}

const writeLimit = 20 * time.Second

// disturbOurs kills or pauses the leading manager, waits for the next write on
// the others, and mends it.
func (b *bench) disturbOurs(ctx context.Context, kill bool) (time.Duration, error) {
	leader, err := b.bed.Leader(ctx)
	if err != nil {
		return 0, err
	}
	var others []int
	for i := range b.bed.Nodes {
		if i != leader {
			others = append(others, i)
		}
	}
	c, err := b.bed.Client(others...)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	put := yaguraPut(c)
	if err := put(ctx, 0); err != nil { // connected, as a client in service is
		return 0, err
	}
	name := b.bed.Nodes[leader].ID
	from := time.Now()
	sig := syscall.SIGSTOP
	if kill {
		sig = syscall.SIGKILL
	}
	if err := b.bed.Signal(name, sig); err != nil {
		return 0, err
	}
	d, err := peer.UntilWrite(ctx, from, writeLimit, put)
	if err != nil {
		return 0, err
	}
	if kill {
		if err := b.bed.StartNode(leader); err != nil {
			return 0, err
		}
	} else if err := b.bed.Signal(name, syscall.SIGCONT); err != nil {
		return 0, err
	}
	return d, b.settled(ctx)
}

// settled waits until all managers are ready with the same state.
func (b *bench) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return b.bed.Settled(ctx)
}

// disturbEtcd does the same to etcd.
func (b *bench) disturbEtcd(ctx context.Context, kill bool) (time.Duration, error) {
	leader, err := b.etcd.Leader(ctx)
	if err != nil {
		return 0, err
	}
	c, err := b.etcd.Client((leader+1)%3, (leader+2)%3)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	put := peer.EtcdPut(c)
	if err := put(ctx, 0); err != nil {
		return 0, err
	}
	from := time.Now()
	if kill {
		err = b.etcd.Kill(leader)
	} else {
		err = b.etcd.Signal(leader, syscall.SIGSTOP)
	}
	if err != nil {
		return 0, err
	}
	d, err := peer.UntilWrite(ctx, from, writeLimit, put)
	if err != nil {
		return 0, err
	}
	if kill {
		err = b.etcd.Restart(leader)
	} else {
		err = b.etcd.Signal(leader, syscall.SIGCONT)
	}
	if err != nil {
		return 0, err
	}
	peer.Pause(ctx, 3*time.Second) // until the member has caught up
	return d, nil
}
