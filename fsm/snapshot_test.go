package fsm_test

import (
	"bytes"
	"io"
	"testing"

	"google.golang.org/protobuf/proto"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

func snapshotOf(t testing.TB, v *fsm.View) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := v.WriteSnapshot(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestSnapshotRestoresTheState(t *testing.T) {
	c := demo(t)
	v := c.Store().View()
	got, err := fsm.ReadSnapshot(bytes.NewReader(snapshotOf(t, v)))
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest() != v.Digest() || got.Index() != v.Index() || !got.Time().Equal(v.Time()) || got.Verify() != nil {
		t.Fatalf("restored %v, want %v", got, v)
	}
	if m, ok := fsm.Machines.One(got, fsm.ByMAC, "52:54:00:00:02:01"); !ok || m.Name != "web01" {
		t.Error("a secondary index wasn't restored")
	}
	rows := map[string]int{}
	info, err := fsm.InspectSnapshot(bytes.NewReader(snapshotOf(t, v)), func(table, key string, row proto.Message) error {
		rows[table]++
		return nil
	})
	if err != nil || info.Rows["machine"] != 18 || rows["machine"] != 18 || info.Header.Index != v.Index() || info.Bytes["machine"] == 0 {
		t.Errorf("%+v %v %v", info, rows, err)
	}
}

// TestDamagedSnapshotIsRefused cuts a snapshot at every byte and alters every byte.
func TestDamagedSnapshotIsRefused(t *testing.T) {
	c := fsmtest.New(t)
	c.Do(put("a"))
	s := c.Store()
	v := s.View()
	full := snapshotOf(t, v)
	for n := range full {
		if _, err := fsm.ReadSnapshot(bytes.NewReader(full[:n])); schema.KindOf(err) != schema.KindCorrupt {
			t.Fatalf("cut at %d of %d: %v, want corrupt", n, len(full), err)
		}
		bad := bytes.Clone(full)
		bad[n] ^= 0x10
		if err := s.Restore(io.NopCloser(bytes.NewReader(bad))); schema.KindOf(err) != schema.KindCorrupt {
			t.Fatalf("altered at %d: %v, want corrupt", n, err)
		}
	}
	if _, err := fsm.ReadSnapshot(bytes.NewReader(append(bytes.Clone(full), 0))); schema.KindOf(err) != schema.KindCorrupt {
		t.Fatalf("something behind its end: %v, want corrupt", err)
	}
	if s.View() != v {
		t.Fatal("a refused snapshot changed the state")
	}
	if err := s.Restore(io.NopCloser(bytes.NewReader(full))); err != nil || s.View().Digest() != v.Digest() {
		t.Fatalf("the undamaged one: %v", err)
	}
}
