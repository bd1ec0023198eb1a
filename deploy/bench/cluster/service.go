package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"yagura/deploy/bench/peer"
	"yagura/rpc/api"
)

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
			peer.Pause(ctx, time.Second)
			if _, err := api.NewClusterClient(c).Transfer(ctx, &api.NodeRequest{}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	r := peer.Load(ctx, 8, (n+2)*time.Second, yaguraPut(c))
	if err := <-done; err != nil {
		return fmt.Errorf("transfer: %w", err)
	}
	peer.Line(fmt.Sprintf("failed requests in %d planned transfers", n), fmt.Sprintf("%d of %.0f", r.Failed, r.PerSecond*(n+2)), "-", 0, "0")
	return nil
}

// fullLoad keeps both cores busy and looks for elections.
func (b *bench) fullLoad(ctx context.Context) error {
	c, err := b.toLeader(ctx)
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
	r := peer.Load(ctx, 64, b.busy, yaguraPut(c))
	cancel()
	after, err := api.NewClusterClient(c).Status(ctx, &api.Empty{})
	if err != nil {
		return err
	}
	peer.Line(fmt.Sprintf("elections in %v of full load on all cores", b.busy), fmt.Sprint(after.Term-before.Term), "-", 0, "0")
	fmt.Printf("  with %.0f writes/s beside a spinning loop on each core, %d failed\n", r.PerSecond, r.Failed)
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
		mb, err := peer.ResidentMB(b.bed.Pid(n.ID))
		if err != nil {
			return err
		}
		worst = max(worst, mb)
	}
	peer.Line(fmt.Sprintf("memory of the largest manager, %d machines", b.machines), fmt.Sprintf("%.0f MB", worst), "-", 0, "< 300 MB")
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
	m, w := peer.Spread(times)
	peer.Line(fmt.Sprintf("pvmutl get machine -o json, %d machines", b.machines), fmt.Sprintf("%v, worst %v", peer.MS(m), peer.MS(w)), "-", 0, "-")
	return nil
}
