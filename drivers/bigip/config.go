package bigip

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/drivers/internal/trust"
)

// DefaultTimeout bounds one call, which is up to six requests.
const DefaultTimeout = 30 * time.Second

// Ways to log in.
const (
	authToken = "token" // a token of /mgmt/shared/authn/login, which remote accounts need
	authBasic = "basic"
)

// Config says how to reach a BIG-IP.
type Config struct {
	// Name is the subsystem's, for errors.
	Name string
	// URL is https://HOST[:PORT] of the management address.
	URL            string
	User, Password string
	// Options are, all optional:
	//   partition  of the pools and nodes; default Common
	//   provider   login provider of the account; default tmos (local accounts)
	//   auth       token (default) or basic
	Options map[string]string
	// CAs, Thumbprint and Insecure say which certificate to trust: authorities
	// (nil: the operating system's), or the SHA-256 digest of the server's own, or any.
	CAs        *x509.CertPool
	Thumbprint string
	Insecure   bool
	// Timeout bounds a call; 0: DefaultTimeout.
	Timeout time.Duration
}

// settings are the configuration, checked.
type settings struct {
	base                      string // URL without a slash at the end
	partition, provider, auth string
	tls                       *tls.Config
}

func (c Config) settings() (settings, error) {
	s := settings{partition: "Common", provider: "tmos", auth: authToken}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return s, errors.New("the URL can't be read; write https://HOST")
	case u.User != nil:
		return s, errors.New("the URL holds credentials; set user and password on their own")
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "", strings.Trim(u.Path, "/") != "", u.RawQuery != "":
		return s, fmt.Errorf("URL %q: write https://HOST", c.URL)
	case u.Scheme == "http" && !c.Insecure:
		return s, fmt.Errorf("URL %q is not encrypted; use https, or set insecure", c.URL)
	case c.User == "" || c.Password == "":
		return s, errors.New("user or password are missing")
	}
	s.base = u.Scheme + "://" + u.Host
	for key, v := range c.Options {
		switch key {
		case "partition":
			if err := drivers.CheckName("the partition", v); err != nil || strings.Contains(v, "/") {
				return s, fmt.Errorf("option partition %q: write its name, such as Common", v)
			}
			s.partition = v
		case "provider":
			if err := drivers.CheckName("the login provider", v); err != nil {
				return s, fmt.Errorf("option provider: %w", err)
			}
			s.provider = v
		case "auth":
			if v != authToken && v != authBasic {
				return s, fmt.Errorf("option auth %q: there are basic, token", v)
			}
			s.auth = v
		default:
			return s, fmt.Errorf("there is no option %q; there are auth, partition, provider", key)
		}
	}
	s.tls, err = trust.Server{CAs: c.CAs, Thumbprint: c.Thumbprint, Insecure: c.Insecure}.Config(u.Hostname())
	return s, err
}
