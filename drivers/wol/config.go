package wol

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

// DefaultTimeout bounds one call.
const DefaultTimeout = 10 * time.Second

// DefaultBroadcast is where magic packets go: all machines on the manager's own
// network. Machines behind a router need their network's broadcast address.
const DefaultBroadcast = "255.255.255.255:9"

// Machine says how to reach one machine.
type Machine struct {
	Address  string // HOST or HOST:PORT of its SSH server, port 22 by default
	User     string // may run shutdown: root, or by sudo without a password
	Password string // or Key
	Key      string // private key, PEM
	// HostKey is the server's public key as an authorized_keys line. Whoever
	// has another one isn't the machine.
	HostKey   string
	MAC       string // to wake
	Broadcast string // ADDRESS:PORT of magic packets; empty: DefaultBroadcast
}

// target is what of the settings has been understood.
type target struct {
	address string
	client  ssh.ClientConfig
	sudo    bool
}

// target checks the settings of SSH.
func (m Machine) target() (target, error) {
	t := target{address: m.Address, sudo: m.User != "root"}
	if _, _, err := net.SplitHostPort(m.Address); err != nil {
		t.address = net.JoinHostPort(m.Address, "22")
	}
	switch {
	case m.Address == "":
		return t, errors.New("the address is missing; write HOST or HOST:PORT")
	case m.User == "" || m.Password == "" && m.Key == "":
		return t, errors.New("the user, or both key and password, are missing")
	case m.HostKey == "":
		return t, errors.New("the host key is missing")
	}
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(m.HostKey))
	if err != nil {
		return t, errors.New("the host key can't be read; write it as in authorized_keys: ssh-ed25519 AAAA")
	}
	t.client = ssh.ClientConfig{User: m.User, HostKeyCallback: verify(host), HostKeyAlgorithms: algorithms(host.Type())}
	if m.Key != "" {
		key, err := ssh.ParsePrivateKey([]byte(m.Key))
		if err != nil {
			return t, errors.New("the private key can't be read; it must be PEM without a passphrase")
		}
		t.client.Auth = append(t.client.Auth, ssh.PublicKeys(key))
	}
	if m.Password != "" {
		t.client.Auth = append(t.client.Auth, ssh.Password(m.Password))
	}
	return t, nil
}

// errHostKey means that somebody else answers.
var errHostKey = errors.New("another host key than the machine's: this isn't the machine, or it was installed anew; set bmc.host_key after looking")

// verify accepts one key.
func verify(want ssh.PublicKey) ssh.HostKeyCallback {
	fixed := ssh.FixedHostKey(want)
	return func(name string, addr net.Addr, key ssh.PublicKey) error {
		if fixed(name, addr, key) != nil {
			return errHostKey
		}
		return nil
	}
}

// algorithms are those by which a key of a type proves itself. Without them a
// server may show another of its keys.
func algorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// packet makes the magic packet, and says where it goes: six bytes of ones and
// sixteen times the address to wake (AMD, Magic Packet Technology, 1995).
func (m Machine) packet() ([]byte, string, error) {
	mac, err := net.ParseMAC(m.MAC)
	if err != nil || len(mac) != 6 {
		return nil, "", fmt.Errorf("no MAC address to wake: set bmc.mac, or the machine's primary NIC (it is %q)", m.MAC)
	}
	to := m.Broadcast
	if to == "" {
		to = DefaultBroadcast
	}
	if _, _, err := net.SplitHostPort(to); err != nil {
		return nil, "", fmt.Errorf("broadcast %q: write ADDRESS:PORT", to)
	}
	b := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	for range 16 {
		b = append(b, mac...)
	}
	return b, to, nil
}
