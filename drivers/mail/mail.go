package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/wneessen/go-mail"

	"yagura/drivers"
)

// TLS modes.
const (
	StartTLS    = "starttls"
	ImplicitTLS = "implicit"
	NoTLS       = "none"
)

// Config is one mail receiver.
type Config struct {
	Name     string // the receiver's
	Address  string // HOST[:PORT]; the port's default is 465 with ImplicitTLS, 587 with a login, else 25
	TLS      string // StartTLS, ImplicitTLS or NoTLS
	CAs      *x509.CertPool
	User     string // empty: no login
	Password string
	From     string
	To       []string
	Host     string // what we call ourselves; empty: the machine's name
}

// Limits.
const (
	maxSubject = 200              // characters
	timeout    = 30 * time.Second // for the next answer of the server
)

// Mail sends to one receiver.
type Mail struct {
	cfg        Config
	host, port string
}

// Open makes a sender. It connects at each message.
func Open(cfg Config) (*Mail, error) {
	host, port, err := net.SplitHostPort(cfg.Address)
	if err != nil {
		host, port = strings.Trim(cfg.Address, "[]"), ""
	}
	if port == "" {
		switch {
		case cfg.TLS == ImplicitTLS:
			port = "465"
		case cfg.User != "":
			port = "587"
		default:
			port = "25"
		}
	}
	if host == "" || len(cfg.To) == 0 || cfg.From == "" {
		return nil, errors.New("the mail server's address, from or to is missing")
	}
	if cfg.TLS == NoTLS && cfg.User != "" {
		return nil, errors.New("a login needs TLS")
	}
	return &Mail{cfg, host, port}, nil
}

// Notify implements drivers.Notifier.
func (m *Mail) Notify(ctx context.Context, msg drivers.Message) ([]string, error) {
	var to []string
	for _, a := range m.cfg.To {
		if !slices.Contains(msg.Done, a) {
			to = append(to, a)
		}
	}
	if len(to) == 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, m.fail(drivers.KindExpired, m.host, err)
	}
	c, err := m.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	err = c.send(msg, to)
	if err == nil {
		return to, nil
	}
	if !ofAddresses(err) || len(to) == 1 {
		return nil, m.sendError(strings.Join(to, ", "), err)
	}
	return c.sendEach(msg, to)
}

// ofAddresses tells whether the server has refused addresses, and not the mail
// or us.
func ofAddresses(err error) bool {
	var s *mail.SendError
	return errors.As(err, &s) && s.Reason == mail.ErrSMTPRcptTo && s.ErrorCode() > 0
}

// conn is a session with the server.
type conn struct {
	m      *Mail
	until  context.Context // of the whole session; the library's own ends with the greeting
	client *mail.Client
	raw    net.Conn
	stop   func() bool
}

func (m *Mail) dial(ctx context.Context) (*conn, error) {
	c := &conn{m: m, until: ctx}
	options := []mail.Option{
		mail.WithTimeout(timeout), mail.WithDialContextFunc(c.connect), mail.WithTLSConfig(m.tlsConfig()), mail.WithoutNoop(),
		mail.WithTLSPolicy(map[string]mail.TLSPolicy{StartTLS: mail.TLSMandatory, ImplicitTLS: mail.TLSOpportunistic}[m.cfg.TLS]),
	}
	port, err := strconv.Atoi(m.port)
	if err != nil {
		return nil, m.fail(drivers.KindRefused, m.host, err)
	}
	options = append(options, mail.WithPort(port))
	if m.cfg.TLS == NoTLS {
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if m.cfg.User != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(m.cfg.User), mail.WithPassword(m.cfg.Password))
	}
	if m.cfg.Host != "" {
		options = append(options, mail.WithHELO(m.cfg.Host))
	}
	if c.client, err = mail.NewClient(m.host, options...); err != nil {
		return nil, m.fail(drivers.KindRefused, m.host, err)
	}
	if err := c.client.DialWithContext(ctx); err != nil {
		connected := c.raw != nil
		c.close()
		return nil, m.dialError(connected, err)
	}
	return c, nil
}

// connect opens the connection, which ends with the session.
func (c *conn) connect(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: timeout}
	raw, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.raw = raw
	c.stop = context.AfterFunc(c.until, func() { raw.Close() })
	if c.m.cfg.TLS != ImplicitTLS {
		return raw, nil
	}
	t := tls.Client(raw, c.m.tlsConfig())
	return t, t.HandshakeContext(ctx)
}

func (m *Mail) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: m.host, RootCAs: m.cfg.CAs, MinVersion: tls.VersionTLS12}
}

func (c *conn) close() {
	if c.raw == nil {
		return
	}
	// The mail is there or it isn't: how the goodbye goes says nothing of that.
	_ = c.client.Close()
	c.stop()
	c.raw.Close()
}

func (c *conn) send(msg drivers.Message, to []string) error {
	out, err := c.m.message(msg, to)
	if err != nil {
		return err
	}
	if err := c.client.Send(out); err != nil && !out.IsDelivered() {
		return err
	}
	return nil
}

// sendEach sends to each address by itself.
func (c *conn) sendEach(msg drivers.Message, to []string) (delivered []string, err error) {
	var refused []string
	var first error
	for _, a := range to {
		err := c.send(msg, []string{a})
		switch {
		case err == nil:
			delivered = append(delivered, a)
		case ofAddresses(err):
			refused = append(refused, a)
			if first == nil || drivers.KindOf(c.m.sendError(a, err)) == drivers.KindBusy {
				first = err // what may pass goes before what won't
			}
		default:
			return delivered, c.m.sendError(a, err)
		}
	}
	if first == nil {
		return delivered, nil
	}
	return delivered, c.m.sendError(strings.Join(refused, ", "), first)
}

// message makes the mail to some of the addresses.
func (m *Mail) message(msg drivers.Message, to []string) (*mail.Msg, error) {
	out := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := out.From(m.cfg.From); err != nil {
		return nil, err
	}
	if err := out.To(to...); err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(m.cfg.From, "@")
	out.SetMessageIDWithValue(token(msg.ID) + "@" + domain)
	out.SetDateWithValue(msg.Notes[len(msg.Notes)-1].Time)
	// What looks like an encoded word would be decoded by the reader's program [RFC 2047].
	out.Subject(strings.ReplaceAll(drivers.OneLine(msg.Subject, maxSubject), "=?", "= ?"))
	// Answers by machines to a machine are of no use [RFC 3834].
	out.SetGenHeader("Auto-Submitted", "auto-generated")
	out.SetGenHeader("X-Yagura-Message", token(msg.ID))
	c := msg.Count()
	out.SetGenHeader("X-Yagura-Count", fmt.Sprintf("%d error, %d warning, %d info", c.Error, c.Warning, c.Info))
	out.SetBodyString(mail.TypeTextPlain, msg.Body)
	return out, nil
}

// token leaves in an id what may stand in a header without quotes.
func token(id string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '-' || r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '.'
	}, cmp.Or(id, "none"))
}
