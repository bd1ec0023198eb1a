package ovs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"yagura/drivers/internal/trust"
)

// Config says how to reach a switch.
type Config struct {
	Name string // of the subsystem, as errors show it
	// Address of ovsdb-server, as ovs-vsctl has it: ssl:HOST:PORT, tcp:HOST:PORT,
	// unix:PATH. HOST:PORT means ssl.
	Address string
	// CAs, Thumbprint and Insecure say which certificate of the server to trust;
	// without Insecure tcp isn't used, since nobody proves anything there.
	CAs        *x509.CertPool
	Thumbprint string
	Insecure   bool
	// Key is the private key and the certificate that we show to the server, PEM.
	Key string
	// Options are, all optional:
	//
	//	bridge       name of the bridge (default: the only one)
	//	unused_vlan  id of the VLAN for ports that are in none (default 4094)
	Options map[string]string
	// Timeout bounds the wait for one answer; 0: 5 s.
	Timeout time.Duration
	// Settle is how long ovs-vswitchd may take to apply a change; 0: 5 s.
	Settle time.Duration
}

// Defaults of Config.
const (
	defaultTimeout = 5 * time.Second
	defaultSettle  = 5 * time.Second
	defaultUnused  = 4094
)

// settings is a Config that was checked.
type settings struct {
	name, network, address string
	tls                    *tls.Config // nil: none
	bridge                 string
	unused                 int
	timeout, settle        time.Duration
}

func (c Config) check() (*settings, error) {
	s := &settings{name: c.Name, unused: defaultUnused, timeout: c.Timeout, settle: c.Settle}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	if s.settle <= 0 {
		s.settle = defaultSettle
	}
	if err := s.locate(c); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(c.Options)) {
		v := c.Options[key]
		switch key {
		case "bridge":
			s.bridge = v
		case "unused_vlan":
			id, err := strconv.Atoi(v)
			if err != nil || id < 1 || id > 4094 {
				return nil, fmt.Errorf("option unused_vlan %q: write a VLAN id (1 to 4094)", v)
			}
			s.unused = id
		default:
			return nil, fmt.Errorf("there is no option %q; there are bridge, unused_vlan", key)
		}
	}
	return s, nil
}

// locate reads the address and how to trust who answers there.
func (s *settings) locate(c Config) error {
	kind, rest, ok := strings.Cut(c.Address, ":")
	if !ok || !slices.Contains([]string{"ssl", "tcp", "unix"}, kind) {
		kind, rest = "ssl", c.Address
	}
	s.network, s.address = "tcp", rest
	if kind == "unix" {
		s.network = kind
		if rest == "" {
			return errors.New("address unix: is without a path")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("address %q: write ssl:HOST:PORT, tcp:HOST:PORT or unix:PATH of ovsdb-server", c.Address)
	}
	if kind == "tcp" {
		if !c.Insecure {
			return fmt.Errorf("address %q is neither encrypted nor proven; use ssl:, or set insecure", c.Address)
		}
		return nil
	}
	s.tls, err = trust.Server{CAs: c.CAs, Thumbprint: c.Thumbprint, Insecure: c.Insecure}.Config(host)
	if err == nil && c.Key != "" {
		var own tls.Certificate
		if own, err = tls.X509KeyPair([]byte(c.Key), []byte(c.Key)); err != nil {
			return errors.New("key: it must hold a private key and its certificate in PEM")
		}
		s.tls.Certificates = []tls.Certificate{own}
	}
	return err
}
