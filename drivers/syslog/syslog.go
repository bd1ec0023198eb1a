package syslog

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"yagura/drivers"
)

// Config is one syslog server.
type Config struct {
	Name    string // the receiver's
	Address string // udp://, tcp:// or tls://HOST[:PORT]; the ports' defaults are 514, 601 and 6514
	CAs     *x509.CertPool
	Host    string // what the messages say where they come from
}

// Limits of one message, bytes.
const (
	maxDatagram = 2048 // what receivers should take [RFC 5426, 3.2]
	maxMessage  = 8192 // the same [RFC 5425, 4.3.1]
)

// Syslog sends to one server.
type Syslog struct {
	cfg             Config
	network, target string
	host            string
}

var ports = map[string]string{"udp": "514", "tcp": "601", "tls": "6514"}

// Open makes a sender. It connects at each message.
func Open(cfg Config) (*Syslog, error) {
	u, err := url.Parse(cfg.Address)
	if err != nil || u.Hostname() == "" || ports[u.Scheme] == "" {
		return nil, fmt.Errorf("the address %q isn't udp://, tcp:// or tls://HOST:PORT", cfg.Address)
	}
	return &Syslog{cfg, u.Scheme, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), ports[u.Scheme])), u.Hostname()}, nil
}

// Notify implements drivers.Notifier: each note becomes a message of its own.
func (s *Syslog) Notify(ctx context.Context, m drivers.Message) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, s.fail(drivers.KindExpired, err)
	}
	network := s.network
	if network == "tls" {
		network = "tcp"
	}
	raw, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, s.target)
	if err != nil {
		return nil, s.fail(drivers.KindUnreachable, err)
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	if s.network == "udp" {
		return nil, s.datagrams(raw, m)
	}
	c := raw.(interface {
		net.Conn
		CloseWrite() error
	})
	if s.network == "tls" {
		t := tls.Client(raw, &tls.Config{ServerName: s.host, RootCAs: s.cfg.CAs, MinVersion: tls.VersionTLS12})
		if err := t.HandshakeContext(ctx); err != nil {
			var cert *tls.CertificateVerificationError
			if errors.As(err, &cert) {
				return nil, s.fail(drivers.KindAuth, err)
			}
			return nil, s.fail(drivers.KindUnreachable, err)
		}
		c = t
	}
	return nil, s.stream(c, m)
}

func (s *Syslog) datagrams(c net.Conn, m drivers.Message) error {
	for _, n := range m.Notes {
		if _, err := c.Write(format(n, s.cfg.Host, maxDatagram)); err != nil {
			return s.fail(drivers.KindUnreachable, err)
		}
	}
	// A closed port is told of by ICMP, if at all. Nobody answers otherwise.
	if err := c.SetReadDeadline(time.Now().Add(refusalWait)); err != nil {
		return s.fail(drivers.KindUnknown, err)
	}
	if _, err := c.Read(make([]byte, 1)); errors.Is(err, syscall.ECONNREFUSED) {
		return s.fail(drivers.KindUnreachable, err)
	}
	return nil
}

// stream sends with octet counting, and waits until the server has read it all.
func (s *Syslog) stream(c interface {
	net.Conn
	CloseWrite() error
}, m drivers.Message) error {
	var b bytes.Buffer
	for _, n := range m.Notes {
		text := format(n, s.cfg.Host, maxMessage)
		b.WriteString(strconv.Itoa(len(text)) + " ")
		b.Write(text)
	}
	err := c.SetDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		_, err = c.Write(b.Bytes())
	}
	if err == nil {
		err = c.CloseWrite()
	}
	if err == nil {
		err = c.SetReadDeadline(time.Now().Add(closeWait))
	}
	if err != nil {
		return s.fail(drivers.KindUnknown, err)
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(c, maxMessage)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return s.fail(drivers.KindUnknown, err)
	}
	return nil
}

func (s *Syslog) fail(kind drivers.Kind, err error) error {
	return &drivers.Error{Kind: kind, System: s.cfg.Name, Op: "syslog", Object: s.cfg.Address, Err: err}
}

var _ drivers.Notifier = (*Syslog)(nil)
