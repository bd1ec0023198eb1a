package ipmi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/types"

	"yagura/drivers"
)

// One request waits so long for its answer before it is sent again, in the
// same words: the BMC drops what it has had (section 6.12.13), so that not even
// a reset takes place twice.
const (
	patience = time.Second
	repeats  = 2
)

// closeTimeout bounds the goodbye to a BMC.
const closeTimeout = time.Second

// talk opens a session with a machine's BMC and hands it to fn.
func (d *Driver) talk(ctx context.Context, op, machine string, fn func(context.Context, bmc) error) error {
	fail := func(k drivers.Kind, err error) error {
		return &drivers.Error{Kind: k, System: d.name, Op: op, Object: machine, Err: err}
	}
	m, ok := d.machine(machine)
	if !ok {
		return fail(drivers.KindNotFound, errors.New("no management controller is known for it"))
	}
	host, port, suites, err := m.target()
	if err != nil {
		return fail(drivers.KindRefused, fmt.Errorf("settings of its management controller: %w", err))
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	for i, suite := range suites {
		err = m.session(ctx, host, port, suite, fn)
		if err == nil {
			return nil
		}
		if i == len(suites)-1 || !hasNot(err) {
			break
		}
	}
	var own *drivers.Error
	if errors.As(err, &own) {
		return own
	}
	return fail(classify(err))
}

// session opens a session with one cipher suite, hands it to fn and closes it.
// Client.Connect isn't used: it hides why a BMC refuses, and starts a keep-alive.
func (m Machine) session(ctx context.Context, host string, port int, id types.CipherSuiteID, fn func(context.Context, bmc) error) error {
	c, err := client.NewClient(host, port, m.User, m.Password)
	if err != nil {
		return err
	}
	w := &wire{user: m.User, password: m.Password}
	w.suite.auth, w.suite.integrity, w.suite.crypt, _ = types.GetCipherSuiteAlgorithms(id)
	c = c.WithTimeout(patience).WithRetry(repeats).WithCipherSuiteID(id).
		WithMaxPrivilegeLevel(types.PrivilegeLevelOperator).WithUDPProxy(&dialer{ctx, w})
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	open := false
	defer func() {
		if !open {
			cancel() // nothing to say goodbye to: Close closes the socket only
		}
		_ = c.Close(ending)
	}()
	if err := handshake(ctx, c, w); err != nil {
		return err
	}
	open = true
	if _, err := c.SetSessionPrivilegeLevel(ctx, types.PrivilegeLevelOperator); err != nil {
		return err
	}
	return fn(ctx, bmc{c, m})
}

// bmc is an open session with a machine's BMC.
type bmc struct {
	client *client.Client
	m      Machine
}

// handshake opens the session (sections 13.17 to 13.24).
func handshake(ctx context.Context, c *client.Client, w *wire) error {
	for _, step := range []func() error{
		func() error { _, err := c.OpenSession(ctx); return err },
		func() error { _, err := c.RAKPMessage1(ctx); return err },
		func() error { _, err := c.RAKPMessage3(ctx); return err },
	} {
		err := step()
		if why := w.refused(); why != nil {
			return why
		}
		if err != nil {
			return err
		}
	}
	return nil
}
