package node

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
)

// maxPeers bounds the connections kept; managers that came and went leave some behind.
const maxPeers = 16

// peers are this manager's own connections to the others' Peer service: for
// joining, asking for their status, and passing events on.
type peers struct {
	tls  *tls.Config
	dial dialFunc

	mu    sync.Mutex // guards conns; nil once closed
	conns map[string]*grpc.ClientConn
}

func newPeers(c *tls.Config, dial dialFunc) *peers {
	return &peers{tls: c, dial: dial, conns: map[string]*grpc.ClientConn{}}
}

// get gives a client of the manager whose API is at addr.
func (p *peers) get(addr string) (api.PeerClient, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return nil, schema.Errorf(schema.KindUnavailable, "manager", "it is stopping")
	}
	if c, ok := p.conns[addr]; ok {
		return api.NewPeerClient(c), nil
	}
	for old, c := range p.conns {
		if len(p.conns) < maxPeers {
			break
		}
		c.Close()
		delete(p.conns, old)
	}
	c, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(credentials.NewTLS(p.tls)),
		grpc.WithContextDialer(func(ctx context.Context, a string) (net.Conn, error) { return p.dial(ctx, "tcp", a) }),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nil, err
	}
	p.conns[addr] = c
	return api.NewPeerClient(c), nil
}

func (p *peers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// callPeer calls a method of another manager's Peer service. Errors are *schema.Error.
func callPeer[Req, Rep any](ctx context.Context, p *peers, addr string, req Req,
	method func(api.PeerClient, context.Context, Req, ...grpc.CallOption) (Rep, error)) (Rep, error) {
	c, err := p.get(addr)
	if err != nil {
		var none Rep
		return none, err
	}
	rep, err := method(c, ctx, req)
	if err != nil {
		return rep, apierr.FromError(err)
	}
	return rep, nil
}
