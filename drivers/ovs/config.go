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
	// Address of ovsdb-server, HOST:PORT or unix:PATH.
	Address string
	// CAs, Thumbprint and Insecure say which certificate of the server to trust.
	CAs        *x509.CertPool
	Thumbprint string
	Insecure   bool
	// Key is the private key and the certificate that we show to the server, PEM.
	Key string
	// Options are, all optional:
	//
	//	bridge       name of the bridge (default: the only one)
	//	transport    ssl (default), or tcp, where nothing is encrypted and nobody
	//	             proves anything
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
	plain                  bool // without TLS, over the network
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
		case "transport":
			if v != "ssl" && v != "tcp" {
				return nil, fmt.Errorf("option transport %q: write ssl or tcp", v)
			}
			s.plain = v == "tcp"
		default:
			return nil, fmt.Errorf("there is no option %q; there are bridge, transport, unused_vlan", key)
		}
	}
	return s, s.locate(c)
}

// locate reads the address and how to trust who answers there.
func (s *settings) locate(c Config) error {
	if path, ok := strings.CutPrefix(c.Address, "unix:"); ok {
		if path == "" || s.plain {
			return fmt.Errorf("address %q: write HOST:PORT, or unix:PATH without the option transport", c.Address)
		}
		s.network, s.address = "unix", path
		return nil
	}
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("address %q: write HOST:PORT or unix:PATH of ovsdb-server", c.Address)
	}
	s.network, s.address = "tcp", c.Address
	if s.plain {
		return nil
	}
	s.tls, err = trust.Server{CAs: c.CAs, Thumbprint: c.Thumbprint, Insecure: c.Insecure}.Config(host)
	if err == nil && c.Key != "" {
		own, err := tls.X509KeyPair([]byte(c.Key), []byte(c.Key))
		if err != nil {
			return errors.New("key: it must hold a private key and its certificate in PEM")
		}
		s.tls.Certificates = []tls.Certificate{own}
	}
	return err
}
