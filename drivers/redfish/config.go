package redfish

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"yagura/drivers/internal/trust"
)

// DefaultTimeout bounds one call. A BMC answers within a second or hangs; a
// fence must not wait long for one that is dead.
const DefaultTimeout = 15 * time.Second

// Machine says how to reach the BMC of one machine.
type Machine struct {
	// URL is https://HOST[:PORT] of the BMC; it holds no credentials.
	URL      string
	User     string
	Password string
	// UUID is the machine's system UUID: power is neither read nor changed at a BMC
	// whose system reports another one. Empty: not known.
	UUID string
	// System is the Id of the machine among the BMC's systems; empty: its only one.
	System string
	// CAFile, CAs, Thumbprint and Insecure say which certificate to trust: a PEM
	// file of authorities or these themselves (neither: the operating system's),
	// or the SHA-256 digest of the BMC's own, or any at all.
	CAFile     string
	CAs        *x509.CertPool
	Thumbprint string
	Insecure   bool
}

// address checks the settings and returns the BMC's address.
func (m Machine) address() (*url.URL, error) {
	u, err := url.Parse(m.URL)
	switch {
	case err != nil:
		return nil, errors.New("the URL can't be read; write https://HOST")
	case u.User != nil:
		return nil, errors.New("the URL holds credentials; set user and password on their own")
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return nil, fmt.Errorf("URL %q: write https://HOST", m.URL)
	case u.Scheme == "http" && !m.Insecure:
		return nil, fmt.Errorf("URL %q is not encrypted; use https, or set insecure", m.URL)
	case m.User == "" || m.Password == "":
		return nil, errors.New("user or password are missing")
	}
	return u, nil
}

func (m Machine) trust() trust.Server {
	return trust.Server{CAFile: m.CAFile, CAs: m.CAs, Thumbprint: m.Thumbprint, Insecure: m.Insecure}
}
