package mail

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/textproto"
	"strings"

	"github.com/wneessen/go-mail"

	"yagura/drivers"
)

func (m *Mail) fail(kind drivers.Kind, object string, err error) error {
	return &drivers.Error{Kind: kind, System: m.cfg.Name, Op: "mail", Object: object, Err: m.withoutSecret(err)}
}

// withoutSecret sees to it that what a server says doesn't bring the password along.
func (m *Mail) withoutSecret(err error) error {
	if m.cfg.Password == "" || !strings.Contains(err.Error(), m.cfg.Password) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), m.cfg.Password, "..."))
}

// dialError says what it means that no session came about.
func (m *Mail) dialError(connected bool, err error) error {
	kind := drivers.KindUnreachable
	var reply *textproto.Error
	var cert *tls.CertificateVerificationError
	var host x509.HostnameError
	switch {
	case errors.As(err, &cert), errors.As(err, &host):
		kind = drivers.KindAuth
	case errors.As(err, &reply) && reply.Code/100 == 4:
		kind = drivers.KindBusy
	case errors.As(err, &reply) && (reply.Code == 530 || reply.Code == 534 || reply.Code == 535 || reply.Code == 538):
		kind = drivers.KindAuth
	case errors.As(err, &reply):
		kind = drivers.KindRefused
	case connected && (strings.Contains(err.Error(), "STARTTLS") || strings.Contains(err.Error(), "AUTH")):
		kind = drivers.KindAuth // it offers none: go-mail has no type for that
	}
	return m.fail(kind, m.host, err)
}

// sendError says what it means that a mail wasn't taken.
func (m *Mail) sendError(object string, err error) error {
	kind := drivers.KindUnknown
	var s *mail.SendError
	if errors.As(err, &s) {
		switch code := s.ErrorCode(); {
		case code == 530 || code == 535 || code == 538:
			kind = drivers.KindAuth
		case code/100 == 4:
			kind = drivers.KindBusy
		case code/100 == 5:
			kind = drivers.KindRefused
		case s.Reason == mail.ErrSMTPMailFrom || s.Reason == mail.ErrSMTPRcptTo || s.Reason == mail.ErrSMTPData:
			kind = drivers.KindUnreachable // the contact broke off before the mail was handed over
		}
	}
	return m.fail(kind, object, err)
}

var _ drivers.Notifier = (*Mail)(nil)
