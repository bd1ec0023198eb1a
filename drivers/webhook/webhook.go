// Package webhook posts entries of the event log to a web service, as JSON over
// HTTPS.
//
// With a key each request is signed. X-Yagura-Signature is "sha256=" and the
// HMAC-SHA256, in hexadecimal digits, of X-Yagura-Timestamp (seconds since 1970),
// a dot, and the body. A receiver computes the same, compares in constant time,
// and refuses timestamps that are older than a few minutes, so that a request
// that was overheard can't be played again. X-Yagura-Message is the message's
// id, the same at each attempt; so is Idempotency-Key.
//
// An answer of 2xx says that the message was taken. Redirects aren't followed:
// the address is what the operator has written down and checked.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"yagura/drivers"
)

// Names of the headers.
const (
	HeaderMessage   = "X-Yagura-Message"
	HeaderTimestamp = "X-Yagura-Timestamp"
	HeaderSignature = "X-Yagura-Signature"
)

// Config is one web service.
type Config struct {
	Name string // the receiver's
	URL  string // https
	Key  string // of the signature; empty: none
	CAs  *x509.CertPool
	Now  func() time.Time // nil: time.Now
}

// Times and limits of a request.
const (
	dialTimeout = 10 * time.Second
	maxReply    = 64 << 10 // bytes read of an answer
	maxShown    = 200      // characters of it in an error
)

// Webhook posts to one web service.
type Webhook struct {
	cfg  Config
	host string
}

// Open makes a sender. It connects at each message.
func Open(cfg Config) (*Webhook, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the address isn't an https:// URL")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Webhook{cfg, u.Host}, nil
}

// body is what is posted. Fields are only ever added.
type body struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	Counts  counts `json:"counts"`
	Entries []note `json:"entries"`
}

type counts struct {
	Info    int `json:"info"`
	Warning int `json:"warning"`
	Error   int `json:"error"`
}

type note struct {
	ID        string    `json:"id"`
	Event     string    `json:"event"`
	Time      time.Time `json:"time"`
	Severity  string    `json:"severity"`
	About     string    `json:"about"`
	Source    string    `json:"source"`
	EventID   string    `json:"event_id"`
	Operation string    `json:"operation,omitempty"`
	Phase     string    `json:"phase,omitempty"`
	Target    string    `json:"target,omitempty"`
	Group     string    `json:"group,omitempty"`
	Job       string    `json:"job,omitempty"`
	Language  string    `json:"language"`
	Text      string    `json:"text"`
}

func encode(m drivers.Message) ([]byte, error) {
	out := body{ID: m.ID, Subject: m.Subject, Counts: counts(m.Count())}
	for _, n := range m.Notes {
		out.Entries = append(out.Entries, note{
			n.ID, n.Event, n.Time.UTC(), n.Severity, n.About, n.Source, n.EventID, n.Operation, n.Phase, n.Target, n.Group, n.Job, n.Language, n.Text,
		})
	}
	return json.Marshal(out)
}

// Sign is the signature of a body at a time.
func Sign(key, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(timestamp + "."))
	h.Write(body)
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}

// Notify implements drivers.Notifier.
func (w *Webhook) Notify(ctx context.Context, m drivers.Message) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, w.fail(drivers.KindExpired, err)
	}
	data, err := encode(m)
	if err != nil {
		return nil, w.fail(drivers.KindRefused, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.cfg.URL, bytes.NewReader(data))
	if err != nil {
		return nil, w.fail(drivers.KindRefused, err)
	}
	stamp := strconv.FormatInt(w.cfg.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Yagura")
	req.Header.Set(HeaderMessage, m.ID)
	req.Header.Set("Idempotency-Key", m.ID)
	req.Header.Set(HeaderTimestamp, stamp)
	if w.cfg.Key != "" {
		req.Header.Set(HeaderSignature, Sign(w.cfg.Key, stamp, data))
	}
	t := &http.Transport{
		DialContext:       (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:   &tls.Config{RootCAs: w.cfg.CAs, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true, ForceAttemptHTTP2: true,
	}
	defer t.CloseIdleConnections()
	c := &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(req)
	if err != nil {
		return nil, w.fail(kindOf(err), withoutURL(err))
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil && resp.StatusCode/100 == 2 {
		return nil, nil // taken, whatever it says
	}
	return nil, w.answer(resp.StatusCode, reply)
}

// answer says what an answer means.
func (w *Webhook) answer(status int, reply []byte) error {
	kind := drivers.KindRefused
	switch {
	case status/100 == 2:
		return nil
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		kind = drivers.KindAuth
	case status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status/100 == 5:
		kind = drivers.KindBusy
	case status/100 == 3:
		return w.fail(kind, fmt.Errorf("it answers %d, a redirect, which isn't followed; give the address that it leads to", status))
	}
	said := drivers.OneLine(string(reply), maxShown)
	if said != "" {
		said = ": " + said
	}
	return w.fail(kind, fmt.Errorf("it answers %d %s%s", status, http.StatusText(status), said))
}

// kindOf says what it means that no answer came.
func kindOf(err error) drivers.Kind {
	var cert *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.As(err, &cert):
		return drivers.KindAuth
	case errors.As(err, &op) && op.Op == "dial":
		return drivers.KindUnreachable
	}
	return drivers.KindUnknown
}

// withoutURL drops the URL from an error: services put keys into its path.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (w *Webhook) fail(kind drivers.Kind, err error) error {
	return &drivers.Error{Kind: kind, System: w.cfg.Name, Op: "post", Object: w.host, Err: err}
}

var _ drivers.Notifier = (*Webhook)(nil)
