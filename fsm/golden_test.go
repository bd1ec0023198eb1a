package fsm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// The golden files are a log and a snapshot of each format of the past. They are
// replayed for ever: a cluster is upgraded over what older versions have
// written. -update writes those of the present feature level, unless they are
// there: files that exist are never written again.
var update = flag.Bool("update", false, "write the golden log and snapshot of this feature level, if there are none")

const goldenFolder = "testdata/golden"

// goldenHistory writes at least one row of every table, changes and deletes some.
func goldenHistory(t *testing.T) *fsmtest.Cluster {
	c := demo(t)
	apply(t, c, physicalDocs()...)
	s := c.Store()
	now := timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
	do := func(request string, verb func(*fsm.Tx) error) {
		t.Helper()
		why := fsm.Why{User: "admin", From: "192.0.2.1:1", Node: "n1", Op: "golden", Reason: "history", Request: request}
		if _, err := s.Update(t.Context(), why, verb); err != nil {
			t.Fatal(err)
		}
	}
	do("request-1", func(tx *fsm.Tx) error {
		tx.SetResult([]byte("answer"))
		return fsm.PutManager(tx, &schema.Manager{Id: "n1", ApiAddress: "192.0.2.1:26102", RaftAddress: "192.0.2.1:26103", Feature: fsm.MaxFeature, Voter: true, Version: "v1"})
	})
	do("", func(tx *fsm.Tx) error {
		return fsm.PutToken(tx, &schema.Token{Hash: hash(1), User: "admin", Created: now, Expires: timestamppb.New(tx.Now().Add(time.Hour)), From: "192.0.2.9"})
	})
	do("", func(tx *fsm.Tx) error {
		return firstErr(
			fsm.Events.Put(tx, &schema.Event{
				Id: "1", Time: now, Node: "n1", Sequence: 1, Notifier: schema.NotifierESMPRO, Source: "ESMDSVNT", EventId: "0xC0000002", Target: "esx02",
				Severity: "error", State: schema.EventHandled, Decision: schema.DecisionActed, Policy: "standard-vms", Jobs: []string{"00001"}, Varbinds: map[string]string{"1.3": "x", "1.2": "y"},
			}),
			fsm.Intakes.Put(tx, &schema.Intake{Node: "n1", Sequence: 1, Time: now}),
			fsm.Positions.Put(tx, &schema.Position{Subsystem: "vc1", History: "h", Floor: 5, Taken: []int64{7, 9}, Time: now, Begun: now, Events: 2}),
			fsm.Jobs.Put(tx, &schema.Job{
				Id: "00001", Sequence: "FailoverVMServer", State: schema.JobRunning, Params: map[string]string{"vm_server": "esx02", "mode": "x"}, Created: now, Term: 1,
			}),
			fsm.Steps.Put(tx, &schema.Step{Job: "00001", Number: 1, Name: "fence", State: schema.StepStarted, Attempt: 1, Token: "t", Deadline: now}),
			fsm.Locks.Put(tx, &schema.Lock{Object: "machine/esx02", Job: "00001", Since: now}),
			fsm.Locks.Put(tx, &schema.Lock{Object: "machine/web01", Job: "00001", Since: now}),
		)
	})
	apply(t, c, doc("Receiver", "mail1", `{"kind":"mail","address":"mail.example.com","from":"pvm@example.com","to":["ops@example.com"],"user":"pvm","password":"secret","language":"ja","groups":["web"]}`))
	apply(t, c, doc("SnmpUser", "ups", `{"auth":"sha256","auth_key":"authentication","priv":"aes","priv_key":"encryption","engine_id":"8000000001020304"}`))
	do("", func(tx *fsm.Tx) error {
		return fsm.LogEvent(tx, &schema.Event{EventId: "2044", Severity: "warning", Operation: "take-over-machine", Phase: "failed", Target: "web01", Group: "web", Text: "it failed"})
	})
	do("", func(tx *fsm.Tx) error { return fsm.Locks.Delete(tx, fsm.LockKey("machine/web01", "00001")) })
	do("", func(tx *fsm.Tx) error { return fsm.SetArmed(tx, "shop", true) })
	return c
}

func encodeLog(entries []*raft.Log) []byte {
	var out []byte
	for _, l := range entries {
		out = binary.BigEndian.AppendUint64(out, l.Index)
		out = binary.BigEndian.AppendUint64(out, l.Term)
		out = binary.BigEndian.AppendUint32(out, uint32(len(l.Data)))
		out = append(out, l.Data...)
	}
	return out
}

func decodeLog(data []byte) (entries []*raft.Log, err error) {
	for r := bytes.NewReader(data); ; {
		var head struct {
			Index, Term uint64
			Len         uint32
		}
		if err := binary.Read(r, binary.BigEndian, &head); errors.Is(err, io.EOF) {
			return entries, nil
		} else if err != nil {
			return nil, err
		}
		l := &raft.Log{Index: head.Index, Term: head.Term, Type: raft.LogCommand, Data: make([]byte, head.Len)}
		if _, err := io.ReadFull(r, l.Data); err != nil {
			return nil, err
		}
		entries = append(entries, l)
	}
}

// writeGolden writes the files of the present feature level, if there are none.
func writeGolden(t *testing.T) {
	name := filepath.Join(goldenFolder, fmt.Sprintf("v%d", fsm.MaxFeature))
	if _, err := os.Stat(name + ".log"); err == nil {
		t.Logf("%s.log is there and stays", name)
		return
	}
	c := goldenHistory(t)
	v := c.Store().View()
	for suffix, data := range map[string][]byte{
		".log": encodeLog(c.Log()), ".snapshot": snapshotOf(t, v), ".digest": []byte(v.Digest().String() + "\n"),
	} {
		if err := os.WriteFile(name+suffix, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGolden(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	logs, err := filepath.Glob(filepath.Join(goldenFolder, "*.log"))
	if err != nil || len(logs) < fsm.MaxFeature {
		t.Fatalf("golden logs %v, %v; there must be one for each feature level up to %d", logs, err, fsm.MaxFeature)
	}
	for _, name := range logs {
		t.Run(filepath.Base(name), func(t *testing.T) {
			base := strings.TrimSuffix(name, ".log")
			read := func(suffix string) []byte {
				data, err := os.ReadFile(base + suffix)
				if err != nil {
					t.Fatal(err)
				}
				return data
			}
			want := strings.TrimSpace(string(read(".digest")))
			entries, err := decodeLog(read(".log"))
			if err != nil {
				t.Fatal(err)
			}
			s := fsm.NewStore(fsm.Options{})
			defer s.Close()
			for _, l := range entries {
				if resp := s.Apply(l); resp != nil {
					t.Fatalf("entry %d: %v", l.Index, resp)
				}
			}
			if got := s.View().Digest().String(); got != want {
				t.Errorf("the log replays to digest %s, pinned is %s", got, want)
			}
			v, err := fsm.ReadSnapshot(bytes.NewReader(read(".snapshot")))
			if err != nil {
				t.Fatal(err)
			}
			if got := v.Digest().String(); got != want {
				t.Errorf("the snapshot restores digest %s, pinned is %s", got, want)
			}
			checkReferences(t, v)
			info, err := fsm.InspectSnapshot(bytes.NewReader(read(".snapshot")), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, table := range fsm.Tables() {
				if info.Rows[table.Name()] == 0 && strings.HasSuffix(base, fmt.Sprintf("v%d", fsm.MaxFeature)) {
					t.Errorf("the golden history has no row of table %s", table.Name())
				}
			}
		})
	}
}
