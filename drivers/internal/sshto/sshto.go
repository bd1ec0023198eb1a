// Package sshto opens SSH connections to machines whose host keys are known
// (RFC 4253, section 8): a machine that can't prove who it is gets no credentials
// and no command.
package sshto

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"yagura/drivers"
)

// Config says who connects and which hosts are known.
type Config struct {
	System   string // name in errors
	User     string
	Password string // never in an error
	Key      string // private key in PEM; never in an error
	// HostKey is the only key that a host may have, as an authorized_keys line.
	HostKey string
	// KnownHosts are lines of a known_hosts file (sshd(8)) instead, @cert-authority among them.
	KnownHosts string
	// KnownHostsFile is such a file instead, read at each connection.
	KnownHostsFile string
	// Insecure accepts any host key.
	Insecure bool
}

// Dialer opens connections.
type Dialer struct {
	c       Config
	auth    []ssh.AuthMethod
	hostKey ssh.HostKeyCallback
}

// New checks the credentials and the known hosts; nothing is contacted.
func New(c Config) (*Dialer, error) {
	d := &Dialer{c: c}
	if c.User == "" {
		return nil, errors.New("no user is set")
	}
	if c.Key != "" {
		signer, err := ssh.ParsePrivateKey([]byte(c.Key))
		if err != nil {
			return nil, fmt.Errorf("the private key can't be used: %w", err)
		}
		d.auth = append(d.auth, ssh.PublicKeys(signer))
	}
	if c.Password != "" {
		d.auth = append(d.auth, ssh.Password(c.Password), ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
			return slices.Repeat([]string{c.Password}, len(questions)), nil
		}))
	}
	if len(d.auth) == 0 {
		return nil, errors.New("neither a key nor a password is set")
	}
	switch {
	case c.Insecure:
		d.hostKey = ssh.InsecureIgnoreHostKey() // asked for: see Config
	case c.HostKey != "":
		var err error
		if d.hostKey, err = only(c.HostKey); err != nil {
			return nil, err
		}
	case c.KnownHostsFile != "" && c.KnownHosts != "":
		return nil, errors.New("known_hosts and known_hosts_file exclude each other")
	case c.KnownHostsFile != "":
		if !filepath.IsAbs(c.KnownHostsFile) {
			return nil, fmt.Errorf("option known_hosts_file: %s is no absolute path", c.KnownHostsFile)
		}
		d.hostKey = func(name string, remote net.Addr, key ssh.PublicKey) error {
			lines, err := os.ReadFile(c.KnownHostsFile)
			if err != nil {
				return fmt.Errorf("option known_hosts_file: %w", err)
			}
			check, err := known(string(lines))
			if err != nil {
				return err
			}
			return check(name, remote, key)
		}
	case strings.TrimSpace(c.KnownHosts) == "":
		return nil, errors.New("no host keys are known: set option known_hosts to lines as of ssh-keyscan, or known_hosts_file")
	default:
		var err error
		if d.hostKey, err = known(c.KnownHosts); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// HostPort completes an address that has no port.
func HostPort(address, port string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), port)
}

// dialTimeout bounds the making of a connection, handshake included.
const dialTimeout = 10 * time.Second

// Dial connects to HOST:PORT. KindUnreachable: there is no answer; KindAuth:
// the host key isn't the known one, or the credentials aren't taken.
func (d *Dialer) Dial(ctx context.Context, address string) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, d.errorf(drivers.KindUnreachable, address, "%w", err)
	}
	c, err := d.Handshake(ctx, conn, address)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, ErrHostKey), errors.Is(err, ErrAccount):
		return nil, d.errorf(drivers.KindAuth, address, "%w", err)
	case ctx.Err() != nil:
		return nil, d.errorf(drivers.KindUnreachable, address, "no SSH answer: %w", ctx.Err())
	}
	return nil, d.errorf(drivers.KindUnreachable, address, "%w", err)
}

// What a host that talks SSH may say, or be.
var (
	ErrHostKey = errors.New("its host key isn't taken")        // it may be another machine: it got no credentials
	ErrAccount = errors.New("the key or password isn't taken") // it is the machine, and refuses the account
)

// Handshake makes an SSH connection of conn, which it closes when that fails or
// ctx ends first. The error is ErrHostKey, ErrAccount, or another one when the
// host didn't come to an answer.
func (d *Dialer) Handshake(ctx context.Context, conn net.Conn, address string) (*ssh.Client, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var unknown error
	proven := false
	c, chans, reqs, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: d.c.User, Auth: d.auth, HostKeyAlgorithms: d.algorithms(address, conn.RemoteAddr()),
		HostKeyCallback: func(name string, remote net.Addr, key ssh.PublicKey) error {
			unknown = d.hostKey(name, remote, key)
			proven = unknown == nil
			return unknown
		},
	})
	if err == nil {
		return ssh.NewClient(c, chans, reqs), nil
	}
	_ = conn.Close()
	var broken net.Error
	switch {
	case unknown != nil:
		return nil, fmt.Errorf("%w: %s", ErrHostKey, hostKeyText(unknown))
	case proven && ctx.Err() == nil && !errors.As(err, &broken) && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("user %s: %w: %w", d.c.User, ErrAccount, err)
	}
	return nil, err
}

// algorithms are those of the host keys known for an address: a host has keys
// of several kinds, and shows one of a kind that it is asked for. nil: any.
func (d *Dialer) algorithms(address string, remote net.Addr) []string {
	if d.c.Insecure {
		return nil
	}
	var unlike *knownhosts.KeyError
	if err := d.hostKey(address, remote, noKey{}); !errors.As(err, &unlike) {
		return nil
	}
	var out []string
	for _, k := range unlike.Want {
		switch t := k.Key.Type(); t {
		case ssh.KeyAlgoRSA:
			out = append(out, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			out = append(out, t)
		}
	}
	return out
}

func (d *Dialer) errorf(k drivers.Kind, address, format string, args ...any) error {
	return &drivers.Error{Kind: k, System: d.c.System, Op: "connect", Object: address, Err: fmt.Errorf(format, args...)}
}
