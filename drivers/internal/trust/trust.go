// Package trust decides which server certificates a driver believes in.
package trust

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Server says how a server proves that it is the right one. The zero value
// goes by the operating system's authorities.
type Server struct {
	// CAFile names a PEM file of the authorities that may have signed the
	// server's certificate.
	CAFile string
	// CAs are the authorities that may have signed it. When set, CAFile isn't used.
	CAs *x509.CertPool
	// Thumbprint is the SHA-256 digest of the server's certificate in hex, with
	// or without colons. When set, exactly that certificate is accepted and
	// CAs and CAFile aren't used.
	Thumbprint string
	// Insecure accepts any certificate.
	Insecure bool
}

// Config makes the TLS configuration for connections to host.
func (s Server) Config(host string) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	switch {
	case s.Thumbprint != "":
		want, err := hex.DecodeString(strings.ReplaceAll(s.Thumbprint, ":", ""))
		if err != nil || len(want) != sha256.Size {
			return nil, errors.New("the thumbprint is not a SHA-256 digest in hex")
		}
		// The chain is replaced by a comparison with the one certificate.
		t.InsecureSkipVerify = true
		t.VerifyConnection = func(s tls.ConnectionState) error {
			got := sha256.Sum256(s.PeerCertificates[0].Raw)
			if string(got[:]) != string(want) {
				return fmt.Errorf("the server's certificate has thumbprint %x, not the configured one", got)
			}
			return nil
		}
	case s.Insecure:
		t.InsecureSkipVerify = true
	case s.CAs != nil:
		t.RootCAs = s.CAs
	case s.CAFile != "":
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the CA file: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file %s holds no certificate", s.CAFile)
		}
	}
	return t, nil
}
