package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gosnmp/gosnmp"

	"yagura/deploy/bench/peer"
	"yagura/deploy/bench/trapload"
	"yagura/fsm/schema"
)

const (
	// besideRate is the events a second that come beside the measured ones.
	besideRate = 1000
	// reactions is how many events are measured.
	reactions = 40
	// failures is how many real failures there are among a storm.
	failures = 10
	// stormTarget is the machine that the storm is about; no other load is.
	stormTarget = 7654321
	// stormLimit is within how long all of them must be acted on.
	stormLimit = 10 * time.Second
)

// reaction measures the time from the arrival of an inform to the beginning of
// its job's first step, with other events beside.
func (b *bench) reaction(ctx context.Context) error {
	beside, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		_, err := traps(beside, b.world.sinks, besideRate, time.Hour, machines)
		done <- err
	}()
	defer func() {
		end()
		<-done // its error says that it was ended
	}()
	peer.Pause(ctx, time.Second)
	var times []time.Duration
	for i := range reactions {
		conn, err := net.Dial("udp", b.world.sinks[i%len(b.world.sinks)])
		if err != nil {
			return err
		}
		data, err := b.world.fault(gosnmp.InformRequest, i)
		if err == nil {
			_, err = conn.Write(data)
		}
		conn.Close()
		if err != nil {
			return err
		}
		d, err := b.world.begun(ctx, faultID(i), stormLimit)
		if err != nil {
			return err
		}
		times = append(times, d)
	}
	median, worst := peer.Spread(times)
	fmt.Printf("%-52s median %v, worst of %d %v   goal < 50ms\n", fmt.Sprintf("inform to its job's first step, %d events/s beside", besideRate), peer.MS(median), len(times), peer.MS(worst))
	return nil
}

// storm sends identical traps at a rate, with some real failures among them, and
// checks that these are acted on in time, that the counters are exact and that
// memory stays bounded.
func (b *bench) storm(ctx context.Context) error {
	w := b.world
	had, err := recorded(ctx, w.bed)
	if err != nil {
		return err
	}
	t, err := trapload.NewTemplate(gosnmp.SNMPv2Trap, "0x800002BD")
	if err != nil {
		return err
	}
	conns := make([]net.Conn, len(w.sinks))
	for i, s := range w.sinks {
		if conns[i], err = net.Dial("udp", s); err != nil {
			return err
		}
		defer conns[i].Close()
	}
	resident := func() (most float64) {
		for _, n := range w.bed.Nodes {
			if mb, err := peer.ResidentMB(w.bed.Pid(n.ID)); err == nil {
				most = max(most, mb)
			}
		}
		return most
	}
	var most atomic.Int64 // megabytes
	most.Store(int64(resident()))
	before := most.Load()
	watching, end := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for watching.Err() == nil {
			most.Store(max(most.Load(), int64(resident())))
			peer.Pause(watching, 500*time.Millisecond)
		}
	}()
	rate := b.stormSize / int(b.stormTime.Seconds())
	var took []time.Duration
	acted := make(chan error, failures)
	times := make(chan time.Duration, failures)
	every, next := b.stormSize/(failures+1), 0
	sent, err := trapload.Paced(ctx, rate, b.stormTime, func(n int) error {
		if next < failures && n >= (next+1)*every {
			id := reactions + next
			next++
			data, err := w.fault(gosnmp.SNMPv2Trap, id)
			if err != nil {
				return err
			}
			if _, err := conns[n%len(conns)].Write(data); err != nil {
				return err
			}
			go func() {
				d, err := w.begun(ctx, faultID(id), stormLimit+time.Minute)
				times <- d
				acted <- err
			}()
		}
		_, err := conns[n%len(conns)].Write(t.Set(trapload.FirstID+uint32(n)%0x60000000, stormTarget))
		return err
	})
	for range next {
		if aerr := <-acted; err == nil {
			err = aerr
		}
		took = append(took, <-times)
	}
	end()
	<-watched
	if err != nil {
		return err
	}
	has, err := recorded(ctx, w.bed)
	if err != nil {
		return err
	}
	events, err := w.events(ctx, "")
	if err != nil {
		return err
	}
	counted, rows := 0, 0
	for _, e := range events {
		if e.TargetHint == trapload.TargetName(stormTarget) && e.State == schema.EventHandled {
			counted += int(e.Count)
			rows++
		}
	}
	taken := has - had - next
	fmt.Printf("storm: %d identical traps in %v, %d taken, %d dropped and counted, %d counted in %d rows\n", sent, b.stormTime, taken, sent-taken, counted, rows)
	if counted != taken {
		return fmt.Errorf("%d of the storm's traps were taken and %d are counted", taken, counted)
	}
	slices.Sort(took)
	fmt.Printf("  %d failures among it: first step begun after %v in the median, %v at worst   goal < %v\n", next, peer.MS(took[len(took)/2]), peer.MS(took[len(took)-1]), stormLimit)
	fmt.Printf("  resident memory of a manager: %d MB before, %d MB at most\n", before, most.Load())
	if took[len(took)-1] > stormLimit {
		return fmt.Errorf("a failure was acted on after %v", took[len(took)-1])
	}
	return nil
}
