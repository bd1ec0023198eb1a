package schema

import (
	"net"
	"net/mail"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Values of the fields of receivers and notices.
const (
	// Kinds of receivers.
	ReceiverMail     = "mail"
	ReceiverSyslog   = "syslog"
	ReceiverJournald = "journald"
	ReceiverWebhook  = "webhook"
	ReceiverSNMP     = "snmp" // of the traps that managers receive, not of the event log's entries

	// Versions in which traps go to a receiver of kind snmp.
	ForwardV1         = "v1"
	ForwardV2c        = "v2c"
	ForwardAsReceived = "as-received" // but v3 as v2c

	// How a mail server is spoken to.
	MailStartTLS    = "starttls" // in the clear first, then TLS, or not at all [RFC 3207]
	MailImplicitTLS = "implicit" // TLS from the first byte [RFC 8314]
	MailNoTLS       = "none"

	// Languages of texts.
	LanguageEnglish  = "en"
	LanguageJapanese = "ja"

	// Severities, in their order.
	SeverityInfo    = "info"
	SeverityWarning = "warning"
	SeverityError   = "error"

	// States of a notice.
	NoticeWaiting = "waiting"
	NoticeSent    = "sent"
	NoticeLost    = "lost"

	// JournalSocket is where journald takes entries.
	JournalSocket = "/run/systemd/journal/socket"
	// DefaultBundleSeconds is how long entries are gathered into one mail.
	DefaultBundleSeconds = 30
)

// Limits of a receiver.
const (
	maxAddresses = 50
	maxAddress   = 254 // bytes of a mail address [RFC 5321, 4.5.3.1.3]
	maxBundle    = 60 * 60
	maxFilter    = 200
	maxSocket    = 100 // bytes of the path of a Unix socket
)

// Severities are all severities, the lowest first.
func Severities() []string { return []string{SeverityInfo, SeverityWarning, SeverityError} }

// AtLeast tells whether severity a is b or a higher one. Unknown ones are the lowest.
func AtLeast(a, b string) bool {
	return slices.Index(Severities(), a) >= slices.Index(Severities(), b)
}

// Bundles tells whether the receiver gets several entries in one message.
func (r *Receiver) Bundles() bool { return r.GetBundleSeconds() > 0 }

// GetsNotices tells whether the receiver gets the entries of the event log.
func (r *Receiver) GetsNotices() bool { return r.GetKind() != ReceiverSNMP }

// notified are the kinds of receivers that get notices.
var notified = []string{ReceiverMail, ReceiverSyslog, ReceiverJournald, ReceiverWebhook}

// Validate checks the row by itself, see Category.Validate.
func (r *Receiver) Validate() error {
	o := "receiver " + r.GetName()
	return firstError(
		CheckName(o, "the receiver's name", r.Name),
		oneOf(o, "kind", r.Kind, false, append(slices.Clone(notified), ReceiverSNMP)...),
		r.checkForeign(o),
		r.checkAddress(o),
		r.checkMail(o),
		oneOf(o, "language", r.Language, !r.GetsNotices(), LanguageEnglish, LanguageJapanese),
		oneOf(o, "min_severity", r.MinSeverity, !r.GetsNotices(), Severities()...),
		oneOf(o, "version", r.Version, r.GetsNotices(), ForwardV1, ForwardV2c, ForwardAsReceived),
		between(o, "bundle_seconds", int64(r.BundleSeconds), 0, maxBundle),
		between(o, "number of groups and categories", int64(len(r.Groups)+len(r.Categories)), 0, maxFilter),
		checkCA(o, "ca", r.Ca),
		checkText(o, "description", r.Description, MaxText),
	)
}

// checkForeign refuses fields that mean nothing to the kind.
func (r *Receiver) checkForeign(o string) error {
	for _, f := range []struct {
		name  string
		set   bool
		kinds []string
	}{
		{"to", len(r.To) > 0, []string{ReceiverMail}},
		{"from", r.From != "", []string{ReceiverMail}},
		{"tls", r.Tls != "", []string{ReceiverMail}},
		{"user", r.User != "", []string{ReceiverMail}},
		{"password", len(r.Password) > 0, []string{ReceiverMail, ReceiverWebhook, ReceiverSNMP}},
		{"ca", r.Ca != "", []string{ReceiverMail, ReceiverSyslog, ReceiverWebhook}},
		{"version", r.Version != "", []string{ReceiverSNMP}},
		{"language", r.Language != "", notified},
		{"min_severity", r.MinSeverity != "", notified},
		{"groups", len(r.Groups) > 0, notified},
		{"categories", len(r.Categories) > 0, notified},
		{"bundle_seconds", r.BundleSeconds != 0, []string{ReceiverMail, ReceiverWebhook}},
	} {
		if f.set && !slices.Contains(f.kinds, r.Kind) {
			return Errorf(KindInvalid, o, "%s is for receivers of kind %s, this one is %s", f.name, strings.Join(f.kinds, " or "), r.Kind)
		}
	}
	return nil
}

func (r *Receiver) checkAddress(o string) error {
	if r.Address == "" {
		return Errorf(KindInvalid, o, "address is missing").WithHint("%s", addressHint(r.Kind))
	}
	if err := checkText(o, "address", r.Address, MaxPath); err != nil {
		return err
	}
	right := false
	switch r.Kind {
	case ReceiverMail, ReceiverSNMP:
		right = hostPort(r.Address)
	case ReceiverSyslog:
		u, err := url.Parse(r.Address)
		right = err == nil && slices.Contains([]string{"udp", "tcp", "tls"}, u.Scheme) && u.User == nil && strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment == "" && hostPort(u.Host)
	case ReceiverJournald:
		right = path.IsAbs(r.Address) && len(r.Address) <= maxSocket
	case ReceiverWebhook:
		u, err := url.Parse(r.Address)
		if err == nil && u.User != nil {
			return Errorf(KindInvalid, o, "address has a user or a password in it").WithHint("what is sent is signed with the key in the field password")
		}
		right = err == nil && u.Scheme == "https" && u.Fragment == "" && hostPort(u.Host)
	}
	if !right {
		return Errorf(KindInvalid, o, "address is %q", r.Address).WithHint("%s", addressHint(r.Kind))
	}
	return nil
}

func addressHint(kind string) string {
	switch kind {
	case ReceiverSyslog:
		return "write it as udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT"
	case ReceiverJournald:
		return "give the path of journald's socket, such as " + JournalSocket
	case ReceiverWebhook:
		return "write it as https://HOST/PATH"
	case ReceiverSNMP:
		return "give the console as HOST or HOST:PORT"
	}
	return "give the mail server as HOST or HOST:PORT"
}

// hostPort tells whether an address is HOST or HOST:PORT.
func hostPort(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]"), "1"
	}
	n, err := strconv.Atoi(port)
	return err == nil && n > 0 && n < 1<<16 && host != "" && !strings.ContainsAny(host, `/@ []"'<>()\,;`) && (!strings.Contains(host, ":") || net.ParseIP(host) != nil)
}

