package ovs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"testing"
	"time"

	"yagura/drivers"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.pem, _, a.key = a.issue("authority", func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	block, _ := pem.Decode(a.pem)
	var err error
	if a.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue returns a certificate and its key, both PEM.
func (a *authority) issue(name string, change func(*x509.Certificate)) (cert, keyPEM []byte, key *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(c)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), key
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t)
	cert, key, _ := ca.issue("ovsdb-server", nil)
	for name, data := range map[string][]byte{"ca.pem": ca.pem, "cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(dir+"/"+name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	_ = free.Close()
	host, port, _ := net.SplitHostPort(addr)
	w := startWith(t, []string{
		"--private-key=" + dir + "/key.pem", "--certificate=" + dir + "/cert.pem", "--ca-cert=" + dir + "/ca.pem", "--remote=pssl:" + port + ":" + host,
	}, "p1")
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	own, ownKey, _ := ca.issue("manager", nil)
	stranger := newAuthority(t)
	foreign, foreignKey, _ := stranger.issue("stranger", nil)
	strangers := x509.NewCertPool()
	strangers.AddCert(stranger.cert)
	good := Config{Address: addr, CAs: roots, Key: string(ownKey) + string(own)}
	d := w.driver(good)
	w.await("ovsdb-server's TLS", func() bool { _, err := d.Ports(bg()); return err == nil })
	task, err := d.AddToVLAN(t.Context(), drivers.Call{}, "p1", web)
	must(t, task, err)
	for name, c := range map[string]Config{
		"a server of another authority": {Address: addr, CAs: strangers, Key: good.Key},
		"no certificate of ours":        {Address: addr, CAs: roots},
		"one of another authority":      {Address: addr, CAs: roots, Key: string(foreignKey) + string(foreign)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.driver(c).Ports(t.Context())
			wants(t, err, drivers.KindAuth, "trust")
		})
	}
}
