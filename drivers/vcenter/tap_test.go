package vcenter

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"yagura/drivers/sim"
)

// tap stands between a driver and a simulated vCenter, sees every request and
// lets a test answer some of them itself.
type tap struct {
	srv     *httptest.Server
	forward http.Handler

	mu     sync.Mutex // guards what follows
	counts map[string]int
	rules  map[string]http.HandlerFunc
}

var soapMethod = regexp.MustCompile(`<(?:\w+:)?Body[^>]*>\s*<(?:\w+:)?(\w+)`)

func newTap(t *testing.T, s *sim.Sim) *tap {
	t.Helper()
	u, err := url.Parse(s.VCenterURL())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CAPEM())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	x := &tap{counts: map[string]int{}, rules: map[string]http.HandlerFunc{}}
	x.forward = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = u.Scheme, u.Host
		},
	}
	x.srv = httptest.NewTLSServer(http.HandlerFunc(x.serve))
	t.Cleanup(func() {
		x.srv.Close()
		transport.CloseIdleConnections()
	})
	return x
}

func (x *tap) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	name := ""
	if m := soapMethod.FindSubmatch(body); m != nil {
		name = string(m[1])
	}
	x.mu.Lock()
	x.counts[name]++
	rule := x.rules[name]
	x.mu.Unlock()
	if rule != nil {
		rule(w, r)
		return
	}
	x.forward.ServeHTTP(w, r)
}

// on answers a method from now on; nil ends it.
func (x *tap) on(method string, h http.HandlerFunc) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.rules[method] = h
}

// seen tells how often a method was asked for; empty: all of them together.
func (x *tap) seen(method string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	if method != "" {
		return x.counts[method]
	}
	n := 0
	for _, c := range x.counts {
		n += c
	}
	return n
}

// cut breaks the connection without forwarding the request.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// cutAfter forwards the request and breaks the connection before the answer.
func (x *tap) cutAfter(_ http.ResponseWriter, r *http.Request) {
	x.forward.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// answerFault answers with a fault of vim25.
func answerFault(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><soapenv:Fault>
<faultcode>ServerFaultCode</faultcode><faultstring>as the test wants</faultstring>
<detail><Fault xmlns="urn:vim25" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="%s"></Fault></detail>
</soapenv:Fault></soapenv:Body></soapenv:Envelope>`, name)
	}
}

// instead forwards another method of the same object without parameters, and
// gives its answer as that of the method that was asked for.
func (x *tap) instead(asked, other string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		this := regexp.MustCompile(`<_this[^>]*>[^<]*</_this>`).Find(body)
		request := fmt.Sprintf(`<?xml version="1.0"?><Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/" `+
			`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Body><%s xmlns="urn:vim25">%s</%s></Body></Envelope>`, other, this, other)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(request)), int64(len(request))
		rec := httptest.NewRecorder()
		x.forward.ServeHTTP(rec, r)
		answer := strings.ReplaceAll(rec.Body.String(), other+"Response", asked+"Response")
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		w.WriteHeader(rec.Code)
		fmt.Fprint(w, answer)
	}
}

// config says how to reach vCenter through the tap: by thumbprint.
func (x *tap) config(t *testing.T, s *sim.Sim) Config {
	t.Helper()
	cfg := configFor(t, s)
	digest := sha256.Sum256(x.srv.Certificate().Raw)
	cfg.URL, cfg.CAFile, cfg.Thumbprint = x.srv.URL+"/sdk", "", hex.EncodeToString(digest[:])
	return cfg
}
