package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/protobuf/types/known/structpb"

	"yagura/fsm/schema"
	"yagura/node/nodetest"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// A register is a category; its value is the description. An operation reads
// one or writes one.
type registerOp struct {
	key   int
	write bool
	value string
}

// registers is the sequential model that the history is held against.
var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int][]porcupine.Operation{}
		for _, o := range history {
			k := o.Input.(registerOp).key
			byKey[k] = append(byKey[k], o)
		}
		var out [][]porcupine.Operation
		for _, h := range byKey {
			out = append(out, h)
		}
		return out
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		in := input.(registerOp)
		if in.write {
			return true, in.value
		}
		return output.(string) == state.(string), state
	},
	DescribeOperation: func(input, output any) string {
		in := input.(registerOp)
		if in.write {
			return fmt.Sprintf("write %d %q", in.key, in.value)
		}
		return fmt.Sprintf("read %d -> %q", in.key, output)
	},
}

func register(key int) string { return fmt.Sprintf("reg%d", key) }

func writeRegister(ctx context.Context, c *client.Client, key int, value string) error {
	spec, err := structpb.NewStruct(map[string]any{"description": value})
	if err != nil {
		return err
	}
	_, err = c.Inventory.Apply(ctx, &api.ApplyRequest{Documents: []*api.Document{{Kind: "Category", Name: register(key), Spec: spec}}})
	return err
}

func readRegister(ctx context.Context, c *client.Client, key int) (string, error) {
	o, err := c.Inventory.Get(ctx, &api.GetRequest{Kind: "Category", Name: register(key)})
	if err != nil {
		return "", err
	}
	return o.GetSpec().GetFields()["description"].GetStringValue(), nil
}

// TestLinearizable reads and writes through the API of all managers, while
// leaders are cut off, in both directions and in one, killed, and asked to hand
// over; the history must be linearizable.
func TestLinearizable(t *testing.T) {
	const (
		keys, workers = 3, 6
		opsPerFault   = 60
		opTime        = 4 * time.Second
	)
	c := nodetest.New(t, 3, nil)
	c.WaitReady()
	setup := c.Client(0)
	for k := range keys {
		if err := writeRegister(context30(t), setup, k, ""); err != nil {
			t.Fatal(err)
		}
	}
	var (
		wg      sync.WaitGroup
		ops     atomic.Int64
		stop    = make(chan struct{})
		mu      sync.Mutex // guards history and unknown
		history []porcupine.Operation
		unknown int
	)
	begun := time.Now()
	for w := range workers {
		cl := c.Client(w % 3)
		rnd := rand.New(rand.NewPCG(uint64(w), 1))
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				in := registerOp{key: rnd.IntN(keys), write: rnd.IntN(2) == 0, value: fmt.Sprintf("%d.%d", w, i)}
				ctx, cancel := context.WithTimeout(context.Background(), opTime)
				o := porcupine.Operation{ClientId: w, Input: in, Call: int64(time.Since(begun)), Output: ""}
				var err error
				if in.write {
					err = writeRegister(ctx, cl, in.key, in.value)
				} else {
					o.Output, err = readRegister(ctx, cl, in.key)
				}
				cancel()
				o.Return = int64(time.Since(begun))
				ops.Add(1)
				mu.Lock()
				switch {
				case err == nil:
					history = append(history, o)
				case in.write && schema.KindOf(err) != schema.KindNoLeader:
					// It may take effect at any later time.
					o.Return = int64(time.Hour)
					o.ClientId = workers + unknown
					unknown++
					history = append(history, o)
				}
				mu.Unlock()
			}
		})
	}
	faults := []func(leader int){
		func(l int) { c.Net.Isolate(l) },
		func(l int) { c.Kill(l) },
		func(l int) { _, _ = c.Node(l).Transfer(context30(t), "") },
		func(l int) { c.Net.CutOneWay(l, (l+1)%3); c.Net.CutOneWay(l, (l+2)%3) },
		func(l int) { c.Kill((l + 1) % 3); c.Net.Delay(l, (l+2)%3, 5*time.Millisecond) },
		func(l int) { c.Net.CutOneWay((l+1)%3, l); c.Net.CutOneWay((l+2)%3, l) },
	}
	for n, fault := range faults {
		fault(c.WaitLeader())
		next := ops.Load() + opsPerFault
		c.Wait(fmt.Sprintf("operations under fault %d", n), func() bool { return ops.Load() >= next })
		c.Net.Heal()
		c.Gone()
		for i := range 3 {
			if c.Node(i) == nil {
				c.Start(i)
			}
		}
		c.WaitReady()
		next = ops.Load() + opsPerFault/2
		c.Wait("operations after it", func() bool { return ops.Load() >= next })
	}
	close(stop)
	wg.Wait()
	t.Logf("%d operations in %s, of %d writes the outcome isn't known", len(history), time.Since(begun).Round(time.Millisecond), unknown)
	if len(history) < 200 {
		t.Errorf("only %d operations succeeded", len(history))
	}
	if res, _ := porcupine.CheckOperationsVerbose(registers, history, 20*time.Second); res != porcupine.Ok {
		t.Errorf("the history isn't linearizable: %s", res)
	}
}
