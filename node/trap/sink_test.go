package trap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yagura/fsm/schema"
)

const (
	host    = "127.0.0.1"
	trapOID = "1.3.6.1.4.1.119.2.2.4.4.0.1"
	data    = "1.3.6.1.4.1.119.2.2.4.4.100"
)

var users = []User{
	{Name: "open"},
	{Name: "signed", Auth: "sha", AuthKey: "authentication"},
	{Name: "secret", Auth: "sha256", AuthKey: "authentication", Priv: "aes", PrivKey: "confidential"},
}

// leader records events as the real one does.
type leader struct {
	mu     sync.Mutex // guards all below
	events []*schema.Event
	seq    uint64
	down   error
	held   chan struct{} // when set, a delivery waits for its end
	calls  int
}

func (l *leader) deliver(ctx context.Context, events []*schema.Event) (uint64, error) {
	l.mu.Lock()
	held := l.held
	l.calls++
	l.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down != nil {
		return 0, l.down
	}
	for _, e := range events {
		if e.EventId == "poison" {
			return 0, schema.Errorf(schema.KindInvalid, "event", "refused")
		}
	}
	for _, e := range events {
		if e.Sequence > l.seq {
			l.seq = e.Sequence
			l.events = append(l.events, e)
		}
	}
	return l.seq, nil
}

func (l *leader) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *leader) got() []*schema.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

func testRules(t testing.TB) *Rules {
	r, problems := Compile([]*schema.TrapRule{
		{Name: "esmpro", Oid: trapOID, Notifier: "SystemMonitorEvent", Source: "${" + data + ".1}", EventId: "${" + data + ".2}", Target: "${" + data + ".3}|${agent}"},
		{Name: "poison", Oid: "1.3.6.1.4.1.99.1", EventId: "poison"},
		{Name: "quiet", Oid: "1.3.6.1.4.1.99.2", Ignore: true},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return r
}

func open(t testing.TB, l *leader, change func(*Options)) *Sink {
	t.Helper()
	rules := testRules(t)
	opt := Options{Config: DefaultConfig(), Dir: t.TempDir(), Node: "node1", Deliver: l.deliver, Rules: func() *Rules { return rules }}
	opt.Bind, opt.Port, opt.Users = host, 0, users
	if change != nil {
		change(&opt)
	}
	s, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick, end := time.NewTicker(2*time.Millisecond), time.NewTimer(20*time.Second)
	defer tick.Stop()
	defer end.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// netSNMP runs one of net-snmp's senders.
func netSNMP(t testing.TB, program string, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "MIBS=", "SNMP_PERSISTENT_DIR="+t.TempDir(), "SNMPCONFPATH="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, out)
	}
	return nil
}

func binds(id string) []string {
	return []string{data + ".1", "s", "ESMDSVNT", data + ".2", "s", id, data + ".3", "s", "esx02"}
}

func v3(user User, level string, more ...string) []string {
	args := []string{"-v3", "-l", level, "-u", user.Name}
	if user.Auth != "" {
		args = append(args, "-a", map[string]string{"sha": "SHA", "sha256": "SHA-256"}[user.Auth], "-A", user.AuthKey)
	}
	if user.Priv != "" {
		args = append(args, "-x", "AES", "-X", user.PrivKey)
	}
	return append(args, more...)
}

// TestNetSNMP sends every kind of notification with net-snmp's programs.
func TestNetSNMP(t *testing.T) {
	l := &leader{}
	s := open(t, l, nil)
	to := s.Addr().String()
	engine := []string{"-e", "0x8000000001020304"}
	n := 0
	send := func(program string, head []string, uptime []string) {
		t.Helper()
		n++
		id := fmt.Sprintf("0x%08X", n)
		args := slices.Concat(head, []string{"-r", "2", "-t", "3", to}, uptime, binds(id))
		if err := netSNMP(t, program, args...); err != nil {
			t.Error(err)
			return
		}
		wait(t, "event "+id, func() bool {
			return slices.ContainsFunc(l.got(), func(e *schema.Event) bool { return e.EventId == id })
		})
	}
	v2 := []string{"", trapOID}
	send("snmptrap", []string{"-v1", "-c", "public"}, []string{"1.3.6.1.4.1.119.2.2.4.4", "192.0.2.7", "6", "1", ""})
	send("snmptrap", []string{"-v2c", "-c", "public"}, v2)
	send("snmpinform", []string{"-v2c", "-c", "public"}, v2)
	send("snmptrap", v3(users[0], "noAuthNoPriv", engine...), v2)
	send("snmptrap", v3(users[1], "authNoPriv", engine...), v2)
	send("snmptrap", v3(users[2], "authPriv", engine...), v2)
	send("snmpinform", v3(users[0], "noAuthNoPriv"), v2)
	send("snmpinform", v3(users[1], "authNoPriv"), v2)
	send("snmpinform", v3(users[2], "authPriv"), v2)
	for _, e := range l.got() {
		if e.Source != "ESMDSVNT" || e.TargetHint != "esx02" || e.Notifier != "SystemMonitorEvent" {
			t.Errorf("event %v", e)
		}
	}
	if len(l.got()) != n {
		t.Errorf("%d events of %d notifications", len(l.got()), n)
	}
}

// TestRefusedNotifications checks that what isn't allowed leaves no event, gets
// no answer, and is counted under its reason.
func TestRefusedNotifications(t *testing.T) {
	l := &leader{}
	s := open(t, l, func(o *Options) { o.Communities = []string{"private"} })
	to := s.Addr().String()
	quick := []string{"-r", "0", "-t", "0.2", to, "", trapOID}
	for _, c := range []struct {
		reason Reason
		args   []string
	}{
		{BadCommunity, []string{"-v2c", "-c", "public"}},
		{Unauthorized, v3(User{Name: "stranger"}, "noAuthNoPriv")},
		{Unauthorized, v3(User{Name: "signed", Auth: "sha", AuthKey: "guessed-wrong"}, "authNoPriv")},
		{Unauthorized, v3(User{Name: "signed"}, "noAuthNoPriv")},
		{Unauthorized, v3(User{Name: "secret", Auth: "sha256", AuthKey: "authentication"}, "authNoPriv")},
	} {
		before := s.drops[c.reason].Load()
		if err := netSNMP(t, "snmpinform", slices.Concat(c.args, quick, binds("0x1"))...); err == nil {
			t.Errorf("%v was answered", c.args)
		}
		if s.drops[c.reason].Load() == before {
			t.Errorf("%v isn't counted as %s: %v", c.args, c.reason, s.Dropped())
		}
	}
	conn, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, d := range []struct {
		reason   Reason
		datagram []byte
	}{
		{Malformed, []byte("hello")},
		{Malformed, []byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}},
		{UnknownVersion, []byte{0x30, 0x03, 0x02, 0x01, 0x02}},
		// A GET of sysUpTime in v2c.
		{NoNotification, append([]byte{0x30, 0x2a, 0x02, 0x01, 0x01, 0x04, 0x07}, append([]byte("private"), 0xa0, 0x1c, 0x02, 0x04, 0, 0, 0, 1, 0x02, 0x01, 0, 0x02, 0x01, 0, 0x30, 0x0e,
			0x30, 0x0c, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x02, 0x01, 0x01, 0x03, 0x00, 0x05, 0x00)...)},
	} {
		before := s.drops[d.reason].Load()
		if _, err := conn.Write(d.datagram); err != nil {
			t.Fatal(err)
		}
		wait(t, "a count of "+string(d.reason), func() bool { return s.drops[d.reason].Load() == before+1 })
	}
	if got := l.got(); len(got) != 0 {
		t.Errorf("events were recorded: %v", got)
	}
}

