package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// How a manager that hangs (stopped, or cut off without a reset) is told from
// one that works on a long call: a call that takes longer than callPatience
// makes a probe of the same connection, which a living process answers at once.
const (
	callPatience  = 250 * time.Millisecond
	probePatience = 500 * time.Millisecond
	probeEvery    = time.Second
	// connectPatience bounds one try to connect.
	connectPatience = 2 * time.Second
	// suspicion is how long a manager that failed is passed over while there is another.
	suspicion = 3 * time.Second
)

// server is one manager and the connection to it.
type server struct {
	addr string
	tls  *tls.Config

	failedAt atomic.Int64 // unix nanoseconds, 0: well

	mu     sync.Mutex // guards all below
	conn   *grpc.ClientConn
	closed bool
	broken error // why the last connection couldn't be made or broke; gRPC gives only its text
}

// suspect tells whether the manager failed a short while ago.
func (s *server) suspect() bool {
	at := s.failedAt.Load()
	return at != 0 && time.Since(time.Unix(0, at)) < suspicion
}

// failed drops the connection, so that all calls on it end at once and the
// next one connects anew, and marks the manager.
func (s *server) failed() {
	s.failedAt.Store(time.Now().UnixNano())
	s.mu.Lock()
	conn := s.conn
	s.conn = nil
	s.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.failed()
}

// ready gives a connection that stands. Errors are KindUnavailable: nothing was sent.
func (s *server) ready(ctx context.Context) (*grpc.ClientConn, error) {
	conn, err := s.connection()
	if err != nil {
		return nil, err
	}
	if conn.GetState() == connectivity.Ready {
		return conn, nil
	}
	wait, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	for {
		switch state := conn.GetState(); state {
		case connectivity.Ready:
			s.failedAt.Store(0)
			return conn, nil
		case connectivity.Idle:
			conn.Connect()
			fallthrough
		case connectivity.Connecting:
			if !conn.WaitForStateChange(wait, state) {
				s.failed()
				return nil, s.unavailable("no answer")
			}
		default: // TransientFailure, Shutdown
			s.failed()
			if err := s.untrusted(); err != nil {
				return nil, err
			}
			return nil, s.unavailable(s.reason())
		}
	}
}

// reason says in a few words why the last connection couldn't be made or broke.
func (s *server) reason() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var no syscall.Errno
	var lookup *net.DNSError
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.As(s.broken, &no):
		return no.Error()
	case errors.As(s.broken, &lookup):
		return "its name can't be resolved"
	case errors.As(s.broken, &op) && op.Op == "remote error": // an alert of TLS
		return "it refused the TLS session: " + strings.TrimPrefix(op.Err.Error(), "tls: ")
	case errors.As(s.broken, &timeout) && timeout.Timeout():
		return "no answer"
	case s.broken == nil, errors.Is(s.broken, io.EOF):
		return "the connection was closed"
	}
	return s.broken.Error()
}

// breaks notes why a connection couldn't be made or broke: the first error
// tells, such as an alert of TLS before the end of the stream.
func (s *server) breaks(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = err
	}
}

// unreachable is the error of a manager that couldn't be connected to.
type unreachable struct{ why string }

func (e *unreachable) Error() string { return e.why }

func (s *server) unavailable(why string) error {
	return &schema.Error{Kind: schema.KindUnavailable, Object: "manager " + s.addr, Msg: "can't be reached", Err: &unreachable{why}, Hint: checkManager}
}

// checkManager is what to do about a manager that can't be reached.
const checkManager = "look whether the manager runs, and whether address and CA are right"

func (s *server) connection() (*grpc.ClientConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, schema.Errorf(schema.KindCancelled, "client", "it was closed")
	}
	if s.conn != nil {
		return s.conn, nil
	}
	s.broken = nil
	conn, err := grpc.NewClient("passthrough:///"+s.addr,
		grpc.WithTransportCredentials(handshakes{credentials.NewTLS(s.tls.Clone()), s}),
		grpc.WithContextDialer(s.dial),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(), // ours knows which calls may be sent twice
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectPatience}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(api.MaxReply), grpc.MaxCallSendMsgSize(api.MaxRequest)))
	if err != nil {
		return nil, &schema.Error{Kind: schema.KindInvalid, Object: "manager " + s.addr, Msg: "not a usable address", Err: err}
	}
	s.conn = conn
	return conn, nil
}

// guard watches over a call in flight on conn until the function that it
// returns is called: when the manager answers no probe any more, the
// connection is dropped, which ends the call.
func (s *server) guard(conn *grpc.ClientConn) (stop func()) {
	g := &guard{srv: s, conn: conn, done: make(chan struct{})}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.timer = time.AfterFunc(callPatience, g.watch)
	return g.stop
}

type guard struct {
	srv    *server
	conn   *grpc.ClientConn
	ctx    context.Context
	cancel context.CancelFunc
	timer  *time.Timer
	done   chan struct{} // closed when watch has returned
}

// watch probes until the call is over or the manager stays silent.
func (g *guard) watch() {
	defer close(g.done)
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		ctx, cancel := context.WithTimeout(g.ctx, probePatience)
		_, err := grpc_health_v1.NewHealthClient(g.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		cancel()
		if g.ctx.Err() != nil {
			return
		}
		if err != nil {
			g.srv.drop(g.conn)
			return
		}
		select {
		case <-g.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (g *guard) stop() {
	g.cancel()
	if !g.timer.Stop() {
		<-g.done
	}
}

// drop is failed, unless conn was replaced meanwhile.
func (s *server) drop(conn *grpc.ClientConn) {
	s.mu.Lock()
	current := s.conn == conn
	s.mu.Unlock()
	if current {
		s.failed()
	}
}

// dial opens the connection below TLS.
func (s *server) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		s.breaks(err)
	}
	return conn, err
}

// handshakes is TLS that remembers on the server why a connection broke.
type handshakes struct {
	credentials.TransportCredentials
	srv *server
}

func (h handshakes) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := h.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		h.srv.breaks(err)
		return conn, info, err
	}
	return &watched{conn, h.srv}, info, nil
}

func (h handshakes) Clone() credentials.TransportCredentials {
	return handshakes{h.TransportCredentials.Clone(), h.srv}
}

// watched is a connection that remembers on the server why it broke: with TLS
// 1.3 a manager refuses a client's certificate only after the handshake.
type watched struct {
	net.Conn
	srv *server
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		w.srv.breaks(err)
	}
	return n, err
}

// untrusted is the error of a manager whose certificate doesn't hold, nil when
// that isn't why it can't be reached.
func (s *server) untrusted() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !untrusted(s.broken) {
		return nil
	}
	return &schema.Error{Kind: schema.KindUnauthenticated, Object: "manager " + s.addr, Msg: "its certificate isn't trusted", Err: s.broken,
		Hint: "name the CA that signed it, and an address that stands in it"}
}

func untrusted(err error) bool {
	var bad *tls.CertificateVerificationError
	return errors.As(err, &bad)
}
