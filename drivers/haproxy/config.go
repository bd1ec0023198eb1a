package haproxy

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"yagura/drivers"
)

// DefaultTimeout bounds one call. HAProxy answers within milliseconds.
const DefaultTimeout = 10 * time.Second

// Config says how to reach an HAProxy.
type Config struct {
	// Name is the subsystem's, for errors.
	Name string
	// Address is where its stats socket listens: HOST:PORT or unix:PATH. The
	// socket asks for no password: it must listen on a loopback or management
	// address only.
	Address string
	// Options is, optional: server, further words for "add server", such as
	// "check inter 2s weight 50". HAProxy doesn't apply its default-server to
	// added servers.
	Options map[string]string
	// Timeout bounds a call; 0: DefaultTimeout.
	Timeout time.Duration
}

// dial says how to connect: network and address as in package net.
func (c Config) dial() (network, address string, err error) {
	if path, ok := strings.CutPrefix(c.Address, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return "", "", fmt.Errorf("address %q: the path of the socket has to be absolute", c.Address)
		}
		return "unix", path, nil
	}
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil || host == "" || port == "" {
		return "", "", fmt.Errorf("address %q: write HOST:PORT or unix:PATH of HAProxy's stats socket", c.Address)
	}
	return "tcp", c.Address, nil
}

// words are the further words of a server. Id and state are the driver's own.
func (c Config) words() ([]string, error) {
	for key := range c.Options {
		if key != "server" {
			return nil, fmt.Errorf("there is no option %q; there is server", key)
		}
	}
	words := strings.Fields(c.Options["server"])
	for _, w := range words {
		if err := drivers.CheckName("a word of option server", w); err != nil {
			return nil, err
		}
		if slices.Contains([]string{"id", "enabled", "disabled"}, w) {
			return nil, fmt.Errorf("option server: %s is set by the driver itself", w)
		}
	}
	return words, nil
}
