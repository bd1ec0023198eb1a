package drivertest

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"testing"
)

// ServerTLS is what a server on 127.0.0.1 needs for TLS, and the authority that
// its clients trust.
func ServerTLS(t testing.TB) (*tls.Config, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	cas := x509.NewCertPool()
	cas.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12}, cas
}

// MuteServer accepts connections and says nothing. It returns its address.
func MuteServer(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// The kernel accepts: nobody has to.
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
