package ovs

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/drivers/internal/fault"
)

// conn is a JSON-RPC 1.0 conversation with ovsdb-server (RFC 7047, section 4).
type conn struct {
	ctx     context.Context
	net     net.Conn
	stop    func() bool
	dec     *json.Decoder
	in      *io.LimitedReader
	timeout time.Duration
	id      int
}

// Bounds on a conversation.
const (
	maxTalk   = time.Minute
	maxAnswer = 64 << 20 // octets of one answer
	maxEchoes = 100      // questions of the server before one answer
)

// open begins a conversation. It ends with ctx.
func (s *settings) open(ctx context.Context) (*conn, error) {
	dial, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(dial, s.network, s.address)
	if err == nil && s.tls != nil {
		t := tls.Client(nc, s.tls)
		if err = t.HandshakeContext(dial); err != nil {
			_ = nc.Close()
			var cert *tls.CertificateVerificationError
			if errors.As(err, &cert) || alerted(err) {
				return nil, distrust(err)
			}
		}
		nc = t
	}
	if err != nil {
		return nil, fault.Errorf(drivers.KindUnreachable, "connect to %s: %w", s.address, err)
	}
	c := &conn{ctx: ctx, net: nc, timeout: s.timeout, in: &io.LimitedReader{R: nc}}
	c.dec = json.NewDecoder(c.in)
	past := time.Unix(1, 0)
	c.stop = context.AfterFunc(ctx, func() { _ = nc.SetDeadline(past) })
	return c, nil
}

// alerted tells a TLS alert of the server. With TLS 1.3 it comes after our side
// of the handshake, in the place of the first answer.
func alerted(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

func distrust(err error) error {
	return fault.Errorf(drivers.KindAuth, "the server isn't trusted, or doesn't trust us: %w", err)
}

func (c *conn) close() {
	c.stop()
	_ = c.net.Close()
}

// message is a request or an answer.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error"`
}

// call asks and waits for the answer. sent tells whether the request may have
// got through.
func (c *conn) call(method string, params []any, result any) (sent bool, err error) {
	if err := c.ctx.Err(); err != nil {
		return false, err
	}
	if err := c.net.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return false, err
	}
	c.id++
	data, err := json.Marshal(map[string]any{"id": c.id, "method": method, "params": params})
	if err != nil {
		return false, err
	}
	if _, err := c.net.Write(data); err != nil {
		c.in.N = maxAnswer // the server may have said why it hung up
		if why := c.dec.Decode(new(message)); alerted(why) {
			err = why
		}
		return true, c.cause(err)
	}
	for range maxEchoes {
		c.in.N = maxAnswer
		var m message
		if err := c.dec.Decode(&m); err != nil {
			return true, c.cause(err)
		}
		switch {
		case m.Method == "echo": // the server asks whether we are alive
			data, err := json.Marshal(message{ID: m.ID, Result: m.Params, Error: json.RawMessage("null")})
			if err != nil {
				return true, err
			}
			if _, err := c.net.Write(data); err != nil {
				return true, c.cause(err)
			}
		case m.Method != "", string(m.ID) != fmt.Sprint(c.id):
		case len(m.Error) > 0 && string(m.Error) != "null":
			return true, serverError(m.Error)
		default:
			return true, json.Unmarshal(m.Result, result)
		}
	}
	return true, errors.New("the server doesn't come to an answer")
}

// cause prefers the end of the context over what it did to the connection.
func (c *conn) cause(err error) error {
	if ended := c.ctx.Err(); ended != nil {
		return ended
	}
	return err
}

// refused is an error that the server answered with: nothing was done.
type refused struct{ code, details string }

func (r *refused) Error() string {
	const most = 200
	text := r.code
	if r.details != "" {
		text += ": " + r.details
	}
	if len(text) > most {
		text = text[:most] + "..."
	}
	return "ovsdb-server answers: " + strings.ToValidUTF8(text, "?")
}

func serverError(raw json.RawMessage) error {
	var e struct{ Error, Details string }
	var code string
	if json.Unmarshal(raw, &code) == nil {
		e.Error = code
	} else if json.Unmarshal(raw, &e) != nil {
		e.Error = "an error that can't be read"
	}
	return &refused{e.Error, e.Details}
}

// operation is an operation of a transaction (RFC 7047, section 5.2).
type operation map[string]any

// outcome is what became of an operation.
type outcome struct {
	Count   int
	Rows    []map[string]json.RawMessage
	Error   string
	Details string
}

// database is the one that ovs-vswitchd follows.
const database = "Open_vSwitch"

// transact runs operations, all or none of them. changes says that they change
// something, so that silence means that nobody knows.
func (c *conn) transact(changes bool, ops ...operation) ([]outcome, error) {
	params := []any{database}
	for _, op := range ops {
		params = append(params, op)
	}
	var out []outcome
	sent, err := c.call("transact", params, &out)
	var no *refused
	switch {
	case errors.As(err, &no):
		return nil, no.fault()
	case alerted(err):
		return nil, distrust(err)
	case err != nil && sent && changes:
		return nil, fault.Errorf(drivers.KindUnknown, "no answer to the change: %w", err)
	case err != nil:
		return nil, fault.Errorf(drivers.KindUnreachable, "no answer: %w", err)
	}
	// An operation that failed carries the error, as may one more at the end.
	for _, o := range out {
		if o.Error != "" {
			return nil, (&refused{o.Error, o.Details}).fault()
		}
	}
	if len(out) < len(ops) {
		return nil, fault.Errorf(drivers.KindUnknown, "%d outcomes of %d operations", len(out), len(ops))
	}
	return out, nil
}

// fault reads the error codes of RFC 7047, section 3.1 and 5.2.
func (r *refused) fault() error {
	k := drivers.KindRefused
	switch r.code {
	case "timed out": // of a wait
		return errOvertaken
	case "permission error":
		k = drivers.KindAuth
	case "resources exhausted":
		k = drivers.KindBusy
	case "I/O error":
		k = drivers.KindFailed
	case "unknown database":
		k = drivers.KindUnsupported
	}
	return fault.New(k, r)
}

var errOvertaken = errors.New("somebody else changed the switch")
