package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // tables show local times
	os.Exit(m.Run())
}

// call is one call that the fake manager got.
type call struct {
	method   string // such as "AddVM"
	request  proto.Message
	metadata metadata.MD
}

// fakeManager serves the API over TLS with canned answers.
type fakeManager struct {
	address string
	ca      string // PEM file of its certificate

	mu      sync.Mutex                // guards all below
	answers map[string]proto.Message  // by method
	errors  map[string]error          // by method, before answers
	jobs    map[string][]*api.JobInfo // what WatchJob sends, by id
	broken  map[string]int            // how many watches of a job break first, by id
	calls   []call
	saved   []byte // what RestoreSnapshot got

	api.UnimplementedAuthServer
	api.UnimplementedInventoryServer
	api.UnimplementedOperationsServer
	api.UnimplementedPlacementServer
	fakeJobs
	fakeEvents
	fakeCluster
}

type (
	fakeJobs struct {
		api.UnimplementedJobsServer
		f *fakeManager
	}
	fakeEvents struct {
		api.UnimplementedEventsServer
		f *fakeManager
	}
	fakeCluster struct {
		api.UnimplementedClusterServer
		f *fakeManager
	}
)

// newFake starts a manager on a port of 127.0.0.1 that the test owns.
func newFake(t *testing.T) *fakeManager {
	t.Helper()
	cert, caFile := newCertificate(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeManager{
		address: listener.Addr().String(), ca: caFile,
		answers: map[string]proto.Message{}, errors: map[string]error{},
		jobs: map[string][]*api.JobInfo{}, broken: map[string]int{},
	}
	server := grpc.NewServer(
		grpc.Creds(credentials.NewServerTLSFromCert(&cert)),
		grpc.UnaryInterceptor(f.unary), grpc.StreamInterceptor(f.stream))
	api.RegisterAuthServer(server, f)
	api.RegisterInventoryServer(server, f)
	api.RegisterOperationsServer(server, f)
	api.RegisterPlacementServer(server, f)
	api.RegisterJobsServer(server, fakeJobs{f: f})
	api.RegisterEventsServer(server, fakeEvents{f: f})
	api.RegisterClusterServer(server, fakeCluster{f: f})
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with Stop
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return f
}

func newCertificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "fake"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func (f *fakeManager) record(ctx context.Context, fullMethod string, req proto.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	md, _ := metadata.FromIncomingContext(ctx)
	f.calls = append(f.calls, call{fullMethod[strings.LastIndex(fullMethod, "/")+1:], req, md})
}

// recorded gives the calls so far, without those of health checks.
func (f *fakeManager) recorded() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]call(nil), f.calls...)
}

// lastCall gives the last call of a method.
func (f *fakeManager) lastCall(t *testing.T, method string) call {
	t.Helper()
	calls := f.recorded()
	for i := len(calls) - 1; i >= 0; i-- {
		if calls[i].method == method {
			return calls[i]
		}
	}
	t.Fatalf("no call of %s", method)
	return call{}
}

func (f *fakeManager) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if strings.HasPrefix(info.FullMethod, "/grpc.health") {
		return handler(ctx, req)
	}
	f.record(ctx, info.FullMethod, req.(proto.Message))
	method := info.FullMethod[strings.LastIndex(info.FullMethod, "/")+1:]
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.errors[method]; err != nil {
		return nil, apierr.ToStatus(err).Err()
	}
	for _, key := range []string{method + " " + about(req), method} {
		if answer := f.answers[key]; answer != nil {
			return answer, nil
		}
	}
	return nil, status.Errorf(codes.Unimplemented, "the fake manager has no answer for %s", method)
}

// about is what a request is about, for methods with several canned answers.
func about(req any) string {
	switch req := req.(type) {
	case *api.ListRequest:
		if req.Specs && req.Kind == kindMachine {
			return req.Kind + " specs"
		}
		return req.Kind
	case *api.GetRequest:
		return req.Kind
	case *api.GroupRequest:
		return req.Group
	case *api.JobRequest:
		return req.Id
	case *api.DeployRequest:
		if req.Host == "" && req.Machine == "" {
			return "group"
		}
	}
	return ""
}

