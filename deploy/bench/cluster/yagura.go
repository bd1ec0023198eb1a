package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"yagura/deploy/testbed"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// startYagura starts three managers, without a simulated datacenter.
func startYagura(ctx context.Context, bin, dir string) (*testbed.Bed, error) {
	bed, err := testbed.New(dir, filepath.Join(bin, "pvmd"), 3, 71)
	if err != nil {
		return nil, err
	}
	if err := bed.Prepare(); err != nil {
		return nil, err
	}
	for i := range bed.Nodes {
		if err := bed.StartNode(i); err != nil {
			return nil, err
		}
	}
	_, err = bed.Leader(ctx)
	return bed, err
}

// yaguraPut writes one of 1,000 categories with a description of 200 bytes
// through the public API: authenticated, checked, audited, with a request id.
func yaguraPut(c *client.Client) writeFunc {
	inv := api.NewInventoryClient(c)
	return func(ctx context.Context, n int) error {
		// The text differs each time: an object that doesn't change isn't written.
		text := fmt.Sprintf("%-200d", n)
		_, err := inv.Apply(ctx, &api.ApplyRequest{Documents: []*api.Document{{
			Kind: "Category", Name: fmt.Sprintf("bench-%03d", n%1000),
			Spec: &structpb.Struct{Fields: map[string]*structpb.Value{"description": structpb.NewStringValue(text)}},
		}}})
		return err
	}
}

// loadMachines declares physical machines, with two NICs each.
func loadMachines(ctx context.Context, c *client.Client, n int) error {
	inv := api.NewInventoryClient(c)
	const chunk = 500
	for from := 0; from < n; from += chunk {
		req := new(api.ApplyRequest)
		for i := from; i < min(from+chunk, n); i++ {
			spec, err := structpb.NewStruct(map[string]any{
				"kind": "physical", "managed": true, "uuid": fmt.Sprintf("6a0b0000-0000-4000-8000-%012x", i),
				"nics": []any{
					map[string]any{"mac": fmt.Sprintf("02:00:%02x:%02x:%02x:01", i>>16&255, i>>8&255, i&255)},
					map[string]any{"mac": fmt.Sprintf("02:00:%02x:%02x:%02x:02", i>>16&255, i>>8&255, i&255)},
				},
				"tags": []any{"rack" + strconv.Itoa(i/40), "bench"}, "model_name": "Express5800/R120", "description": "machine of the benchmark",
			})
			if err != nil {
				return err
			}
			req.Documents = append(req.Documents, &api.Document{Kind: "Machine", Name: fmt.Sprintf("bench-m%05d", i), Spec: spec})
		}
		if _, err := inv.Apply(ctx, req); err != nil {
			return fmt.Errorf("machines from %d on: %w", from, err)
		}
	}
	return nil
}

// residentMB is the resident memory of a process, megabytes.
func residentMB(pid int) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1000, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}

// cpuTime is the processor time that some processes have taken so far.
func cpuTime(pids []int) (time.Duration, error) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	var sum time.Duration
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		// The name in brackets may hold anything; utime and stime are the 12th
		// and 13th field after it.
		f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		for _, v := range f[11:13] {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return 0, err
			}
			sum += time.Duration(n) * tick
		}
	}
	return sum, nil
}

func (b *bench) pids() (ours, etcd []int) {
	for _, n := range b.bed.Nodes {
		ours = append(ours, b.bed.Pid(n.ID))
	}
	for _, p := range b.etcd.procs {
		etcd = append(etcd, p.Process.Pid)
	}
	return ours, etcd
}
