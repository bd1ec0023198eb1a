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
	"syscall"
	"time"

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
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	b := &bench{bin: *bin, d: time.Duration(*seconds) * time.Second, trials: *trials, hangs: *hangs, busy: time.Duration(*busy) * time.Second, machines: *machines}
	if err := b.run(ctx, *dir); err != nil {
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
	etcd          *etcdCluster
}

func (b *bench) run(ctx context.Context, dir string) (err error) {
	if dir == "" {
		dir, err = os.MkdirTemp("", "yagura-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	fmt.Printf("bench-cluster: %d cores, %s, data under %s\n\n", runtime.NumCPU(), runtime.Version(), dir)
	ours := filepath.Join(dir, "yagura")
	if b.bed, err = startYagura(ctx, b.bin, ours); b.bed != nil {
		defer b.bed.StopAll()
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, b.bed.LogTail("node1", 5))
	}
	if b.etcd, err = startEtcd(ctx, dir); err != nil {
		return err
	}
	defer b.etcd.stop()

	for _, part := range []func(context.Context) error{b.writes, b.kills, b.pauses, b.transfers, b.fullLoad, b.memory} {
		if err := part(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// line prints one figure with its peer's, the ratio and the goal.
func line(what, ours, peer string, ratio float64, goal string) {
	r := "-"
	if ratio > 0 {
		r = fmt.Sprintf("%.2f", ratio)
	}
	fmt.Printf("%-46s ours %-22s etcd %-22s ratio %-6s goal %s\n", what, ours, peer, r, goal)
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
	el, err := b.etcd.leader(ctx)
	if err != nil {
		return err
	}
	ec, err := b.etcd.client(el)
	if err != nil {
		return err
	}
	defer ec.Close()
	put, eput := yaguraPut(c), etcdPut(ec)
	load(ctx, 8, b.d/5, put)
	load(ctx, 8, b.d/5, eput)
	pids, epids := b.pids()
	for _, w := range []struct {
		writers int
		goal    string
	}{{1, ">= 1.0"}, {64, ">= 2.0"}} {
		var ours, peer rate
		for range 2 { // in turns, so that a drift of the machine hits both
			o, err := loadOn(ctx, pids, w.writers, b.d/2, put)
			if err != nil {
				return err
			}
			p, err := loadOn(ctx, epids, w.writers, b.d/2, eput)
			if err != nil {
				return err
			}
			ours, peer = better(ours, o), better(peer, p)
		}
		line(fmt.Sprintf("writes/s, %d writer(s)", w.writers), fmt.Sprintf("%.0f", ours.perSecond), fmt.Sprintf("%.0f", peer.perSecond), ours.perSecond/peer.perSecond, w.goal)
		line(fmt.Sprintf("  latency p50 / p99, %d writer(s)", w.writers), fmt.Sprintf("%v / %v", ms(ours.p50), ms(ours.p99)), fmt.Sprintf("%v / %v", ms(peer.p50), ms(peer.p99)), 0, "-")
		line("  CPU a write, all three members", ours.cpu.Round(time.Microsecond).String(), peer.cpu.Round(time.Microsecond).String(), float64(ours.cpu)/float64(peer.cpu), "-")
		if ours.failed+peer.failed > 0 {
			return fmt.Errorf("%d of our writes and %d of etcd's failed under load", ours.failed, peer.failed)
		}
	}
	return nil
}

func better(a, b rate) rate {
	if b.perSecond > a.perSecond {
		return b
	}
	return a
}

func ms(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
