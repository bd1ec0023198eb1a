package qbridge

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosnmp/gosnmp"
)

// Config says how to reach a switch.
type Config struct {
	Name     string // of the subsystem, as errors show it
	Address  string // HOST or HOST:PORT; the port is 161 by default
	User     string // SNMPv3 user; empty: SNMPv2c
	Password string // v2c: the community; v3: the passphrase of authentication and privacy
	// Options are, all optional:
	//
	//	unused_vlan  id of the VLAN for ports that are in none (default 1)
	//	auth         v3: sha (default), sha224, sha256, sha384, sha512, md5
	//	priv         v3: aes (default), aes192, aes256, des, none
	Options map[string]string
	// Timeout bounds the wait for one answer; a request is sent three times. 0: 2 s.
	Timeout time.Duration
	// Settle is how long a switch may take to show a change. 0: 3 s.
	Settle time.Duration
}

// Defaults of Config.
const (
	defaultTimeout = 2 * time.Second
	defaultSettle  = 3 * time.Second
	defaultUnused  = factoryVLAN
	retries        = 2
)

var (
	auths = map[string]gosnmp.SnmpV3AuthProtocol{
		"md5": gosnmp.MD5, "sha": gosnmp.SHA, "sha224": gosnmp.SHA224, "sha256": gosnmp.SHA256, "sha384": gosnmp.SHA384, "sha512": gosnmp.SHA512,
	}
	privs = map[string]gosnmp.SnmpV3PrivProtocol{
		"none": gosnmp.NoPriv, "des": gosnmp.DES, "aes": gosnmp.AES, "aes192": gosnmp.AES192, "aes256": gosnmp.AES256,
	}
)

// minPassphrase is the least length of a passphrase (RFC 3414, section 11.2).
const minPassphrase = 8

// settings is a Config that was checked.
type settings struct {
	name, host      string
	port            uint16
	user, password  string
	auth            gosnmp.SnmpV3AuthProtocol
	priv            gosnmp.SnmpV3PrivProtocol
	unused          int
	timeout, settle time.Duration
}

func (c Config) check() (*settings, error) {
	s := &settings{
		name: c.Name, user: c.User, password: c.Password, auth: gosnmp.SHA, priv: gosnmp.AES, unused: defaultUnused,
		timeout: c.Timeout, settle: c.Settle,
	}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	if s.settle <= 0 {
		s.settle = defaultSettle
	}
	host, port := c.Address, "161"
	if h, p, err := net.SplitHostPort(host); err == nil {
		host, port = h, p
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" || strings.Contains(host, "/") {
		return nil, fmt.Errorf("address %q: write HOST or HOST:PORT of the switch's SNMP agent", c.Address)
	}
	s.host, s.port = strings.Trim(host, "[]"), uint16(n)
	switch {
	case c.Password == "" && c.User == "":
		return nil, errors.New("the password is missing: it is the SNMP community that may write, or with a user the v3 passphrase")
	case c.User != "" && len(c.Password) < minPassphrase:
		return nil, fmt.Errorf("the v3 passphrase is shorter than %d characters", minPassphrase)
	}
	return s, s.options(c.Options)
}

func (s *settings) options(opts map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(opts)) {
		v := opts[key]
		ok := true
		switch key {
		case "unused_vlan":
			id, err := strconv.Atoi(v)
			if err != nil || id < 1 || id > 4094 {
				return fmt.Errorf("option unused_vlan %q: write a VLAN id (1 to 4094)", v)
			}
			s.unused = id
		case "auth":
			if s.auth, ok = auths[strings.ToLower(v)]; !ok {
				return fmt.Errorf("option auth %q: there are %s", v, names(auths))
			}
		case "priv":
			if s.priv, ok = privs[strings.ToLower(v)]; !ok {
				return fmt.Errorf("option priv %q: there are %s", v, names(privs))
			}
		default:
			return fmt.Errorf("there is no option %q; there are auth, priv, unused_vlan", key)
		}
		if s.user == "" && key != "unused_vlan" {
			return fmt.Errorf("option %s is of SNMPv3, which needs a user", key)
		}
	}
	return nil
}

func names[T any](m map[string]T) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
