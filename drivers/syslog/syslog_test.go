package syslog_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/syslog"
)

// receiver is a syslog server in this process.
type receiver struct {
	t       *testing.T
	address string
	close   func() error

	mu       sync.Mutex // guards messages
	messages []string
}

func (r *receiver) take(m string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, m)
}

func (r *receiver) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.messages...)
}

// listen starts a server of a scheme, which ends with the test.
func listen(t *testing.T, scheme string, conf *tls.Config) *receiver {
	r := &receiver{t: t}
	var running sync.WaitGroup
	if scheme == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		r.address, r.close = "udp://"+c.LocalAddr().String(), c.Close
		running.Go(func() {
			buf := make([]byte, 65536)
			for {
				n, _, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				r.take(string(buf[:n]))
			}
		})
	} else {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		r.address, r.close = scheme+"://"+l.Addr().String(), l.Close
		if scheme == "tls" {
			l = tls.NewListener(l, conf)
		}
		running.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				running.Go(func() { r.read(c) })
			}
		})
	}
	t.Cleanup(func() {
		_ = r.close()
		running.Wait()
	})
	return r
}

// read takes frames with octet counting [RFC 6587, 3.4.1].
func (r *receiver) read(c net.Conn) {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return
	}
	in := bufio.NewReader(c)
	for {
		head, err := in.ReadString(' ')
		if err != nil {
			if head != "" {
				r.t.Errorf("something stands behind the last frame: %q", head)
			}
			return
		}
		n, err := strconv.Atoi(strings.TrimSpace(head))
		if err != nil || n <= 0 || n > 8192 {
			r.t.Errorf("a frame has the length %q", head)
			return
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(in, frame); err != nil {
			r.t.Error(err)
			return
		}
		r.take(string(frame))
	}
}

func open(t *testing.T, address string, cas *x509.CertPool) drivers.Notifier {
	t.Helper()
	s, err := syslog.Open(syslog.Config{Name: "logs", Address: address, CAs: cas, Host: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) {
	for _, scheme := range []string{"udp", "tcp", "tls"} {
		t.Run(scheme, func(t *testing.T) {
			drivertest.RunNotifier(t, func(t *testing.T) drivertest.NotifierWorld {
				conf, cas := drivertest.ServerTLS(t)
				r := listen(t, scheme, conf)
				w := drivertest.NotifierWorld{
					Part: "a receiver of RFC 5424 at " + r.address, Each: true,
					Open: func(t *testing.T) drivers.Notifier { return open(t, r.address, cas) },
					Arrived: func(t *testing.T) (out []drivertest.Arrived) {
						for _, text := range r.all() {
							m, err := syslog.Parse(text)
							if err != nil {
								t.Fatalf("%v: %q", err, text)
							}
							out = append(out, drivertest.Arrived{ID: m.Params["id"], Text: m.Text})
						}
						return out
					},
					Down: func(t *testing.T) {
						if err := r.close(); err != nil {
							t.Fatal(err)
						}
					},
				}
				if scheme == "tls" {
					w.Untrusted = func(t *testing.T) drivers.Notifier { return open(t, r.address, x509.NewCertPool()) }
					w.Mute = func(t *testing.T) drivers.Notifier { return open(t, "tls://"+drivertest.MuteServer(t), cas) }
				}
				return w
			})
		})
	}
}

// TestBrokenConnectionIsNotDelivery: a server that breaks off has taken nothing
// for sure.
func TestBrokenConnectionIsNotDelivery(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_ = c.(*net.TCPConn).SetLinger(0) // a reset
		_, _ = io.ReadFull(c, make([]byte, 3))
		c.Close()
	})
	t.Cleanup(func() {
		l.Close()
		served.Wait()
	})
	n := drivers.Note{ID: "c-1", Severity: "info", Text: strings.Repeat("x", 4000)}
	_, err = open(t, "tcp://"+l.Addr().String(), nil).Notify(t.Context(), drivers.Message{ID: "c-1", Notes: []drivers.Note{n}})
	if drivers.KindOf(err) != drivers.KindUnknown || err == nil {
		t.Errorf("%v", err)
	}
}

func TestFormat(t *testing.T) {
	n := drivers.Note{
		ID: "c-7", Event: "7", Time: time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 9*3600)), Severity: "error", EventID: "2501",
		Source: "PVM", Operation: "distribute-software", Phase: "failed", Target: `we"b]0\1`, Text: "it\nfailed",
	}
	want := `<27>1 2026-01-01T18:04:05.678901Z n1 yagura - 2501 [yagura@32473 id="c-7" event="7" source="PVM" operation="distribute-software" phase="failed" target="we\"b\]0\\1"] it failed`
	if got := string(syslog.Format(n, "n1", 2048)); got != want {
		t.Errorf("%q\nwant\n%q", got, want)
	}
	n.Text = "失敗"
	if got := string(syslog.Format(n, "", 2048)); !strings.HasSuffix(got, "] \xEF\xBB\xBF失敗") || !strings.Contains(got, " - yagura - ") {
		t.Errorf("%q", got)
	}
}

// FuzzFormat: whatever the facts hold, the message is one line, parses, and has
// the id and the target that went in.
func FuzzFormat(f *testing.F) {
	f.Add("text\n<11>1 - forged", `t"]\`, "2064", "n1", "c-1")
	f.Add("\xff\x00", "", "", "host name", "")
	f.Fuzz(func(t *testing.T, text, target, eventID, host, id string) {
		got := string(syslog.Format(drivers.Note{ID: id, Target: target, EventID: eventID, Severity: "warning", Text: text}, host, 8192))
		m, err := syslog.Parse(got)
		if err != nil {
			t.Fatalf("%v: %q", err, got)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("a control character: %q", got)
		}
		if m.Params["id"] != drivers.OneLine(id, 64) || m.Params["target"] != drivers.OneLine(target, 64) || m.Priority != 28 {
			t.Errorf("%+v of %q", m, got)
		}
		for name := range m.Params {
			if name != "id" && name != "target" {
				t.Errorf("parameter %s was slipped in: %q", name, got)
			}
		}
	})
}
