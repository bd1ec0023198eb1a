package wol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"yagura/drivers"
)

// contact is what an attempt to reach a machine's SSH server came to.
type contact int

const (
	silent   contact = iota // nobody answers: the machine may be off
	stirring                // something answers, but no SSH server: it starts, or ends, or has none
	alive                   // the machine's own SSH server
)

// maxMessage bounds what of a machine's words goes into an error.
const maxMessage = 200

// reach connects to a machine. The client is nil unless the account was
// accepted; the machine may be alive without.
func reach(ctx context.Context, t target, dial time.Duration) (contact, *ssh.Client, error) {
	conn, err := (&net.Dialer{Timeout: dial}).DialContext(ctx, "tcp", t.address)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return stirring, nil, &answer{drivers.KindUnreachable, "its network answers, its SSH server doesn't: connection refused"}
	case err != nil:
		return silent, nil, &answer{drivers.KindUnreachable, "its SSH server doesn't answer: " + brief(err.Error())}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if d, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(d)
	}
	proven := false
	conf := t.client
	check := conf.HostKeyCallback
	conf.HostKeyCallback = func(name string, addr net.Addr, key ssh.PublicKey) error {
		err := check(name, addr, key)
		proven = err == nil
		return err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, t.address, &conf)
	switch {
	case err == nil:
		return alive, ssh.NewClient(c, channels, requests), nil
	case errors.Is(err, errHostKey):
		_ = conn.Close()
		return stirring, nil, &answer{drivers.KindAuth, errHostKey.Error()}
	}
	_ = conn.Close()
	var lost net.Error
	if !proven || errors.As(err, &lost) || ctx.Err() != nil {
		// A host that hangs still takes connections, and so does one that starts.
		return stirring, nil, &answer{drivers.KindUnreachable, "its SSH server doesn't talk: " + brief(err.Error())}
	}
	return alive, nil, &answer{drivers.KindAuth, "its SSH server refuses the account: " + brief(err.Error())}
}

// command runs one command. asked tells whether it may have had an effect,
// whatever the error says.
func command(ctx context.Context, c *ssh.Client, line string) (asked bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	s, err := c.NewSession()
	if err != nil {
		return false, &answer{drivers.KindUnreachable, "no session: " + brief(err.Error())}
	}
	defer func() { _ = s.Close() }()
	var said bounded
	s.Stdout, s.Stderr = &said, &said
	lost := func(err error) error {
		return &answer{drivers.KindUnknown, fmt.Sprintf("contact broke off after %q was sent: %s", line, brief(err.Error()))}
	}
	switch err := s.Start(line); {
	case err == nil:
	case errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || ctx.Err() != nil:
		return true, lost(err)
	default:
		return false, &answer{drivers.KindRefused, brief(err.Error())}
	}
	var exit *ssh.ExitError
	switch err := s.Wait(); {
	case err == nil:
		return true, nil
	case errors.As(err, &exit):
		return false, &answer{drivers.KindFailed, fmt.Sprintf("%q ended with status %d; may its account run it? %s", line, exit.ExitStatus(), brief(said.String()))}
	default:
		return true, lost(err)
	}
}

// bounded keeps the beginning of what a command says, on either of its outputs.
type bounded struct {
	mu   sync.Mutex // guards text
	text []byte
}

func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if room := maxMessage - len(b.text); room > 0 {
		b.text = append(b.text, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func (b *bounded) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// wake sends the magic packet, several times, since UDP promises nothing. More
// than one wakes a machine once.
func wake(ctx context.Context, m Machine) error {
	packet, to, err := m.packet()
	if err != nil {
		return &answer{drivers.KindRefused, err.Error()}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", to)
	if err != nil {
		return &answer{drivers.KindUnreachable, "no way for the magic packet: " + brief(err.Error())}
	}
	defer func() { _ = conn.Close() }()
	for i := range 3 {
		if _, err := conn.Write(packet); err != nil && i == 0 {
			return &answer{drivers.KindUnreachable, "the magic packet can't be sent: " + brief(err.Error())}
		}
	}
	return nil
}

// answer is a verdict of the driver's own.
type answer struct {
	kind drivers.Kind
	why  string
}

func (e *answer) Error() string { return e.why }

func brief(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxMessage {
		return s[:maxMessage] + "..."
	}
	return s
}

// dialTimeout bounds a connection attempt, so that a machine that is off is
// told within the time of a call.
const dialTimeout = 3 * time.Second
