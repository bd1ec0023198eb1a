package node

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
	"golang.org/x/sys/unix"

	"yagura/fsm/schema"
)

// smallDisk is a file system that is full once no file is left to make.
type smallDisk struct {
	logFS
	files int
}

func (d *smallDisk) Create(dir, name string, size uint64) (types.WritableFile, error) {
	if d.files == 0 {
		return nil, unix.ENOSPC
	}
	d.files--
	return d.logFS.Create(dir, name, size)
}

func (d *smallDisk) room(string, int) error {
	if d.files == 0 {
		return unix.ENOSPC
	}
	return nil
}

// TestLogGoesOnAfterTheDiskWasFull fills the disk with the first segment, then
// makes room, and holds that the log takes entries again and has lost none.
func TestLogGoesOnAfterTheDiskWasFull(t *testing.T) {
	disk := &smallDisk{logFS: logFS{walfs.New()}}
	l := &walLog{dir: t.TempDir(), log: raftLogger{slog.New(slog.DiscardHandler)}, fs: disk, segment: 4096, room: disk.room}
	if err := l.open(); !errors.Is(err, unix.ENOSPC) { // what tells a full disk from a damaged log
		t.Fatalf("opened on a full disk: %v", err)
	}
	disk.files = 1
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	entry := func(i uint64) *raft.Log {
		return &raft.Log{Index: i, Term: 1, Data: fmt.Appendf(bytes.Repeat([]byte{'x'}, 300), "%d", i)}
	}
	next := uint64(1)
	for ; next < 100; next++ {
		if err := l.StoreLog(entry(next)); err != nil {
			break
		}
	}
	for range 3 { // full, as long as it is
		if err := l.StoreLog(entry(next)); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("entry %d on a full disk: %v", next, err)
		}
		if l.failure() == "" {
			t.Fatal("a manager with a full disk calls itself ready")
		}
	}
	if last, err := l.LastIndex(); err != nil || last != next-1 {
		t.Fatalf("the last entry of the full log is %d, %v, want %d", last, err, next-1)
	}
	disk.files = 10
	for ; next < 100; next++ {
		if err := l.StoreLog(entry(next)); err != nil {
			t.Fatalf("entry %d, with room again: %v", next, err)
		}
	}
	if l.failure() != "" {
		t.Fatalf("with room again: %s", l.failure())
	}
	for i := uint64(1); i < next; i++ {
		var got raft.Log
		if err := l.GetLog(i, &got); err != nil || !bytes.Equal(got.Data, entry(i).Data) {
			t.Fatalf("entry %d: %q, %v", i, got.Data, err)
		}
	}
}

// TestDamagedFilesAreTold holds that a log or a state that was cut is refused
// with what to do.
func TestDamagedFilesAreTold(t *testing.T) {
	l := &walLog{dir: t.TempDir(), log: raftLogger{slog.New(slog.DiscardHandler)}, fs: logFS{walfs.New()}, segment: 4096, room: roomFor}
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i < 50; i++ {
		if err := l.StoreLog(&raft.Log{Index: i, Term: 1, Data: bytes.Repeat([]byte{'x'}, 300)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.readable(), l.close()); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(l.dir, "*.wal"))
	if err != nil || len(segments) < 2 {
		t.Fatalf("segments %q, %v", segments, err)
	}
	if err := os.Truncate(segments[0], 1000); err != nil {
		t.Fatal(err)
	}
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	s := stores{readable: l.readable}
	if _, err := s.fresh(); schema.KindOf(err) != schema.KindCorrupt || !strings.Contains(err.Error(), "entry 1") {
		t.Errorf("a log whose first segment was cut: %v", err)
	}

	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(raftDir(dir), 0o700), os.WriteFile(filepath.Join(raftDir(dir), "stable.db"), []byte("short"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := openStores(dir, LogWAL, l.log); schema.KindOf(err) != schema.KindCorrupt || !strings.Contains(err.Error(), "stable.db") {
		t.Errorf("a state that was cut: %v", err)
	}
}

func TestRoomFor(t *testing.T) {
	dir := t.TempDir()
	if err := roomFor(dir, 1); err != nil {
		t.Error(err)
	}
	if err := roomFor(dir, 1<<60); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("an exbibyte: %v", err)
	}
}
