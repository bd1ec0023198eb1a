package sim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority issues the certificates of the simulated vCenter and BMCs.
type authority struct {
	cert *x509.Certificate
	key  any
	pem  []byte
}

// certLife is how long generated certificates are valid.
const certLife = 365 * 24 * time.Hour

// loadAuthority reads the CA from the two files. With no files named it reads
// sim-ca.pem and sim-ca.key in dir, and makes them if they aren't there.
func loadAuthority(certFile, keyFile, dir string) (*authority, error) {
	if (certFile == "") != (keyFile == "") {
		return nil, &UsageError{Msg: "a CA needs both its certificate and its key"}
	}
	own := certFile == ""
	if own {
		certFile, keyFile = filepath.Join(dir, "sim-ca.pem"), filepath.Join(dir, "sim-ca.key")
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if own && errors.Is(err, fs.ErrNotExist) {
		return makeAuthority(certFile, keyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("read the CA %s: %w", certFile, err)
	}
	if !cert.IsCA {
		return nil, &UsageError{Msg: fmt.Sprintf("%s is not the certificate of a CA", certFile)}
	}
	return &authority{cert: cert, key: pair.PrivateKey, pem: encodeCert(cert.Raw)}, nil
}

func makeAuthority(certFile, keyFile string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Yagura simulated datacenter"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	raw, err := sign(tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if err := os.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		return nil, fmt.Errorf("write the CA: %w", err)
	}
	a := &authority{cert: cert, key: key, pem: encodeCert(raw)}
	if err := os.WriteFile(certFile, a.pem, 0o644); err != nil {
		return nil, fmt.Errorf("write the CA: %w", err)
	}
	return a, nil
}

// issue makes a server certificate for an address and names.
func (a *authority) issue(ip net.IP, names ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	tmpl := &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		DNSNames:    append([]string{"localhost"}, names...),
		IPAddresses: []net.IP{ip},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	raw, err := sign(tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{raw, a.cert.Raw}, PrivateKey: key}, nil
}

func sign(tmpl, parent *x509.Certificate, public, key any) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	tmpl.SerialNumber = serial
	tmpl.NotBefore = now.Add(-time.Hour)
	tmpl.NotAfter = now.Add(certLife)
	raw, err := x509.CreateCertificate(rand.Reader, tmpl, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return raw, nil
}

func encodeCert(raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}
