package redfish

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"
)

// tokenHeader carries the token of the call to a BMC that records it.
const tokenHeader = "X-Yagura-Token"

// maxBody bounds what the driver reads of one answer.
const maxBody = 4 << 20

// httpClient makes the client of one conversation. It follows no redirection,
// which would carry the credentials elsewhere.
func httpClient(conf *tls.Config, token string) *http.Client {
	return &http.Client{
		Transport: &transport{token: token, base: &http.Transport{
			TLSClientConfig: conf, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			MaxConnsPerHost: 1, IdleConnTimeout: DefaultTimeout,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// transport sends the token along and bounds the answers.
type transport struct {
	token string
	base  *http.Transport
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.token != "" && r.Method == http.MethodPost {
		r = r.Clone(r.Context())
		r.Header.Set(tokenHeader, t.token)
	}
	res, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, maxBody), res.Body}
	return res, nil
}

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for.
func (t *transport) CloseIdleConnections() { t.base.CloseIdleConnections() }
