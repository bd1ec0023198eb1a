package rpc_test

import (
	"context"
	"testing"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// BenchmarkCalls measures what the API itself costs: TLS, authentication,
// routing and the commit loop, over a log in memory.
func BenchmarkCalls(b *testing.B) {
	for name, node := range map[string]int{"leader": 0, "follower": 1} {
		for _, op := range []string{"write", "read"} {
			b.Run(op+"/"+name, func(b *testing.B) {
				c := start(b, 2)
				// One server only: the client would move on to the leader.
				cl := c.login(admin, node)
				if _, err := cl.Auth.WhoAmI(b.Context(), &api.Empty{}); err != nil {
					b.Fatal(err)
				}
				call := func(ctx context.Context) error {
					_, err := cl.Inventory.Arm(client.WithReason(ctx, "bench"), &api.ArmRequest{Disarm: true})
					return err
				}
				if op == "read" {
					call = func(ctx context.Context) error {
						_, err := cl.Auth.WhoAmI(ctx, &api.Empty{})
						return err
					}
				}
				b.ReportAllocs()
				b.SetParallelism(32)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := call(b.Context()); err != nil {
							b.Errorf("%s: %v", schema.KindOf(err), err)
							return
						}
					}
				})
			})
		}
	}
}
