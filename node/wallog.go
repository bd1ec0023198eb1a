package node

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
	raftwal "github.com/hashicorp/raft-wal"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
	"golang.org/x/sys/unix"
)

// segmentBytes is the size of a segment of the log, which it is given when it
// is made.
const segmentBytes = 64 << 20

// walLog is the Raft log in raft-wal's segments. When the disk is full just as
// a segment is, raft-wal (v0.4.1) doesn't make the next one, tries no second
// time, and refuses all that follows, with ErrSealed, even when there is room
// again. Opened anew it finishes what it had begun: that is what walLog does
// once there is room, so that nobody has to restart the manager.
type walLog struct {
	dir     string
	log     raftLogger
	fs      types.VFS
	segment int                           // bytes
	room    func(dir string, n int) error // nil error: n bytes are free

	failed atomic.Pointer[string] // why the last entries couldn't be stored; nil: they could

	mu   sync.RWMutex // guards wal and meta, for writing while they are exchanged
	wal  *raftwal.WAL
	meta *metadb.BoltMetaDB
}

var (
	_ raft.LogStore          = (*walLog)(nil)
	_ raft.MonotonicLogStore = (*walLog)(nil)
)

// openWALLog opens the log in a directory, or makes it.
func openWALLog(dir string, log raftLogger) (*walLog, error) {
	l := &walLog{dir: dir, log: log, fs: logFS{walfs.New()}, segment: segmentBytes, room: roomFor}
	return l, l.open()
}

// readable reads all entries, as Raft does when it starts, where it panics if
// one can't be read.
func (l *walLog) readable() error {
	first, err := l.FirstIndex()
	if err != nil {
		return err
	}
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	for i := first; i != 0 && i <= last; i++ { // from 0: it is empty
		if err := l.GetLog(i, new(raft.Log)); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return nil
}

// open makes wal and meta. l.mu is held for writing, or nobody else has l yet.
func (l *walLog) open() error {
	// The log doesn't close a meta store that it opened itself, so it is given one.
	meta := &metadb.BoltMetaDB{}
	wal, err := raftwal.Open(l.dir, raftwal.WithLogger(l.log.hc()), raftwal.WithMetaStore(meta), raftwal.WithSegmentSize(l.segment),
		raftwal.WithSegmentFiler(segment.NewFiler(l.dir, l.fs)))
	if err != nil {
		return errors.Join(err, meta.Close())
	}
	l.wal, l.meta = wal, meta
	return nil
}

// reopen closes the log and opens it again. It changes nothing while there is
// no room for a segment: what is in the log can be read all the time.
func (l *walLog) reopen() error {
	if err := l.room(l.dir, l.segment); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(l.wal.Close(), l.meta.Close()); err != nil {
		return err
	}
	return l.open()
}

// StoreLogs implements raft.LogStore. Raft calls it from one goroutine.
func (l *walLog) StoreLogs(logs []*raft.Log) error {
	err := l.storeOrReopen(logs)
	if err != nil {
		text := err.Error()
		l.failed.Store(&text)
	} else if l.failed.Load() != nil {
		l.failed.Store(nil)
	}
	return err
}

// failure says why entries can't be stored at present, "" when they can.
func (l *walLog) failure() string {
	if text := l.failed.Load(); text != nil {
		return *text
	}
	return ""
}

func (l *walLog) storeOrReopen(logs []*raft.Log) error {
	err := l.store(logs)
	if !errors.Is(err, raftwal.ErrSealed) {
		return err
	}
	if err := l.reopen(); err != nil {
		return fmt.Errorf("the last segment of the log is full and there is no next one: %w", err)
	}
	return l.store(logs)
}

func (l *walLog) store(logs []*raft.Log) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.wal.StoreLogs(logs)
}

// StoreLog implements raft.LogStore.
func (l *walLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// FirstIndex implements raft.LogStore.
func (l *walLog) FirstIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.wal.FirstIndex()
}

// LastIndex implements raft.LogStore.
func (l *walLog) LastIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.wal.LastIndex()
}

// GetLog implements raft.LogStore.
func (l *walLog) GetLog(index uint64, log *raft.Log) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.wal.GetLog(index, log)
}

// DeleteRange implements raft.LogStore.
func (l *walLog) DeleteRange(first, last uint64) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.wal.DeleteRange(first, last)
}

// IsMonotonic implements raft.MonotonicLogStore: the log has no gaps.
func (l *walLog) IsMonotonic() bool { return true }

// close ends the use of the log.
func (l *walLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.wal.Close(), l.meta.Close())
}

// roomFor tells whether the file system of a directory has n bytes free.
func roomFor(dir string, n int) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if free := st.Bavail * uint64(st.Bsize); free < uint64(n) {
		return fmt.Errorf("%s: %w: %d MiB are free and %d are needed", dir, unix.ENOSPC, free>>20, n>>20)
	}
	return nil
}
