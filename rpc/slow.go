package rpc

import (
	"context"
	"net/http"
	"time"

	"yagura/fsm/schema"
)

// streamTime is how long a caller may take for one element of a stream.
const streamTime = 30 * time.Second

// streamWriter cuts a stream over HTTP off whose reader takes nothing any more.
type streamWriter struct {
	http.ResponseWriter
	ctl  *http.ResponseController
	time time.Duration // that a write may take
}

// Write implements http.ResponseWriter.
func (w *streamWriter) Write(b []byte) (int, error) {
	defer w.bound()()
	return w.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (w *streamWriter) Flush() {
	defer w.bound()()
	_ = w.ctl.Flush() // the next Write says that it failed
}

// Unwrap gives http.ResponseController the connection.
func (w *streamWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// bound sets the time for a write. It is taken back behind the write, since an
// idle stream isn't a slow one.
func (w *streamWriter) bound() (unbound func()) {
	_ = w.ctl.SetWriteDeadline(time.Now().Add(w.time)) // connections that can't are those of tests alone
	return func() { _ = w.ctl.SetWriteDeadline(time.Time{}) }
}

// sendWithin sends an element of a stream. KindTimeout when the caller doesn't
// take it in time: the handler has to return then, which ends the send.
func (s *Server) sendWithin(ctx context.Context, d time.Duration, send func() error) error {
	sent := make(chan error, 1)
	s.tasks.Go(func() { sent <- send() })
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case err := <-sent:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return schema.Errorf(schema.KindTimeout, "stream", "nothing was taken from it for %v", d).WithHint("read faster; go on behind the last element that came whole")
	}
}
