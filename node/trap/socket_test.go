package trap

import (
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"yagura/fsm/schema"
)

// TestOverflowIsCounted sends more than the socket's buffer holds while nobody
// reads: what the kernel drops is counted, and each datagram is read or counted.
func TestOverflowIsCounted(t *testing.T) {
	s, err := listen(host, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.conn.SetReadBuffer(1 << 16); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", s.addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const n = 500
	for range n {
		if _, err := conn.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	dropped := s.overflown()
	if dropped == 0 || dropped >= n {
		t.Fatalf("%d of %d datagrams are counted as dropped", dropped, n)
	}
	read := 0
	for uint64(read)+dropped < n {
		if _, err := s.read(func(d []byte, from netip.AddrPort) {
			read++
			if len(d) != 1000 || from.String() != conn.LocalAddr().String() {
				t.Errorf("%d bytes from %v", len(d), from)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if uint64(read)+dropped != n {
		t.Errorf("%d read, %d dropped, %d sent", read, dropped, n)
	}
}

// TestManyAnswers sends more answers than one call of the system takes, one of
// them to where none can be sent.
func TestManyAnswers(t *testing.T) {
	s, err := listen(host, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	var answers []answer
	for i := range 3 * maxWrite {
		answers = append(answers, answer{[]byte{byte(i)}, to.LocalAddr().(*net.UDPAddr).AddrPort()})
	}
	const bad = maxWrite + 7
	answers[bad].bytes = make([]byte, 70000)
	if err := s.write(answers); err == nil {
		t.Error("a datagram of 70,000 bytes was sent")
	}
	buf := make([]byte, 16)
	for i := range answers {
		if i == bad {
			continue
		}
		if n, err := to.Read(buf); err != nil || n != 1 || buf[0] != byte(i) {
			t.Fatalf("answer %d is %x, %v", i, buf[:n], err)
		}
	}
}

// TestTrapsAreSpooledWhileNobodyTakesThem checks that the spool has what waits
// for long, without an end in good order, and nothing else.
func TestTrapsAreSpooledWhileNobodyTakesThem(t *testing.T) {
	l := &leader{down: errors.New("no leader")}
	dir := t.TempDir()
	s := open(t, l, func(o *Options) { o.Dir = dir })
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	spooled := func() (events []*schema.Event) {
		names, err := filepath.Glob(filepath.Join(dir, "spool", "*"+suffix))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			more, err := readSegment(name)
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, more...)
		}
		return events
	}
	for i := range 10 {
		s.take(packet(i%2 == 0, byte(i), enterprise(3)), from)
	}
	wait(t, "the traps to be spooled", func() bool { return len(spooled()) == 5 })
	l.set(func() { l.down = nil })
	s.Retry()
	wait(t, "the events to be recorded", func() bool { return s.Waiting() == 0 })
	if n := len(l.got()); n != 10 {
		t.Errorf("%d events were recorded", n)
	}
	wait(t, "the spool to be empty", func() bool { return len(spooled()) == 0 })
}

// TestFlowOfTrapsIsReadAtItsRate sends far more traps than the pauses between
// reads would let through if they were taken while more is there.
func TestFlowOfTrapsIsReadAtItsRate(t *testing.T) {
	l := &leader{}
	s := open(t, l, func(o *Options) { o.Rate, o.Burst = 1e6, 1e6 })
	conn, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const n = 400 * maxRead
	begin := time.Now()
	for i := range n {
		if _, err := conn.Write(packet(false, byte(i), enterprise(3))); err != nil {
			t.Fatal(err)
		}
	}
	sent := time.Since(begin)
	// Where the socket's buffer can't be raised the kernel drops some.
	wait(t, "all traps", func() bool { return len(l.got())+int(s.socket.overflown()) == n })
	if took := time.Since(begin) - sent; took > n/maxRead*readPause {
		t.Errorf("%d traps that were sent within %v took %v more", n, sent, took)
	}
}
