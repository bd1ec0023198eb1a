package qbridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gosnmp/gosnmp"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
)

// session is one conversation with an agent.
type session struct {
	g    *gosnmp.GoSNMP
	stop func() bool
}

// maxTalk bounds a conversation, however many requests it takes.
const maxTalk = 2 * time.Minute

// open begins a conversation. It ends with ctx.
func (s *settings) open(ctx context.Context) (*session, error) {
	g := &gosnmp.GoSNMP{
		Target: s.host, Port: s.port, Transport: "udp", Context: ctx, Timeout: s.timeout, Retries: retries,
		Version: gosnmp.Version2c, Community: s.password,
	}
	if s.user != "" {
		g.Version, g.Community, g.SecurityModel = gosnmp.Version3, "", gosnmp.UserSecurityModel
		g.MsgFlags = gosnmp.AuthPriv
		usm := &gosnmp.UsmSecurityParameters{
			UserName: s.user, AuthenticationProtocol: s.auth, AuthenticationPassphrase: s.password,
			PrivacyProtocol: s.priv, PrivacyPassphrase: s.password,
		}
		if s.priv == gosnmp.NoPriv {
			g.MsgFlags, usm.PrivacyPassphrase = gosnmp.AuthNoPriv, ""
		}
		g.SecurityParameters = usm
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.New(drivers.KindUnreachable, err)
	}
	if err := g.Connect(); err != nil {
		return nil, fault.New(drivers.KindUnreachable, err)
	}
	past := time.Unix(1, 0)
	return &session{g, context.AfterFunc(ctx, func() { _ = g.Conn.SetDeadline(past) })}, nil
}

func (c *session) close() {
	c.stop()
	_ = c.g.Conn.Close()
}

// lost says what an error without a usable answer means; k is its kind when it
// isn't about credentials.
func (c *session) lost(err error, k drivers.Kind) error {
	if ended := c.g.Context.Err(); ended != nil {
		return fault.New(k, ended)
	}
	// What isn't silence is a v3 agent's word, often unsigned, to somebody whom it
	// doesn't trust (RFC 3414, section 3.2).
	var broken net.Error
	silent := errors.As(err, &broken) || errors.Is(err, gosnmp.ErrMaxRetriesExceeded)
	if c.g.Version == gosnmp.Version3 && !silent && k != drivers.KindUnknown {
		return fault.Errorf(drivers.KindAuth, "the agent doesn't take the user, or its passphrase or protocols: %w", err)
	}
	if c.g.Version == gosnmp.Version2c {
		return fault.Errorf(k, "%s:%d gives no answer (nor would an agent that doesn't take the community): %w", c.g.Target, c.g.Port, err)
	}
	return fault.Errorf(k, "%s:%d doesn't answer: %w", c.g.Target, c.g.Port, err)
}

// Bounds on reading a table.
const (
	maxRepetitions = 25
	maxVariables   = 200_000
)

// walk reads all variables under root and hands each to f with the rest of its
// name. An agent that breaks off in between is an error: what it didn't tell
// would look as if it weren't there.
func (c *session) walk(root string, f func(index []int, v gosnmp.SnmpPDU)) error {
	at := root
	for n := 0; n < maxVariables; {
		res, err := c.g.GetBulk([]string{at}, 0, maxRepetitions)
		if err != nil {
			return c.lost(err, drivers.KindUnreachable)
		}
		if res.Error != gosnmp.NoError {
			return refusal(res, "reading "+root)
		}
		if len(res.Variables) == 0 {
			return fault.Errorf(drivers.KindFailed, "an empty answer under %s", at)
		}
		for _, v := range res.Variables {
			rest, inside := strings.CutPrefix(v.Name, root+".")
			if !inside || v.Type == gosnmp.EndOfMibView {
				return nil
			}
			index, err := parseOID(rest)
			if err != nil || v.Name == at {
				return fault.Errorf(drivers.KindFailed, "the agent doesn't get on behind %s", at)
			}
			f(index, v)
			at = v.Name
			n++
		}
	}
	return fault.Errorf(drivers.KindFailed, "more than %d variables under %s", maxVariables, root)
}

func parseOID(s string) ([]int, error) {
	var out []int
	for _, part := range strings.Split(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// set sends one SetRequest. The kind of the agent's no says that
// nothing was done; silence is KindUnknown.
func (c *session) set(vars ...gosnmp.SnmpPDU) error {
	res, err := c.g.Set(vars)
	if err != nil {
		return c.lost(err, drivers.KindUnknown)
	}
	if res.Error != gosnmp.NoError {
		return refusal(res, "setting "+refused(vars, res))
	}
	return nil
}

func refused(vars []gosnmp.SnmpPDU, res *gosnmp.SnmpPacket) string {
	if i := int(res.ErrorIndex); i >= 1 && i <= len(vars) {
		return vars[i-1].Name
	}
	return fmt.Sprintf("%d variables", len(vars))
}

// refusal reads an error status (RFC 3416, section 3).
func refusal(res *gosnmp.SnmpPacket, doing string) error {
	switch res.Error {
	case gosnmp.NoAccess, gosnmp.AuthorizationError:
		return fault.Errorf(drivers.KindAuth, "%s: the agent answers %s; may the community or user write?", doing, res.Error)
	case gosnmp.ResourceUnavailable:
		return fault.Errorf(drivers.KindBusy, "%s: the agent answers %s", doing, res.Error)
	case gosnmp.CommitFailed, gosnmp.UndoFailed:
		return fault.Errorf(drivers.KindFailed, "%s: the agent answers %s", doing, res.Error)
	}
	return fault.Errorf(drivers.KindRefused, "%s: the agent answers %s", doing, res.Error)
}
