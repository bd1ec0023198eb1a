package rpc

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// maxPeers bounds the pool: managers that came and went leave connections behind.
const maxPeers = 16

// Peers are connections to the other managers, one each: HTTP/2 carries all
// calls side by side. A manager has one pool, for calls that it forwards and for
// its own of the Peer service. Methods may be called by many goroutines at once.
type Peers struct {
	tls  *tls.Config
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu     sync.Mutex // guards conns and closed
	conns  map[string]*grpc.ClientConn
	closed bool
}

// NewPeers makes a pool without connections. c has a certificate with O
// ManagerOrganization, and in RootCAs the authority of the others'. A server that
// isn't a manager is refused: calls carry passwords. dial makes the connections;
// nil: a net.Dialer.
func NewPeers(c *tls.Config, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *Peers {
	c = c.Clone()
	c.MinVersion = tls.VersionTLS13
	c.VerifyConnection = verifyManager(c.VerifyConnection)
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &Peers{tls: c, dial: dial, conns: map[string]*grpc.ClientConn{}}
}

// verifyManager makes a client refuse a server whose certificate isn't a manager's.
func verifyManager(next func(tls.ConnectionState) error) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		if _, ok := commonName(cs.PeerCertificates, ManagerOrganization); !ok {
			return schema.Errorf(schema.KindUnauthenticated, "server "+cs.ServerName, "its certificate isn't a manager's").
				WithHint("issue it with O=%s", ManagerOrganization)
		}
		if next != nil {
			return next(cs)
		}
		return nil
	}
}

// Conn gives the connection to the manager whose API is at addr; it connects
// at the first call. KindNoLeader: the pool is closed.
func (p *Peers) Conn(addr string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[addr]; c != nil {
		return c, nil
	}
	if p.closed {
		return nil, errStopping
	}
	for old, c := range p.conns {
		if len(p.conns) < maxPeers {
			break
		}
		c.Close()
		delete(p.conns, old)
	}
	c, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(credentials.NewTLS(p.tls.Clone())),
		grpc.WithContextDialer(func(ctx context.Context, a string) (net.Conn, error) { return p.dial(ctx, "tcp", a) }),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec), grpc.MaxCallRecvMsgSize(api.MaxReply), grpc.MaxCallSendMsgSize(api.MaxRequest)),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
		// A manager that restarts is back within a second; its callers wait no longer.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}),
		grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(4<<20),
	)
	if err != nil {
		return nil, &schema.Error{Kind: schema.KindInternal, Object: "manager " + addr, Msg: "not a usable address", Err: err}
	}
	p.conns[addr] = c
	return c, nil
}

// Close ends all connections, and the calls in flight on them.
func (p *Peers) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for addr, c := range p.conns {
		c.Close()
		delete(p.conns, addr)
	}
}

var errStopping = schema.Errorf(schema.KindNoLeader, "manager", "it is stopping; nothing was written").WithHint("ask another manager")
