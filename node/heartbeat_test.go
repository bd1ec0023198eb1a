package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"yagura/node/tlsutil"
)

// stand is a standing that doesn't change.
type stand struct {
	term   uint64
	state  raft.RaftState
	leader string // id; its address is that with ":1" behind it
}

func (s stand) CurrentTerm() uint64   { return s.term }
func (s stand) State() raft.RaftState { return s.state }
func (s stand) LastIndex() uint64     { return 42 }
func (s stand) LeaderWithID() (raft.ServerAddress, raft.ServerID) {
	if s.leader == "" {
		return "", ""
	}
	return raft.ServerAddress(s.leader + ":1"), raft.ServerID(s.leader)
}

// A heartbeat is answered beside Raft's main loop only where it tells nothing
// new; else term and role would have two writers.
func TestOnlyHeartbeatsThatTellNothingNewAreAnsweredAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		standing standing
		busy     time.Duration // for how long the main loop has taken nothing
		atOnce   bool
	}{
		"follows the sender in its term": {stand{7, raft.Follower, "n1"}, 0, true},
		"follows it and is busy":         {stand{7, raft.Follower, "n1"}, mainLoopPatience / 2, true},
		"follows it and is stuck":        {stand{7, raft.Follower, "n1"}, 2 * mainLoopPatience, false},
		"is behind the sender's term":    {stand{6, raft.Follower, "n1"}, 0, false},
		"is in a later term":             {stand{8, raft.Follower, "n1"}, 0, false},
		"follows another":                {stand{7, raft.Follower, "n2"}, 0, false},
		"knows no leader":                {stand{7, raft.Follower, ""}, 0, false},
		"is a candidate":                 {stand{7, raft.Candidate, "n1"}, 0, false},
		"leads":                          {stand{7, raft.Leader, "n1"}, 0, false},
		"has no Raft yet":                {nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &transport{calls: make(chan raft.RPC, 1), contacts: make(chan raft.RPC, 1), stop: make(chan struct{})}
			if c.standing != nil {
				tr.answerFor(c.standing)
			}
			if c.busy > 0 {
				tr.offered.Store(time.Now().Add(-c.busy).UnixNano())
			}
			answer := make(chan raft.RPCResponse, 1)
			req := &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("n1"), Addr: []byte("n1:1")}, Term: 7}
			tr.heartbeat(raft.RPC{Command: req, RespChan: answer})
			if got := len(answer) == 1; got != c.atOnce {
				t.Fatalf("answered at once: %v", got)
			}
			if !c.atOnce {
				if len(tr.calls) != 1 || len(tr.contacts) != 0 {
					t.Fatalf("%d calls and %d contacts for the main loop, want the call alone", len(tr.calls), len(tr.contacts))
				}
				return
			}
			rep := (<-answer).Response.(*raft.AppendEntriesResponse)
			if !rep.Success || rep.Term != 7 || rep.LastLog != 42 {
				t.Errorf("answered %+v", rep)
			}
			tr.heartbeat(raft.RPC{Command: req, RespChan: answer}) // the main loop hasn't come to the first one yet
			if len(answer) != 1 || len(tr.calls) != 0 || len(tr.contacts) != 1 || (<-tr.contacts).Command != req {
				t.Error("the main loop doesn't get exactly one contact")
			}
		})
	}
}

// A leader whose followers' disks hang is still their leader, and can prove it.
func TestLeaderStaysWhileFollowersWrite(t *testing.T) {
	const bound = 30 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	dir := t.TempDir()
	if err := tlsutil.InitDir(dir, "test"); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	open, stuck := make(chan struct{}), make(chan struct{}, 2)
	var members raft.Configuration
	var transports []*transport
	for _, id := range []string{"n1", "n2", "n3"} {
		files, err := tlsutil.IssueInto(dir, tlsutil.Request{Role: tlsutil.Manager, Name: id, Hosts: []string{"127.0.0.1"}})
		if err != nil {
			t.Fatal(err)
		}
		files.CA = filepath.Join(dir, tlsutil.CAFile)
		ident, err := tlsutil.Load(files)
		if err != nil {
			t.Fatal(err)
		}
		layer, err := listenRaft("127.0.0.1:0", "", ident, new(net.Dialer).DialContext, log)
		if err != nil {
			t.Fatal(err)
		}
		layer.addr = raft.ServerAddress(layer.ln.Addr().String())
		layer.open.Store(true)
		tr := newTransport(layer, log)
		t.Cleanup(func() { tr.Close() })
		transports = append(transports, tr)
		members.Servers = append(members.Servers, raft.Server{ID: raft.ServerID(id), Address: layer.addr})
	}
	var rafts []*raft.Raft
	for i, tr := range transports {
		c := raft.DefaultConfig()
		c.LocalID, c.Logger = members.Servers[i].ID, raftLogger{log}.hc()
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = bound, bound, bound // nothing here is left to timers
		mem := raft.NewInmemStore()
		var entries raft.LogStore = mem
		if i > 0 {
			entries = &stuckLog{mem, stuck, open}
		}
		snaps := raft.NewDiscardSnapshotStore()
		if err := raft.BootstrapCluster(c, mem, mem, snaps, tr, members); err != nil {
			t.Fatal(err)
		}
		r, err := raft.NewRaft(c, nothing{}, entries, mem, snaps, tr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Shutdown().Error() })
		tr.answerFor(r)
		rafts = append(rafts, r)
	}
	if err := transports[0].campaign(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-rafts[0].LeaderCh():
	case <-ctx.Done():
		t.Fatal("no leader")
	}
	term := rafts[0].CurrentTerm()
	write := rafts[0].Apply([]byte("x"), 0)
	for range 2 {
		select {
		case <-stuck:
		case <-ctx.Done():
			t.Fatal("the followers don't write")
		}
	}
	proof := make(chan error, 1)
	go func() { proof <- rafts[0].VerifyLeader().Error() }()
	select {
	case err := <-proof:
		if err != nil {
			t.Errorf("the leader can't prove that it leads: %v", err)
		}
	case <-time.After(bound / 3):
		t.Error("the followers answer no heartbeat while they write")
	}
	close(open)
	if err := write.Error(); err != nil {
		t.Errorf("the write failed: %v", err)
	}
	if got := rafts[0].CurrentTerm(); got != term {
		t.Errorf("an election took place: term %d, it was %d", got, term)
	}
}

// stuckLog is a log on a disk that hangs at the first command until open is
// closed. What a new leader writes before that passes.
type stuckLog struct {
	*raft.InmemStore
	stuck chan<- struct{}
	open  <-chan struct{}
}

func (s *stuckLog) StoreLogs(entries []*raft.Log) error {
	for _, e := range entries {
		if e.Type != raft.LogCommand {
			continue
		}
		select {
		case <-s.open:
		case s.stuck <- struct{}{}:
			<-s.open
		}
	}
	return s.InmemStore.StoreLogs(entries)
}

// nothing is a state machine without state.
type nothing struct{}

func (nothing) Apply(*raft.Log) any                 { return nil }
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("no snapshot") }
func (nothing) Restore(r io.ReadCloser) error       { return r.Close() }
