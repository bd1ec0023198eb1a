package tlsutil_test

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yagura/node/tlsutil"
	"yagura/rpc"
)

func newCA(t *testing.T) *tlsutil.CA {
	t.Helper()
	ca, err := tlsutil.NewCA("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func identity(t *testing.T, ca *tlsutil.CA, req tlsutil.Request) *tlsutil.Identity {
	t.Helper()
	cert, key, err := ca.Issue(req)
	if err != nil {
		t.Fatal(err)
	}
	id, err := tlsutil.New(ca.CertPEM(), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestRolesAreThoseOfTheAPI holds the two lists of organizations together.
func TestRolesAreThoseOfTheAPI(t *testing.T) {
	if tlsutil.Manager != rpc.ManagerOrganization || tlsutil.User != rpc.UserOrganization {
		t.Error("the API reads other organizations than certificates have")
	}
}

// handshake connects a client to a server over the managers' TLS.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	deadline := time.Now().Add(10 * time.Second)
	if err := a.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	if err := b.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		s := tls.Server(a, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1})
		}
		a.Close()
		done <- err
	}()
	c := tls.Client(b, client)
	_, err := c.Read(make([]byte, 1)) // a refusal of the client comes after its handshake
	b.Close()
	if serr := <-done; serr != nil {
		return serr
	}
	return err
}

func TestOnlyManagersOfTheClusterTalk(t *testing.T) {
	const proto = "p/1"
	ca, strange := newCA(t), newCA(t)
	manager := func(c *tlsutil.CA, name string) *tlsutil.Identity {
		return identity(t, c, tlsutil.Request{Role: tlsutil.Manager, Name: name, Hosts: []string{"192.0.2.1"}})
	}
	a, b := manager(ca, "a"), manager(ca, "b")
	user := identity(t, ca, tlsutil.Request{Role: tlsutil.User, Name: "u"})
	other := manager(strange, "a")
	if err := handshake(t, a.PeerServer(proto), b.PeerClient(proto)); err != nil {
		t.Errorf("two managers: %v", err)
	}
	for name, c := range map[string][2]*tls.Config{
		"a user's certificate":      {a.PeerServer(proto), user.PeerClient(proto)},
		"another cluster's manager": {a.PeerServer(proto), other.PeerClient(proto)},
		"a server that is a user":   {user.PeerServer(proto), b.PeerClient(proto)},
		"another cluster's server":  {other.PeerServer(proto), b.PeerClient(proto)},
		"no certificate":            {a.PeerServer(proto), {InsecureSkipVerify: true, NextProtos: []string{proto}}},
		"another protocol":          {a.PeerServer(proto), b.PeerClient("q/1")},
		"no protocol":               {a.PeerServer(proto), b.PeerClient()},
	} {
		if handshake(t, c[0], c[1]) == nil {
			t.Errorf("%s: the connection was made", name)
		}
	}
}

func TestDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	if err := tlsutil.InitDir(dir, "test"); err != nil {
		t.Fatal(err)
	}
	if err := tlsutil.InitDir(dir, "test"); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second authority over the first: %v", err)
	}
	req := tlsutil.Request{Role: tlsutil.Manager, Name: "n1", Hosts: []string{"192.0.2.1", "n1.example"}}
	files, err := tlsutil.IssueInto(dir, req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tlsutil.IssueInto(dir, req); err == nil {
		t.Error("a certificate was overwritten")
	}
	id, err := tlsutil.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	if id.Role != tlsutil.Manager || id.Name != "n1" {
		t.Errorf("identity %s %s", id.Role, id.Name)
	}
	if err := id.Certificate.Leaf.VerifyHostname("n1.example"); err != nil {
		t.Error(err)
	}
	for _, secret := range []string{files.Key, filepath.Join(dir, tlsutil.CAKeyFile), filepath.Join(dir, tlsutil.ClusterKeyFile), filepath.Join(dir, tlsutil.GossipKeyFile)} {
		if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", secret, info.Mode(), err)
		}
	}
	for name, req := range map[string]tlsutil.Request{
		"no name":            {Role: tlsutil.User},
		"manager without IP": {Role: tlsutil.Manager, Name: "n2"},
		"unknown role":       {Role: "king", Name: "n2"},
	} {
		if _, err := tlsutil.IssueInto(dir, req); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	ca, strange := newCA(t), newCA(t)
	cert, key, err := ca.Issue(tlsutil.Request{Role: tlsutil.User, Name: "u"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tlsutil.New(strange.CertPEM(), cert, key); err == nil {
		t.Error("a certificate of another authority is taken")
	}
	if _, err := tlsutil.New([]byte("x"), cert, key); err == nil {
		t.Error("a file without authority is taken")
	}
	caKey, err := ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tlsutil.New(ca.CertPEM(), cert, caKey); err == nil {
		t.Error("another's key is taken")
	}
}
