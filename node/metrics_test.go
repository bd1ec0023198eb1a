package node_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"
	"google.golang.org/protobuf/types/known/structpb"

	"yagura/drivers/mail/mailtest"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/node"
	"yagura/node/nodetest"
	"yagura/node/tlsutil"
	"yagura/rpc/api"
)

// scrape reads the metrics of manager i, by name and labels as they are written.
func scrape(c *nodetest.Cluster, i int) map[string]float64 {
	c.T.Helper()
	ca, err := os.ReadFile(filepath.Join(c.Dir, tlsutil.CAFile))
	if err != nil {
		c.T.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}
	defer t.CloseIdleConnections()
	res, err := (&http.Client{Transport: t, Timeout: 10 * time.Second}).Get("https://" + net.JoinHostPort(c.Hosts[i], strconv.Itoa(node.HTTPPort)) + "/metrics")
	if err != nil {
		c.T.Fatal(err)
	}
	defer res.Body.Close()
	out := map[string]float64{}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			out[name] = v
		}
	}
	return out
}

// summed adds up the metrics of all managers that begin with a prefix.
func summed(c *nodetest.Cluster, prefix string) map[string]float64 {
	out := map[string]float64{}
	for _, i := range c.Running() {
		for name, v := range scrape(c, i) {
			if strings.HasPrefix(name, prefix) && v != 0 {
				out[strings.TrimPrefix(name, prefix)] += v
			}
		}
	}
	return out
}

