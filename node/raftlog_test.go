package node

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/hashicorp/raft"
)

// A follower whose last entries another leader doesn't have cuts its log and
// goes on behind the cut. raft-wal before v0.4.2 couldn't open such a log
// again (its issue 31): a manager that was then restarted panicked.
func TestLogOpensAfterItsEndWasCut(t *testing.T) {
	for _, kind := range []string{LogWAL, LogBolt} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			open := func() *stores {
				st, err := openStores(dir, kind, raftLogger{slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				return st
			}
			entry := func(i, term int) *raft.Log {
				return &raft.Log{Index: uint64(i), Term: uint64(term), Data: fmt.Appendf(nil, "%d of term %d", i, term)}
			}
			st := open()
			for i := 1; i <= 10; i++ {
				if err := st.log.StoreLog(entry(i, 1)); err != nil {
					t.Fatal(err)
				}
			}
			for term, cut := range map[int]int{2: 6, 3: 3, 4: 8} {
				last, err := st.log.LastIndex()
				if err != nil {
					t.Fatal(err)
				}
				if uint64(cut) <= last {
					if err := st.log.DeleteRange(uint64(cut), last); err != nil {
						t.Fatal(err)
					}
				}
				next := min(cut, int(last)+1)
				for i := next; i < next+5; i++ {
					if err := st.log.StoreLog(entry(i, term)); err != nil {
						t.Fatal(err)
					}
				}
				want := map[uint64]string{}
				end, _ := st.log.LastIndex()
				for i := uint64(1); i <= end; i++ {
					l := new(raft.Log)
					if err := st.log.GetLog(i, l); err != nil {
						t.Fatalf("entry %d before the restart: %v", i, err)
					}
					want[i] = string(l.Data)
				}
				if err := st.close(); err != nil {
					t.Fatal(err)
				}
				st = open()
				if again, _ := st.log.LastIndex(); again != end {
					t.Fatalf("the last index is %d after a restart, want %d", again, end)
				}
				for i, data := range want {
					l := new(raft.Log)
					if err := st.log.GetLog(i, l); err != nil || string(l.Data) != data {
						t.Errorf("entry %d after a restart: %q, %v; want %q", i, l.Data, err, data)
					}
				}
			}
			if err := st.close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
