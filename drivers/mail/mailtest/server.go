// Package mailtest is a mail server for tests and benchmarks: go-smtp in this process, with
// STARTTLS, TLS from the first byte or none, and a login.
package mailtest

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Config is how a server behaves.
type Config struct {
	Implicit       bool // TLS from the first byte
	NoTLS          bool
	User, Password string   // empty: no login is wanted
	Refuse         []string // addresses that it refuses for good
	Defer          []string // addresses that it refuses for now
}

// Server is a mail server at work.
type Server struct {
	Address string
	cfg     Config
	smtp    *smtp.Server
	l       net.Listener
	served  chan struct{} // closed when it takes no connections any more
	end     error         // why not; read after served

	mu    sync.Mutex // guards all below
	mails []Mail
	taken func()
}

// Mail is one that was taken.
type Mail struct {
	From    string
	To      []string // of the envelope
	Header  mail.Header
	Subject string // decoded
	Body    string // decoded
	ID      string // of Message-ID, up to the @
}

// Start starts a server that ends with the test. conf is its TLS.
func Start(t testing.TB, cfg Config, conf *tls.Config) *Server {
	t.Helper()
	s, err := Listen(cfg, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if err := s.end; err != nil {
			t.Logf("mail server: %v", err)
		}
	})
	return s
}

// Listen starts a server that ends with Stop, for programs that measure.
func Listen(cfg Config, conf *tls.Config) (*Server, error) {
	s := &Server{cfg: cfg, served: make(chan struct{})}
	s.smtp = smtp.NewServer(s)
	s.smtp.Domain, s.smtp.AllowInsecureAuth = "mail.example", false
	s.smtp.ErrorLog = quiet{}
	if !cfg.NoTLS && !cfg.Implicit {
		s.smtp.TLSConfig = conf
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Address, s.l = l.Addr().String(), l
	if cfg.Implicit {
		l = tls.NewListener(l, conf)
	}
	go func() { // Stop waits for it
		defer close(s.served)
		if err := s.smtp.Serve(l); err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.end = err
		}
	}()
	return s, nil
}

// quiet drops the server's complaints about connections that break.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// Stop ends the server. Stopping it twice does nothing.
func (s *Server) Stop() {
	_ = s.smtp.Close() // of a server that hasn't begun to serve it closes nothing
	_ = s.l.Close()
	<-s.served
}

// OnTaken calls f whenever a mail has been taken, before the sender hears of it.
func (s *Server) OnTaken(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = f
}

// Mails are those taken so far.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// NewSession implements smtp.Backend.
func (s *Server) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{s: s}, nil }

type session struct {
	s      *Server
	logged bool
	from   string
	to     []string
}

func (c *session) AuthMechanisms() []string {
	if c.s.cfg.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (c *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != c.s.cfg.User || password != c.s.cfg.Password {
			// A server that says more than it should.
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "no user " + user + " with password " + password}
		}
		c.logged = true
		return nil
	}), nil
}

func (c *session) Reset()        { c.from, c.to = "", nil }
func (c *session) Logout() error { return nil }

func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	if c.s.cfg.User != "" && !c.logged {
		return smtp.ErrAuthRequired
	}
	c.from = from
	return nil
}

func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if slices.Contains(c.s.cfg.Refuse, to) {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	}
	if slices.Contains(c.s.cfg.Defer, to) {
		return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "mailbox busy"}
	}
	c.to = append(c.to, to)
	return nil
}

func (c *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := Parse(data)
	if err != nil {
		return &smtp.SMTPError{Code: 554, Message: err.Error()}
	}
	m.From, m.To = c.from, slices.Clone(c.to)
	c.s.mu.Lock()
	c.s.mails = append(c.s.mails, m)
	taken := c.s.taken
	c.s.mu.Unlock()
	if taken != nil {
		taken()
	}
	return nil
}

// Parse reads a mail.
func Parse(data []byte) (Mail, error) {
	p, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return Mail{}, err
	}
	m := Mail{Header: p.Header}
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(p.Header.Get("Subject")); err != nil {
		return Mail{}, err
	}
	body, err := decodeBody(p)
	m.Body = strings.ReplaceAll(string(body), "\r\n", "\n")
	m.ID, _, _ = strings.Cut(strings.Trim(p.Header.Get("Message-Id"), "<>"), "@")
	return m, err
}

// decodeBody undoes the transfer encoding.
func decodeBody(p *mail.Message) ([]byte, error) {
	switch strings.ToLower(p.Header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		return io.ReadAll(quotedprintable.NewReader(p.Body))
	case "base64":
		return io.ReadAll(base64.NewDecoder(base64.StdEncoding, p.Body))
	}
	return io.ReadAll(p.Body)
}
