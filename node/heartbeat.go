package node

import (
	"time"

	"github.com/hashicorp/raft"
)

// A leader stays in office as long as followers answer its heartbeats in time.
// In Raft's main loop a heartbeat waits behind all else that the follower does
// there, such as a write that a busy disk takes a second for: many times the
// leader's lease. hashicorp/raft's own handler answers beside the main loop, but
// it changes term and role, which have no lock (its issue 695; v1.8.0 has it).
//
// So this transport answers beside the main loop only a heartbeat that changes
// neither, because this manager follows its very sender in its very term. The
// main loop gets it, too, when it comes to it: that is how Raft learns of the
// contact. Any other heartbeat is left to the main loop altogether.

// A main loop that has taken nothing for mainLoopPatience isn't vouched for any
// longer: its disk is as good as gone. A leader whose followers are all like
// that steps down and says so, instead of letting writers wait.
const mainLoopPatience = 10 * time.Second

// standing is where a manager stands in Raft. All of it may be asked beside
// Raft's main loop.
type standing interface {
	CurrentTerm() uint64
	State() raft.RaftState
	LeaderWithID() (raft.ServerAddress, raft.ServerID)
	LastIndex() uint64
}

// answerFor lets the transport answer heartbeats by the standing of the own
// Raft, which comes into being after its transport.
func (t *transport) answerFor(s standing) { t.standing.Store(&s) }

// heartbeat takes a heartbeat from the goroutine of its connection.
func (t *transport) heartbeat(c raft.RPC) {
	req := c.Command.(*raft.AppendEntriesRequest)
	s := t.standing.Load()
	if s == nil || t.stuck() || !follows(*s, req) {
		select {
		case t.calls <- c:
		case <-t.stop:
		}
		return
	}
	c.Respond(&raft.AppendEntriesResponse{
		RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax},
		Term:      req.Term, LastLog: (*s).LastIndex(), Success: true,
	}, nil)
	select {
	case t.contacts <- raft.RPC{Command: req, RespChan: make(chan raft.RPCResponse, 1)}:
	default: // one waits already and tells the same
	}
}

// stuck tells whether the main loop has lost its claim to answers in its name.
func (t *transport) stuck() bool {
	since := t.offered.Load()
	return since != 0 && time.Since(time.Unix(0, since)) > mainLoopPatience
}

// follows tells whether the manager follows the sender of a heartbeat in its
// term. The term is looked at last: Raft raises it before it votes, so at that
// moment this manager has voted for nobody in a later term. The answer is thus
// as good as the main loop's, for linear reads, too.
func follows(s standing, req *raft.AppendEntriesRequest) bool {
	addr, id := s.LeaderWithID()
	return addr != "" && string(addr) == string(req.Addr) && string(id) == string(req.ID) &&
		s.State() == raft.Follower && s.CurrentTerm() == req.Term
}
