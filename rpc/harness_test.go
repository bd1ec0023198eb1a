package rpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
	"yagura/rpc"
	"yagura/rpc/api"
	"yagura/rpc/client"
	"yagura/rpc/password"
)

// Accounts of the tests.
const (
	admin         = "admin"
	operator      = "oper"
	observer      = "watcher"
	adminPassword = "correct horse battery"
)

// cluster is managers m1, m2, ... over the replicas of one log. m1 leads.
type cluster struct {
	t     testing.TB
	ca    *authority
	log   *fsmtest.Cluster
	nodes []*manager
}

// manager is one manager: a server with a cluster control of the test's.
type manager struct {
	id      string
	store   *fsm.Store
	control *control
	entries *entries
	server  *rpc.Server
	grpc    net.Listener
	http    net.Listener
	served  sync.WaitGroup
}

// passwordHash is the hash of adminPassword, made once.
var passwordHash = sync.OnceValues(func() ([]byte, error) {
	return password.NewHasher(1).Hash(context.Background(), adminPassword)
})

// start makes n managers with the accounts of the tests.
func start(t testing.TB, n int, change ...func(*rpc.Config)) *cluster {
	t.Helper()
	c := &cluster{t: t, ca: newAuthority(t), log: fsmtest.New(t)}
	hash, err := passwordHash()
	if err != nil {
		t.Fatal(err)
	}
	c.log.Do(func(tx *fsm.Tx) error {
		for name, role := range map[string]string{admin: schema.RoleAdministrator, operator: schema.RoleOperator, observer: schema.RoleObserver} {
			if err := fsm.Users.Put(tx, &schema.User{Name: name, Role: role, PasswordHash: hash, Created: timestamppb.New(tx.Now())}); err != nil {
				return err
			}
		}
		for i := range n {
			if err := fsm.Managers.Put(tx, &schema.Manager{Id: fmt.Sprintf("m%d", i+1)}); err != nil {
				return err
			}
		}
		return fsm.SettingsTable.Put(tx, &schema.Settings{Key: schema.SettingsKey, Cluster: "test"})
	})
	for i := range n {
		m := &manager{id: fmt.Sprintf("m%d", i+1), store: c.log.Stores()[i], grpc: listen(t), http: listen(t)}
		m.store.SetProposer(c.log)
		m.entries = &entries{log: c.log}
		m.control = &control{id: m.id, changed: make(chan struct{}), ready: true}
		cfg := rpc.Config{
			Store: m.store, Cluster: m.control, Entries: m.entries, TestTrap: testTrap, TLS: c.ca.server(t, rpc.ManagerOrganization, m.id),
			Peers: rpc.NewPeers(c.ca.client(t, rpc.ManagerOrganization, m.id), nil),
			Log:   slog.New(slog.NewTextHandler(io.Discard, nil)), LeaderWait: 500 * time.Millisecond,
		}
		for _, f := range change {
			f(&cfg)
		}
		t.Cleanup(cfg.Peers.Close)
		c.nodes = append(c.nodes, m)
		m.control.set(rpc.Leader{ID: "m1", Address: c.nodes[0].grpc.Addr().String(), Self: i == 0})
		if m.server, err = rpc.NewServer(cfg); err != nil {
			t.Fatal(err)
		}
		m.served.Go(func() { m.server.ServeGRPC(m.grpc) })
		m.served.Go(func() { m.server.ServeHTTP(m.http) })
	}
	t.Cleanup(func() {
		for _, m := range c.nodes {
			m.kill()
		}
	})
	return c
}

// testTrap takes any datagram for an event of the machine named in it.
func testTrap(datagram []byte, from netip.AddrPort) (*api.TestTrapReply, error) {
	return &api.TestTrapReply{Agent: from.Addr().String(), Event: &schema.Event{
		Notifier: schema.NotifierESMPRO, Source: "ESMDSVNT", EventId: "0xc0000002", TargetHint: string(datagram),
	}}, nil
}

// kill ends a manager without waiting for its callers.
func (m *manager) kill() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m.server.Shutdown(ctx)
	m.served.Wait()
}

// lead makes the manager with this index the leader in everybody's eyes; -1: none leads.
func (c *cluster) lead(i int) {
	for k, m := range c.nodes {
		l := rpc.Leader{}
		if i >= 0 {
			l = rpc.Leader{ID: c.nodes[i].id, Address: c.nodes[i].grpc.Addr().String(), Self: k == i}
		}
		m.control.set(l)
	}
}

// servers are the addresses of the managers with these indexes, all when none is given.
func (c *cluster) servers(which ...int) []string {
	var out []string
	if len(which) == 0 {
		for i := range c.nodes {
			which = append(which, i)
		}
	}
	for _, i := range which {
		out = append(out, c.nodes[i].grpc.Addr().String())
	}
	return out
}

// as is a client with user's certificate, on the managers with these indexes.
func (c *cluster) as(user string, which ...int) *client.Client {
	c.t.Helper()
	return c.dial(client.Options{Servers: c.servers(which...), TLS: c.ca.client(c.t, rpc.UserOrganization, user), Timeout: 10 * time.Second})
}

