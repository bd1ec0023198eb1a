package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"yagura/rpc/api"
	"yagura/rpc/apierr"
	"yagura/rpc/client"
)

// fake is one manager that answers as the test says, behind a relay that can
// be frozen as if the manager's process were stopped.
type fake struct {
	api.UnimplementedAuthServer
	api.UnimplementedInventoryServer
	api.UnimplementedClusterServer

	arm      func(ctx context.Context) error // nil: answers
	transfer func() error
	logins   atomic.Int32

	mu  sync.Mutex // guards ids
	ids []string   // request ids seen

	addr   string
	grpc   *grpc.Server
	frozen atomic.Bool
}

func (f *fake) Login(context.Context, *api.LoginRequest) (*api.LoginReply, error) {
	f.logins.Add(1)
	return &api.LoginReply{Token: "session"}, nil
}

func (f *fake) WhoAmI(ctx context.Context, _ *api.Empty) (*api.Identity, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	return &api.Identity{Via: strings.Join(md.Get(api.KeyAuthorization), ",")}, nil
}

func (f *fake) Arm(ctx context.Context, _ *api.ArmRequest) (*api.ArmReply, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	f.mu.Lock()
	f.ids = append(f.ids, md.Get(api.KeyRequestID)...)
	f.mu.Unlock()
	if f.arm != nil {
		if err := f.arm(ctx); err != nil {
			return nil, apierr.ToStatus(err).Err()
		}
	}
	return &api.ArmReply{State: f.addr}, nil
}

func (f *fake) Transfer(context.Context, *api.NodeRequest) (*api.NodeRequest, error) {
	return &api.NodeRequest{}, f.transfer()
}

func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.ids...)
}

// world is the managers of one test.
type world struct {
	t    *testing.T
	cert tls.Certificate
	pool *x509.CertPool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool: x509.NewCertPool()}
	w.pool.AddCert(leaf)
	return w
}

// manager starts f.
func (w *world) manager(f *fake) *fake {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	f.addr = l.Addr().String()
	f.grpc = grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&w.cert)))
	api.RegisterAuthServer(f.grpc, f)
	api.RegisterInventoryServer(f.grpc, f)
	api.RegisterClusterServer(f.grpc, f)
	grpc_health_v1.RegisterHealthServer(f.grpc, health.NewServer())
	var served sync.WaitGroup
	served.Go(func() { f.grpc.Serve(freezer{l, f}) })
	w.t.Cleanup(func() {
		f.grpc.Stop()
		served.Wait()
	})
	return f
}

// freezer makes connections that go silent while the fake is frozen.
type freezer struct {
	net.Listener
	f *fake
}

func (z freezer) Accept() (net.Conn, error) {
	c, err := z.Listener.Accept()
	return frozenConn{c, z.f}, err
}

type frozenConn struct {
	net.Conn
	f *fake
}

// Write swallows what a frozen manager would say.
func (c frozenConn) Write(b []byte) (int, error) {
	if c.f.frozen.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (w *world) dial(o client.Options, managers ...*fake) *client.Client {
	w.t.Helper()
	for _, f := range managers {
		o.Servers = append(o.Servers, f.addr)
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{RootCAs: w.pool}
	}
	c, err := client.Dial(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}
