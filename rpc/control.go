package rpc

import (
	"context"
	"io"
	"time"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// Leader is what a manager knows of the cluster's leader.
type Leader struct {
	ID      string // manager id, empty when no leader is known
	Address string // HOST:PORT of its gRPC API, empty when unknown
	Self    bool   // this manager leads and has passed its barrier: it may answer writes and leader reads
}

// ClusterControl is what the API asks of the manager that it runs in. Package
// node implements it. Errors are *schema.Error. All methods may be called by
// many goroutines at once.
type ClusterControl interface {
	// NodeID is this manager's id; it never changes.
	NodeID() string

	// Leader gives the leader as this manager knows it. It doesn't block and
	// is called on every request.
	Leader() Leader
	// LeaderChanged gives a channel that is closed when the answer of Leader
	// changes next. Take the channel first and call Leader after it. It is
	// called only while there is no leader or a call is being forwarded.
	LeaderChanged() <-chan struct{}

	// ReadIndex proves that this manager leads at the time of the call, by
	// the protocol of the Raft thesis section 6.4: takes the commit index,
	// asks a quorum, and checks that the term is the same. A read of a state
	// at the index returned or a later one is linear. On another manager, or
	// with no quorum: KindNoLeader.
	ReadIndex(ctx context.Context) (uint64, error)
	// LastContact is how long ago this manager last heard of the leader,
	// 0 on the leader. A negative value says that it never did.
	LastContact() time.Duration
	// Ready tells whether this manager is caught up and a leader is known,
	// and why not.
	Ready() (ok bool, why string)

	// Status describes the cluster as this manager sees it. The API fills
	// in Automation.
	Status(ctx context.Context) (*api.StatusReply, error)
	// Self describes this manager.
	Self() *api.Node
	// Nodes describes all managers, dead ones too, ordered by id. Any manager
	// can be asked; it asks the others (Peer.NodeStatus), and answers
	// without the fields of those that stay silent for a second.
	Nodes(ctx context.Context) ([]*api.Node, error)

	// CanRemove and CanTransfer tell why Remove and Transfer would be refused
	// now, nil when they wouldn't. They change nothing.
	CanRemove(id string) error
	CanTransfer(id string) error
	// Remove takes a manager out of the cluster. On the leader only. An
	// unknown id: KindNotFound.
	Remove(ctx context.Context, id string) error
	// Transfer hands leadership to the manager id, or to the best one when id
	// is empty, and gives the id of the new leader. On the leader only.
	Transfer(ctx context.Context, id string) (string, error)
	// Join adds a manager as a voter, or updates its addresses. On the leader only.
	Join(ctx context.Context, m *schema.Manager) error
	// Leave removes a manager that says goodbye. On the leader only.
	Leave(ctx context.Context, id string) error

	// LookAtRun tells another manager of a local script that runs, or ran, on
	// this one, and asks for its end before that when the question says so.
	LookAtRun(ctx context.Context, q *api.RunQuestion) (*api.RunLook, error)

	// LookAtSamples gives what this manager has sampled of a machine, and Samples
	// what all managers have, with those that didn't answer among the problems.
	LookAtSamples(ctx context.Context, q *api.PerformanceRequest) (*api.PerformanceReply, error)
	Samples(ctx context.Context, q *api.PerformanceRequest) (*api.PerformanceReply, error)

	// SaveSnapshot writes an online backup of the state.
	SaveSnapshot(ctx context.Context, w io.Writer) error
	// RestoreSnapshot replaces the state of the whole cluster, and notes why in
	// the audit trail that comes with it. On the leader only. A damaged file
	// changes nothing: KindCorrupt.
	RestoreSnapshot(ctx context.Context, why fsm.Why, r io.Reader) error
}
