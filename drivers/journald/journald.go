// Package journald writes entries of the event log into the journal of systemd
// on the manager that sends them, by its native protocol: one datagram an entry,
// with a field a line; what has several lines has its length before it.
//
// Beside MESSAGE and PRIORITY an entry has YAGURA_ID, by which duplicates are
// recognised, YAGURA_EVENT, YAGURA_EVENT_ID, YAGURA_SOURCE, YAGURA_OPERATION,
// YAGURA_PHASE, YAGURA_TARGET, YAGURA_GROUP and YAGURA_JOB, as far as they are
// known: journalctl YAGURA_TARGET=web01 shows what befell a machine.
package journald

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"strconv"
	"strings"

	"yagura/drivers"
)

// Config is one journal.
type Config struct {
	Name   string // the receiver's
	Socket string // path of the journal's socket
}

// Journal writes into one journal.
type Journal struct{ cfg Config }

// Open makes a writer. It connects at each message.
func Open(cfg Config) (*Journal, error) { return &Journal{cfg}, nil }

// maxField bounds one field, bytes. An entry stays far below what a datagram
// can hold.
const maxField = 16 << 10

// Notify implements drivers.Notifier.
func (j *Journal) Notify(ctx context.Context, m drivers.Message) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, j.fail(drivers.KindExpired, err)
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unixgram", j.cfg.Socket)
	if err != nil {
		return nil, j.fail(drivers.KindUnreachable, err)
	}
	defer c.Close()
	if d, ok := ctx.Deadline(); ok {
		if err := c.SetWriteDeadline(d); err != nil {
			return nil, j.fail(drivers.KindUnreachable, err)
		}
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for _, n := range m.Notes {
		if _, err := c.Write(entry(n)); err != nil {
			return nil, j.fail(drivers.KindUnknown, err)
		}
	}
	return nil, nil
}

func (j *Journal) fail(kind drivers.Kind, err error) error {
	return &drivers.Error{Kind: kind, System: j.cfg.Name, Op: "journal", Object: j.cfg.Socket, Err: err}
}

// priorities are those of syslog.
var priorities = map[string]int{"error": 3, "warning": 4, "info": 6}

// entry is the datagram of a note.
func entry(n drivers.Note) []byte {
	priority, known := priorities[n.Severity]
	if !known {
		priority = 6
	}
	var b bytes.Buffer
	for _, f := range []struct{ name, value string }{
		{"MESSAGE", n.Text}, {"PRIORITY", strconv.Itoa(priority)}, {"SYSLOG_IDENTIFIER", "yagura"},
		{"YAGURA_ID", n.ID}, {"YAGURA_EVENT", n.Event}, {"YAGURA_EVENT_ID", n.EventID}, {"YAGURA_SOURCE", n.Source},
		{"YAGURA_OPERATION", n.Operation}, {"YAGURA_PHASE", n.Phase}, {"YAGURA_TARGET", n.Target}, {"YAGURA_GROUP", n.Group}, {"YAGURA_JOB", n.Job},
	} {
		if f.value != "" {
			field(&b, f.name, f.value[:min(len(f.value), maxField)])
		}
	}
	return b.Bytes()
}

// field writes NAME=VALUE, or NAME and the length before a value with line ends.
func field(b *bytes.Buffer, name, value string) {
	value = strings.ToValidUTF8(value, "\uFFFD")
	b.WriteString(name)
	if !strings.Contains(value, "\n") {
		b.WriteString("=" + value + "\n")
		return
	}
	b.WriteByte('\n')
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], uint64(len(value)))
	b.Write(size[:])
	b.WriteString(value + "\n")
}

var _ drivers.Notifier = (*Journal)(nil)
