package main

import (
	"context"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/types/known/structpb"

	"yagura/deploy/bench/peer"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// yaguraPut writes one of 1,000 categories with a description of 200 bytes
// through the public API: authenticated, checked, audited, with a request id.
func yaguraPut(c *client.Client) peer.Write {
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

func (b *bench) pids() (ours, etcd []int) {
	for _, n := range b.bed.Nodes {
		ours = append(ours, b.bed.Pid(n.ID))
	}
	for _, p := range b.etcd.Procs {
		etcd = append(etcd, p.Process.Pid)
	}
	return ours, etcd
}
