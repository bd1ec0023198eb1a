package node_test

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"

	"yagura/fsm"
	"yagura/node/nodetest"
)

// TestForwardingFollowsReceivers without a restart: a trap goes to whom the
// rows name at the time, and to nobody when they name nobody.
func TestForwardingFollowsReceivers(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t, 1, withTraps)
	c.WaitReady()
	to := newSender(t, c.Hosts[0])
	console := func() net.PacketConn {
		conn, err := net.ListenPacket("udp", c.Hosts[0]+":0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	receiver := func(spec string) {
		c.Update("ApplyDocuments", func(tx *fsm.Tx) error {
			_, err := fsm.ApplyDocuments(tx, []fsm.Document{{Kind: "Receiver", Name: "console", Spec: []byte(spec)}})
			return err
		})
	}
	passed := func(conn net.PacketConn, text string) bool {
		buf := make([]byte, 1500)
		if _, err := to.conn.Write(to.message(gosnmp.SNMPv2Trap, "0xC0000003", text)); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return false
			}
			if bytes.Contains(buf[:n], []byte(text)) && bytes.Contains(buf[:n], []byte("c0mmunity")) {
				return true
			}
		}
	}
	first, second := console(), console()
	receiver(`{"kind":"snmp","address":"` + first.LocalAddr().String() + `","password":"c0mmunity"}`)
	c.Wait("the first console", func() bool { return passed(first, "one") })
	receiver(`{"address":"` + second.LocalAddr().String() + `"}`)
	c.Wait("the second console", func() bool { return passed(second, "two") })
	if passed(first, "three") {
		t.Error("the first console still gets traps")
	}
	receiver(`{"disabled":true}`)
	c.Wait("nobody", func() bool { return !passed(second, strings.Repeat("x", 9)) })
}
