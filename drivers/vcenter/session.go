package vcenter

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
)

// Driver is a client of one vCenter. Its methods may be called from any
// goroutine; they share one session, which is opened at the first call and
// opened again when vCenter has forgotten it.
type Driver struct {
	cfg Config
	url *url.URL
	tls *tls.Config

	// gate holds one token. Its holder owns the fields below, and keeps it
	// during a login, so that callers share one session.
	gate    chan struct{}
	vim     *vim25.Client
	closed  bool
	denied  error     // the last login was refused: account or password are wrong
	retryAt time.Time // no login before, so that a wrong password doesn't lock the account

	names nameCache
}

var _ drivers.Hypervisor = (*Driver)(nil)

// Open checks the configuration. It doesn't contact vCenter.
func Open(cfg Config) (*Driver, error) {
	u, t, err := cfg.prepare()
	if err != nil {
		return nil, &drivers.Error{Kind: drivers.KindRefused, System: cfg.Name, Op: "open", Object: "configuration", Err: err}
	}
	return &Driver{cfg: cfg, url: u, tls: t, gate: make(chan struct{}, 1)}, nil
}

// errDial marks a failure to reach the server: no request was sent.
type errDial struct{ error }

func (e errDial) Unwrap() error { return e.error }

// loginPause is how long the driver keeps from logging in after vCenter
// refused its account; vCenter locks an account after five refusals by default.
const loginPause = 30 * time.Second

// connect returns the session, opening one if there is none. not is a session
// that turned out to be dead.
func (d *Driver) connect(ctx context.Context, not *vim25.Client) (*vim25.Client, error) {
	select {
	case d.gate <- struct{}{}:
		defer func() { <-d.gate }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	switch {
	case d.closed:
		return nil, errDial{errors.New("the driver is closed")}
	case d.vim != nil && d.vim != not:
		return d.vim, nil
	case d.denied != nil && time.Now().Before(d.retryAt):
		return nil, d.denied
	}
	if d.vim != nil {
		d.vim.Client.CloseIdleConnections()
		d.vim = nil
	}
	c, err := d.login(ctx)
	d.vim, d.denied = c, nil
	if _, wrong := faultOf(err).(types.BaseInvalidLogin); wrong {
		d.denied, d.retryAt = err, time.Now().Add(loginPause)
	}
	return c, err
}

func (d *Driver) login(ctx context.Context) (*vim25.Client, error) {
	sc := soap.NewClient(d.url, d.cfg.Insecure)
	t := sc.DefaultTransport()
	t.Proxy = nil
	t.TLSClientConfig = d.tls
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{Timeout: d.cfg.Timeout}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, errDial{err}
		}
		return c, nil
	}
	// govmomi's own TLS dialer ignores the context.
	t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: d.cfg.Timeout}, Config: d.tls}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, errDial{err}
		}
		return c, nil
	}
	t.MaxIdleConnsPerHost, t.MaxConnsPerHost = idleConns, maxConns
	err := agreeOnVersion(ctx, sc)
	var vc *vim25.Client
	if err == nil {
		vc, err = vim25.NewClient(ctx, sc)
	}
	if err == nil {
		err = session.NewManager(vc).Login(ctx, url.UserPassword(d.cfg.User, d.cfg.Password))
	}
	if err != nil {
		sc.CloseIdleConnections()
		return nil, err
	}
	return vc, nil
}

// Connections to one vCenter: followers hold one each while they wait.
const (
	idleConns = 8
	maxConns  = 64
)

// request says what a call is about, for errors.
type request struct {
	op, object string
	effect     bool // it changes something: a broken answer leaves its effect unknown
}

// do runs fn with a session and a bound on its time. When vCenter no longer
// knows the session it opens another and runs fn once more: a request that was
// not authenticated did nothing. fn must send at most one request that changes
// something, as its last one.
func (d *Driver) do(ctx context.Context, r request, fn func(context.Context, *vim25.Client) error) error {
	return d.doFor(ctx, d.cfg.Timeout, r, fn)
}

func (d *Driver) doFor(ctx context.Context, limit time.Duration, r request, fn func(context.Context, *vim25.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := d.connect(ctx, nil)
	if err != nil {
		return d.wrap(request{op: r.op, object: r.object}, err)
	}
	err = fn(ctx, c)
	if _, lost := faultOf(err).(*types.NotAuthenticated); lost {
		if c, err = d.connect(ctx, c); err != nil {
			return d.wrap(request{op: r.op, object: r.object}, err)
		}
		err = fn(ctx, c)
	}
	return d.wrap(r, err)
}

// Close implements drivers.Hypervisor. It ends the session at vCenter, which
// allows only so many, and forgets it even if vCenter doesn't answer.
func (d *Driver) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	select {
	case d.gate <- struct{}{}:
	case <-ctx.Done():
		return d.wrap(request{op: "close", object: "session"}, ctx.Err())
	}
	c := d.vim
	d.vim, d.closed = nil, true
	<-d.gate
	if c == nil {
		return nil
	}
	err := session.NewManager(c).Logout(ctx)
	c.Client.CloseIdleConnections()
	return d.wrap(request{op: "close", object: "session"}, err)
}
