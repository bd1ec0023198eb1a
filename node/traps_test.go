package node_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"

	"yagura/fsm"
	"yagura/node"
	"yagura/node/nodetest"
)

const (
	trapPort   = 10162
	esmproTrap = ".1.3.6.1.4.1.119.2.2.4.4.0.1"
	esmproData = ".1.3.6.1.4.1.119.2.2.4.4.100"
)

func withTraps(_ int, cfg *node.Config) { cfg.SNMP.Port = trapPort }

// sender makes a client that informs a manager, with retransmissions.
func sender(t *testing.T, host string, retries int) *gosnmp.GoSNMP {
	t.Helper()
	g := &gosnmp.GoSNMP{Target: host, Port: trapPort, Version: gosnmp.Version2c, Community: "public", Timeout: 300 * time.Millisecond, Retries: retries, MaxOids: 60}
	if err := g.Connect(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Conn.Close() })
	return g
}

func esmpro(inform bool, id, text string) gosnmp.SnmpTrap {
	return gosnmp.SnmpTrap{IsInform: inform, Variables: []gosnmp.SnmpPDU{
		{Name: ".1.3.6.1.6.3.1.1.4.1.0", Type: gosnmp.ObjectIdentifier, Value: esmproTrap},
		{Name: esmproData + ".1", Type: gosnmp.OctetString, Value: "ESMDSVNT"},
		{Name: esmproData + ".2", Type: gosnmp.OctetString, Value: id},
		{Name: esmproData + ".3", Type: gosnmp.OctetString, Value: "host-" + text},
		{Name: esmproData + ".4", Type: gosnmp.OctetString, Value: text},
	}}
}

// TestInformsExactlyOnce sends informs to all managers while the leadership
// moves and a leader dies: each one that was answered is there once.
func TestInformsExactlyOnce(t *testing.T) {
	const senders, each = 6, 40
	c := nodetest.New(t, 3, withTraps)
	c.WaitReady()
	var wg sync.WaitGroup
	var answered sync.Map
	var sent atomic.Int32
	for s := range senders {
		g := sender(t, c.Hosts[s%3], 40)
		wg.Go(func() {
			for i := range each {
				text := fmt.Sprintf("inform-%d-%d", s, i)
				if _, err := g.SendTrap(esmpro(true, fmt.Sprintf("0x%08X", s*1000+i), text)); err == nil {
					answered.Store(text, true)
				}
				sent.Add(1)
			}
		})
	}
	for _, part := range []int32{senders * each / 4, senders * each / 2} {
		c.Wait("some informs", func() bool { return sent.Load() >= part })
		leader := c.WaitLeader()
		if _, err := c.Node(leader).Transfer(context30(t), ""); err != nil {
			t.Logf("transfer: %v", err)
		}
	}
	wg.Wait()
	c.Check()
	times := map[string]int64{}
	for e := range fsm.Events.All(c.Node(0).Store().View()) {
		if e.Source == "ESMDSVNT" {
			times[e.Text] += e.Count
		}
	}
	n := 0
	answered.Range(func(k, _ any) bool {
		n++
		if times[k.(string)] != 1 {
			t.Errorf("%s was answered and is recorded %d times", k, times[k.(string)])
		}
		return true
	})
	if n != senders*each {
		t.Errorf("%d of %d informs were answered", n, senders*each)
	}
	for text, k := range times {
		if k != 1 {
			t.Errorf("%s is recorded %d times", text, k)
		}
	}
}

// TestTrapWaitsForLeader sends a trap to a manager that has no leader, and
// restarts that manager: the trap is recorded once there is a leader.
func TestTrapWaitsForLeader(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 3, withTraps)
	c.WaitReady()
	leader := c.WaitLeader()
	left := (leader + 1) % 3
	c.Kill(leader)
	c.Kill((leader + 2) % 3)
	c.Wait("the leader to be gone", func() bool { return !c.Node(left).Leader().Self && c.Node(left).Leader().ID == "" })
	if _, err := sender(t, c.Hosts[left], 0).SendTrap(esmpro(false, "0xC0000002", "kept")); err != nil {
		t.Fatal(err)
	}
	c.Wait("the trap to be received", func() bool {
		st, err := c.Node(left).Status(context30(t))
		return err == nil && st.TrapsReceived == 1
	})
	c.Stop(left)
	c.Gone()
	for i := range 3 {
		c.Start(i)
	}
	c.WaitLeader()
	c.Wait("the event", func() bool {
		for e := range fsm.Events.All(c.Node(left).Store().View()) {
			if e.Text == "kept" {
				return true
			}
		}
		return false
	})
}
