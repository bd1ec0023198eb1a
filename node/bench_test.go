package node_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node/nodetest"
)

// BenchmarkUpdate writes rows of 200 bytes through the leader's store of three
// managers on loopback, by one caller and by 64.
func BenchmarkUpdate(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := nodetest.New(b, 3, nil)
			c.WaitReady()
			n := c.Node(c.WaitLeader())
			term := n.Term()
			text := strings.Repeat("x", 200)
			var caller atomic.Int64
			b.SetParallelism(max(1, callers/2)) // times GOMAXPROCS, 2 here
			b.ResetTimer()
			run := func(next func() bool) {
				name := fmt.Sprintf("bench%d", caller.Add(1))
				for i := 0; next(); i++ {
					if _, err := n.Store().Update(context.Background(), fsm.Why{User: "bench", Op: "bench", Internal: true}, func(tx *fsm.Tx) error {
						return fsm.Categories.Put(tx, &schema.Category{Path: name, Description: fmt.Sprint(i, text)})
					}); err != nil {
						b.Error(err)
						return
					}
				}
			}
			if callers == 1 {
				run(b.Loop)
			} else {
				b.RunParallel(func(pb *testing.PB) { run(pb.Next) })
			}
			if n.Term() != term {
				b.Errorf("an election took place under load: term %d, it was %d", n.Term(), term)
			}
		})
	}
}
