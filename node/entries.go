package node

import (
	"strconv"

	"github.com/hashicorp/raft"

	"yagura/fsm"
)

// entries are those of the log that this manager is sure to have applied, up
// to the index of its state.
func (n *Node) entries() fsm.LogReader {
	if m, ok := n.stores.log.(raft.MonotonicLogStore); ok && m.IsMonotonic() {
		return n.stores.log
	}
	return gappedEntries{n.stores.log, n.raft}
}

// gappedEntries reads a log that may hold entries from before a snapshot that
// came from the leader: they may never have been committed. Raft clears a
// monotonic log of them.
type gappedEntries struct {
	raft.LogStore
	raft *raft.Raft
}

// FirstIndex is that of the first entry behind the last snapshot, at the least.
func (g gappedEntries) FirstIndex() (uint64, error) {
	first, err := g.LogStore.FirstIndex()
	if err != nil {
		return 0, err
	}
	snapshot, err := strconv.ParseUint(g.raft.Stats()["last_snapshot_index"], 10, 64)
	return max(first, snapshot+1), err
}
