// Command cluster measures a cluster of three managers side by side with etcd
// 3.4, in one run on one machine: three members each on loopback, data on the
// same disk, clients in this process. All writes of ours go through the public
// API with authentication, audit and the whole configuration database.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"yagura/deploy/bench/peer"
	"yagura/deploy/testbed"
	"yagura/rpc/client"
)

func main() {
	bin := flag.String("bin", "bin", "directory of pvmd and pvmutl")
	seconds := flag.Int("seconds", 10, "length of each load, seconds")
	trials := flag.Int("trials", 10, "kills of a leader")
	hangs := flag.Int("hangs", 3, "pauses of a leader")
	busy := flag.Int("busy", 120, "length of the full load that must see no election, seconds")
	machines := flag.Int("machines", 10000, "machines of the memory and read figures")
	dir := flag.String("dir", "", "directory for data (default: a temporary one)")
	only := flag.String("parts", "", "parts to run, separated by commas: writes, kills, hangs, transfers, elections, memory (default: all)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	b := &bench{bin: *bin, d: time.Duration(*seconds) * time.Second, trials: *trials, hangs: *hangs, busy: time.Duration(*busy) * time.Second, machines: *machines}
	if err := b.run(ctx, *dir, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench-cluster:", err)
		os.Exit(1)
	}
}

type bench struct {
	bin           string
	d, busy       time.Duration
	trials, hangs int
	machines      int
	bed           *testbed.Bed
	etcd          *peer.Etcd
}

func (b *bench) run(ctx context.Context, dir, only string) (err error) {
	parts, err := b.parts(only)
	if err != nil {
		return err
	}
	if dir == "" {
		dir, err = os.MkdirTemp("", "yagura-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	fmt.Printf("bench-cluster: %d cores, %s, data under %s\n\n", runtime.NumCPU(), runtime.Version(), dir)
	ours := filepath.Join(dir, "yagura")
	if b.bed, err = peer.StartYagura(ctx, b.bin, ours, ""); b.bed != nil {
		defer b.bed.StopAll()
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, b.bed.LogTail("node1", 5))
	}
	if b.etcd, err = peer.StartEtcd(ctx, dir); err != nil {
		return err
	}
	defer b.etcd.Stop()

	for _, p := range parts {
		if err := p.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// part is one figure or a few that belong together.
type part struct {
	name string
	run  func(context.Context) error
}

// parts gives the parts of a list of names, all for an empty one.
func (b *bench) parts(names string) ([]part, error) {
	all := []part{{"writes", b.writes}, {"kills", b.kills}, {"hangs", b.pauses}, {"transfers", b.transfers}, {"elections", b.fullLoad}, {"memory", b.memory}}
	if names == "" {
		return all, nil
	}
	var chosen []part
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-parts: there is no part %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// toLeader is a client of the manager that leads.
func (b *bench) toLeader(ctx context.Context) (*client.Client, error) {
	leader, err := b.bed.Leader(ctx)
	if err != nil {
		return nil, err
	}
	return b.bed.Client(leader)
}

// writes measures one writer and 64, each against the leader, in turns.
func (b *bench) writes(ctx context.Context) error {
	c, err := b.toLeader(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	el, err := b.etcd.Leader(ctx)
	if err != nil {
		return err
	}
	ec, err := b.etcd.Client(el)
	if err != nil {
		return err
	}
	defer ec.Close()
	put, eput := yaguraPut(c), peer.EtcdPut(ec)
	peer.Load(ctx, 8, b.d/5, put)
	peer.Load(ctx, 8, b.d/5, eput)
	pids, epids := b.pids()
	for _, w := range []struct {
		writers int
		goal    string
	}{{1, ">= 1.0"}, {64, ">= 2.0"}} {
		var ours, theirs peer.Rate
		for range 2 { // in turns, so that a drift of the machine hits both
			o, err := peer.LoadOn(ctx, pids, w.writers, b.d/2, put)
			if err != nil {
				return err
			}
			p, err := peer.LoadOn(ctx, epids, w.writers, b.d/2, eput)
			if err != nil {
				return err
			}
			ours, theirs = peer.Better(ours, o), peer.Better(theirs, p)
		}
		peer.Line(fmt.Sprintf("writes/s, %d writer(s)", w.writers), fmt.Sprintf("%.0f", ours.PerSecond), fmt.Sprintf("%.0f", theirs.PerSecond), ours.PerSecond/theirs.PerSecond, w.goal)
		peer.Line(fmt.Sprintf("  latency p50 / p99, %d writer(s)", w.writers), fmt.Sprintf("%v / %v", peer.MS(ours.P50), peer.MS(ours.P99)), fmt.Sprintf("%v / %v", peer.MS(theirs.P50), peer.MS(theirs.P99)), 0, "-")
		peer.Line("  CPU a write, all three members", ours.CPU.Round(time.Microsecond).String(), theirs.CPU.Round(time.Microsecond).String(), float64(ours.CPU)/float64(theirs.CPU), "-")
		if ours.Failed+theirs.Failed > 0 {
			return fmt.Errorf("%d of our writes and %d of etcd's failed under load", ours.Failed, theirs.Failed)
		}
	}
	return nil
}
