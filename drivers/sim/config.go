package sim

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// Config says what to simulate and where to listen. The zero value is good for
// tests: the demo world on ephemeral ports of 127.0.0.1, with its state in a
// temporary directory that Close removes.
type Config struct {
	// World is what to simulate; nil means DemoWorld.
	World *World
	// StateDir holds the ledger, certificates, password and endpoint file.
	// Empty means a temporary directory.
	StateDir string
	// VCenterAddr and ControlAddr are host:port on loopback; empty means an
	// ephemeral port of 127.0.0.1.
	VCenterAddr, ControlAddr string
	// BMCAddr is the address of the first BMC; the others follow, one address
	// each. Empty means ephemeral ports of 127.0.0.1 for all.
	BMCAddr string
	// BMCPort is the port of every BMC when BMCAddr is set; 0 is ephemeral.
	BMCPort int
	// SwitchAddr is where the SNMP agent of the first switch listens, host:port on
	// loopback; the others follow, one port each. Empty means ephemeral ports of
	// 127.0.0.1 for all.
	SwitchAddr string
	// BalancerAddr is where the stats socket of the first load balancer listens,
	// host:port on loopback; the others follow, one port each. Empty means
	// ephemeral ports of 127.0.0.1 for all.
	BalancerAddr string
	// ServiceAddr is where the first service answers, host:port on loopback; the
	// others follow, one address each. Empty means that none does.
	ServiceAddr string
	// SwitchCommunity reads and writes at every switch; empty means private.
	SwitchCommunity string
	// CertFile and KeyFile are the vCenter's certificate; empty means that one
	// is issued by the CA.
	CertFile, KeyFile string
	// CACertFile and CAKeyFile are the CA that issues certificates; empty means
	// sim-ca.pem and sim-ca.key in StateDir, made if they aren't there.
	CACertFile, CAKeyFile string
	// User and Password are the vCenter's account. Empty means
	// administrator@vsphere.local and a random password.
	User, Password string
	// BMCUser and BMCPassword are the account of every BMC. Empty means admin
	// and Password.
	BMCUser, BMCPassword string
	// Ledger is the ledger's path; empty means sim.ledger.jsonl in StateDir.
	Ledger string
	// BootTime is how long a machine takes from power on until its hypervisor
	// is back in vCenter; 0 means 1.5 s.
	BootTime time.Duration
	// StopTime is how long a machine's operating system takes to shut down,
	// and GuestTime how long a VM's guest does; 0 means 300 ms.
	StopTime, GuestTime time.Duration
}

// Demo addresses, as docs and deployment use them.
const (
	DemoVCenterAddr  = "127.0.0.21:8989"
	DemoControlAddr  = "127.0.0.21:8990"
	DemoBMCAddr      = "127.0.0.31"
	DemoBMCPort      = 8443
	DemoSwitchAddr   = "127.0.0.21:10161"
	DemoBalancerAddr = "127.0.0.21:19999"
	DemoServiceAddr  = "127.0.0.41:5432"
	DemoStateDir     = ".demo"
	DefaultUser      = "administrator@vsphere.local"
	DefaultBMCUser   = "admin"
	DefaultCommunity = "private"
)

// complete fills in the defaults. It returns a function that removes what it made.
func (c *Config) complete() (remove func(), err error) {
	remove = func() {}
	if c.World == nil {
		w := DemoWorld()
		c.World = &w
	}
	for _, a := range []*string{&c.VCenterAddr, &c.ControlAddr, &c.SwitchAddr, &c.BalancerAddr} {
		if *a == "" {
			*a = "127.0.0.1:0"
		}
		if err := loopbackOnly(*a); err != nil {
			return remove, err
		}
	}
	if err := c.checkServiceAddr(); err != nil {
		return remove, err
	}
	if c.BMCAddr != "" {
		if err := loopbackOnly(net.JoinHostPort(c.BMCAddr, "0")); err != nil {
			return remove, err
		}
	}
	if c.BMCPort < 0 || c.BMCPort > 65535 {
		return remove, &UsageError{Msg: fmt.Sprintf("port %d of the BMCs is out of range", c.BMCPort)}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return remove, &UsageError{Msg: "the vCenter's certificate needs both its file and its key"}
	}
	if c.StateDir == "" {
		if c.StateDir, err = os.MkdirTemp("", "yagura-sim-"); err != nil {
			return remove, fmt.Errorf("make the state directory: %w", err)
		}
		dir := c.StateDir
		remove = func() { _ = os.RemoveAll(dir) }
	} else if err = os.MkdirAll(c.StateDir, 0o755); err != nil {
		return remove, fmt.Errorf("make the state directory: %w", err)
	}
	if c.Ledger == "" {
		c.Ledger = filepath.Join(c.StateDir, "sim.ledger.jsonl")
	}
	if c.User == "" {
		c.User = DefaultUser
	}
	if c.Password == "" {
		if c.Password, err = randomSecret(); err != nil {
			return remove, err
		}
	}
	if c.BMCUser == "" {
		c.BMCUser = DefaultBMCUser
	}
	if c.SwitchCommunity == "" {
		c.SwitchCommunity = DefaultCommunity
	}
	if c.BMCPassword == "" {
		c.BMCPassword = c.Password
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&c.BootTime, 1500 * time.Millisecond}, {&c.StopTime, 300 * time.Millisecond}, {&c.GuestTime, 300 * time.Millisecond}} {
		if *d.v < 0 {
			return remove, &UsageError{Msg: fmt.Sprintf("time %s is negative", *d.v)}
		}
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	return remove, nil
}

// loopbackOnly refuses any address that other machines could reach.
func loopbackOnly(hostport string) error {
	a, err := netip.ParseAddrPort(hostport)
	if err != nil {
		return &UsageError{Msg: fmt.Sprintf("address %q: want IP:PORT", hostport)}
	}
	if !a.Addr().Is4() || !a.Addr().IsLoopback() {
		return &UsageError{Msg: fmt.Sprintf("address %q: the simulator listens on 127.0.0.0/8 only", hostport)}
	}
	return nil
}

func randomSecret() (string, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}
