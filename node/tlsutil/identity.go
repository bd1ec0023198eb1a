package tlsutil

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
)

// Files are the PEM files of a manager or user.
type Files struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Identity is a certificate with its key and the authority that others'
// certificates are checked against.
type Identity struct {
	CAPEM       []byte
	Pool        *x509.CertPool
	Certificate tls.Certificate
	Role        Role
	Name        string
}

// Load reads an identity and checks that its authority signed its certificate.
func Load(f Files) (*Identity, error) {
	ca, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, err
	}
	cert, err := os.ReadFile(f.Cert)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(f.Key)
	if err != nil {
		return nil, err
	}
	id, err := New(ca, cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s, %s, %s: %w", f.CA, f.Cert, f.Key, err)
	}
	return id, nil
}

// New makes an identity of PEM texts.
func New(ca, cert, key []byte) (*Identity, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("the authority's file holds no certificate in PEM")
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return nil, fmt.Errorf("the certificate isn't valid for this authority: %w", err)
	}
	role, name := RoleOf(pair.Leaf)
	if role == "" {
		return nil, errors.New("the certificate has no role of Yagura in its subject: issue one with pvmd tls issue")
	}
	return &Identity{CAPEM: ca, Pool: pool, Certificate: pair, Role: role, Name: name}, nil
}

// RoleOf reads a verified certificate's role and name; "" when it has none.
func RoleOf(cert *x509.Certificate) (Role, string) {
	for _, r := range []Role{Manager, User} {
		if slices.Contains(cert.Subject.Organization, string(r)) {
			return r, cert.Subject.CommonName
		}
	}
	return "", ""
}

// PeerServer is the TLS configuration of a listener that only managers may
// connect to. protocols are those of ALPN; a peer that speaks none is refused.
func (id *Identity) PeerServer(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion:       tls.VersionTLS13,
		Certificates:     []tls.Certificate{id.Certificate},
		ClientAuth:       tls.RequireAndVerifyClientCert,
		ClientCAs:        id.Pool,
		NextProtos:       protocols,
		VerifyConnection: requireManager,
	}
}

// PeerClient is the TLS configuration to connect to another manager with. The
// other side proves by its certificate that it is a manager of this cluster;
// under which address it was dialled doesn't matter, so a manager may move.
func (id *Identity) PeerClient(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{id.Certificate},
		NextProtos:   protocols,
		// The standard check wants the dialled address in the certificate.
		// VerifyConnection checks everything else, and the role.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errors.New("the peer shows no certificate")
			}
			inter := x509.NewCertPool()
			for _, c := range cs.PeerCertificates[1:] {
				inter.AddCert(c)
			}
			if _, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{
				Roots: id.Pool, Intermediates: inter, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			}); err != nil {
				return err
			}
			return requireManager(cs)
		},
	}
}

func requireManager(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the peer shows no certificate")
	}
	if role, name := RoleOf(cs.PeerCertificates[0]); role != Manager {
		return fmt.Errorf("the certificate of %q isn't a manager's", name)
	}
	if len(cs.NegotiatedProtocol) == 0 {
		return errors.New("the peer speaks none of our protocols")
	}
	return nil
}
