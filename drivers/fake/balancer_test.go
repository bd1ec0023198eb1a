package fake_test

import (
	"context"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/fake"
)

func TestBalancerConformance(t *testing.T) {
	drivertest.RunBalancer(t, func(t *testing.T) drivertest.BalancerWorld {
		w := fake.New(fake.Options{})
		w.AddPool("lb1", "db", drivers.Member{Name: "db09", Address: "192.0.2.9", Port: 5432})
		return drivertest.BalancerWorld{
			Open: func(*testing.T) drivers.Balancer { return w.Balancer("lb1") },
			Pool: "db",
			Nodes: [2]drivers.Member{
				{Name: "db01", Address: "192.0.2.1", Port: 5432},
				{Name: "db02", Address: "192.0.2.2", Port: 5432},
			},
			Connections: func(_ *testing.T, pool, member string, n int) { w.Balancer("lb1").SetConnections(pool, member, n) },
			Silence:     func(*testing.T) { w.SystemDown("lb1", true) },
			Effects:     func(_ *testing.T, op, object string) int { return w.Count(op, object) },
		}
	})
}

func TestBalancerChangeThatTakesTime(t *testing.T) {
	ctx := context.Background()
	w := fake.New(fake.Options{})
	w.AddPool("lb1", "db", drivers.Member{Name: "db01", Address: "192.0.2.1", Port: 5432})
	w.Delay(fake.OpLBRemove, time.Hour)
	b := w.Balancer("lb1")
	task, err := b.RemoveMember(ctx, drivers.Call{Token: "1"}, "db", "db01")
	if err != nil || task.State != drivers.TaskRunning || task.ID != "" {
		t.Fatalf("a slow removal is %+v, %v", task, err)
	}
	if all, err := b.Members(ctx, "db"); err != nil || len(all) != 1 {
		t.Fatalf("before its time the pool has %v, %v", all, err)
	}
	w.Advance(time.Hour)
	if all, err := b.Members(ctx, "db"); err != nil || len(all) != 0 {
		t.Fatalf("after its time the pool has %v, %v", all, err)
	}
}
