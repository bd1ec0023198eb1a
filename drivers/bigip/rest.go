package bigip

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/drivers/internal/command"
)

// maxBody bounds what the driver reads of one answer.
const maxBody = 32 << 20

// tokenHeader carries the login token.
const tokenHeader = "X-F5-Auth-Token"

// Paths of the login.
const (
	loginPath  = "/mgmt/shared/authn/login"
	tokensPath = "/mgmt/shared/authz/tokens/"
)

// fault is an answer other than success (iControl REST's error object).
type fault struct {
	status  int
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (f *fault) Error() string {
	if f.Message == "" {
		return fmt.Sprintf("HTTP status %d", f.status)
	}
	return fmt.Sprintf("HTTP status %d: %s", f.status, command.Clip(f.Message))
}

// is tells whether an error is an answer with this HTTP status.
func is(err error, status int) bool {
	var f *fault
	return errors.As(err, &f) && f.status == status
}

// client makes the HTTP client. It follows no redirection, which would carry
// the credentials elsewhere.
func (s settings) client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: s.tls, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			MaxConnsPerHost: 4, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: false,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// do makes a request and decodes the answer into out, unless that is nil. A
// token that has expired is got anew, once.
func (d *Driver) do(ctx context.Context, method, path string, body, out any) error {
	if d.auth == authBasic {
		return d.request(ctx, method, path, "", body, out)
	}
	token, fresh, err := d.login(ctx)
	if err != nil {
		return err
	}
	err = d.request(ctx, method, path, token, body, out)
	if !is(err, http.StatusUnauthorized) || fresh {
		return err
	}
	d.forget(token)
	if token, _, err = d.login(ctx); err != nil {
		return err
	}
	return d.request(ctx, method, path, token, body, out)
}

// login gives a login token; fresh tells that it was got just now.
func (d *Driver) login(ctx context.Context) (token string, fresh bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.token != "" {
		return d.token, false, nil
	}
	var answer struct {
		Token struct {
			Token string `json:"token"`
		} `json:"token"`
	}
	err = d.request(ctx, http.MethodPost, loginPath, "", map[string]string{
		"username": d.cfg.User, "password": d.cfg.Password, "loginProviderName": d.provider,
	}, &answer)
	if err != nil {
		// Nothing was changed by it, whatever request it was for.
		return "", false, &loginError{err}
	}
	if answer.Token.Token == "" {
		return "", false, &loginError{errors.New("the login gave no token")}
	}
	d.token = answer.Token.Token
	return d.token, true, nil
}

func (d *Driver) forget(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.token == token {
		d.token = ""
	}
}

// loginError marks what failed before the request itself was sent.
type loginError struct{ error }

func (e *loginError) Unwrap() error { return e.error }

// request makes one HTTP request.
func (d *Driver) request(ctx context.Context, method, path, token string, body, out any) error {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return &loginError{err}
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, payload)
	if err != nil {
		return &loginError{err}
	}
	req.Header.Set("Content-Type", "application/json")
	switch {
	case token != "":
		req.Header.Set(tokenHeader, token)
	case d.auth == authBasic:
		req.SetBasicAuth(d.cfg.User, d.cfg.Password)
	}
	res, err := d.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL
		}
		return err
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		f := &fault{status: res.StatusCode}
		_ = json.Unmarshal(data, f) // a body that isn't its error object says nothing more
		f.Message = strings.ReplaceAll(f.Message, d.cfg.Password, "***")
		return f
	}
	switch {
	case len(data) > maxBody:
		return fmt.Errorf("the answer has more than %d bytes", maxBody)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return &unreadable{err}
	}
	return nil
}

// unreadable marks an answer that isn't what iControl REST answers.
type unreadable struct{ error }

func (e *unreadable) Unwrap() error { return e.error }

// kindOf says what an error means for a request that changes something or doesn't.
func kindOf(err error, changes bool) drivers.Kind {
	var f *fault
	var early *loginError
	var op *net.OpError
	if errors.As(err, &early) {
		changes = false
	}
	switch {
	case errors.As(err, &f):
		return f.kind(changes)
	case errors.As(err, &op) && op.Op == "dial":
		return drivers.KindUnreachable
	case changes:
		return drivers.KindUnknown
	}
	var other *unreadable
	if errors.As(err, &other) {
		return drivers.KindFailed
	}
	return drivers.KindUnreachable
}

func (f *fault) kind(changes bool) drivers.Kind {
	switch f.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return drivers.KindAuth
	case http.StatusNotFound:
		return drivers.KindNotFound
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return drivers.KindBusy
	}
	switch {
	case f.status < 500:
		return drivers.KindRefused
	case changes:
		return drivers.KindUnknown
	}
	return drivers.KindFailed
}