// packet is a v2c notification, made by hand.
func packet(inform bool, request byte, oid []byte) []byte {
	vb := append([]byte{0x30, byte(12 + 2 + len(oid)), 0x06, 0x0a, 0x2b, 6, 1, 6, 3, 1, 1, 4, 1, 0, 0x06, byte(len(oid))}, oid...)
	pdu := append([]byte{0x02, 0x01, request, 0x02, 0x01, 0, 0x02, 0x01, 0, 0x30, byte(len(vb))}, vb...)
	tag := byte(0xa7)
	if inform {
		tag = 0xa6
	}
	body := append([]byte{0x02, 0x01, 0x01, 0x04, 0x06, 'p', 'u', 'b', 'l', 'i', 'c', tag, byte(len(pdu))}, pdu...)
	return append([]byte{0x30, byte(len(body))}, body...)
}

// OIDs under 1.3.6.1.4.1.99.
func enterprise(n byte) []byte { return []byte{0x2b, 6, 1, 4, 1, 99, n} }

// TestInformIsAnsweredAfterCommit holds the leader: no answer before it
// records, one for each transmission afterwards, one event.
func TestInformIsAnsweredAfterCommit(t *testing.T) {
	l := &leader{held: make(chan struct{})}
	s := open(t, l, nil)
	conn, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func() {
		if _, err := conn.Write(packet(true, 7, enterprise(3))); err != nil {
			t.Fatal(err)
		}
	}
	read := func(d time.Duration) ([]byte, error) {
		buf := make([]byte, 1500)
		if err := conn.SetReadDeadline(time.Now().Add(d)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		return buf[:n], err
	}
	send()
	wait(t, "the delivery", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.calls > 0 })
	send()
	wait(t, "the retransmission", func() bool { return s.Duplicates() == 1 })
	if _, err := read(20 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("answered before the event was recorded: %v", err)
	}
	close(l.held)
	answer, err := read(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	want := packet(true, 7, enterprise(3))
	want[13] = 0xa2
	if string(answer) != string(want) {
		t.Errorf("the response is %x, it should be %x", answer, want)
	}
	send()
	if _, err := read(10 * time.Second); err != nil {
		t.Errorf("a late retransmission isn't answered: %v", err)
	}
	if got := l.got(); len(got) != 1 {
		t.Errorf("%d events of one inform", len(got))
	}
}

func TestRejectedEventDoesNotBlockOthers(t *testing.T) {
	l := &leader{down: errors.New("not yet")}
	s := open(t, l, nil)
	for i, oid := range []byte{3, 1, 4} {
		s.take(packet(false, byte(i), enterprise(oid)), netip.MustParseAddrPort("192.0.2.1:1000"))
	}
	if s.Waiting() != 3 {
		t.Fatalf("%d events wait", s.Waiting())
	}
	l.set(func() { l.down = nil })
	s.Retry()
	wait(t, "all events to be gone", func() bool { return s.Waiting() == 0 })
	if got := l.got(); len(got) != 2 || s.Dropped()[string(Rejected)] != 1 {
		t.Errorf("%d events, dropped %v", len(got), s.Dropped())
	}
}

func TestLimits(t *testing.T) {
	l := &leader{down: errors.New("no leader")}
	s := open(t, l, func(o *Options) { o.Rate, o.Burst, o.SpoolBytes = 1, 10, 400 })
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	count := map[Reason]int{}
	for i := range 20 {
		r, _ := s.take(packet(false, byte(i), enterprise(3)), from)
		count[r]++
	}
	if count[RateLimited] != 10 || count[SpoolFull] == 0 || count[""] == 0 {
		t.Errorf("what became of 20 traps: %v", count)
	}
}

// TestIgnored checks that an inform that a rule ignores is answered and counted.
func TestIgnored(t *testing.T) {
	l := &leader{}
	s := open(t, l, nil)
	conn, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(packet(true, 1, enterprise(2))); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1500)); err != nil {
		t.Errorf("an ignored inform isn't answered: %v", err)
	}
	if s.Dropped()[string(Ignored)] != 1 || len(l.got()) != 0 {
		t.Errorf("dropped %v, events %v", s.Dropped(), l.got())
	}
}

