package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/gosnmp/gosnmp"

	"yagura/deploy/bench/peer"
)

const (
	// besideRate is the events a second that come beside the measured ones.
	besideRate = 1000
	// reactions is how many events are measured.
	reactions = 40
	// failures is how many real failures there are among a storm.
	failures = 10
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
