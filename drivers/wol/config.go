package wol

import (
	"errors"
	"fmt"
	"net"
	"time"

	"yagura/drivers/internal/sshto"
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
	address string // HOST:PORT
	ssh     *sshto.Dialer
	sudo    bool
}

// target checks the settings of SSH.
func (m Machine) target() (target, error) {
	switch {
	case m.Address == "":
		return target{}, errors.New("the address is missing; write HOST or HOST:PORT")
	case m.HostKey == "":
		return target{}, errors.New("the host key is missing")
	}
	d, err := sshto.New(sshto.Config{User: m.User, Password: m.Password, Key: m.Key, HostKey: m.HostKey})
	return target{sshto.HostPort(m.Address, "22"), d, m.User != "root"}, err
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
