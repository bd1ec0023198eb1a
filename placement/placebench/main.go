// Command placebench measures package placement: quality against proven bounds
// and public optima, and time and quality beside Ganeti's htools where these
// are installed (Debian: ganeti-htools).
//
//	placebench [-data DIR] [-run PART,PART] [-peers=false]
//
// Each line has the case, what placement got, the goal or the peer's result,
// the ratio of the two, the gap to the proven bound and the process CPU time.
// CPU time rather than time on the clock, since machines are shared. Without
// -data (the folder with binpack/) generators of its own stand in.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

type bench struct {
	data  string
	peers bool
	dir   string // for files given to peers
}

// parts are the sections of the report in their order.
var parts = []struct {
	name string
	run  func(*bench) error
}{
	{"onedim", (*bench).oneDim},
	{"grouped", (*bench).groupedSizes},
	{"vector", (*bench).vectors},
	{"snapshot", (*bench).snapshot},
	{"save", (*bench).savePower},
	{"hsqueeze", (*bench).besideHsqueeze},
	{"hbal", (*bench).besideHbal},
	{"level", (*bench).levelLarge},
	{"replan", (*bench).replan},
	{"failures", (*bench).failures},
	{"start", (*bench).optimalStart},
}

func main() {
	b := &bench{}
	run := flag.String("run", "", "parts to run, parted by commas; all if empty")
	flag.StringVar(&b.data, "data", os.Getenv("BENCH_DATA"), "folder with the public data")
	flag.BoolVar(&b.peers, "peers", true, "run the peers as well (some take minutes)")
	flag.Parse()
	if err := b.main(*run); err != nil {
		fmt.Fprintln(os.Stderr, "placebench:", err)
		os.Exit(1)
	}
}

func (b *bench) main(run string) error {
	var names []string
	if run != "" {
		names = strings.Split(run, ",")
	}
	for _, name := range names {
		if !slices.ContainsFunc(parts, func(p struct {
			name string
			run  func(*bench) error
		}) bool {
			return p.name == name
		}) {
			return fmt.Errorf("part %q is unknown", name)
		}
	}
	dir, err := os.MkdirTemp("", "placebench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	fmt.Printf("%-44s %-34s %-34s %7s %7s %11s\n", "case", "ours", "goal or peer", "ratio", "gap %", "CPU time")
	for _, p := range parts {
		if len(names) > 0 && !slices.Contains(names, p.name) {
			continue
		}
		if err := p.run(b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// row prints one line. A ratio or gap below 0 stands for "none".
func row(name, ours, goal string, ratio, gap float64, cpu time.Duration) {
	number := func(x float64) string {
		if x < 0 {
			return "-"
		}
		return fmt.Sprintf("%.3f", x)
	}
	fmt.Printf("%-44s %-34s %-34s %7s %7s %11s\n", name, ours, goal, number(ratio), number(100*gap), cpu.Round(10*time.Microsecond))
}

// none is a ratio or gap that a row doesn't have.
const none = -1

// budget is a context that ends when the process has used so much more CPU
// time: on a shared machine a second on the clock is worth less than one.
type budget struct {
	context.Context
	until time.Duration
}

func newBudget(d time.Duration) budget { return budget{context.Background(), used() + d} }

func (b budget) Err() error {
	if used() > b.until {
		return context.DeadlineExceeded
	}
	return nil
}

// cpu is how much CPU time f takes in this process.
func cpu(f func()) time.Duration {
	before := used()
	f()
	return used() - before
}

func used() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
