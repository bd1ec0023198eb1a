package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
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

// sender sends notifications to a manager as net-snmp does: a retransmission
// of an inform is the same datagram from the same port.
type sender struct {
	t    *testing.T
	conn net.Conn
	next uint32 // request id
}

func newSender(t *testing.T, host string) *sender {
	t.Helper()
	conn, err := net.Dial("udp", net.JoinHostPort(host, strconv.Itoa(trapPort)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &sender{t: t, conn: conn}
}

// message makes an ESMPRO notification.
func (s *sender) message(kind gosnmp.PDUType, id, text string) []byte {
	s.next++
	p := gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: "public", PDUType: kind, RequestID: s.next, Variables: []gosnmp.SnmpPDU{
		{Name: ".1.3.6.1.6.3.1.1.4.1.0", Type: gosnmp.ObjectIdentifier, Value: esmproTrap},
		{Name: esmproData + ".1", Type: gosnmp.OctetString, Value: "ESMDSVNT"},
		{Name: esmproData + ".2", Type: gosnmp.OctetString, Value: id},
		{Name: esmproData + ".3", Type: gosnmp.OctetString, Value: "host-" + text},
		{Name: esmproData + ".4", Type: gosnmp.OctetString, Value: text},
	}}
	b, err := p.MarshalMsg()
	if err != nil {
		s.t.Error(err)
	}
	return b
}

// inform sends an inform again and again until it is answered.
func (s *sender) inform(id, text string, retries int) error {
	m := s.message(gosnmp.InformRequest, id, text)
	want := bytes.Clone(m)
	want[bytes.Index(want, []byte("public"))+len("public")] = byte(gosnmp.GetResponse)
	buf := make([]byte, 1500)
	for range retries {
		if _, err := s.conn.Write(m); err != nil {
			return err
		}
		if err := s.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return err
		}
		for {
			n, err := s.conn.Read(buf)
			if err != nil {
				break // not answered in time
			}
			if bytes.Equal(buf[:n], want) {
				return nil
			}
		}
	}
	return errors.New("no answer")
}

// TestInformsExactlyOnce sends informs to all managers while the leadership
// moves: each one that was answered is there once.
func TestInformsExactlyOnce(t *testing.T) {
	const senders, each = 6, 40
	c := nodetest.New(t, 3, withTraps)
	c.WaitReady()
	var wg sync.WaitGroup
	var answered sync.Map
	var sent atomic.Int32
	for s := range senders {
		to := newSender(t, c.Hosts[s%3])
		wg.Go(func() {
			for i := range each {
				text := fmt.Sprintf("inform-%d-%d", s, i)
				if err := to.inform(fmt.Sprintf("0x%08X", s*1000+i), text, 60); err == nil {
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
	to := newSender(t, c.Hosts[left])
	if _, err := to.conn.Write(to.message(gosnmp.SNMPv2Trap, "0xC0000002", "kept")); err != nil {
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
