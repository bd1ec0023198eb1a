package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"yagura/fsm/schema"
)

const (
	// applyTimeout bounds how long a write waits for Raft's main loop, which
	// may be waiting for the disk.
	applyTimeout = 10 * time.Second
	// maxAppendEntries is how many entries go to a follower at once: measured
	// to serve a follower that is behind at a third more than the default, 64.
	maxAppendEntries = 512
	snapshotsKept    = 2
	logCacheEntries  = 32
	storeLockTimeout = 2 * time.Second
)

// stores are Raft's files under DATA/raft: stable.db (term and vote; also the
// log when that is kept in bolt), wal/ (the log), snapshots/.
type stores struct {
	stable    *raftboltdb.BoltStore
	log       raft.LogStore
	snapshots raft.SnapshotStore
	closeLog  func() error
	// logFailure says why the log takes no entries at present, "" when it does.
	logFailure func() string
	// readable says which entry of the log can't be read.
	readable func() error
}

func raftDir(dataDir string) string { return filepath.Join(dataDir, "raft") }

// openStores opens or makes the files. A second process on the same directory
// is refused, and so is a change of the log's kind while it holds entries.
func openStores(dataDir, kind string, log raftLogger) (*stores, error) {
	dir := raftDir(dataDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	stable, err := raftboltdb.New(raftboltdb.Options{
		Path:        filepath.Join(dir, "stable.db"),
		BoltOptions: &bbolt.Options{Timeout: storeLockTimeout, FreelistType: bbolt.FreelistMapType},
	})
	if err != nil {
		if errors.Is(err, bolterrors.ErrTimeout) {
			return nil, schema.Errorf(schema.KindConflict, "data directory "+dataDir, "another process uses it").WithHint("stop that process first")
		}
		return nil, damaged("raft state "+filepath.Join(dir, "stable.db"), err)
	}
	s := &stores{stable: stable, closeLog: func() error { return nil }, logFailure: func() string { return "" }, readable: func() error { return nil }}
	if err := s.openLog(dir, kind, log); err != nil {
		stable.Close()
		return nil, err
	}
	s.snapshots, err = raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, log.hc())
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// damaged is the error of a file of Raft's that can't be used.
func damaged(object string, err error) error {
	return schema.Errorf(schema.KindCorrupt, object, "%v", err).
		WithHint("empty this manager's data directory and let it join again, or restore the disk")
}

func (s *stores) openLog(dir, kind string, log raftLogger) error {
	walDir := filepath.Join(dir, "wal")
	inBolt, err := s.stable.LastIndex()
	if err != nil {
		return err
	}
	_, statErr := os.Stat(walDir)
	switch {
	case kind == LogBolt && statErr == nil:
		return configError("raft.log: this manager's log is kept in wal; set it back, or empty the data directory and let the manager join again")
	case kind == LogWAL && inBolt > 0:
		return configError("raft.log: this manager's log is kept in bolt; set it back, or empty the data directory and let the manager join again")
	case kind == LogBolt:
		s.log = s.stable
		return nil
	}
	if err := os.MkdirAll(walDir, 0o700); err != nil {
		return err
	}
	w, err := openWALLog(walDir, log)
	if errors.Is(err, unix.ENOSPC) {
		return schema.Errorf(schema.KindUnavailable, "raft log "+walDir, "%v", err).WithHint("make room on the disk and start the manager again")
	}
	if err != nil {
		return damaged("raft log "+walDir, err)
	}
	// Each entry is read soon after it was written, by replication and by
	// Apply. The cache is small: a batch may have a megabyte, and one verb's
	// even more.
	if s.log, err = raft.NewLogCache(logCacheEntries, w); err != nil {
		return errors.Join(err, w.close())
	}
	s.closeLog, s.logFailure, s.readable = w.close, w.failure, w.readable
	return nil
}

// fresh tells whether there is no Raft state: a new manager, or a wiped one.
// KindCorrupt: its log can't be read to the end.
func (s *stores) fresh() (bool, error) {
	if err := s.readable(); err != nil {
		return false, damaged("raft log", err)
	}
	has, err := raft.HasExistingState(s.log, s.stable, s.snapshots)
	return !has, err
}

func (s *stores) close() error { return errors.Join(s.closeLog(), s.stable.Close()) }

// raftConfig translates the configuration.
func (n *Node) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.id)
	c.HeartbeatTimeout = n.cfg.Raft.HeartbeatTimeout
	c.ElectionTimeout = n.cfg.Raft.ElectionTimeout
	c.LeaderLeaseTimeout = n.cfg.Raft.LeaderLease
	c.MaxAppendEntries = maxAppendEntries
	c.SnapshotInterval = n.cfg.Raft.SnapshotInterval
	c.SnapshotThreshold = n.cfg.Raft.SnapshotThreshold
	c.TrailingLogs = n.cfg.Raft.TrailingLogs
	c.Logger = raftLogger{n.log}.hc()
	// A manager that was removed stays up to say so; it doesn't campaign.
	c.ShutdownOnRemove = false
	c.NoLegacyTelemetry = true
	return c
}

// configuration is the latest membership that this manager knows.
func (n *Node) configuration() (raft.Configuration, error) {
	f := n.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return raft.Configuration{}, fmt.Errorf("membership: %w", err)
	}
	return f.Configuration(), nil
}

// member finds a manager in a membership.
func member(c raft.Configuration, id string) (raft.Server, bool) {
	for _, s := range c.Servers {
		if s.ID == raft.ServerID(id) {
			return s, true
		}
	}
	return raft.Server{}, false
}
