package node

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestEqualWarningsAreSaidOnce(t *testing.T) {
	now := time.Unix(0, 0)
	q := newQuiet(func() time.Time { return now })
	said := q.pass
	if ok, _ := said("down n2"); !ok {
		t.Error("the first one is kept back")
	}
	for range 5 {
		if ok, _ := said("down n2"); ok {
			t.Error("an equal one is said")
		}
	}
	if ok, _ := said("down n3"); !ok {
		t.Error("another one is kept back")
	}
	now = now.Add(quietTime)
	if ok, left := said("down n2"); !ok || left != 5 {
		t.Errorf("later: %t, %d kept back", ok, left)
	}
	for i := range 2 * maxQuiet {
		said(fmt.Sprint(i))
	}
	if len(q.said) > maxQuiet {
		t.Errorf("%d warnings are remembered", len(q.said))
	}
}

func TestRaftLogLevels(t *testing.T) {
	var b bytes.Buffer
	l := raftLogger{slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelInfo}))}.hc()
	l.Debug("whisper")
	l.Info("word", "peer", "n2")
	for range 3 {
		l.Error("failed", "peer", "n2", "error", "refused")
	}
	out := b.String()
	if strings.Contains(out, "whisper") || !strings.Contains(out, "level=INFO msg=word peer=n2") || strings.Count(out, "level=ERROR msg=failed peer=n2") != 1 {
		t.Errorf("logged:\n%s", out)
	}
}
