package sim

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGivenCertificates(t *testing.T) {
	dir := t.TempDir()
	site, err := loadAuthority("", "", dir)
	if err != nil {
		t.Fatal(err)
	}
	own, err := site.issue(net.IPv4(127, 0, 0, 1), "vcenter.example")
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, "vc.pem"), filepath.Join(dir, "vc.key")
	key, err := marshalKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{certFile: encodeCert(own.Certificate[0]), keyFile: key} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := quick()
	cfg.CACertFile, cfg.CAKeyFile = filepath.Join(dir, caFile), filepath.Join(dir, "sim-ca.key")
	cfg.CertFile, cfg.KeyFile = certFile, keyFile
	e := start(t, cfg)
	if string(e.sim.CAPEM()) != string(site.pem) {
		t.Error("another CA is in use")
	}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(strings.TrimSuffix(e.sim.VCenterURL(), "/sdk"), "https://"), trust(t, e.sim))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "vcenter.example" {
		t.Errorf("the vCenter shows the certificate of %q", got)
	}
	if _, err := loadAuthority(certFile, keyFile, dir); err == nil || !strings.Contains(err.Error(), "not the certificate of a CA") {
		t.Errorf("a server's certificate as CA: %v", err)
	}
}

func marshalKey(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}
