package drivers

import "context"

// Member is a node of a load-balancing group.
type Member struct {
	Name    string // host name of the node
	Address string // IP address
	Port    int
}

// MemberMode is whether a node takes traffic.
type MemberMode string

// The modes of a node.
const (
	MemberReady    MemberMode = "ready"
	MemberDraining MemberMode = "draining" // no new connections
	MemberOff      MemberMode = "off"      // none at all: removed, if it is of the balancer's own configuration
)

// MemberState is a node as its balancer reports it.
type MemberState struct {
	Member
	Mode        MemberMode
	Connections int  // open now
	Up          bool // its health check passes, or it has none
}

// Balancer keeps the nodes of load-balancing groups (manual 1.8.6).
type Balancer interface {
	// Pools reads the names of the groups (backends, pools) that it has.
	Pools(ctx context.Context) ([]string, error)
	// Members reads the nodes of a group. KindNotFound when there is no such group.
	Members(ctx context.Context, pool string) ([]MemberState, error)
	// AddMember asks for the node to be in the group and ready. One that is
	// there, or drains, with the same address and port becomes ready;
	// KindRefused when the name belongs to another address.
	AddMember(ctx context.Context, call Call, pool string, m Member) (Task, error)
	// DrainMember asks for no new connections to the node. One that isn't there
	// is drained.
	DrainMember(ctx context.Context, call Call, pool, member string) (Task, error)
	// RemoveMember asks for the node to be gone from the group, whatever
	// connections it has: drain it and wait first. One that isn't there is gone;
	// so is one that is off, where the balancer can't delete what its
	// configuration names.
	// A node of the balancer's own configuration, which can't be taken out of
	// it, is gone when its mode is MemberOff.
	RemoveMember(ctx context.Context, call Call, pool, member string) (Task, error)
	// Close ends the session.
	Close(ctx context.Context) error
}
