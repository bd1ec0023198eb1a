package rpc

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// Organizations (O) of certificates: they say what the common name (CN) names.
const (
	UserOrganization    = "yagura-user"    // CN is a user's name
	ManagerOrganization = "yagura-manager" // CN is a manager's id
)

// Config is what a Server needs.
type Config struct {
	Store   *fsm.Store
	Cluster ClusterControl
	// Entries are those that this manager's log holds: what the stream of
	// changes is read from.
	Entries fsm.LogReader

	// TLS holds this manager's certificate, for gRPC and HTTPS, and in
	// ClientCAs the authority of users' and managers' certificates. Whether
	// a client has one is the client's choice.
	TLS *tls.Config
	// Peers are the connections to other managers. The server doesn't close them.
	Peers *Peers

	Log *slog.Logger // nil: slog.Default
	// Metrics is what /metrics shows; the server adds its own. nil: a new registry.
	Metrics *prometheus.Registry

	// Counts is told what became of the events of other managers; nil: nobody is.
	Counts *policy.Counts

	// TokenLifetime is how long a login lasts. 0: DefaultTokenLifetime.
	TokenLifetime time.Duration
	// LeaderWait bounds how long a call waits for a leader. 0: DefaultLeaderWait.
	LeaderWait time.Duration
	// TestTrap tells what this manager's trap sink makes of a datagram, up to
	// the event as it would be sent to the leader.
	TestTrap func(datagram []byte, from netip.AddrPort) (*api.TestTrapReply, error)
	// Meter has the loads that the leader's scheduler measures. nil: none are known.
	Meter *planning.Meter
	// Now is the clock. nil: time.Now.
	Now func() time.Time
}

// Defaults of Config.
const (
	DefaultTokenLifetime = 12 * time.Hour
	DefaultLeaderWait    = 3 * time.Second
)

// check fills in defaults and refuses what can't work. Errors are KindInvalid.
func (c Config) check() (Config, error) {
	missing := func(what string) (Config, error) {
		return c, schema.Errorf(schema.KindInvalid, "rpc configuration", "no %s given", what)
	}
	switch {
	case c.Store == nil:
		return missing("store")
	case c.Cluster == nil:
		return missing("cluster control")
	case c.Entries == nil:
		return missing("log")
	case c.TestTrap == nil:
		return missing("trap sink")
	case c.TLS == nil:
		return missing("server certificate")
	case c.Peers == nil:
		return missing("connections to other managers")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	if c.TokenLifetime <= 0 {
		c.TokenLifetime = DefaultTokenLifetime
	}
	if c.LeaderWait <= 0 {
		c.LeaderWait = DefaultLeaderWait
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.TLS = c.TLS.Clone()
	c.TLS.MinVersion = tls.VersionTLS13
	c.TLS.ClientAuth = tls.VerifyClientCertIfGiven
	if c.TLS.ClientCAs == nil {
		// Without an authority of ours Go would take the system's roots, and
		// any public certificate with the right O would be a manager.
		c.TLS.ClientCAs = x509.NewCertPool()
	}
	return c, nil
}

// commonName is the CN of the certificate presented, when its O is org.
func commonName(certs []*x509.Certificate, org string) (string, bool) {
	if len(certs) == 0 {
		return "", false
	}
	subject := certs[0].Subject
	for _, o := range subject.Organization {
		if o == org {
			return subject.CommonName, subject.CommonName != ""
		}
	}
	return "", false
}
