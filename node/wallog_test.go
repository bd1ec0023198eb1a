package node

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/hashicorp/raft"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
	"golang.org/x/sys/unix"
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

func TestRoomFor(t *testing.T) {
	dir := t.TempDir()
	if err := roomFor(dir, 1); err != nil {
		t.Error(err)
	}
	if err := roomFor(dir, 1<<60); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("an exbibyte: %v", err)
	}
}