// TestRulesComeLater starts without rules, as a manager does that hasn't
// reached the leader yet: nothing is mapped by guess.
func TestRulesComeLater(t *testing.T) {
	l := &leader{}
	var ready atomic.Pointer[Rules]
	s := open(t, l, func(o *Options) { o.Rules = ready.Load })
	if r, _ := s.take(packet(false, 1, enterprise(1)), netip.MustParseAddrPort("192.0.2.1:1000")); r != "" {
		t.Fatal(r)
	}
	rules, _ := Compile([]*schema.TrapRule{{Name: "late", Oid: "1.3.6.1.4.1.99", EventId: "mapped"}})
	ready.Store(rules)
	s.Retry()
	wait(t, "the event", func() bool { return len(l.got()) == 1 })
	if e := l.got()[0]; e.EventId != "mapped" {
		t.Errorf("event %v", e)
	}
}

// TestSpoolSurvives ends the sink with events that nobody took.
func TestSpoolSurvives(t *testing.T) {
	dir := t.TempDir()
	l := &leader{down: errors.New("no leader")}
	first := open(t, l, func(o *Options) { o.Dir = dir })
	const n = 5000 // several files
	for i := range n {
		first.limiter = newLimiter(Limits{Rate: 1, Burst: 1}) // the test sends as fast as it can
		if r, _ := first.take(packet(false, byte(i), enterprise(3)), netip.MustParseAddrPort("192.0.2.1:1000")); r != "" {
			t.Fatal(r)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	// A crash has cut the last record.
	names, err := filepath.Glob(filepath.Join(dir, "spool", "*"+suffix))
	if err != nil || len(names) < 1 {
		t.Fatal(names, err)
	}
	last := slices.Max(names)
	info, err := os.Stat(last)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(last, info.Size()-3); err != nil {
		t.Fatal(err)
	}
	l.set(func() { l.down = nil })
	second := open(t, l, func(o *Options) { o.Dir = dir })
	wait(t, "the events", func() bool { return second.Waiting() == 0 })
	got := l.got()
	if len(got) != n-1 {
		t.Errorf("%d events came back of %d and a cut one", len(got), n-1)
	}
	for i := 1; i < len(got); i++ {
		if got[i].Sequence <= got[i-1].Sequence {
			t.Fatal("the order is lost")
		}
	}
	if r, _ := second.take(packet(false, 1, enterprise(4)), netip.MustParseAddrPort("192.0.2.9:1000")); r != "" {
		t.Fatal(r)
	}
	wait(t, "the new event", func() bool { return len(l.got()) == n })
	if names, _ := filepath.Glob(filepath.Join(dir, "spool", "*"+suffix)); len(names) != 1 {
		t.Errorf("files left in the spool: %v", names)
	}
}