// login is a client that logs in as user with the password of the tests.
func (c *cluster) login(user string, which ...int) *client.Client {
	c.t.Helper()
	return c.dial(client.Options{Servers: c.servers(which...), TLS: c.ca.client(c.t, "", ""), User: user, Password: adminPassword, Timeout: 10 * time.Second})
}

func (c *cluster) dial(o client.Options) *client.Client {
	c.t.Helper()
	cl, err := client.Dial(o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wantKind fails the test unless err has this kind.
func wantKind(t *testing.T, err error, kind schema.Kind) {
	t.Helper()
	if got := schema.KindOf(err); got != kind {
		t.Fatalf("got the kind %q (%v), want %q", got, err, kind)
	}
}

// control is a rpc.ClusterControl that does as the test says.
type control struct {
	id       string
	transfer func() // set before the server is used

	mu      sync.Mutex // guards the rest
	leader  rpc.Leader
	changed chan struct{}
	ready   bool
	linear  func() (uint64, error)
	calls   []string
}

func (c *control) set(l rpc.Leader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = l
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *control) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, fmt.Sprintf(format, args...))
}

func (c *control) noted() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.calls...)
}

func (c *control) NodeID() string { return c.id }

func (c *control) Leader() rpc.Leader {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader
}

func (c *control) LeaderChanged() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *control) ReadIndex(context.Context) (uint64, error) {
	c.note("read index")
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.linear == nil {
		return 0, nil
	}
	return c.linear()
}

func (c *control) LastContact() time.Duration { return 7 * time.Millisecond }

func (c *control) Ready() (bool, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready, "no leader is known"
}

func (c *control) Status(context.Context) (*api.StatusReply, error) {
	return &api.StatusReply{Node: c.id, Ready: true}, nil
}

func (c *control) Self() *api.Node { return &api.Node{Id: c.id} }

func (c *control) Nodes(context.Context) ([]*api.Node, error) {
	return []*api.Node{{Id: c.id}}, nil
}

func (c *control) CanRemove(id string) error   { return c.known(id) }
func (c *control) CanTransfer(id string) error { return c.known(id) }

// known refuses managers that no test has.
func (c *control) known(id string) error {
	if id == "nope" {
		return schema.Errorf(schema.KindNotFound, "manager "+id, "there is no such manager")
	}
	return nil
}

func (c *control) Remove(_ context.Context, id string) error {
	c.note("remove %s", id)
	return nil
}

func (c *control) Transfer(_ context.Context, id string) (string, error) {
	c.note("transfer %s", id)
	if c.transfer != nil {
		c.transfer()
	}
	return "m2", nil
}

func (c *control) Join(_ context.Context, m *schema.Manager) error {
	c.note("join %s", m.Id)
	return nil
}

func (c *control) Leave(_ context.Context, id string) error {
	c.note("leave %s", id)
	return nil
}

func (c *control) LookAtRun(_ context.Context, q *api.RunQuestion) (*api.RunLook, error) {
	c.note("look at run %s, cancel %v", q.Token, q.Cancel)
	return &api.RunLook{State: "running"}, nil
}

func (c *control) LookAtSamples(_ context.Context, q *api.PerformanceRequest) (*api.PerformanceReply, error) {
	c.note("look at samples of %s", q.Machine)
	return &api.PerformanceReply{Machine: q.Machine}, nil
}

func (c *control) Samples(_ context.Context, q *api.PerformanceRequest) (*api.PerformanceReply, error) {
	c.note("samples of %s %s", q.Machine, q.Metric)
	return &api.PerformanceReply{Machine: q.Machine, Series: []*api.Series{{Metric: schema.MetricCPU, Samples: []*api.Sample{{Value: 12}}}}}, nil
}

// snapshotText is what the fake saves: larger than one chunk.
var snapshotText = make([]byte, 3*api.SnapshotChunk+17)

func (c *control) SaveSnapshot(_ context.Context, w io.Writer) error {
	_, err := w.Write(snapshotText)
	return err
}

func (c *control) RestoreSnapshot(_ context.Context, why fsm.Why, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.note("restore %d by %s, op %s", len(b), why.User, why.Op)
	if len(b) == 0 {
		return schema.Errorf(schema.KindCorrupt, "snapshot", "it is empty")
	}
	return nil
}

// authority signs the certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = issue(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func issue(t testing.TB, by *authority, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) pair(t testing.TB, org, name string) tls.Certificate {
	t.Helper()
	cert, key := issue(t, a, &x509.Certificate{
		Subject: pkix.Name{Organization: []string{org}, CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (a *authority) server(t testing.TB, org, name string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.pair(t, org, name)}, ClientCAs: a.pool()}
}

// client is the TLS configuration of a caller; without a name it has no certificate.
func (a *authority) client(t testing.TB, org, name string) *tls.Config {
	c := &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS13}
	if name != "" {
		c.Certificates = []tls.Certificate{a.pair(t, org, name)}
	}
	return c
}
