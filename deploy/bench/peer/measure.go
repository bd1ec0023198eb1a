// Package peer holds what the benchmarks share: the systems that ours is measured
// beside, loads, and figures.
package peer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Write does the n-th write and returns once it is acknowledged.
type Write func(ctx context.Context, n int) error

// Rate is the result of a load of writers.
type Rate struct {
	Count     float64
	PerSecond float64
	P50, P99  time.Duration
	Failed    int64
	CPU       time.Duration // processor time of the members for each write
}

// LoadOn is Load, with the processor time of the members.
func LoadOn(ctx context.Context, pids []int, writers int, d time.Duration, write Write) (Rate, error) {
	before, err := CPUTime(pids)
	if err != nil {
		return Rate{}, err
	}
	r := Load(ctx, writers, d, write)
	after, err := CPUTime(pids)
	r.CPU = time.Duration(float64(after-before) / max(1, r.Count))
	return r, err
}

// Load lets writers write as fast as they can for d.
func Load(ctx context.Context, writers int, d time.Duration, write Write) Rate {
	ctx, cancel := context.WithTimeout(ctx, d+10*time.Second)
	defer cancel()
	var n, failed atomic.Int64
	times := make([][]time.Duration, writers)
	begin := time.Now()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for time.Since(begin) < d && ctx.Err() == nil {
				t := time.Now()
				if err := write(ctx, int(n.Add(1))); err != nil {
					failed.Add(1)
					continue
				}
				times[w] = append(times[w], time.Since(t))
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	all := slices.Concat(times...)
	slices.Sort(all)
	r := Rate{Count: float64(len(all)), PerSecond: float64(len(all)) / took.Seconds(), Failed: failed.Load()}
	if len(all) > 0 {
		r.P50, r.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return r
}

// UntilWrite writes, one try of at most 200 ms after the other, until one is
// acknowledged, and gives the time since from.
func UntilWrite(ctx context.Context, from time.Time, limit time.Duration, write Write) (time.Duration, error) {
	var last error
	for n := 0; time.Since(from) < limit && ctx.Err() == nil; n++ {
		one, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		last = write(one, n)
		cancel()
		if last == nil {
			return time.Since(from), nil
		}
		Pause(ctx, time.Millisecond)
	}
	return 0, fmt.Errorf("no write was acknowledged within %v: %w", limit, last)
}

// Pause waits for d or the end of ctx.
func Pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Spread is median and worst of some times.
func Spread(ds []time.Duration) (median, worst time.Duration) {
	if len(ds) == 0 {
		return 0, 0
	}
	s := slices.Sorted(slices.Values(ds))
	return s[len(s)/2], s[len(s)-1]
}

// Line prints one figure with its peer's, the ratio and the goal.
func Line(what, ours, peer string, ratio float64, goal string) {
	r := "-"
	if ratio > 0 {
		r = fmt.Sprintf("%.2f", ratio)
	}
	fmt.Printf("%-46s ours %-22s etcd %-22s ratio %-6s goal %s\n", what, ours, peer, r, goal)
}

// Better is the better one of two.
func Better(a, b Rate) Rate {
	if b.PerSecond > a.PerSecond {
		return b
	}
	return a
}

// MS rounds a time for people.
func MS(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
