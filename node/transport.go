package node

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"yagura/node/tlsutil"
)

// What managers speak on the Raft port, by ALPN.
const (
	protoRaft  = "yagura-raft/1"
	protoWatch = "yagura-watch/1" // nothing is ever sent: the connection's end tells of the process's end
)

const (
	handshakeTimeout = 5 * time.Second
	raftIOTimeout    = 10 * time.Second
	raftConnPool     = 3  // idle connections kept per manager
	maxHandshakes    = 64 // inbound connections that may be shaking hands at once
)

// transport is Raft's network transport with a path of its own for heartbeats
// (heartbeat.go), and with a way to speak to the own Raft.
type transport struct {
	*raft.NetworkTransport
	calls    chan raft.RPC // to Raft's main loop
	contacts chan raft.RPC // a heartbeat that was answered and that Raft is still to hear of
	standing atomic.Pointer[standing]
	// offered is since when a call waits for the main loop to take it, in
	// nanoseconds; 0: none does.
	offered atomic.Int64
	stop    chan struct{}
	done    chan struct{}
	// voteAsked is when another manager last asked for a vote, in nanoseconds.
	// Raft shows a candidacy only after it has written it to disk.
	voteAsked atomic.Int64
}

// newTransport makes Raft's transport over the layer.
func newTransport(s *streamLayer, log *slog.Logger) *transport {
	t := &transport{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: s, MaxPool: raftConnPool, Timeout: raftIOTimeout, Logger: raftLogger{log}.hc(),
		}),
		calls: make(chan raft.RPC), contacts: make(chan raft.RPC, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	t.NetworkTransport.SetHeartbeatHandler(t.heartbeat)
	go t.forward()
	return t
}

// forward passes the calls of other managers on to Raft.
func (t *transport) forward() {
	defer close(t.done)
	for {
		var c raft.RPC
		select {
		case c = <-t.NetworkTransport.Consumer():
			if _, ok := c.Command.(*raft.RequestVoteRequest); ok {
				t.voteAsked.Store(time.Now().UnixNano())
			}
		case c = <-t.contacts:
		case <-t.stop:
			return
		}
		t.offered.Store(time.Now().UnixNano())
		select {
		case t.calls <- c:
			t.offered.Store(0)
		case <-t.stop:
			return
		}
	}
}

// Consumer implements raft.Transport.
func (t *transport) Consumer() <-chan raft.RPC { return t.calls }

// SetHeartbeatHandler drops Raft's handler on purpose: it isn't safe beside the
// main loop.
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

// Close implements raft.WithClose.
func (t *transport) Close() error {
	err := t.NetworkTransport.Close()
	select {
	case <-t.stop:
	default:
		close(t.stop)
	}
	<-t.done
	return err
}

// campaign makes the own Raft a candidate at once, as a leader does that hands
// over to it.
func (t *transport) campaign(ctx context.Context) error {
	answer := make(chan raft.RPCResponse, 1)
	call := raft.RPC{Command: &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}, RespChan: answer}
	select {
	case t.calls <- call:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case r := <-answer:
		return r.Error
	case <-ctx.Done():
		return ctx.Err()
	}
}

var _ interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
} = (*transport)(nil)

// dialFunc opens a connection to another manager.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// streamLayer carries Raft over mutual TLS. It is the listener of the Raft port.
type streamLayer struct {
	ln     net.Listener
	addr   raft.ServerAddress // as the others know it
	server *tls.Config
	id     *tlsutil.Identity
	dial   dialFunc
	log    *slog.Logger

	// open is false while this manager may not take part in Raft: a wiped
	// manager has forgotten its votes and must not vote before the leader
	// has taken it in anew.
	open atomic.Bool

	watchers  atomic.Int32 // managers that hold a connection to this process
	raftConns chan net.Conn
	pending   chan struct{} // bounds handshakes
	ctx       context.Context
	cancel    context.CancelFunc
	wg        sync.WaitGroup // the accept loop and a goroutine for each handshake or watch

	mu    sync.Mutex // guards conns
	conns map[*trackedConn]struct{}
}

