package rpc

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"yagura/fsm/schema"
)

func TestACallerThatTakesNothingIsCutOff(t *testing.T) {
	s, release := &Server{}, make(chan struct{})
	blocked := func() error { <-release; return nil }
	if err := s.sendWithin(t.Context(), time.Millisecond, blocked); schema.KindOf(err) != schema.KindTimeout {
		t.Errorf("nothing was taken: %v", err)
	}
	gone, cancel := context.WithCancelCause(t.Context())
	own := errors.New("the caller is gone")
	cancel(own)
	if err := s.sendWithin(gone, time.Hour, blocked); err != own {
		t.Errorf("the caller is gone: %v", err)
	}
	failed := errors.New("failed")
	if err := s.sendWithin(t.Context(), time.Hour, func() error { return failed }); err != failed {
		t.Errorf("the send failed: %v", err)
	}
	close(release)
	s.tasks.Wait()
}

func TestAReaderOverHTTPThatTakesNothingIsCutOff(t *testing.T) {
	ended := make(chan error, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out := &streamWriter{ResponseWriter: w, ctl: http.NewResponseController(w), time: 50 * time.Millisecond}
		chunk := make([]byte, 1<<20)
		for {
			if _, err := out.Write(chunk); err != nil {
				ended <- err
				return
			}
			out.Flush()
		}
	}))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it was cut off by %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the stream goes on although nobody reads")
	}
}

// deadlines notes the deadlines that a connection was given.
type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.set = append(d.set, at)
	return nil
}

func TestAnIdleStreamHasNoDeadline(t *testing.T) {
	d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	w := &streamWriter{ResponseWriter: d, ctl: http.NewResponseController(d), time: time.Hour}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	if len(d.set) != 4 || d.set[0].IsZero() || !d.set[1].IsZero() || d.set[2].IsZero() || !d.set[3].IsZero() {
		t.Errorf("deadlines %v", d.set)
	}
}
