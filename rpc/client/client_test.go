package client_test

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
	"yagura/rpc/client"
)

func wantKind(t *testing.T, err error, kind schema.Kind) {
	t.Helper()
	if got := schema.KindOf(err); got != kind {
		t.Fatalf("got the kind %q (%v), want %q", got, err, kind)
	}
}

func TestAskingAgainKeepsTheRequestID(t *testing.T) {
	w := newWorld(t)
	a := w.manager(&fake{arm: func(context.Context) error {
		return schema.Errorf(schema.KindOutcomeUnknown, "write", "leadership was lost")
	}})
	b := w.manager(&fake{})
	c := w.dial(client.Options{}, a, b)
	r, err := c.Inventory.Arm(t.Context(), &api.ArmRequest{})
	if err != nil || r.State != b.addr {
		t.Fatalf("got %v, %v", r, err)
	}
	if x, y := a.seen(), b.seen(); len(x) != 1 || len(y) != 1 || x[0] == "" || x[0] != y[0] {
		t.Fatalf("request ids %q and %q", x, y)
	}
	if _, err := c.Inventory.Arm(t.Context(), &api.ArmRequest{}); err != nil {
		t.Fatal(err)
	}
	if y := b.seen(); y[0] == y[1] {
		t.Fatal("two writes have one request id")
	}
}

func TestLostConnectionsAreAskedAgainElsewhere(t *testing.T) {
	w := newWorld(t)
	a, b := w.manager(&fake{}), w.manager(&fake{})
	c := w.dial(client.Options{}, a, b)
	a.arm = func(ctx context.Context) error {
		go a.grpc.Stop()
		<-ctx.Done()
		return ctx.Err()
	}
	if r, err := c.Inventory.Arm(t.Context(), &api.ArmRequest{}); err != nil || r.State != b.addr {
		t.Fatalf("got %v, %v", r, err)
	}
}

func TestManagerThatHangsIsLeft(t *testing.T) {
	w := newWorld(t)
	a, b := w.manager(&fake{}), w.manager(&fake{})
	c := w.dial(client.Options{}, a, b)
	if r, err := c.Inventory.Arm(t.Context(), &api.ArmRequest{}); err != nil || r.State != a.addr {
		t.Fatalf("got %v, %v", r, err)
	}
	a.frozen.Store(true)
	began := time.Now()
	if r, err := c.Inventory.Arm(t.Context(), &api.ArmRequest{}); err != nil || r.State != b.addr {
		t.Fatalf("got %v, %v", r, err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Fatalf("it took %v", took)
	}
}

func TestLongCallOnALivingManagerIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	release := time.After(1500 * time.Millisecond) // several probes
	a := w.manager(&fake{arm: func(context.Context) error { <-release; return nil }})
	b := w.manager(&fake{})
	c := w.dial(client.Options{}, a, b)
	if r, err := c.Inventory.Arm(t.Context(), &api.ArmRequest{}); err != nil || r.State != a.addr {
		t.Fatalf("got %v, %v", r, err)
	}
}

func TestOnceIsNeverSentTwice(t *testing.T) {
	w := newWorld(t)
	var calls atomic.Int32
	transfer := func() error {
		calls.Add(1)
		return apierr.ToStatus(schema.Errorf(schema.KindOutcomeUnknown, "transfer", "who knows")).Err()
	}
	a, b := w.manager(&fake{transfer: transfer}), w.manager(&fake{transfer: transfer})
	_, err := w.dial(client.Options{}, a, b).Cluster.Transfer(t.Context(), &api.NodeRequest{})
	wantKind(t, err, schema.KindOutcomeUnknown)
	if n := calls.Load(); n != 1 {
		t.Fatalf("it was sent %d times", n)
	}
	// One that surely wasn't carried out is asked again.
	a.transfer = func() error {
		return apierr.ToStatus(schema.Errorf(schema.KindNoLeader, "cluster", "no leader")).Err()
	}
	b.transfer = func() error { return nil }
	if _, err := w.dial(client.Options{}, a, b).Cluster.Transfer(t.Context(), &api.NodeRequest{}); err != nil {
		t.Fatal(err)
	}
}

