package ssh

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"

	"yagura/drivers"
	"yagura/drivers/runs"
)

const (
	// maxConns bounds the connections that are kept open.
	maxConns = 64
	// maxAnswer bounds what a shell's answer may be, bytes.
	maxAnswer = 64 << 10
)

// machine is the shell of a machine.
type machine struct {
	d       *Driver
	address string
}

// conn is a connection to a machine, an open one if there is one. kept tells
// that it is such: it may have ended meanwhile.
func (d *Driver) conn(ctx context.Context, address string) (c *ssh.Client, kept bool, err error) {
	d.mu.Lock()
	c = d.conns[address]
	closed := d.conns == nil
	d.mu.Unlock()
	switch {
	case closed:
		return nil, false, d.errorf(drivers.KindBusy, "connect", address, "the session is closed")
	case c != nil:
		return c, true, nil
	}
	if c, err = d.dial.Dial(ctx, address); err != nil {
		return nil, false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil {
		c.Close()
		return nil, false, d.errorf(drivers.KindBusy, "connect", address, "the session is closed")
	}
	if old := d.conns[address]; old != nil { // another call was quicker
		c.Close()
		return old, true, nil
	}
	for other, o := range d.conns {
		if len(d.conns) < maxConns {
			break
		}
		o.Close() // whoever uses it connects again
		delete(d.conns, other)
	}
	d.conns[address] = c
	return c, false, nil
}

// drop forgets a connection that has failed.
func (d *Driver) drop(address string, c *ssh.Client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns[address] == c {
		delete(d.conns, address)
	}
	c.Close()
}

// Run implements runs.Shell. A kept connection that turns out to have ended
// before anything was sent is made anew.
func (m machine) Run(ctx context.Context, script string) (string, int, error) {
	for {
		if err := ctx.Err(); err != nil {
			return "", 0, m.d.errorf(drivers.KindUnreachable, "run", m.address, "%w", err)
		}
		c, kept, err := m.d.conn(ctx, m.address)
		if err != nil {
			return "", 0, err
		}
		stop := context.AfterFunc(ctx, func() { m.d.drop(m.address, c) })
		s, err := c.NewSession()
		if err != nil {
			stop()
			m.d.drop(m.address, c)
			if kept && ctx.Err() == nil {
				continue
			}
			return "", 0, m.d.errorf(drivers.KindUnreachable, "run", m.address, "no session: %w", err)
		}
		out, code, err := m.run(ctx, s, script)
		s.Close()
		stop()
		if err != nil {
			m.d.drop(m.address, c)
		}
		return out, code, err
	}
}

func (m machine) run(ctx context.Context, s *ssh.Session, script string) (string, int, error) {
	out := &runs.Bounded{Max: maxAnswer}
	s.Stdin, s.Stdout = strings.NewReader(script), out
	command := "sh -s"
	if m.d.c.Sudo {
		command = "sudo -n sh -s"
	}
	err := s.Run(command)
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return out.String(), 0, nil
	case errors.As(err, &exit) && exit.Signal() == "":
		return out.String(), exit.ExitStatus(), nil
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	return "", 0, m.d.errorf(drivers.KindUnknown, "run", m.address, "%w", err)
}
