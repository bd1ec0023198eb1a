package webhook_test

import (
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/webhook"
)

const key = "s3cret-key"

// service is a web service that checks signatures, over HTTPS.
type service struct {
	*httptest.Server
	cas *x509.CertPool

	mu     sync.Mutex // guards all below
	got    []drivertest.Arrived
	answer func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
}

func serve(t *testing.T) *service {
	s := &service{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.take))
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	s.cas = x509.NewCertPool()
	s.cas.AddCert(s.Certificate())
	return s
}

func (s *service) take(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer != nil && s.answer(w, r) {
		return
	}
	body, err := io.ReadAll(r.Body)
	stamp := r.Header.Get(webhook.HeaderTimestamp)
	at, numeric := strconv.ParseInt(stamp, 10, 64)
	switch {
	case err != nil || numeric != nil || time.Since(time.Unix(at, 0)).Abs() > time.Minute || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json":
		http.Error(w, "malformed", http.StatusBadRequest)
		return
	case r.Header.Get(webhook.HeaderSignature) != webhook.Sign(key, stamp, body):
		http.Error(w, "the signature is wrong", http.StatusUnauthorized)
		return
	}
	var m struct {
		ID      string
		Subject string
		Counts  struct{ Info, Warning, Error int }
		Entries []struct{ ID, Text, Target, Severity string }
	}
	if err := json.Unmarshal(body, &m); err != nil || m.ID != r.Header.Get(webhook.HeaderMessage) || m.ID != r.Header.Get("Idempotency-Key") || m.Counts.Warning != len(m.Entries) {
		http.Error(w, "malformed", http.StatusBadRequest)
		return
	}
	var texts []string
	for _, e := range m.Entries {
		texts = append(texts, e.Text)
	}
	s.got = append(s.got, drivertest.Arrived{ID: m.ID, Text: strings.Join(texts, "\n")})
}

func (s *service) open(t *testing.T, url, key string, cas *x509.CertPool) drivers.Notifier {
	t.Helper()
	w, err := webhook.Open(webhook.Config{Name: "hook", URL: url, Key: key, CAs: cas})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestSuite(t *testing.T) {
	drivertest.RunNotifier(t, func(t *testing.T) drivertest.NotifierWorld {
		s := serve(t)
		return drivertest.NotifierWorld{
			Part: "net/http's server with TLS at " + s.URL,
			Open: func(t *testing.T) drivers.Notifier { return s.open(t, s.URL+"/hook", key, s.cas) },
			Arrived: func(*testing.T) []drivertest.Arrived {
				s.mu.Lock()
				defer s.mu.Unlock()
				return append([]drivertest.Arrived(nil), s.got...)
			},
			Down:      func(*testing.T) { s.Close() },
			Mute:      func(t *testing.T) drivers.Notifier { return s.open(t, "https://"+drivertest.MuteServer(t), key, s.cas) },
			Stranger:  func(t *testing.T, secret string) drivers.Notifier { return s.open(t, s.URL, secret, s.cas) },
			Untrusted: func(t *testing.T) drivers.Notifier { return s.open(t, s.URL, key, x509.NewCertPool()) },
		}
	})
}

func TestAnswers(t *testing.T) {
	s := serve(t)
	m := drivers.Message{ID: "c-1", Notes: []drivers.Note{{ID: "c-1", Severity: "warning", About: "warning", Text: "x"}}}
	for status, want := range map[int]drivers.Kind{
		200: "", 202: "", 204: "", 301: drivers.KindRefused, 307: drivers.KindRefused, 400: drivers.KindRefused, 401: drivers.KindAuth, 403: drivers.KindAuth,
		404: drivers.KindRefused, 408: drivers.KindBusy, 429: drivers.KindBusy, 500: drivers.KindBusy, 503: drivers.KindBusy,
	} {
		calls := 0
		s.mu.Lock()
		s.answer = func(w http.ResponseWriter, r *http.Request) bool {
			calls++
			w.Header().Set("Location", s.URL+"/elsewhere")
			w.WriteHeader(status)
			return true
		}
		s.mu.Unlock()
		_, err := s.open(t, s.URL+"/secret-path", key, s.cas).Notify(t.Context(), m)
		if (want == "") != (err == nil) || err != nil && drivers.KindOf(err) != want {
			t.Errorf("%d: %v", status, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret-path") {
			t.Errorf("%d: the error has the path of the address in it: %v", status, err)
		}
		if calls != 1 {
			t.Errorf("%d: %d calls; redirects aren't followed", status, calls)
		}
	}
}

func TestAddress(t *testing.T) {
	for _, url := range []string{"http://example.com", "example.com", "https://", "ftp://x", ""} {
		if _, err := webhook.Open(webhook.Config{Name: "x", URL: url}); err == nil {
			t.Errorf("%q is accepted", url)
		}
	}
}