func (r *Receiver) checkMail(o string) error {
	if r.Kind != ReceiverMail {
		return nil
	}
	if len(r.To) == 0 || len(r.To) > maxAddresses {
		return Errorf(KindInvalid, o, "to has %d addresses", len(r.To)).WithHint("it can have 1 to %d", maxAddresses)
	}
	if err := checkMailAddress(o, "from", r.From); err != nil {
		return err
	}
	for i, a := range r.To {
		if err := checkMailAddress(o, "to["+strconv.Itoa(i)+"]", a); err != nil {
			return err
		}
		if slices.Contains(r.To[:i], a) {
			return Errorf(KindInvalid, o, "to[%d]: %s stands there twice", i, a)
		}
	}
	if r.Tls == MailNoTLS && r.User != "" {
		return Errorf(KindInvalid, o, "tls is none, and there is a login").WithHint("a password isn't sent in the clear: take starttls or implicit, or leave user and password out")
	}
	if (r.User == "") != (len(r.Password) == 0) {
		return Errorf(KindInvalid, o, "of user and password one is missing").WithHint("give both, or none for a server that wants no login")
	}
	return firstError(
		oneOf(o, "tls", r.Tls, false, MailStartTLS, MailImplicitTLS, MailNoTLS),
		checkText(o, "user", r.User, MaxName),
	)
}

// checkMailAddress wants a bare address, NAME@DOMAIN, in ASCII: the way to a
// server that takes others isn't always open.
func checkMailAddress(o, field, address string) error {
	a, err := mail.ParseAddress(address)
	if err != nil || a.Address != address || len(address) > maxAddress || strings.ContainsAny(address, "\"\\ \r\n") ||
		strings.ContainsFunc(address, func(c rune) bool { return c > '~' || c < ' ' }) {
		return Errorf(KindInvalid, o, "%s is %q, which is no mail address", field, address).WithHint("write it as NAME@DOMAIN")
	}
	return nil
}
