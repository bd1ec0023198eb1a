package node_test

import (
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node/monitor"
	"yagura/node/nodetest"
)

// polled is a machine's operating system: a port that counts who asks.
type polled struct {
	address string
	l       net.Listener
	closed  bool
	asked   atomic.Int32
}

func (p *polled) close() {
	p.closed = true
	_ = p.l.Close()
}

func (p *polled) open(t *testing.T) {
	l, err := net.Listen("tcp4", p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.l, p.closed = l, false
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

// monitored is a cluster that polls machines, once a second, two misses.
type monitored struct {
	*nodetest.Cluster
	world map[string]*polled
}

// startMonitored starts three managers and the machines of these names.
func startMonitored(t *testing.T, names []string) *monitored {
	t.Helper()
	first, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := first.Addr().(*net.TCPAddr).Port
	_ = first.Close()
	c := &monitored{Cluster: nodetest.New(t, 3, nil), world: map[string]*polled{}}
	for i, name := range names {
		c.world[name] = &polled{address: fmt.Sprintf("127.77.0.%d:%d", i+1, port)}
		c.world[name].open(t)
	}
	c.WaitReady()
	c.Update("machines", func(tx *fsm.Tx) error {
		g := &schema.Group{Name: "db", Monitoring: &schema.Monitoring{Kind: schema.MonitorTCP, Port: int32(port), IntervalSeconds: 1, Misses: 2}}
		if err := fsm.Groups.Put(tx, g); err != nil {
			return err
		}
		for name, p := range c.world {
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
	c.polledMore(2)
	return c
}

// polledMore waits until each machine that answers has been polled n times more.
func (c *monitored) polledMore(n int32) {
	c.T.Helper()
	before := map[string]int32{}
	for name, p := range c.world {
		before[name] = p.asked.Load()
	}
	c.Wait("all machines to be polled", func() bool {
		for name, p := range c.world {
			if !p.closed && p.asked.Load() < before[name]+n {
				return false
			}
		}
		return true
	})
}

// told gives the events of polls, and who saw the last of them.
func (c *monitored) told() (out []string, by string) {
	for e := range fsm.Events.All(c.Node(c.WaitLeader()).Store().View()) {
		if e.Source == fsm.MonitorSource {
			out = append(out, fmt.Sprintf("%s %s %d", e.Target, e.EventId, e.Count))
			by = e.Node
		}
	}
	return out, by
}

func (c *monitored) is(want ...string) func() bool {
	return func() bool {
		got, _ := c.told()
		slices.Sort(got)
		slices.Sort(want)
		return slices.Equal(got, want)
	}
}

// TestMonitoring holds that the managers share the polling of machines; that a
// machine that falls silent is one fault, and its recovery one more, though the
// manager that polled it died in between.
func TestMonitoring(t *testing.T) {
	c := startMonitored(t, []string{"ph01", "ph02", "ph03", "ph04", "ph05", "ph06", "ph07", "ph08", "ph09"})
	c.world["ph03"].close()
	fault, recovery := "ph03 "+fsm.EventUnreachable+" 1", "ph03 "+fsm.EventReachable+" 1"
	c.Wait("the fault", c.is(fault))
	_, by := c.told()
	for i := range 3 {
		if nodetest.ID(i) == by {
			c.Kill(i)
		}
	}
	c.world["ph03"].open(t)
	c.Wait("the recovery, seen by another manager", c.is(fault, recovery))
	if _, again := c.told(); again == by {
		t.Errorf("%s polls on, which was killed", by)
	}
	c.polledMore(2)
	if got, _ := c.told(); !c.is(fault, recovery)() {
		t.Errorf("told %q", got)
	}
}

// TestMonitoringBlind holds that when all machines of one manager fall silent,
// which may be its own network, the others find out.
func TestMonitoringBlind(t *testing.T) {
	share := map[string][]string{}
	var names []string
	live := []string{nodetest.ID(0), nodetest.ID(1), nodetest.ID(2)}
	for i := 0; len(names) < 6; i++ {
		name := fmt.Sprintf("ph%02d", i)
		for _, node := range live {
			if len(monitor.Share([]monitor.Target{{Machine: name}}, live, node)) == 1 && len(share[node]) < 2 {
				share[node] = append(share[node], name)
				names = append(names, name)
			}
		}
	}
	c := startMonitored(t, names)
	var want []string
	for _, name := range share[live[0]] {
		c.world[name].close()
		want = append(want, name+" "+fsm.EventUnreachable+" 1")
	}
	c.Wait("both faults", c.is(want...))
	if _, by := c.told(); by == live[0] {
		t.Errorf("%s, which hears nobody, was believed", by)
	}
}
