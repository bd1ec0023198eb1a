package wol

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"yagura/drivers"
	"yagura/drivers/internal/command"
	"yagura/drivers/internal/fault"
	"yagura/drivers/internal/sshto"
)

// contact is what an attempt to reach a machine's SSH server came to.
type contact int

const (
	silent   contact = iota // nobody answers: the machine may be off
	stirring                // something answers, but no SSH server: it starts, or ends, or has none
	alive                   // the machine's own SSH server
)

// maxSaid bounds what is kept of a command's words, in bytes.
const maxSaid = 4096

// reach connects to a machine. The client is nil unless the account was
// accepted; the machine may be alive without.
func reach(ctx context.Context, t target, dial time.Duration) (contact, *ssh.Client, error) {
	conn, err := (&net.Dialer{Timeout: dial}).DialContext(ctx, "tcp", t.address)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return stirring, nil, fault.Errorf(drivers.KindUnreachable, "its network answers, its SSH server doesn't: connection refused")
	case err != nil:
		return silent, nil, fault.Errorf(drivers.KindUnreachable, "its SSH server doesn't answer: %w", err)
	}
	c, err := t.ssh.Handshake(ctx, conn, t.address)
	switch {
	case err == nil:
		return alive, c, nil
	case errors.Is(err, sshto.ErrHostKey):
		return stirring, nil, fault.Errorf(drivers.KindAuth, "another host key than the machine's: this isn't the machine, or it was installed anew; set bmc.host_key after looking")
	case errors.Is(err, sshto.ErrAccount):
		return alive, nil, fault.Errorf(drivers.KindAuth, "%s", command.Clip(err.Error()))
	}
	// A host that hangs still takes connections, and so does one that starts.
	return stirring, nil, fault.Errorf(drivers.KindUnreachable, "its SSH server doesn't talk: %s", command.Clip(err.Error()))
}

// ask runs one command. asked tells whether it may have had an effect,
// whatever the error says.
func ask(ctx context.Context, c *ssh.Client, line string) (asked bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	s, err := c.NewSession()
	if err != nil {
		return false, fault.Errorf(drivers.KindUnreachable, "no session: %s", command.Clip(err.Error()))
	}
	defer func() { _ = s.Close() }()
	var said bounded
	s.Stdout, s.Stderr = &said, &said
	lost := func(err error) error {
		return fault.Errorf(drivers.KindUnknown, "contact broke off after %q was sent: %s", line, command.Clip(err.Error()))
	}
	switch err := s.Start(line); {
	case err == nil:
	case errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || ctx.Err() != nil:
		return true, lost(err)
	default:
		return false, fault.Errorf(drivers.KindRefused, "%s", command.Clip(err.Error()))
	}
	var exit *ssh.ExitError
	switch err := s.Wait(); {
	case err == nil:
		return true, nil
	case errors.As(err, &exit):
		return false, fault.Errorf(drivers.KindFailed, "%q ended with status %d; may its account run it? %s", line, exit.ExitStatus(), command.Clip(said.String()))
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
	if room := maxSaid - len(b.text); room > 0 {
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
		return fault.New(drivers.KindRefused, err)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", to)
	if err != nil {
		return fault.Errorf(drivers.KindUnreachable, "no way for the magic packet: %w", err)
	}
	defer func() { _ = conn.Close() }()
	for i := range 3 {
		if _, err := conn.Write(packet); err != nil && i == 0 {
			return fault.Errorf(drivers.KindUnreachable, "the magic packet can't be sent: %w", err)
		}
	}
	return nil
}

// dialTimeout bounds a connection attempt, so that a machine that is off is
// told within the time of a call.
const dialTimeout = 3 * time.Second
