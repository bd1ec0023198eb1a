package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// writeFunc does the n-th write and returns once it is acknowledged.
type writeFunc func(ctx context.Context, n int) error

// rate is the result of a load of writers.
type rate struct {
	count     float64
	perSecond float64
	p50, p99  time.Duration
	failed    int64
	cpu       time.Duration // processor time of the members for each write
}

// loadOn is load, with the processor time of the members.
func loadOn(ctx context.Context, pids []int, writers int, d time.Duration, write writeFunc) (rate, error) {
	before, err := cpuTime(pids)
	if err != nil {
		return rate{}, err
	}
	r := load(ctx, writers, d, write)
	after, err := cpuTime(pids)
	r.cpu = time.Duration(float64(after-before) / max(1, r.count))
	return r, err
}

// load lets writers write as fast as they can for d.
func load(ctx context.Context, writers int, d time.Duration, write writeFunc) rate {
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
	r := rate{count: float64(len(all)), perSecond: float64(len(all)) / took.Seconds(), failed: failed.Load()}
	if len(all) > 0 {
		r.p50, r.p99 = all[len(all)/2], all[len(all)*99/100]
	}
	return r
}

// untilWrite writes, one try of at most 200 ms after the other, until one is
// acknowledged, and gives the time since from.
func untilWrite(ctx context.Context, from time.Time, limit time.Duration, write writeFunc) (time.Duration, error) {
	var last error
	for n := 0; time.Since(from) < limit && ctx.Err() == nil; n++ {
		one, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		last = write(one, n)
		cancel()
		if last == nil {
			return time.Since(from), nil
		}
		pause(ctx, time.Millisecond)
	}
	return 0, fmt.Errorf("no write was acknowledged within %v: %w", limit, last)
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// spread is median and worst of some times.
func spread(ds []time.Duration) (median, worst time.Duration) {
	if len(ds) == 0 {
		return 0, 0
	}
	s := slices.Sorted(slices.Values(ds))
	return s[len(s)/2], s[len(s)-1]
}
