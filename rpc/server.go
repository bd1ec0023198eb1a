package rpc

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"yagura/rpc/api"
	"yagura/rpc/password"
)

// Limits of a server.
const (
	maxConnections = 4096 // open at once, gRPC and HTTPS each
	maxStreams     = 4096 // calls in flight on one connection; another manager passes all of its calls over one
	maxHeaders     = 64 << 10
	maxHashes      = 2 // password hashes at once
	handshakeTime  = 10 * time.Second
)

// Server serves the API of one manager. NewServer makes it, Shutdown ends it.
type Server struct {
	cfg  Config
	node string
	log  *slog.Logger

	grpc    *grpc.Server // for TLS
	local   *grpc.Server // for our own gateway, in memory
	gateway *gatewayServer
	http    *http.Server

	leaders *leaders
	hasher  *password.Hasher
	limiter *limiter
	metrics *metrics

	watchers chan struct{} // a token for each stream in flight

	stopping  context.Context // ends when Shutdown begins: streams end with it
	stop      context.CancelFunc
	unfollow  context.CancelFunc // ends following the leader
	closeOnce sync.Once
	done      chan struct{} // closed when Shutdown has ended
	tasks     sync.WaitGroup
}

// NewServer makes a server that serves nothing yet: ServeGRPC and ServeHTTP
// do. It follows Cluster.Leader from now on. Errors are KindInvalid.
func NewServer(cfg Config) (*Server, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, node: cfg.Cluster.NodeID(), log: cfg.Log,
		hasher: password.NewHasher(maxHashes), limiter: newLimiter(cfg.Now),
		done: make(chan struct{}), watchers: make(chan struct{}, maxWatchers),
	}
	if s.metrics, err = newMetrics(cfg.Metrics, s); err != nil {
		return nil, err
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.leaders = newLeaders(cfg.Cluster)
	following, unfollow := context.WithCancel(context.Background())
	s.unfollow = unfollow
	s.tasks.Go(func() { s.leaders.run(following) })

	grpcTLS := cfg.TLS.Clone()
	grpcTLS.NextProtos = []string{"h2"}
	s.grpc = s.newGRPC(credentials.NewTLS(grpcTLS))
	s.local = s.newGRPC(gatewayCredentials{})
	if s.gateway, err = newGateway(s); err != nil {
		s.stop()
		s.unfollow()
		s.local.Stop()
		s.tasks.Wait()
		return nil, err
	}
	s.http = &http.Server{
		Handler: s.gateway, TLSConfig: cfg.TLS.Clone(),
		ReadHeaderTimeout: handshakeTime, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: maxHeaders, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// newGRPC makes a gRPC server with all services.
func (s *Server) newGRPC(creds credentials.TransportCredentials) *grpc.Server {
	g := grpc.NewServer(
		grpc.Creds(creds),
		grpc.ForceServerCodecV2(rawCodec),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
		grpc.MaxRecvMsgSize(api.MaxRequest), grpc.MaxSendMsgSize(api.MaxReply),
		grpc.MaxConcurrentStreams(maxStreams), grpc.MaxHeaderListSize(maxHeaders),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	)
	api.RegisterAuthServer(g, authService{s: s})
	api.RegisterInventoryServer(g, inventoryService{s: s})
	api.RegisterOperationsServer(g, operationsService{s: s})
	api.RegisterPlacementServer(g, placementService{s: s})
	api.RegisterJobsServer(g, jobsService{s: s})
	api.RegisterEventsServer(g, eventsService{s: s})
	api.RegisterClusterServer(g, clusterService{s: s})
	api.RegisterPeerServer(g, peerService{s: s})
	grpc_health_v1.RegisterHealthServer(g, health.NewServer())
	return g
}

// ServeGRPC serves the gRPC API on l until Shutdown; it returns nil then. It closes l.
func (s *Server) ServeGRPC(l net.Listener) error {
	return s.grpc.Serve(netutil.LimitListener(l, maxConnections))
}

// ServeHTTP serves the JSON API, metrics and health over HTTPS on l until
// Shutdown; it returns nil then. It closes l.
func (s *Server) ServeHTTP(l net.Listener) error {
	err := s.http.ServeTLS(netutil.LimitListener(l, maxConnections), "", "")
	if err == http.ErrServerClosed {
		return nil
	}
	return err
}

// Shutdown takes no new calls, ends the streams, waits for calls in flight
// until ctx ends, and then cuts them off. Clients go on with another manager.
func (s *Server) Shutdown(ctx context.Context) {
	s.closeOnce.Do(func() {
		defer close(s.done)
		s.stop()
		if s.http.Shutdown(ctx) != nil {
			s.http.Close()
		}
		for _, g := range []*grpc.Server{s.grpc, s.local} {
			over := make(chan struct{})
			s.tasks.Go(func() {
				g.GracefulStop()
				close(over)
			})
			select {
			case <-over:
			case <-ctx.Done():
				g.Stop()
			}
		}
		s.gateway.close()
		s.unfollow() // not before: calls in flight may need the next leader
		s.tasks.Wait()
	})
	<-s.done
}
