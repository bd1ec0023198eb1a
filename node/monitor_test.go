package node_test

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node/nodetest"
)

// polled is a machine's operating system: a port that counts who asks.
type polled struct {
	address string
	l       net.Listener
	asked   atomic.Int32
}

func (p *polled) open(t *testing.T) {
	l, err := net.Listen("tcp4", p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.l = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.asked.Add(1)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
}

// TestMonitoring holds that the managers share the polling of machines; that a
// machine that falls silent is one fault, and its recovery one more, though the
// manager that polled it died in between.
func TestMonitoring(t *testing.T) {
	const machines = 9
	first, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := first.Addr().(*net.TCPAddr).Port
	_ = first.Close()
	world := map[string]*polled{}
	for i := range machines {
		p := &polled{address: fmt.Sprintf("127.77.0.%d:%d", i+1, port)}
		p.open(t)
		world[fmt.Sprintf("ph%02d", i+1)] = p
	}
	c := nodetest.New(t, 3, nil)
	c.WaitReady()
	c.Update("machines", func(tx *fsm.Tx) error {
		g := &schema.Group{Name: "db", Monitoring: &schema.Monitoring{Kind: schema.MonitorTCP, Port: int32(port), IntervalSeconds: 1, Misses: 2}}
		if err := fsm.Groups.Put(tx, g); err != nil {
			return err
		}
		for name, p := range world {
			host, _, _ := net.SplitHostPort(p.address)
			if err := fsm.Machines.Put(tx, &schema.Machine{
				Name: name, Kind: schema.MachinePhysical, Power: schema.PowerOn, HardwareStatus: "normal", Status: schema.StatusReady, Managed: true,
				Group: "db", Host: name, Model: "m", Address: host, Monitored: timestamppb.New(tx.Now()),
			}); err != nil {
				return err
			}
		}
		return nil
	})
	c.Wait("all machines to be polled", func() bool {
		for _, p := range world {
			if p.asked.Load() < 2 {
				return false
			}
		}
		return true
	})
	told := func() (out []string, by string) {
		for e := range fsm.Events.All(c.Node(c.WaitLeader()).Store().View()) {
			if e.Source == fsm.MonitorSource {
				out = append(out, fmt.Sprintf("%s %s %d", e.Target, e.EventId, e.Count))
				by = e.Node
			}
		}
		return out, by
	}
	is := func(want ...string) func() bool {
		return func() bool {
			got, _ := told()
			return fmt.Sprint(got) == fmt.Sprint(want)
		}
	}
	_ = world["ph03"].l.Close()
	fault := "ph03 " + fsm.EventUnreachable + " 1"
	c.Wait("the fault", is(fault))
	_, by := told()
	for i := range 3 {
		if nodetest.ID(i) == by {
			c.Kill(i)
		}
	}
	world["ph03"].open(t)
	c.Wait("the recovery, seen by another manager", is(fault, "ph03 "+fsm.EventReachable+" 1"))
	if _, again := told(); again == by {
		t.Errorf("%s polls on, which was killed", by)
	}
	before := map[string]int32{}
	for name, p := range world {
		before[name] = p.asked.Load()
	}
	c.Wait("all machines to be polled by those that are left", func() bool {
		for name, p := range world {
			if p.asked.Load() < before[name]+2 {
				return false
			}
		}
		return true
	})
	if !is(fault, "ph03 "+fsm.EventReachable+" 1")() {
		got, _ := told()
		t.Errorf("told %q", got)
	}
}