func TestTimeBoundsEverything(t *testing.T) {
	w := newWorld(t)
	over := make(chan struct{})
	defer close(over)
	a := w.manager(&fake{arm: func(context.Context) error { <-over; return nil }})
	_, err := w.dial(client.Options{Timeout: 100 * time.Millisecond}, a).Inventory.Arm(client.WithRequestID(t.Context(), "mine"), &api.ArmRequest{})
	wantKind(t, err, schema.KindOutcomeUnknown)
	if !strings.Contains(err.Error(), "request id mine") {
		t.Fatalf("it doesn't say with which id to ask again: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there
	c := w.dial(client.Options{Servers: []string{l.Addr().String()}, Timeout: 200 * time.Millisecond})
	_, err = c.Inventory.Arm(t.Context(), &api.ArmRequest{})
	wantKind(t, err, schema.KindUnavailable)
	wantKind(t, c.WatchJob(t.Context(), "1", func(*api.JobInfo) error { return nil }), schema.KindUnavailable)
}

// closed is an address where nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

func TestOutageOfAllManagersIsSaidSoon(t *testing.T) {
	a, b := closed(t), closed(t)
	c := newWorld(t).dial(client.Options{Servers: []string{a, b}, Timeout: time.Minute})
	began := time.Now()
	_, err := c.Inventory.Arm(t.Context(), &api.ArmRequest{})
	wantKind(t, err, schema.KindUnavailable)
	if took := time.Since(began); took > 10*time.Second {
		t.Fatalf("it took %v", took)
	}
	for _, want := range []string{a + " (connection refused)", b + " (connection refused)", "look whether"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q doesn't say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "rpc error") {
		t.Errorf("gRPC's text comes through: %v", err)
	}
}

func TestOutageAfterAWriteWasSentSaysThatItsOutcomeIsUnknown(t *testing.T) {
	w := newWorld(t)
	begun := make(chan struct{})
	f := w.manager(&fake{arm: func(ctx context.Context) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}})
	var stopped sync.WaitGroup
	defer stopped.Wait()
	stopped.Go(func() {
		<-begun
		f.grpc.Stop()
	})
	_, err := w.dial(client.Options{Timeout: time.Minute}, f).Inventory.Arm(client.WithRequestID(t.Context(), "mine"), &api.ArmRequest{})
	wantKind(t, err, schema.KindOutcomeUnknown)
	if !strings.Contains(err.Error(), "request id mine") {
		t.Fatalf("it doesn't say with which id to ask again: %v", err)
	}
}

func TestElectionIsWaitedForLongerThanAnOutage(t *testing.T) {
	w := newWorld(t)
	over := time.After(3500 * time.Millisecond)
	f := w.manager(&fake{arm: func(context.Context) error {
		select {
		case <-over:
			return nil
		default:
			return schema.Errorf(schema.KindNoLeader, "cluster", "no leader")
		}
	}})
	c := w.dial(client.Options{Servers: []string{closed(t)}, Timeout: time.Minute}, f)
	if _, err := c.Inventory.Arm(t.Context(), &api.ArmRequest{}); err != nil {
		t.Fatal(err)
	}
}

func TestLostQuorumIsSaidByTheManagerThatIsLeft(t *testing.T) {
	w := newWorld(t)
	f := w.manager(&fake{arm: func(context.Context) error { return schema.Errorf(schema.KindNoLeader, "cluster", "it has no leader") }})
	dead := closed(t)
	c := w.dial(client.Options{Servers: []string{dead, closed(t)}, Timeout: time.Second}, f)
	_, err := c.Inventory.Arm(t.Context(), &api.ArmRequest{})
	wantKind(t, err, schema.KindNoLeader)
	if !strings.Contains(err.Error(), "it has no leader; out of reach: "+dead+" (connection refused), ") {
		t.Fatalf("got %v", err)
	}
}

func TestRefusedCertificateIsSaid(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	strict := &tls.Config{Certificates: []tls.Certificate{w.cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: w.pool}
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(strict)))
	var served sync.WaitGroup
	served.Go(func() { g.Serve(l) })
	t.Cleanup(func() { g.Stop(); served.Wait() })
	stranger := newWorld(t).cert
	present := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }
	c := w.dial(client.Options{Servers: []string{l.Addr().String()}, TLS: &tls.Config{RootCAs: w.pool, GetClientCertificate: present}, Timeout: time.Minute})
	_, err = c.Inventory.Arm(t.Context(), &api.ArmRequest{})
	wantKind(t, err, schema.KindUnavailable)
	// With TLS 1.3 the alert races with what the client has sent already: the
	// connection may be gone before the alert is read.
	for _, why := range []string{"it refused the TLS session", "the connection was closed", "connection reset by peer", "broken pipe"} {
		if strings.Contains(err.Error(), why) {
			return
		}
	}
	t.Fatalf("it doesn't say why: %v", err)
}

func TestUntrustedManagerIsSaidAtOnce(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	_, err := w.dial(client.Options{TLS: &tls.Config{RootCAs: newWorld(t).pool}, Timeout: time.Minute}, w.manager(&fake{}), w.manager(&fake{})).
		Inventory.Arm(t.Context(), &api.ArmRequest{})
	wantKind(t, err, schema.KindUnauthenticated)
	if took := time.Since(began); took > 10*time.Second {
		t.Fatalf("it took %v", took)
	}
}

func TestManyCallersShareOneLogin(t *testing.T) {
	w := newWorld(t)
	f := w.manager(&fake{})
	c := w.dial(client.Options{User: "u", Password: "p"}, f)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			who, err := c.Auth.WhoAmI(t.Context(), &api.Empty{})
			if err != nil || who.Via != "Bearer session" {
				t.Errorf("got %v, %v", who, err)
			}
		})
	}
	wg.Wait()
	if n := f.logins.Load(); n != 1 {
		t.Fatalf("%d logins", n)
	}
	if c.Token() != "session" {
		t.Fatalf("the token is %q", c.Token())
	}
}

func TestClosedClientSaysSo(t *testing.T) {
	w := newWorld(t)
	c := w.dial(client.Options{}, w.manager(&fake{}))
	c.Close()
	_, err := c.Inventory.Arm(t.Context(), &api.ArmRequest{})
	wantKind(t, err, schema.KindCancelled)
}

func TestOptionsAreChecked(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]client.Options{
		"no server":     {},
		"empty server":  {Servers: []string{"a", " "}},
		"level":         {Servers: []string{"a"}, Consistency: "newest"},
		"reason":        {Servers: []string{"a"}, Reason: strings.Repeat("x", api.MaxReason+1)},
		"no such CA":    {Servers: []string{"a"}, CA: filepath.Join(dir, "none.pem")},
		"empty CA":      {Servers: []string{"a"}, CA: empty},
		"cert, no key":  {Servers: []string{"a"}, Cert: empty},
		"not a cert":    {Servers: []string{"a"}, Cert: empty, Key: empty},
		"key, not cert": {Servers: []string{"a"}, Key: empty},
	} {
		if _, err := client.Dial(o); schema.KindOf(err) != schema.KindInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if c, err := client.Dial(client.Options{Servers: []string{"host", "10.0.0.1:99", "[::1]"}}); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}
