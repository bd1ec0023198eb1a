package sshto

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// known reads lines of a known_hosts file. Several keys may be known for one
// address, as machines take each other's place under it: the parser keeps one
// of each type, so each further one gets a parser of its own.
func known(lines string) (ssh.HostKeyCallback, error) {
	var marked []string // @cert-authority, @revoked: they hold everywhere
	var parts [][]string
	seen := map[string]int{}
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || strings.HasPrefix(f[0], "#"):
		case strings.HasPrefix(f[0], "@") || len(f) < 3:
			marked = append(marked, line)
		default:
			n := seen[f[0]+" "+f[1]]
			seen[f[0]+" "+f[1]]++
			if n == len(parts) {
				parts = append(parts, nil)
			}
			parts[n] = append(parts[n], line)
		}
	}
	if len(parts) == 0 {
		parts = [][]string{nil}
	}
	var all []ssh.HostKeyCallback
	for _, part := range parts {
		cb, err := parse(strings.Join(append(part, marked...), "\n") + "\n")
		if err != nil {
			return nil, err
		}
		all = append(all, cb)
	}
	return func(name string, remote net.Addr, key ssh.PublicKey) error {
		unlike := &knownhosts.KeyError{}
		for _, check := range all {
			err := check(name, remote, key)
			var one *knownhosts.KeyError
			switch {
			case err == nil:
				return nil
			case errors.As(err, &one):
				unlike.Want = append(unlike.Want, one.Want...)
			default:
				return err // revoked
			}
		}
		return unlike
	}, nil
}

// only accepts the one key that an authorized_keys line tells.
func only(line string) (ssh.HostKeyCallback, error) {
	want, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return nil, errors.New("the host key can't be read; write it as in authorized_keys: ssh-ed25519 AAAA")
	}
	is := ssh.FixedHostKey(want)
	return func(name string, remote net.Addr, key ssh.PublicKey) error {
		if is(name, remote, key) != nil {
			return &knownhosts.KeyError{Want: []knownhosts.KnownKey{{Key: want}}}
		}
		return nil
	}, nil
}

// parse gives lines to the parser, which takes only files.
func parse(lines string) (ssh.HostKeyCallback, error) {
	dir, err := os.MkdirTemp("", "yagura-known")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		return nil, err
	}
	cb, err := knownhosts.New(file)
	if err != nil {
		return nil, fmt.Errorf("the known hosts: %s", strings.ReplaceAll(err.Error(), file, "line"))
	}
	return cb, nil
}

// noKey is a host key that is nobody's.
type noKey struct{ ssh.PublicKey }

func (noKey) Type() string    { return "none" }
func (noKey) Marshal() []byte { return nil }

func hostKeyText(err error) string {
	var unlike *knownhosts.KeyError
	if errors.As(err, &unlike) {
		if len(unlike.Want) == 0 {
			return "it isn't known: add it to option known_hosts, as ssh-keyscan shows it, once it is sure to be its own"
		}
		return "it isn't the known one: either the machine was installed anew (then change option known_hosts), or it is another machine"
	}
	return err.Error()
}