func (f *fakeManager) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	f.record(ss.Context(), info.FullMethod, nil)
	return handler(srv, ss)
}

// WatchJob sends the canned states of a job; it breaks as often as f.broken
// says, and stays open while the last state is no end.
func (j fakeJobs) WatchJob(req *api.JobRequest, ss grpc.ServerStreamingServer[api.JobInfo]) error {
	j.f.mu.Lock()
	states := j.f.jobs[req.Id]
	breaks := j.f.broken[req.Id] > 0
	if breaks {
		j.f.broken[req.Id]--
	}
	j.f.mu.Unlock()
	if len(states) == 0 {
		return apierr.ToStatus(schema.Errorf(schema.KindNotFound, "job "+req.Id, "there is no such job")).Err()
	}
	for _, info := range states {
		if err := ss.Send(info); err != nil {
			return err
		}
		if breaks {
			return status.Error(codes.Unavailable, "the manager stops")
		}
	}
	if last := states[len(states)-1]; schema.JobEnded(last.Job.State) {
		return nil
	}
	<-ss.Context().Done()
	return nil
}

// WatchEvents sends the events of the canned list and stays open.
func (e fakeEvents) WatchEvents(_ *api.ListEventsRequest, ss grpc.ServerStreamingServer[schema.Event]) error {
	e.f.mu.Lock()
	list := e.f.answers["ListEvents"].(*api.ListEventsReply)
	e.f.mu.Unlock()
	for _, event := range list.Events {
		if err := ss.Send(event); err != nil {
			return err
		}
	}
	<-ss.Context().Done()
	return nil
}

// WatchAudit sends one more change than the canned list has and stays open.
func (e fakeEvents) WatchAudit(req *api.ListAuditRequest, ss grpc.ServerStreamingServer[schema.Audit]) error {
	if err := ss.Send(&schema.Audit{Id: "9001", User: "admin", Op: "came after " + req.After}); err != nil {
		return err
	}
	<-ss.Context().Done()
	return nil
}

func (c fakeCluster) SaveSnapshot(_ *api.Empty, ss grpc.ServerStreamingServer[api.Chunk]) error {
	for _, part := range []string{"snap", "shot"} {
		if err := ss.Send(&api.Chunk{Data: []byte(part)}); err != nil {
			return err
		}
	}
	return nil
}

func (c fakeCluster) RestoreSnapshot(ss grpc.ClientStreamingServer[api.Chunk, api.Empty]) error {
	var data []byte
	for {
		chunk, err := ss.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		data = append(data, chunk.Data...)
	}
	if string(data) != "snapshot" {
		return apierr.ToStatus(schema.Errorf(schema.KindCorrupt, "snapshot", "it is damaged").WithHint("nothing was changed")).Err()
	}
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.f.saved = data
	return ss.SendAndClose(&api.Empty{})
}

// console is what a run of the command saw and said.
type console struct {
	stdin     string
	env       map[string]string
	tty       bool
	secrets   []string // answers to askSecret
	configDir string

	stdout, stderr bytes.Buffer
}

// app makes a run of the command on this console.
func (c *console) app() *app {
	return &app{
		stdin: strings.NewReader(c.stdin), stdout: &c.stdout, stderr: &c.stderr,
		getenv:    func(name string) string { return c.env[name] },
		configDir: func() (string, error) { return c.configDir, nil },
		stdinTTY:  c.tty, stderrTTY: c.tty,
		width: func() int { return 80 },
		readSecret: func() (string, error) {
			secret := c.secrets[0]
			c.secrets = c.secrets[1:]
			return secret, nil
		},
	}
}

// consoleFor makes a console that is set up for a fake manager.
func consoleFor(t *testing.T, f *fakeManager) *console {
	t.Helper()
	return &console{
		env:       map[string]string{"PVMUTL_SERVERS": f.address, "PVMUTL_CA": f.ca},
		configDir: t.TempDir(),
	}
}

// run carries out one command line and gives the exit code.
func (c *console) run(args ...string) int {
	return c.app().run(context.Background(), args)
}
