// Command events measures the intake of SNMP notifications: three managers,
// each an SNMP sink that answers an inform once a majority has its event on
// disk, in one run with net-snmp's snmptrapd, which logs to a file, and with
// etcd 3.4, which is as durable. Ours decodes, maps by rules, numbers, records
// and decides on each event; each is about another machine and takes a row.
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
)

func main() {
	bin := flag.String("bin", "bin", "directory of pvmd and pvmutl")
	seconds := flag.Int("seconds", 8, "length of each load, seconds")
	dir := flag.String("dir", "", "directory for data (default: a temporary one)")
	only := flag.String("parts", "", "parts to run, separated by commas (default: all)")
	size := flag.Int("storm", 1000000, "traps of the storm")
	length := flag.Duration("storm-time", time.Minute, "length of the storm")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	b := &bench{bin: *bin, d: time.Duration(*seconds) * time.Second, stormSize: *size, stormTime: *length}
	if err := b.run(ctx, *dir, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench-events:", err)
		os.Exit(1)
	}
}

type bench struct {
	bin    string
	d      time.Duration
	bed    *testbed.Bed
	sinks  []string
	etcd   *peer.Etcd
	daemon *daemon
	world  *world

	stormSize int
	stormTime time.Duration
}

// unlimited lifts the limit of each sender: the load comes from one address.
var unlimited = fmt.Sprintf("  rate: 1000000\n  burst: 1000000\n  users:\n    - {name: %s, auth: sha, auth_key: %s, priv: aes, priv_key: %s}\n", v3User, v3Auth, v3Priv)

func (b *bench) run(ctx context.Context, dir, only string) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "yagura-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	fmt.Printf("bench-events: %d cores, %s, data under %s\n\n", runtime.NumCPU(), runtime.Version(), dir)
	for _, scene := range []struct {
		start func(context.Context, string) (func(), error)
		parts []part
	}{
		{b.besidePeers, []part{{"throughput", b.throughput}, {"latency", b.latency}, {"cpu", b.cpu}, {"plain", b.plainTraps}, {"v3", b.v3Traps}}},
		{b.withMachines, []part{{"reaction", b.reaction}, {"storm", b.storm}}},
	} {
		if err := b.play(ctx, dir, scene.start, chosen(scene.parts, only)); err != nil {
			return err
		}
	}
	return nil
}

// part is one figure or a few that belong together.
type part struct {
	name string
	run  func(context.Context) error
}

// chosen gives the parts of a list of names, all for an empty one.
func chosen(parts []part, names string) []part {
	if names == "" {
		return parts
	}
	return slices.DeleteFunc(parts, func(p part) bool { return !slices.Contains(strings.Split(names, ","), p.name) })
}

