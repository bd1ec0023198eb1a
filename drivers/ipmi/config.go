package ipmi

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

// DefaultTimeout bounds one call. A BMC answers within a second or hangs; a
// fence must not wait long for one that is dead.
const DefaultTimeout = 10 * time.Second

// DefaultPort is the UDP port of RMCP (section 13.1.2).
const DefaultPort = 623

// What the protocol has room for (sections 13.20 and 22.30).
const (
	maxUser     = 16
	maxPassword = 20
)

// Machine says how to reach the BMC of one machine.
type Machine struct {
	Address  string // HOST or HOST:PORT
	User     string // with the privilege level operator at least
	Password string
	// UUID is the machine's system UUID: power is neither read nor changed at a BMC
	// that reports another one. Empty: not known.
	UUID string
	// Suite is the cipher suite (table 22-20): "17" (SHA-256 and AES), "3"
	// (SHA-1 and AES), or empty: 17, and 3 when the BMC says that it doesn't
	// have 17. No other is used.
	Suite string
}

// target checks the settings and returns where to send, and the suites to try.
func (m Machine) target() (host string, port int, suites []types.CipherSuiteID, err error) {
	host, port = m.Address, DefaultPort
	if h, p, err := net.SplitHostPort(m.Address); err == nil {
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return "", 0, nil, fmt.Errorf("address %q: the port is no number from 1 to 65535", m.Address)
		}
		host = h
	}
	host = strings.Trim(host, "[]")
	switch {
	case host == "" || strings.ContainsAny(host, "/ "):
		return "", 0, nil, fmt.Errorf("address %q: write HOST or HOST:PORT", m.Address)
	case m.User == "" || m.Password == "":
		return "", 0, nil, errors.New("user or password are missing")
	case len(m.User) > maxUser:
		return "", 0, nil, fmt.Errorf("the user's name is longer than the %d bytes of IPMI", maxUser)
	case len(m.Password) > maxPassword:
		return "", 0, nil, fmt.Errorf("the password is longer than the %d bytes of IPMI", maxPassword)
	}
	switch m.Suite {
	case "":
		suites = []types.CipherSuiteID{types.CipherSuiteID17, types.CipherSuiteID3}
	case "17":
		suites = []types.CipherSuiteID{types.CipherSuiteID17}
	case "3":
		suites = []types.CipherSuiteID{types.CipherSuiteID3}
	default:
		return "", 0, nil, fmt.Errorf("cipher suite %q: it is 17, 3, or empty for the best of both", m.Suite)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // the library joins host and port as they are
	}
	return host, port, suites, nil
}
