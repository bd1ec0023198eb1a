package client

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"time"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// DefaultTimeout bounds a call whose context has no deadline.
const DefaultTimeout = 30 * time.Second

// Options say which cluster to talk to, and as whom.
type Options struct {
	// Servers are managers as HOST:PORT; the port may be left out (26102).
	// Any one serves any call; they are tried in this order.
	Servers []string

	// CA, Cert and Key are PEM files: the authority that signed the managers'
	// certificates (empty: the system's roots) and, to log in by certificate,
	// the user's.
	CA, Cert, Key string
	// TLS is used instead of the three files when set.
	TLS *tls.Config

	// User and Password log in at the first call that needs it, and again when the session expires.
	User, Password string
	// Token is a session's token of an earlier Login.
	Token string

	// Consistency is the level of reads: api.Stale, api.LeaderRead (the
	// default) or api.Linear.
	Consistency string
	// Reason goes into the audit trail with every write.
	Reason string
	// Timeout bounds a call whose context has no deadline, watches excepted. 0: DefaultTimeout.
	Timeout time.Duration
}

// check fills in defaults and refuses what can't work. Errors are KindInvalid.
func (o Options) check() (Options, error) {
	if len(o.Servers) == 0 {
		return o, schema.Errorf(schema.KindInvalid, "servers", "no manager named").WithHint("name at least one as HOST:PORT")
	}
	servers := make([]string, 0, len(o.Servers))
	for _, s := range o.Servers {
		s = strings.TrimSpace(s)
		if s == "" {
			return o, schema.Errorf(schema.KindInvalid, "servers", "an empty name in the list")
		}
		if _, _, err := net.SplitHostPort(s); err != nil {
			s = net.JoinHostPort(strings.Trim(s, "[]"), api.DefaultPort)
		}
		servers = append(servers, s)
	}
	o.Servers = servers
	switch o.Consistency {
	case "", api.Stale, api.LeaderRead, api.Linear:
	default:
		return o, schema.Errorf(schema.KindInvalid, "consistency "+o.Consistency, "no such read level").WithHint("use stale, leader or linear")
	}
	if len(o.Reason) > api.MaxReason {
		return o, schema.Errorf(schema.KindInvalid, "reason", "longer than %d bytes", api.MaxReason)
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	var err error
	if o.TLS == nil {
		o.TLS, err = LoadTLS(o.CA, o.Cert, o.Key)
	}
	return o, err
}

// LoadTLS makes the client's TLS configuration of PEM files: ca may be empty
// (the system's roots), and cert and key may both be. Errors are KindInvalid
// and name the file.
func LoadTLS(ca, cert, key string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fileError(ca, "can't be read", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fileError(ca, "holds no certificate in PEM form", nil)
		}
	}
	if (cert == "") != (key == "") {
		return nil, schema.Errorf(schema.KindInvalid, "certificate", "certificate and key go together").WithHint("give both or neither")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fileError(cert, "can't be used with key "+key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func fileError(file, what string, err error) error {
	return &schema.Error{Kind: schema.KindInvalid, Object: file, Msg: what, Err: err}
}
