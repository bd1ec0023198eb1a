// Package client talks to a cluster of managers from Go.
//
// A Client takes a list of managers and keeps working while any of them can
// reach a leader: it moves to another when one dies, hangs or is cut off,
// and asks again within the caller's deadline. Every write gets a request id,
// with which the cluster applies it at most once, so asking again is safe.
//
// The services are typed: c.Jobs.GetJob(ctx, ...) and so on. Errors are
// *schema.Error. Watches and backups have methods of their own (WatchJob,
// WatchEvents, SaveSnapshot, RestoreSnapshot), because a stream has to be
// attached again after a loss.
package client

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// Client is a connection to a cluster. It may be used by many goroutines at
// once, and implements grpc.ClientConnInterface.
type Client struct {
	Auth       api.AuthClient
	Inventory  api.InventoryClient
	Operations api.OperationsClient
	Placement  api.PlacementClient
	Jobs       api.JobsClient
	Events     api.EventsClient
	Cluster    api.ClusterClient

	opt     Options
	servers []*server

	mu      sync.Mutex // guards current and leader
	current *server    // where calls go to
	leader  *server    // nil while unknown or not among servers

	loginSlot chan struct{} // held while logging in: one login serves all callers
	tokenMu   sync.Mutex    // guards token
	token     string
}

// Dial makes a client. It connects at the first call. Errors are KindInvalid.
func Dial(o Options) (*Client, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	c := &Client{opt: o, token: o.Token, loginSlot: make(chan struct{}, 1)}
	for _, addr := range o.Servers {
		c.servers = append(c.servers, &server{addr: addr, tls: o.TLS})
	}
	c.current = c.servers[0]
	c.Auth = api.NewAuthClient(c)
	c.Inventory = api.NewInventoryClient(c)
	c.Operations = api.NewOperationsClient(c)
	c.Placement = api.NewPlacementClient(c)
	c.Jobs = api.NewJobsClient(c)
	c.Events = api.NewEventsClient(c)
	c.Cluster = api.NewClusterClient(c)
	return c, nil
}

// Close ends all connections. Calls in flight fail.
func (c *Client) Close() {
	for _, s := range c.servers {
		s.close()
	}
}

// Token is the session's token: that of Options, or of the last login; empty before.
func (c *Client) Token() string {
	c.tokenMu.Lock()
	defer c.tokenMu.Unlock()
	return c.token
}

// Invoke carries out one call (grpc.ClientConnInterface). The generated
// clients call it.
func (c *Client) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	m, err := lookup(method)
	if err != nil {
		return err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opt.Timeout)
		defer cancel()
	}
	ctx = c.outgoing(ctx, m)
	var header metadata.MD
	opts = append(opts, grpc.Header(&header))
	t := c.newTry(ctx, m)
	for t.next() {
		t.ended(c.attempt(t, method, args, reply, opts))
	}
	if t.err == nil {
		c.learn(header)
		replyOf(ctx).fill(header)
	}
	return t.err
}

// attempt sends a call once, to the manager that t names, guarded against one
// that hangs.
func (c *Client) attempt(t *try, method string, args, reply any, opts []grpc.CallOption) error {
	conn, ctx, err := c.begin(t)
	if err != nil {
		return err
	}
	defer t.srv.guard(conn)()
	t.sent = true
	return conn.Invoke(ctx, method, args, reply, opts...)
}

// begin makes ready for an attempt: a connection that stands, and a session.
// Nothing of the call was sent when it fails.
func (c *Client) begin(t *try) (*grpc.ClientConn, context.Context, error) {
	conn, err := t.srv.ready(t.ctx)
	if err != nil {
		return nil, nil, err
	}
	if t.token, err = c.session(t.ctx, t.method); err != nil || t.token == "" {
		return conn, t.ctx, err
	}
	return conn, metadata.AppendToOutgoingContext(t.ctx, api.KeyAuthorization, api.BearerPrefix+t.token), nil
}

// NewStream opens a stream on one manager (grpc.ClientConnInterface). It isn't
// attached again when it breaks, and its errors are gRPC's; WatchJob and the
// other methods of Client do better.
func (c *Client) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	m, err := lookup(method)
	if err != nil {
		return nil, err
	}
	t := c.newTry(c.outgoing(ctx, m), m)
	t.next()
	conn, ctx, err := c.begin(t)
	if err != nil {
		return nil, err
	}
	return conn.NewStream(ctx, desc, method, opts...)
}

func lookup(method string) (api.Method, error) {
	m, ok := api.LookupMethod(method)
	if !ok {
		return m, schema.Errorf(schema.KindInvalid, "method "+method, "not in the API")
	}
	return m, nil
}

// choose picks the manager for a call: the leader when it's known and has to
// answer, else the current one; not avoid and none that failed just now, when
// there is another.
func (c *Client) choose(local bool, avoid *server) *server {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader != nil && (c.leader == avoid || c.leader.suspect()) {
		c.leader = nil
	}
	if c.leader != nil && !local {
		return c.leader
	}
	if c.current != avoid && !c.current.suspect() {
		return c.current
	}
	at := 0
	for i, s := range c.servers {
		if s == c.current {
			at = i
		}
	}
	next := c.servers[(at+1)%len(c.servers)]
	for i := range c.servers {
		if s := c.servers[(at+1+i)%len(c.servers)]; s != avoid && !s.suspect() {
			next = s
			break
		}
	}
	c.current = next
	return next
}

// learn takes the leader's address from a reply that another manager forwarded.
func (c *Client) learn(header metadata.MD) {
	v := header.Get(api.KeyLeader)
	if len(v) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.servers {
		if s.addr == v[0] {
			c.leader = s
		}
	}
}
