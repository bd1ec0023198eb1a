package haproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode"
)

// maxAnswer bounds what the driver reads of one answer: some 20,000 servers.
const maxAnswer = 8 << 20

// maxMessage bounds what of HAProxy's words goes into an error.
const maxMessage = 200

// errDial marks what failed before anything was sent.
type errDial struct{ error }

func (e errDial) Unwrap() error { return e.error }

// ask sends commands as one line, on a connection of their own, and reads the
// answers to the end of the connection.
func (d *Driver) ask(ctx context.Context, commands ...string) ([]byte, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, d.network, d.address)
	if err != nil {
		return nil, errDial{err}
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if ctx.Err() != nil {
		return nil, errDial{ctx.Err()}
	}
	if _, err := io.WriteString(conn, strings.Join(commands, ";")+"\n"); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	case len(answer) == 0:
		return nil, errors.New("the connection ended without an answer")
	}
	return answer, nil
}

// message is HAProxy's answer in one line, for an error.
func message(answer []byte) string {
	s := strings.Join(strings.FieldsFunc(string(bytes.TrimSpace(answer)), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if s == "" {
		return "it gave no reason"
	}
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return s
}
