package node

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"yagura/fsm/schema"
)

// ReadLog calls each for all Raft log entries of a manager that doesn't run,
// in order. It changes nothing. An entry that can't be read ends it with
// KindCorrupt and names the index.
func ReadLog(dataDir string, each func(*raft.Log) error) error {
	dir := raftDir(dataDir)
	if _, err := os.Stat(filepath.Join(dir, "stable.db")); err != nil {
		return schema.Errorf(schema.KindNotFound, "data directory "+dataDir, "it holds no Raft log").WithHint("name a manager's data_dir")
	}
	kind := LogWAL
	if _, err := os.Stat(filepath.Join(dir, "wal")); errors.Is(err, fs.ErrNotExist) {
		kind = LogBolt
	}
	st, err := openStores(dataDir, kind, raftLogger{slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer st.close()
	first, err := st.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := st.log.LastIndex()
	if err != nil {
		return err
	}
	if last == 0 {
		return nil
	}
	for i := first; i <= last; i++ {
		l := new(raft.Log)
		if err := st.log.GetLog(i, l); err != nil {
			return schema.Errorf(schema.KindCorrupt, "raft log of "+dataDir, "entry %d can't be read: %v", i, err).
				WithHint("empty this manager's data directory and let it join again, or restore the disk")
		}
		if err := each(l); err != nil {
			return err
		}
	}
	return nil
}
