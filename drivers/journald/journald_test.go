package journald_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/journald"
)

// parse reads an entry of the journal's native protocol.
func parse(data []byte) (map[string]string, error) {
	out := map[string]string{}
	for len(data) > 0 {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			return nil, errors.New("a field has no end")
		}
		name, value, plain := strings.Cut(string(line), "=")
		if !plain {
			if len(rest) < 8 {
				return nil, errors.New("a length is missing")
			}
			n := binary.LittleEndian.Uint64(rest)
			if rest = rest[8:]; n >= uint64(len(rest)) || rest[n] != '\n' {
				return nil, errors.New("a value is shorter than its length")
			}
			value, rest = string(rest[:n]), rest[n+1:]
		}
		if _, twice := out[name]; twice || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
			return nil, errors.New("a field is called " + name)
		}
		out[name], data = value, rest
	}
	return out, nil
}

func TestSuite(t *testing.T) {
	drivertest.RunNotifier(t, func(t *testing.T) drivertest.NotifierWorld {
		folder, err := os.MkdirTemp("", "yg")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, "socket")
		c, err := net.ListenPacket("unixgram", path)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var entries [][]byte
		var running sync.WaitGroup
		running.Go(func() {
			buf := make([]byte, 1<<20)
			for {
				n, _, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				mu.Lock()
				entries = append(entries, bytes.Clone(buf[:n]))
				mu.Unlock()
			}
		})
		t.Cleanup(func() {
			c.Close()
			running.Wait()
			os.RemoveAll(folder)
		})
		return drivertest.NotifierWorld{
			Part: "a socket of the journal's native protocol", Each: true,
			Open: func(t *testing.T) drivers.Notifier {
				j, err := journald.Open(journald.Config{Name: "journal", Socket: path})
				if err != nil {
					t.Fatal(err)
				}
				return j
			},
			Arrived: func(t *testing.T) (out []drivertest.Arrived) {
				mu.Lock()
				defer mu.Unlock()
				for _, data := range entries {
					e, err := parse(data)
					if err != nil {
						t.Fatalf("%v: %q", err, data)
					}
					if e["PRIORITY"] != "4" || e["YAGURA_EVENT_ID"] != "2064" || e["SYSLOG_IDENTIFIER"] != "yagura" {
						t.Errorf("%q", e)
					}
					out = append(out, drivertest.Arrived{ID: e["YAGURA_ID"], Text: e["MESSAGE"]})
				}
				return out
			},
			Down: func(t *testing.T) {
				c.Close()
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

// FuzzEntry: whatever the facts hold, an entry has the fields that it is to
// have, with the values that went in.
func FuzzEntry(f *testing.F) {
	f.Add("text\nMESSAGE=forged", "vm7\n", "c-1")
	f.Add("", "=", "\x00")
	f.Fuzz(func(t *testing.T, text, target, id string) {
		e, err := parse(journald.Entry(drivers.Note{ID: id, Target: target, Text: text, Severity: "error"}))
		if err != nil {
			t.Fatal(err)
		}
		if e["PRIORITY"] != "3" {
			t.Errorf("%q", e)
		}
		for name, want := range map[string]string{"MESSAGE": text, "YAGURA_TARGET": target, "YAGURA_ID": id} {
			if utf8.ValidString(want) && len(want) < 1000 && e[name] != want {
				t.Errorf("%s is %q, want %q", name, e[name], want)
			}
		}
		for name := range e {
			switch name {
			case "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "YAGURA_TARGET", "YAGURA_ID":
			default:
				t.Errorf("field %s was slipped in", name)
			}
		}
	})
}
