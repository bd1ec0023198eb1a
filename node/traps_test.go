package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"

	"yagura/fsm"
	"yagura/node"
	"yagura/node/nodetest"
	"yagura/node/trap"
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

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestSnmpUserOfRows makes a user of SNMPv3 by a document: every manager takes
// informs of it at once, of its new keys when they change, and none when it is
// gone; no key is shown. A user of the config file stays as it is there.
func TestSnmpUserOfRows(t *testing.T) {
	t.Parallel()
	log := new(lockedBuffer)
	c := nodetest.New(t, 2, func(i int, cfg *node.Config) {
		withTraps(i, cfg)
		cfg.SNMP.Users = []trap.User{{Name: "local", Auth: "sha", AuthKey: "of-the-config-file"}}
		cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	c.WaitReady()
	apply := func(kind, name, spec string) {
		t.Helper()
		c.Update("apply", func(tx *fsm.Tx) error {
			_, err := fsm.ApplyDocuments(tx, []fsm.Document{{Kind: kind, Name: name, Spec: []byte(spec)}})
			return err
		})
	}
	inform := func(host, user, auth, priv string) error {
		args := []string{"-v3", "-l", "authPriv", "-u", user, "-a", "SHA", "-A", auth, "-x", "AES", "-X", priv}
		if priv == "" {
			args = []string{"-v3", "-l", "authNoPriv", "-u", user, "-a", "SHA", "-A", auth}
		}
		args = append(args, "-r", "0", "-t", "2", net.JoinHostPort(host, strconv.Itoa(trapPort)), "", esmproTrap, esmproData+".2", "s", "0x1")
		cmd := exec.CommandContext(t.Context(), "snmpinform", args...)
		cmd.Env = append(os.Environ(), "MIBS=", "SNMP_PERSISTENT_DIR="+t.TempDir(), "SNMPCONFPATH="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("snmpinform: %w: %s", err, out)
		}
		return nil
	}
	refused := func(i int) uint64 {
		st, err := c.Node(i).Status(context30(t))
		if err != nil {
			t.Fatal(err)
		}
		return st.TrapsDropped["authentication"]
	}
	apply("SnmpUser", "ups", `{"auth":"sha","auth_key":"first-key-of-ups","priv":"aes","priv_key":"first-privacy"}`)
	apply("SnmpUser", "local", `{"auth":"sha","auth_key":"of-the-document"}`)
	for i, host := range c.Hosts[:2] {
		c.Wait("the user to be known", func() bool { return inform(host, "ups", "first-key-of-ups", "first-privacy") == nil })
		if err := inform(host, "local", "of-the-config-file", ""); err != nil {
			t.Errorf("the config file's user on manager %d: %v", i, err)
		}
	}
	apply("SnmpUser", "ups", `{"auth_key":"second-key-of-ups"}`)
	for i, host := range c.Hosts[:2] {
		c.Wait("the new key", func() bool { return inform(host, "ups", "second-key-of-ups", "first-privacy") == nil })
		before := refused(i)
		if err := inform(host, "ups", "first-key-of-ups", "first-privacy"); err == nil || refused(i) == before {
			t.Errorf("the old key on manager %d: %v, refused %d before and %d after", i, err, before, refused(i))
		}
	}
	c.Update("unset", func(tx *fsm.Tx) error { return fsm.Unset(tx, "SnmpUser", "ups") })
	for i, host := range c.Hosts[:2] {
		c.Wait("the user to be gone", func() bool { return inform(host, "ups", "second-key-of-ups", "first-privacy") != nil })
		if refused(i) == 0 {
			t.Errorf("manager %d doesn't count what it refuses", i)
		}
	}
	apply("Settings", "cluster", `{"trap_rate":1}`)
	to := newSender(t, c.Hosts[0])
	c.Wait("the limit on all senders", func() bool {
		for range 10 {
			if _, err := to.conn.Write(to.message(gosnmp.SNMPv2Trap, "0x2", "many")); err != nil {
				t.Fatal(err)
			}
		}
		st, err := c.Node(0).Status(context30(t))
		return err == nil && st.TrapsDropped["total-rate"] > 0
	})
	for _, secret := range []string{"first-key-of-ups", "second-key-of-ups", "first-privacy", "of-the-config-file", "of-the-document"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has the key %q", secret)
		}
	}
}
