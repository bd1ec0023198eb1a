package node

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// raftLogger passes the messages of Raft on to our log.
type raftLogger struct{ to *slog.Logger }

func (r raftLogger) hc() hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Debug})
	l.RegisterSink(&hcSink{to: r.to, quiet: newQuiet(time.Now)})
	return l
}

type hcSink struct {
	to    *slog.Logger
	quiet *quiet
}

// Accept implements hclog.SinkAdapter.
func (s *hcSink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	l := slog.LevelDebug
	switch level {
	case hclog.Info:
		l = slog.LevelInfo
	case hclog.Warn:
		l = slog.LevelWarn
	case hclog.Error:
		l = slog.LevelError
	}
	if s.to.Enabled(context.Background(), l) {
		if l >= slog.LevelWarn {
			about := msg
			if len(args) > 1 {
				about += fmt.Sprint(args[1]) // the peer, where there is one
			}
			said, left := s.quiet.pass(about)
			if !said {
				return
			}
			if left > 0 {
				args = append(slices.Clone(args), "repeated", left)
			}
		}
		for i, arg := range args {
			if f, ok := arg.(hclog.Format); ok && len(f) > 0 { // a format and its arguments
				args[i] = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
			}
		}
		s.to.Log(context.Background(), l, msg, args...)
	}
}

// quietTime is how long the same warning isn't said again: Raft tells several
// times a second, for as long as it lasts, that a manager is down.
const (
	quietTime = 10 * time.Second
	maxQuiet  = 256 // warnings told apart
)

// quiet lets the first of equal warnings pass and counts the others.
type quiet struct {
	now func() time.Time

	mu   sync.Mutex // guards said
	said map[string]*warning
}

type warning struct {
	at   time.Time
	left int // how often it was kept back since
}

func newQuiet(now func() time.Time) *quiet { return &quiet{now: now, said: map[string]*warning{}} }

// pass tells whether a warning is to be said now, and how often it was kept
// back since the last time.
func (q *quiet) pass(about string) (ok bool, left int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	w, known := q.said[about]
	switch {
	case known && now.Sub(w.at) < quietTime:
		w.left++
		return false, 0
	case known:
		left = w.left
	case len(q.said) >= maxQuiet:
		clear(q.said)
	}
	q.said[about] = &warning{at: now}
	return true, left
}

// stdLogger passes the lines of gossip, which begin with [LEVEL], on to our log.
func stdLogger(to *slog.Logger) *log.Logger { return log.New(stdWriter{to}, "", 0) }

type stdWriter struct{ to *slog.Logger }

// Write implements io.Writer.
func (w stdWriter) Write(p []byte) (int, error) {
	line := strings.TrimSpace(string(p))
	level := slog.LevelInfo
	for prefix, l := range map[string]slog.Level{
		"[DEBUG]": slog.LevelDebug, "[INFO]": slog.LevelDebug, "[WARN]": slog.LevelWarn, "[ERR]": slog.LevelError, "[ERROR]": slog.LevelError,
	} {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			line, level = strings.TrimSpace(rest), l
			break
		}
	}
	w.to.Log(context.Background(), level, line)
	return len(p), nil
}