// TestMetricsOfEvents sends traps to all managers, with a storm and a brake among
// them, and compares what the metrics say with what was sent.
func TestMetricsOfEvents(t *testing.T) {
	c := nodetest.New(t, 3, withTraps)
	c.WaitReady()
	c.Update("machines", func(tx *fsm.Tx) error {
		s, _ := fsm.SettingsTable.Edit(tx, schema.SettingsKey)
		s.StormMachines, s.StormSeconds = 3, 600
		if err := fsm.SettingsTable.Put(tx, s); err != nil {
			return err
		}
		if err := fsm.Policies.Put(tx, &schema.Policy{Name: "p", Rules: []*schema.PolicyRule{
			{Name: "silent", Notifier: schema.NotifierESMPRO, Selector: "ESMDSVNT[0xC0000002]", Actions: []string{"notify", "replace-machine"}},
			{Name: "flapping", Notifier: schema.NotifierESMPRO, Selector: "ESMDSVNT[0xC0000101]", Actions: []string{"reboot-machine"}, FlapCount: 1},
			{Name: "waits", Notifier: schema.NotifierESMPRO, Selector: "ESMDSVNT[0xC0000102]", Actions: []string{"notify"}, SuppressSeconds: 3600},
		}}); err != nil {
			return err
		}
		if err := fsm.Groups.Put(tx, &schema.Group{Name: "db", Policy: "p"}); err != nil {
			return err
		}
		for _, name := range []string{"host-a", "host-b", "host-c"} {
			if err := fsm.Machines.Put(tx, &schema.Machine{
				Name: name, Kind: schema.MachinePhysical, Power: schema.PowerOn, HardwareStatus: "normal", Status: schema.StatusReady, Managed: true, Group: "db", Host: name, Model: "m",
			}); err != nil {
				return err
			}
		}
		return nil
	})
	// 30 the same, to all managers, about a machine that nobody knows; then what is decided on.
	sinks := make([]*sender, 3)
	for i := range sinks {
		sinks[i] = newSender(t, c.Hosts[i])
	}
	same := sinks[0].message(gosnmp.SNMPv2Trap, "0x800002BD", "stranger")
	for range 10 {
		for _, s := range sinks {
			if _, err := s.conn.Write(same); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := sinks[1].conn.Write([]byte("no SNMP")); err != nil {
		t.Fatal(err)
	}
	c.Wait("the identical traps", func() bool { return summed(c, "yagura_traps_recorded_total")[""] == 30 })
	for i, e := range []struct{ id, target string }{{"0xC0000101", "a"}, {"0xC0000102", "b"}, {"0xC0000002", "a"}, {"0xC0000002", "b"}, {"0xC0000002", "c"}} {
		if err := sinks[i%3].inform(e.id, e.target, 30); err != nil {
			t.Fatal(err)
		}
	}
	c.Wait("the last decision", func() bool { return summed(c, "yagura_events_braked_total")[`{brake="storm"}`] == 1 })
	c.Wait("the storm on all managers", func() bool { return summed(c, "yagura_storm_machines")[""] == 9 })
	for what, want := range map[string]map[string]float64{
		"yagura_event_decisions_total": {`{decision="ignored"}`: 1, `{decision="suppressed"}`: 1, `{decision="acted"}`: 2, `{decision="braked"}`: 2},
		"yagura_events_braked_total":   {`{brake="storm"}`: 1, `{brake="flap_count"}`: 1},
		"yagura_events_recorded_total": {`{row="new"}`: 6, `{row="earlier"}`: 29},
		"yagura_traps_recorded_total":  {"": 35},
		"yagura_traps_dropped_total":   {`{reason="malformed"}`: 1},
		"yagura_storm_active":          {"": 3},
		"yagura_automation_disarmed":   {},
	} {
		if got := summed(c, what); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	received := summed(c, "yagura_traps_received_total")[""]
	if repeated := summed(c, "yagura_traps_duplicate_total")[""]; received != 36+repeated {
		t.Errorf("%v datagrams received, %v of them again", received, repeated)
	}
}

// TestMetricsOfNotices compares the outbox's metrics of each manager with what was
// sent to a mail server, to one that is down, and given up.
func TestMetricsOfNotices(t *testing.T) {
	s, err := mailtest.Listen(mailtest.Config{NoTLS: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	closed, err := mailtest.Listen(mailtest.Config{NoTLS: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	closed.Stop()
	c := nodetest.New(t, 3, nil)
	c.WaitReady()
	var docs []*api.Document
	for name, address := range map[string]string{"up": s.Address, "down": closed.Address} {
		spec, err := structpb.NewStruct(map[string]any{
			"kind": "mail", "address": address, "tls": "none", "from": "pvm@example.com", "to": []any{"ops@example.com"}, "bundle_seconds": 0,
		})
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, &api.Document{Kind: "Receiver", Name: name, Spec: spec})
	}
	if _, err := c.Client(0).Inventory.Apply(t.Context(), &api.ApplyRequest{Documents: docs}); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	c.Update("entries", func(tx *fsm.Tx) error {
		for range 3 {
			if err := fsm.LogEvent(tx, &schema.Event{EventId: "2023", Severity: "warning", Operation: "startup-machine", Phase: "failed", Text: "failed"}); err != nil {
				return err
			}
		}
		return nil
	})
	is := func(metric, receiver string, want float64) func() bool {
		return func() bool {
			for i := range c.Hosts {
				if scrape(c, i)[metric+`{receiver="`+receiver+`"}`] != want {
					return false
				}
			}
			return true
		}
	}
	c.Wait("all to be delivered", is("yagura_notices_delivered_total", "up", 3))
	c.Wait("nothing to wait", is("yagura_notices_waiting", "up", 0))
	c.Wait("the second attempt", func() bool { return scrape(c, 0)[`yagura_notice_failures_total{receiver="down"}`] >= 2 })
	if n := len(s.Mails()); n != 3 {
		t.Errorf("%d mails", n)
	}
	m := scrape(c, c.WaitLeader())
	age := m[`yagura_notices_oldest_waiting_seconds{receiver="down"}`]
	if m[`yagura_notices_waiting{receiver="down"}`] != 3 || age < 1 || age > time.Since(begun).Seconds() || m[`yagura_notices_oldest_waiting_seconds{receiver="up"}`] != 0 || m[`yagura_notices_lost_total{receiver="up"}`] != 0 {
		t.Errorf("age %v\n%v", age, m)
	}
	// What the leader does when nobody has taken a message for a day.
	c.Update("a day later", func(tx *fsm.Tx) error {
		r, _ := fsm.Receivers.Edit(tx, "down")
		r.Disabled = true
		if err := fsm.Receivers.Put(tx, r); err != nil {
			return err
		}
		if _, err := fsm.BeginSending(tx, "down"); err != nil {
			return err
		}
		return fsm.FailSending(tx, "down", "it is down", nil, tx.Now(), tx.Now().Add(time.Hour))
	})
	c.Wait("the loss", is("yagura_notices_lost_total", "down", 1))
	c.Wait("the rest", is("yagura_notices_waiting", "down", 2))
}
