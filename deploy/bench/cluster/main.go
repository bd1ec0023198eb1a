// Command cluster measures a cluster of three managers side by side with etcd
// 3.4, in one run on one machine: three members each on loopback, data on the
// same disk, clients in this process. All writes of ours go through the public
// API with authentication, audit and the whole configuration database.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"yagura/deploy/testbed"
	"yagura/rpc/api"
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

// writes measures one writer and 64, each against the leader, in turns.
func (b *bench) writes(ctx context.Context) error {
	leader, err := b.bed.Leader(ctx)
	if err != nil {
		return err
	}
	c, err := b.bed.Client(leader)
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
	for _, w := range []struct {
		writers int
		goal    string
	}{{1, ">= 1.0"}, {64, ">= 2.0"}} {
		var ours, peer rate
		for range 2 { // in turns, so that a drift of the machine hits both
			o, p := load(ctx, w.writers, b.d/2, put), load(ctx, w.writers, b.d/2, eput)
			ours, peer = better(ours, o), better(peer, p)
		}
		line(fmt.Sprintf("writes/s, %d writer(s)", w.writers), fmt.Sprintf("%.0f", ours.perSecond), fmt.Sprintf("%.0f", peer.perSecond), ours.perSecond/peer.perSecond, w.goal)
		line(fmt.Sprintf("  latency p50 / p99, %d writer(s)", w.writers), fmt.Sprintf("%v / %v", ms(ours.p50), ms(ours.p99)), fmt.Sprintf("%v / %v", ms(peer.p50), ms(peer.p99)), 0, "-")
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

// kills measures from kill -9 of the leader to the next acknowledged write.
func (b *bench) kills(ctx context.Context) error {
	var ours, peer []time.Duration
	for range b.trials {
		d, err := b.disturbOurs(ctx, true)
		if err != nil {
			return err
		}
		ours = append(ours, d)
		if d, err = b.disturbEtcd(ctx, true); err != nil {
			return err
		}
		peer = append(peer, d)
	}
	b.lineSpread("kill -9 of the leader to next write", ours, peer, "<= 0.2 (stretch 0.05)")
	return nil
}

// pauses measures from SIGSTOP of the leader to the next acknowledged write.
func (b *bench) pauses(ctx context.Context) error {
	var ours, peer []time.Duration
	for range b.hangs {
		d, err := b.disturbOurs(ctx, false)
		if err != nil {
			return err
		}
		ours = append(ours, d)
		if d, err = b.disturbEtcd(ctx, false); err != nil {
			return err
		}
		peer = append(peer, d)
	}
	b.lineSpread("SIGSTOP of the leader to next write", ours, peer, "<= 1.0")
	return nil
}

func (b *bench) lineSpread(what string, ours, peer []time.Duration, goal string) {
	om, ow := spread(ours)
	pm, pw := spread(peer)
	line(what+", median", ms(om).String(), ms(pm).String(), float64(om)/float64(pm), goal)
	line("  worst of "+fmt.Sprint(len(ours)), ms(ow).String(), ms(pw).String(), float64(ow)/float64(pw), "-")
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
	d, err := untilWrite(ctx, from, writeLimit, put)
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

// settled waits until all managers have applied the same index.
func (b *bench) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c, err := b.bed.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		reply, err := api.NewClusterClient(c).ListNodes(ctx, &api.Empty{})
		if err == nil && len(reply.Nodes) == len(b.bed.Nodes) {
			same := true
			for _, n := range reply.Nodes {
				same = same && n.Ready && n.AppliedIndex == reply.Nodes[0].AppliedIndex
			}
			if same {
				return nil
			}
		}
		if ctx.Err() != nil {
			return errors.Join(errors.New("the managers don't settle"), err)
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// disturbEtcd does the same to etcd.
func (b *bench) disturbEtcd(ctx context.Context, kill bool) (time.Duration, error) {
	leader, err := b.etcd.leader(ctx)
	if err != nil {
		return 0, err
	}
	c, err := b.etcd.client((leader+1)%3, (leader+2)%3)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	put := etcdPut(c)
	if err := put(ctx, 0); err != nil {
		return 0, err
	}
	from := time.Now()
	if kill {
		err = b.etcd.kill(leader)
	} else {
		err = b.etcd.signal(leader, syscall.SIGSTOP)
	}
	if err != nil {
		return 0, err
	}
	d, err := untilWrite(ctx, from, writeLimit, put)
	if err != nil {
		return 0, err
	}
	if kill {
		err = b.etcd.restart(leader)
	} else {
		err = b.etcd.signal(leader, syscall.SIGCONT)
	}
	if err != nil {
		return 0, err
	}
	pause(ctx, 3*time.Second) // until the member has caught up
	return d, nil
}

// transfers hands leadership on under load and counts failed requests.
func (b *bench) transfers(ctx context.Context) error {
	c, err := b.bed.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	done := make(chan error, 1)
	const n = 5
	go func() {
		for range n {
			pause(ctx, time.Second)
			if _, err := api.NewClusterClient(c).Transfer(ctx, &api.NodeRequest{}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	r := load(ctx, 8, (n+2)*time.Second, yaguraPut(c))
	if err := <-done; err != nil {
		return fmt.Errorf("transfer: %w", err)
	}
	line(fmt.Sprintf("failed requests in %d planned transfers", n), fmt.Sprintf("%d of %.0f", r.failed, r.perSecond*(n+2)), "-", 0, "0")
	return nil
}

// fullLoad keeps both cores busy and looks for elections.
func (b *bench) fullLoad(ctx context.Context) error {
	leader, err := b.bed.Leader(ctx)
	if err != nil {
		return err
	}
	c, err := b.bed.Client(leader)
	if err != nil {
		return err
	}
	defer c.Close()
	before, err := api.NewClusterClient(c).Status(ctx, &api.Empty{})
	if err != nil {
		return err
	}
	spin, cancel := context.WithCancel(ctx)
	for range runtime.NumCPU() {
		go func() {
			for spin.Err() == nil {
			}
		}()
	}
	r := load(ctx, 64, b.busy, yaguraPut(c))
	cancel()
	after, err := api.NewClusterClient(c).Status(ctx, &api.Empty{})
	if err != nil {
		return err
	}
	line(fmt.Sprintf("elections in %v of full load on all cores", b.busy), fmt.Sprint(after.Term-before.Term), "-", 0, "0")
	fmt.Printf("  with %.0f writes/s beside a spinning loop on each core, %d failed\n", r.perSecond, r.failed)
	return nil
}

// memory measures managers that hold many machines, and a read of all of them.
func (b *bench) memory(ctx context.Context) error {
	c, err := b.bed.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := loadMachines(ctx, c, b.machines); err != nil {
		return err
	}
	if err := b.settled(ctx); err != nil {
		return err
	}
	worst := 0.0
	for _, n := range b.bed.Nodes {
		mb, err := residentMB(b.bed.Pid(n.ID))
		if err != nil {
			return err
		}
		worst = max(worst, mb)
	}
	line(fmt.Sprintf("memory of the largest manager, %d machines", b.machines), fmt.Sprintf("%.0f MB", worst), "-", 0, "< 300 MB")
	var times []time.Duration
	for range 5 {
		cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "pvmutl"), "get", "machine", "-o", "json")
		cmd.Env = append(os.Environ(), b.bed.Env()...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		from := time.Now()
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("pvmutl get machine: %w: %s", err, errs.String())
		}
		times = append(times, time.Since(from))
		var got []struct{ Name string }
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || len(got) < b.machines {
			return fmt.Errorf("pvmutl get machine gave %d machines: %v", len(got), err)
		}
	}
	m, w := spread(times)
	line(fmt.Sprintf("pvmutl get machine -o json, %d machines", b.machines), fmt.Sprintf("%v, worst %v", ms(m), ms(w)), "-", 0, "-")
	return nil
}
