package mail_test

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/mail"
	"yagura/drivers/mail/mailtest"
)

func open(t *testing.T, cfg mail.Config) drivers.Notifier {
	t.Helper()
	m, err := mail.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func config(s *mailtest.Server, cas *x509.CertPool) mail.Config {
	return mail.Config{
		Name: "oncall", Address: s.Address, TLS: mail.StartTLS, CAs: cas, User: "pvm", Password: "s3cret",
		From: "pvm@example.com", To: []string{"a@example.com", "b@example.com"}, Host: "n1.example.com",
	}
}

func TestSuite(t *testing.T) {
	for _, mode := range []string{mail.StartTLS, mail.ImplicitTLS, mail.NoTLS} {
		t.Run(mode, func(t *testing.T) {
			drivertest.RunNotifier(t, func(t *testing.T) drivertest.NotifierWorld {
				conf, cas := drivertest.ServerTLS(t)
				server := mailtest.Config{Implicit: mode == mail.ImplicitTLS, NoTLS: mode == mail.NoTLS}
				if mode != mail.NoTLS {
					server.User, server.Password = "pvm", "s3cret"
				}
				s := mailtest.Start(t, server, conf)
				cfg := config(s, cas)
				cfg.TLS = mode
				if mode == mail.NoTLS {
					cfg.User, cfg.Password = "", ""
				}
				w := drivertest.NotifierWorld{
					Part: "go-smtp v0.21.3 on " + s.Address + ", TLS: " + mode,
					Open: func(t *testing.T) drivers.Notifier { return open(t, cfg) },
					Arrived: func(t *testing.T) (out []drivertest.Arrived) {
						for _, m := range s.Mails() {
							if !slices.Equal(m.To, cfg.To) || m.From != cfg.From {
								t.Errorf("from %s to %v", m.From, m.To)
							}
							if len(m.Header["X-Injected"]) > 0 || len(m.Header["Subject"]) != 1 {
								t.Errorf("a header was slipped in: %v", m.Header)
							}
							out = append(out, drivertest.Arrived{ID: m.ID, Text: m.Subject + "\n" + m.Body})
						}
						return out
					},
					Down: func(*testing.T) { s.Stop() },
					Mute: func(t *testing.T) drivers.Notifier {
						cfg := cfg
						cfg.Address = drivertest.MuteServer(t)
						return open(t, cfg)
					},
				}
				if mode == mail.NoTLS {
					return w
				}
				w.Stranger = func(t *testing.T, secret string) drivers.Notifier {
					cfg := cfg
					cfg.Password = secret
					return open(t, cfg)
				}
				w.Untrusted = func(t *testing.T) drivers.Notifier {
					cfg := cfg
					cfg.CAs = x509.NewCertPool()
					return open(t, cfg)
				}
				return w
			})
		})
	}
}

func note(text string) drivers.Note {
	return drivers.Note{ID: "c-7", Event: "7", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Severity: "info", About: "error", Text: text}
}

func message(done ...string) drivers.Message {
	n := note("text")
	return drivers.Message{ID: "c-7", Subject: "subject", Body: "text", Notes: []drivers.Note{n}, Done: done}
}

// TestSomeAddressesAreRefused: the others get the mail, and the error names the
// refused; what is refused for now comes first, since it is worth another try.
func TestSomeAddressesAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  mailtest.Config
		done []string
		want []string
		kind drivers.Kind
	}{
		{"for good", mailtest.Config{Refuse: []string{"a@example.com"}}, nil, []string{"b@example.com"}, drivers.KindRefused},
		{"for now", mailtest.Config{Defer: []string{"b@example.com"}}, nil, []string{"a@example.com"}, drivers.KindBusy},
		{"both", mailtest.Config{Refuse: []string{"a@example.com"}, Defer: []string{"b@example.com"}}, nil, nil, drivers.KindBusy},
		{"one has it", mailtest.Config{}, []string{"a@example.com"}, []string{"b@example.com"}, ""},
		{"all have it", mailtest.Config{}, []string{"a@example.com", "b@example.com"}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conf, cas := drivertest.ServerTLS(t)
			tt.cfg.User, tt.cfg.Password = "pvm", "s3cret"
			s := mailtest.Start(t, tt.cfg, conf)
			got, err := open(t, config(s, cas)).Notify(t.Context(), message(tt.done...))
			if !slices.Equal(got, tt.want) || tt.kind == "" != (err == nil) || err != nil && drivers.KindOf(err) != tt.kind {
				t.Errorf("%v, %v", got, err)
			}
			var to []string
			for _, m := range s.Mails() {
				to = append(to, m.To...)
			}
			if !slices.Equal(to, tt.want) {
				t.Errorf("mails went to %v, want %v", to, tt.want)
			}
		})
	}
}

