// Package tlsutil makes and reads the certificates of a cluster: one
// certificate authority for each cluster, manager certificates that it signed
// for the managers, and user certificates for people and scripts.
//
// What a certificate is for stands in its subject: O=yagura-manager or
// O=yagura-user, and the manager's id or the user's name as CN. Only manager
// certificates open Raft and the Peer service.
package tlsutil

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// Role is what a certificate allows; it is O in the subject. Package rpc
// reads the same organizations.
type Role string

// The roles of certificates.
const (
	Manager Role = "yagura-manager" // Raft, the Peer service, and the API's own listeners
	User    Role = "yagura-user"    // logs a user in by certificate
)

// caOrganization is O in the subject of an authority.
const caOrganization = "yagura"

// Default lifetimes of certificates.
const (
	CALifetime   = 10 * 365 * 24 * time.Hour
	LeafLifetime = 2 * 365 * 24 * time.Hour
)

// clockSkew is how far the clocks of two hosts may differ when a certificate is new.
const clockSkew = 5 * time.Minute

// CA is a certificate authority with its private key.
type CA struct {
	Cert *x509.Certificate
	key  crypto.Signer
}

// NewCA makes an authority. name tells people whose it is.
func NewCA(name string, lifetime time.Duration) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{caOrganization}, CommonName: name},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &CA{Cert: cert, key: key}, nil
}

// LoadCA reads an authority from its two PEM files.
func LoadCA(certFile, keyFile string) (*CA, error) {
	cert, err := readCertificate(certFile)
	if err != nil {
		return nil, err
	}
	if !cert.IsCA {
		return nil, fmt.Errorf("%s: the certificate is no authority's", certFile)
	}
	data, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%s: it holds no private key in PEM (PKCS #8)", keyFile)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	key, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: the key can't sign", keyFile)
	}
	if pub, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(key.Public()) {
		return nil, fmt.Errorf("%s: the key isn't that of the certificate %s", keyFile, certFile)
	}
	return &CA{Cert: cert, key: key}, nil
}

// CertPEM is the authority's certificate.
func (ca *CA) CertPEM() []byte { return certPEM(ca.Cert.Raw) }

// KeyPEM is the authority's private key. It belongs in a file of mode 0600.
func (ca *CA) KeyPEM() ([]byte, error) { return keyPEM(ca.key) }

// Request says which certificate to issue.
type Request struct {
	Role     Role
	Name     string   // manager id or user name
	Hosts    []string // IP addresses and DNS names of a manager
	Lifetime time.Duration
}

// Issue makes a certificate with a new private key, both in PEM.
func (ca *CA) Issue(req Request) (cert, key []byte, err error) {
	if req.Name == "" {
		return nil, nil, errors.New("the certificate needs a name")
	}
	if req.Lifetime <= 0 {
		req.Lifetime = LeafLifetime
	}
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{string(req.Role)}, CommonName: req.Name},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(req.Lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	if tmpl.NotAfter.After(ca.Cert.NotAfter) {
		tmpl.NotAfter = ca.Cert.NotAfter
	}
	switch req.Role {
	case Manager:
		if len(req.Hosts) == 0 {
			return nil, nil, errors.New("a manager's certificate needs at least one address or name of its host")
		}
		tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	case User:
		tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	default:
		return nil, nil, fmt.Errorf("unknown role %q of a certificate: use %s or %s", req.Role, Manager, User)
	}
	for _, h := range req.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.Cert, priv.Public(), ca.key)
	if err != nil {
		return nil, nil, err
	}
	key, err = keyPEM(priv)
	return certPEM(der), key, err
}

func serialNumber() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func readCertificate(file string) (*x509.Certificate, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s: it holds no certificate in PEM", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return cert, nil
}
