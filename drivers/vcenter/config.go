package vcenter

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"yagura/drivers/internal/trust"
)

// Defaults of Config.
const (
	DefaultTimeout      = 30 * time.Second // of one request
	DefaultWait         = 30 * time.Second // of one wait for updates
	DefaultFailoverWait = time.Second      // see Config.FailoverWait
	DefaultEventPause   = time.Second      // between two looks for new events
)

// Config says which vCenter and how to reach it.
type Config struct {
	// Name appears in errors: the subsystem's name, such as "vc1".
	Name string
	// URL is https://HOST[:PORT][/sdk]; it holds no credentials.
	URL      string
	User     string
	Password string
	// CAFile names a PEM file of the authorities that may have signed the
	// server's certificate; empty: those of the operating system.
	CAFile string
	// CAs are the authorities themselves; when set, CAFile isn't used.
	CAs *x509.CertPool
	// Thumbprint is the SHA-256 digest of the server's certificate in hex, with
	// or without colons. When set, exactly that certificate is accepted and
	// CAs and CAFile aren't used.
	Thumbprint string
	// Insecure accepts any certificate. For laboratories only.
	Insecure bool
	// Datacenter limits the driver to one datacenter; empty: all of them.
	Datacenter string
	// Timeout bounds one request; 0: DefaultTimeout.
	Timeout time.Duration
	// Wait bounds one wait for updates in Follow; 0: DefaultWait.
	Wait time.Duration
	// FailoverWait is how long a failover watches whether vCenter relocates the
	// record of a VM whose server is dead, before it leaves that task running;
	// 0: DefaultFailoverWait.
	FailoverWait time.Duration
	// EventPause is the time between two looks for new events in Events; 0:
	// DefaultEventPause.
	EventPause time.Duration

	eventLife time.Duration // see defaultEventLife
}

// prepare checks the configuration, fills in the defaults and returns the
// server's address and how to trust it.
func (c *Config) prepare() (*url.URL, *tls.Config, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, nil, errors.New("the URL can't be read; write https://HOST/sdk")
	}
	switch {
	case u.User != nil:
		return nil, nil, errors.New("the URL holds credentials; set user and password on their own")
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return nil, nil, fmt.Errorf("URL %q: write https://HOST/sdk", c.URL)
	case u.Scheme == "http" && !c.Insecure:
		return nil, nil, fmt.Errorf("URL %q is not encrypted; use https, or set insecure", c.URL)
	case c.User == "":
		return nil, nil, errors.New("the user is missing")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/sdk"
	}
	if c.Name == "" {
		c.Name = u.Host
	}
	c.Timeout = orDefault(c.Timeout, DefaultTimeout)
	c.Wait = orDefault(c.Wait, DefaultWait)
	c.FailoverWait = orDefault(c.FailoverWait, DefaultFailoverWait)
	c.EventPause = orDefault(c.EventPause, DefaultEventPause)
	c.eventLife = orDefault(c.eventLife, defaultEventLife)
	t, err := trust.Server{CAFile: c.CAFile, CAs: c.CAs, Thumbprint: c.Thumbprint, Insecure: c.Insecure}.Config(u.Hostname())
	return u, t, err
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}
