package node

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// raftLogger passes the messages of Raft on to our log.
type raftLogger struct{ to *slog.Logger }

func (r raftLogger) hc() hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Debug})
	l.RegisterSink(hcSink(r))
	return l
}

type hcSink struct{ to *slog.Logger }

// Accept implements hclog.SinkAdapter.
func (s hcSink) Accept(_ string, level hclog.Level, msg string, args ...any) {
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
		for i, arg := range args {
			if f, ok := arg.(hclog.Format); ok && len(f) > 0 { // a format and its arguments
				args[i] = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
			}
		}
		s.to.Log(context.Background(), l, msg, args...)
	}
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