// TestNoTLSWhereItMustBe: a server without STARTTLS gets no password and no mail.
func TestNoTLSWhereItMustBe(t *testing.T) {
	_, cas := drivertest.ServerTLS(t)
	s := mailtest.Start(t, mailtest.Config{NoTLS: true}, nil)
	_, err := open(t, config(s, cas)).Notify(t.Context(), message())
	if drivers.KindOf(err) != drivers.KindAuth || len(s.Mails()) > 0 {
		t.Errorf("%v, %v", err, s.Mails())
	}
	cfg := config(s, cas)
	cfg.TLS = mail.NoTLS
	if _, err := mail.Open(cfg); err == nil {
		t.Error("a login without TLS is accepted")
	}
}

func TestHeaders(t *testing.T) {
	conf, cas := drivertest.ServerTLS(t)
	s := mailtest.Start(t, mailtest.Config{User: "pvm", Password: "s3cret"}, conf)
	if _, err := open(t, config(s, cas)).Notify(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	m := s.Mails()[0]
	for header, want := range map[string]string{
		"Message-Id": "<c-7@example.com>", "X-Yagura-Message": "c-7", "X-Yagura-Count": "1 error, 0 warning, 0 info", "Auto-Submitted": "auto-generated",
		"Date": "Fri, 02 Jan 2026 03:04:05 +0000",
	} {
		if got := m.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}

// FuzzHeaders: whatever a text and an id hold, the mail has the headers that it
// is to have, each once, and its body is the text.
func FuzzHeaders(f *testing.F) {
	f.Add("subject\r\nBcc: x@example.com", "body\r\n.\r\n", "id\r\nX: y")
	f.Add("警告: 移動に失敗しました", "本文", "c-1")
	f.Add("=?utf-8?q?x?=\n", "\x00", "")
	f.Fuzz(func(t *testing.T, subject, body, id string) {
		n := note(body)
		data, err := mail.Bytes(mail.Config{Name: "x", Address: "h", From: "pvm@example.com", To: []string{"a@example.com"}},
			drivers.Message{ID: id, Subject: subject, Body: body, Notes: []drivers.Note{n}})
		if err != nil {
			t.Fatal(err)
		}
		m, err := mailtest.Parse(data)
		if err != nil {
			t.Fatalf("%v: %q", err, data)
		}
		for name, values := range m.Header {
			if len(values) != 1 || !slices.Contains([]string{
				"Message-Id", "Date", "Subject", "From", "To", "Auto-Submitted", "X-Yagura-Message", "X-Yagura-Count", "Mime-Version", "Content-Type", "Content-Transfer-Encoding",
			}, name) {
				t.Errorf("header %s: %q", name, values)
			}
		}
		if len(m.Header) != 11 {
			t.Errorf("%d headers: %q", len(m.Header), m.Header)
		}
		if strings.ContainsAny(m.Subject, "\r\n") {
			t.Errorf("subject %q", m.Subject)
		}
		if head, _, _ := bytes.Cut(data, []byte("\r\n\r\n")); bytes.ContainsFunc(head, func(r rune) bool { return r > 0x7e || r < ' ' && r != '\r' && r != '\n' && r != '\t' }) {
			t.Errorf("the head isn't ASCII: %q", head)
		}
	})
}
