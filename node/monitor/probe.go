package monitor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/gosnmp/gosnmp"

	"yagura/fsm/schema"
)

// Prober asks a machine once. nil: it answered. An error of type *Unable says
// that nothing was asked, for a reason of this manager's own.
type Prober interface {
	Probe(ctx context.Context, t Target) error
	Close() error
}

// Unable says that this manager can't poll at all in some way.
type Unable struct{ Why error }

func (e *Unable) Error() string { return e.Why.Error() }

// Unwrap gives the cause.
func (e *Unable) Unwrap() error { return e.Why }

// Network probes over the network.
type Network struct{ ping pinger }

// Probe implements Prober. The deadline of ctx bounds it.
func (n *Network) Probe(ctx context.Context, t Target) error {
	switch t.Kind {
	case schema.MonitorICMP:
		return n.ping.probe(ctx, t.Address)
	case schema.MonitorTCP:
		return probeTCP(ctx, t)
	case schema.MonitorSNMP:
		return probeSNMP(ctx, t)
	}
	return &Unable{fmt.Errorf("no kind of monitoring %q", t.Kind)}
}

// Close ends the sockets.
func (n *Network) Close() error { return n.ping.close() }

// probeTCP asks for a connection. One that is refused is no answer: what the
// machine is there for doesn't run.
func probeTCP(ctx context.Context, t Target) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(t.Address, strconv.Itoa(t.Port)))
	if err != nil {
		return local(err)
	}
	return c.Close()
}

// sysUpTime.0 of SNMPv2-MIB (RFC 3418): every agent has it.
const sysUpTime = ".1.3.6.1.2.1.1.3.0"

// probeSNMP asks the agent (v2c). Whatever it answers, it answers.
func probeSNMP(ctx context.Context, t Target) error {
	wait := time.Second
	if d, ok := ctx.Deadline(); ok {
		wait = time.Until(d)
	}
	c := &gosnmp.GoSNMP{
		Target: t.Address, Port: uint16(t.Port), Community: t.Community, Version: gosnmp.Version2c,
		Transport: "udp", Timeout: wait, Retries: 0, Context: ctx, MaxOids: 1,
	}
	if err := c.Connect(); err != nil {
		return local(err)
	}
	defer func() { _ = c.Conn.Close() }()
	_, err := c.Get([]string{sysUpTime})
	return err
}

// local tells what this manager can't do from what a machine doesn't do: too
// many open files says nothing of the machine.
func local(err error) error {
	for _, own := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, own) {
			return &Unable{err}
		}
	}
	return err
}