// play runs parts that share the same processes.
func (b *bench) play(ctx context.Context, dir string, start func(context.Context, string) (func(), error), parts []part) error {
	if len(parts) == 0 {
		return nil
	}
	stop, err := start(ctx, dir)
	defer stop()
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err := p.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// besidePeers starts three managers, etcd and snmptrapd.
func (b *bench) besidePeers(ctx context.Context, dir string) (stop func(), err error) {
	stop = func() {
		if b.daemon != nil {
			b.daemon.stop()
		}
		if b.etcd != nil {
			b.etcd.Stop()
		}
		if b.bed != nil {
			b.bed.StopAll()
		}
	}
	if b.bed, err = peer.StartYagura(ctx, b.bin, filepath.Join(dir, "yagura"), unlimited); err != nil {
		return stop, err
	}
	for _, n := range b.bed.Nodes {
		b.sinks = append(b.sinks, n.Trap())
	}
	if b.etcd, err = peer.StartEtcd(ctx, dir); err != nil {
		return stop, err
	}
	b.daemon, err = startDaemon(ctx, dir)
	return stop, err
}

// withMachines starts three managers with the demo's datacenter.
func (b *bench) withMachines(ctx context.Context, dir string) (stop func(), err error) {
	b.world, err = startWorld(ctx, b.bin, filepath.Join(dir, "world"))
	return func() {
		if b.world != nil {
			b.world.stop()
		}
	}, err
}

// compare prints one figure beside one peer.
func compare(what, ours, name, theirs string, ratio float64, goal string) {
	fmt.Printf("%-52s ours %-20s %-9s %-20s ratio %-6.2f goal %s\n", what, ours, name, theirs, ratio, goal)
}

func (b *bench) pids() (ours, etcd []int) {
	for _, n := range b.bed.Nodes {
		ours = append(ours, b.bed.Pid(n.ID))
	}
	for _, p := range b.etcd.Procs {
		etcd = append(etcd, p.Process.Pid)
	}
	return ours, etcd
}

const outstanding = 1024

// throughput compares durable informs, etcd's puts, and snmptrapd's informs.
func (b *bench) throughput(ctx context.Context) error {
	put, end, err := b.puts(ctx)
	if err != nil {
		return err
	}
	defer end()
	var ours, etcd, trapd peer.Rate
	for range 2 { // in turns, so that a drift of the machine hits all
		o, err := informs(ctx, b.sinks, outstanding, b.d/2)
		if err != nil {
			return err
		}
		p := peer.Load(ctx, outstanding, b.d/2, put)
		d, err := informs(ctx, []string{b.daemon.addr}, outstanding, b.d/2)
		if err != nil {
			return err
		}
		ours, etcd, trapd = peer.Better(ours, o), peer.Better(etcd, p), peer.Better(trapd, d)
	}
	rate := func(r peer.Rate) string { return fmt.Sprintf("%.0f/s", r.PerSecond) }
	compare("durable informs, 1,024 outstanding, 3 sinks", rate(ours), "etcd", rate(etcd), ours.PerSecond/etcd.PerSecond, ">= 3 (stretch 6)")
	compare("the same beside informs that aren't durable", rate(ours), "snmptrapd", rate(trapd), ours.PerSecond/trapd.PerSecond, ">= 3.5 (stretch 8)")
	fmt.Printf("  latency p50 / p99 %v / %v, etcd %v / %v; sent again: ours %d, snmptrapd %d\n",
		peer.MS(ours.P50), peer.MS(ours.P99), peer.MS(etcd.P50), peer.MS(etcd.P99), ours.Failed, trapd.Failed)
	return nil
}

func (b *bench) puts(ctx context.Context) (peer.Write, func(), error) {
	leader, err := b.etcd.Leader(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := b.etcd.Client(leader)
	if err != nil {
		return nil, nil, err
	}
	return peer.EtcdPut(c), func() { c.Close() }, nil
}

// latency compares one outstanding inform, sent to the leader, with etcd's put.
func (b *bench) latency(ctx context.Context) error {
	put, end, err := b.puts(ctx)
	if err != nil {
		return err
	}
	defer end()
	leader, err := b.bed.Leader(ctx)
	if err != nil {
		return err
	}
	o, err := informs(ctx, b.sinks[leader:leader+1], 1, b.d/2)
	if err != nil {
		return err
	}
	f, err := informs(ctx, b.sinks[(leader+1)%3:(leader+1)%3+1], 1, b.d/2)
	if err != nil {
		return err
	}
	p := peer.Load(ctx, 1, b.d/2, put)
	compare("p50 of one outstanding inform, to the leader", peer.MS(o.P50).String(), "etcd", peer.MS(p.P50).String(), float64(o.P50)/float64(p.P50), "<= 1.5 (stretch 0.9)")
	compare("  to a follower", peer.MS(f.P50).String(), "etcd", peer.MS(p.P50).String(), float64(f.P50)/float64(p.P50), "-")
	return nil
}

// cpuRate is a rate at which neither side loses traps.
const cpuRate = 3000

// cpu compares the processor time of a trap that was really taken: recorded by
// a majority, or logged to the file.
func (b *bench) cpu(ctx context.Context) error {
	ours, _ := b.pids()
	cost := func(pids []int, sinks []string, count func(context.Context) (int, error)) (time.Duration, error) {
		had, err := count(ctx)
		if err != nil {
			return 0, err
		}
		before, err := peer.CPUTime(pids)
		if err != nil {
			return 0, err
		}
		if _, err := traps(ctx, sinks, cpuRate, b.d, 1<<23); err != nil {
			return 0, err
		}
		peer.Pause(ctx, 500*time.Millisecond)
		after, err := peer.CPUTime(pids)
		if err != nil {
			return 0, err
		}
		has, err := count(ctx)
		return (after - before) / time.Duration(max(has-had, 1)), err
	}
	idle, err := b.idle(ctx, ours)
	if err != nil {
		return err
	}
	o, err := cost(ours, b.sinks, b.recorded)
	if err != nil {
		return err
	}
	d, err := cost([]int{b.daemon.pid()}, []string{b.daemon.addr}, b.daemon.logged)
	if err != nil {
		return err
	}
	compare(fmt.Sprintf("CPU a trap, all three managers, %d/s", cpuRate), o.Round(time.Microsecond).String(), "snmptrapd", d.Round(time.Microsecond).String(), float64(o)/float64(d), "<= 0.5 (stretch 0.15)")
	fmt.Printf("  of ours %v is what three managers take that receive nothing (%v a second)\n", (idle / cpuRate).Round(time.Microsecond), idle.Round(time.Millisecond))
	return nil
}

// idle is the processor time of a second in which nothing comes.
func (b *bench) idle(ctx context.Context, pids []int) (time.Duration, error) {
	before, err := peer.CPUTime(pids)
	if err != nil {
		return 0, err
	}
	peer.Pause(ctx, b.d)
	after, err := peer.CPUTime(pids)
	return time.Duration(float64(after-before) / b.d.Seconds()), err
}