// listenRaft opens the Raft port.
func listenRaft(bind, advertise string, id *tlsutil.Identity, dial dialFunc, log *slog.Logger) (*streamLayer, error) {
	ln, err := net.Listen("tcp", bind)
	if err != nil {
		return nil, err
	}
	s := &streamLayer{
		ln: ln, addr: raft.ServerAddress(advertise), server: id.PeerServer(protoRaft, protoWatch), id: id, dial: dial, log: log,
		raftConns: make(chan net.Conn), pending: make(chan struct{}, maxHandshakes), conns: map[*trackedConn]struct{}{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.acceptLoop)
	return s, nil
}

func (s *streamLayer) acceptLoop() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			s.log.Warn("raft port: accept failed", "err", err)
			select { // out of file descriptors, for one: they come back
			case <-time.After(50 * time.Millisecond):
			case <-s.ctx.Done():
				return
			}
			continue
		}
		select {
		case s.pending <- struct{}{}:
		default:
			conn.Close() // a flood; honest peers try again
			continue
		}
		s.wg.Go(func() { s.serve(conn) })
	}
}

// serve shakes hands and passes the connection on to who speaks its protocol.
func (s *streamLayer) serve(raw net.Conn) {
	conn := s.track(raw)
	tc := tls.Server(conn, s.server)
	ctx, cancel := context.WithTimeout(s.ctx, handshakeTimeout)
	err := tc.HandshakeContext(ctx)
	cancel()
	<-s.pending
	if err != nil {
		conn.Close()
		if s.ctx.Err() == nil {
			s.log.Warn("raft port: connection refused", "from", raw.RemoteAddr(), "err", err)
		}
		return
	}
	switch tc.ConnectionState().NegotiatedProtocol {
	case protoRaft:
		if !s.open.Load() {
			tc.Close()
			return
		}
		select {
		case s.raftConns <- tc:
		case <-s.ctx.Done():
			tc.Close()
		}
	case protoWatch:
		// The watcher sends nothing; the read ends when either side goes.
		s.watchers.Add(1)
		_, _ = tc.Read(make([]byte, 1))
		s.watchers.Add(-1)
		tc.Close()
	}
}

// Accept implements net.Listener: it gives Raft's connections.
func (s *streamLayer) Accept() (net.Conn, error) {
	select {
	case c := <-s.raftConns:
		return c, nil
	case <-s.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Dial implements raft.StreamLayer.
func (s *streamLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	if timeout <= 0 || timeout > handshakeTimeout {
		timeout = handshakeTimeout
	}
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	return s.connect(ctx, string(address), protoRaft)
}

// connect opens a connection to another manager's Raft port.
func (s *streamLayer) connect(ctx context.Context, address, protocol string) (net.Conn, error) {
	raw, err := s.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn := s.track(raw)
	tc := tls.Client(conn, s.id.PeerClient(protocol))
	if err := tc.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return tc, nil
}

// Close implements net.Listener. It closes the connections, too, and waits
// for the layer's goroutines.
func (s *streamLayer) Close() error {
	s.cancel()
	err := s.ln.Close()
	s.mu.Lock()
	conns := make([]*trackedConn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
	s.wg.Wait()
	return err
}

// Addr implements net.Listener: the address under which others reach us.
func (s *streamLayer) Addr() net.Addr { return layerAddr(s.addr) }

type layerAddr string

// Network implements net.Addr.
func (layerAddr) Network() string { return "tcp" }

// String implements net.Addr.
func (a layerAddr) String() string { return string(a) }

// trackedConn is a connection that Close of the layer closes.
type trackedConn struct {
	net.Conn
	layer *streamLayer
	once  sync.Once
}

func (s *streamLayer) track(c net.Conn) *trackedConn {
	t := &trackedConn{Conn: c, layer: s}
	s.mu.Lock()
	s.conns[t] = struct{}{}
	s.mu.Unlock()
	if s.ctx.Err() != nil { // Close may have passed already
		t.Close()
	}
	return t
}

// Close implements net.Conn.
func (t *trackedConn) Close() error {
	t.once.Do(func() {
		t.layer.mu.Lock()
		delete(t.layer.conns, t)
		t.layer.mu.Unlock()
	})
	return t.Conn.Close()
}
