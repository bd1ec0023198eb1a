package bigip

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"yagura/drivers"
)

// Driver drives one BIG-IP. It keeps nothing between two calls but its login.
type Driver struct {
	cfg Config
	settings
	http *http.Client

	mu    sync.Mutex // guards token, and lets one login at a time take place
	token string
}

var _ drivers.Balancer = (*Driver)(nil)

// Open checks the settings. The first call logs in.
func Open(cfg Config) (*Driver, error) {
	s, err := cfg.settings()
	if err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	return &Driver{cfg: cfg, settings: s, http: s.client()}, nil
}

// Close implements drivers.Balancer: it gives the login token back.
func (d *Driver) Close(ctx context.Context) error {
	defer d.http.CloseIdleConnections()
	d.mu.Lock()
	token := d.token
	d.token = ""
	d.mu.Unlock()
	if token == "" {
		return nil
	}
	err := d.request(ctx, http.MethodDelete, tokensPath+token, token, nil, nil)
	if err == nil || is(err, http.StatusUnauthorized) || is(err, http.StatusNotFound) || kindOf(err, false) == drivers.KindUnreachable {
		return nil // otherwise it expires by itself, if it hasn't already
	}
	return d.wrap("log out", d.base, err, false)
}

func (d *Driver) errorf(k drivers.Kind, op, object, format string, args ...any) error {
	return &drivers.Error{Kind: k, System: d.cfg.Name, Op: op, Object: object, Err: fmt.Errorf(format, args...)}
}

func (d *Driver) wrap(op, object string, err error, changes bool) error {
	return d.errorf(kindOf(err, changes), op, object, "%w", err)
}

// Pools implements drivers.Balancer: the pools of the partition.
func (d *Driver) Pools(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	names, err := d.pools(ctx)
	if err != nil {
		return nil, d.wrap("read", "pools", err, false)
	}
	return names, nil
}

// Members implements drivers.Balancer. Connections are those that BIG-IP has
// open to the member.
func (d *Driver) Members(ctx context.Context, pool string) ([]drivers.MemberState, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	if checkPool(pool) != nil {
		return nil, d.errorf(drivers.KindNotFound, "read", pool, "there is no such pool")
	}
	members, err := d.members(ctx, pool)
	if err != nil {
		return nil, d.wrap("read", pool, err, false)
	}
	all := make([]drivers.MemberState, len(members))
	for i, m := range members {
		all[i] = m.MemberState
	}
	return all, nil
}

func checkPool(name string) error {
	if err := drivers.CheckName("the pool", name); err != nil {
		return err
	}
	if strings.HasPrefix(name, "/") {
		return errors.New("the pool's name begins with its partition; set option partition instead")
	}
	return nil
}

// change is one wanted state of a member in the making.
type change struct {
	d              *Driver
	ctx            context.Context
	call           drivers.Call
	op, pool, name string
	is             member // before; zero when it isn't there
	there          bool
}

// begin checks a change and reads the member. The caller calls end.
func (d *Driver) begin(ctx context.Context, call drivers.Call, op, pool, name string) (*change, func(), error) {
	c := &change{d: d, call: call, op: op, pool: pool, name: name}
	err := drivers.CheckName("the node", name)
	if err == nil && strings.Contains(name, "/") {
		err = fmt.Errorf("the node's name %q has a slash", name)
	}
	if err != nil {
		return nil, nil, c.errorf(drivers.KindRefused, "%w", err)
	}
	if checkPool(pool) != nil {
		return nil, nil, c.errorf(drivers.KindNotFound, "there is no such pool")
	}
	if err := c.expired(); err != nil {
		return nil, nil, err
	}
	var cancel context.CancelFunc
	c.ctx, cancel = call.Within(ctx, d.cfg.Timeout)
	if err := c.look(); err != nil {
		cancel()
		return nil, nil, err
	}
	return c, cancel, nil
}

// look reads the member afresh.
func (c *change) look() error {
	members, err := c.d.members(c.ctx, c.pool)
	if err != nil {
		return c.d.wrap(c.op, c.object(), err, false)
	}
	c.is, c.there = member{}, false
	for _, m := range members {
		if m.Name != c.name {
			continue
		}
		if c.there {
			return c.errorf(drivers.KindRefused, "the pool has the node at two ports, %d and %d: which one can't be told", c.is.Port, m.Port)
		}
		c.is, c.there = m, true
	}
	return nil
}

func (c *change) expired() error {
	if c.call.Expired(time.Now()) {
		return c.errorf(drivers.KindExpired, "%w", c.call.Late())
	}
	return nil
}

// send makes the request that changes the member, and looks again.
func (c *change) send(method, path string, body any) error {
	if err := c.expired(); err != nil {
		return err
	}
	if err := c.d.do(c.ctx, method, path, body, nil); err != nil {
		return c.d.wrap(c.op, c.object(), err, true)
	}
	if err := c.look(); err != nil {
		return c.errorf(drivers.KindUnknown, "%w", err)
	}
	return nil
}

// patch changes the member's session and state.
func (c *change) patch(body map[string]string) error {
	return c.send(http.MethodPatch, c.path()+"/"+c.is.id, body)
}

// want ends a change.
func (c *change) want(mode drivers.MemberMode) (drivers.Task, error) {
	if c.there && c.is.Mode == mode {
		return drivers.Done(""), nil
	}
	return drivers.Task{}, c.errorf(drivers.KindFailed, "BIG-IP reported success, and its mode is %q", c.is.Mode)
}

func (c *change) path() string { return c.d.path("pool", c.pool) + "/members" }

func (c *change) object() string { return c.pool + "/" + c.name }

func (c *change) errorf(k drivers.Kind, format string, args ...any) error {
	return c.d.errorf(k, c.op, c.object(), format, args...)
}

// AddMember implements drivers.Balancer.
func (d *Driver) AddMember(ctx context.Context, call drivers.Call, pool string, m drivers.Member) (drivers.Task, error) {
	if err := m.Check(); err != nil {
		return drivers.Task{}, d.errorf(drivers.KindRefused, "lb-add", pool+"/"+m.Name, "%w", err)
	}
	c, end, err := d.begin(ctx, call, "lb-add", pool, m.Name)
	if err != nil {
		return drivers.Task{}, err
	}
	defer end()
	switch {
	case c.there && !c.is.Same(m):
		return drivers.Task{}, c.errorf(drivers.KindRefused, "a member of this name has the address %s port %d", c.is.Address, c.is.Port)
	case c.there && c.is.Mode == drivers.MemberReady:
		return drivers.Done(""), nil
	case c.there:
		err = c.patch(map[string]string{"state": "user-up", "session": "user-enabled"})
	default:
		if err := d.ensureNode(c.ctx, m); err != nil {
			return drivers.Task{}, d.wrap(c.op, c.object(), err, true)
		}
		sep := ":"
		if strings.Contains(m.Name, ":") {
			sep = "." // as BIG-IP writes an IPv6 address and its port
		}
		err = c.send(http.MethodPost, c.path(), map[string]string{"name": m.Name + sep + strconv.Itoa(m.Port), "partition": d.partition})
	}
	if err != nil {
		return drivers.Task{}, err
	}
	return c.want(drivers.MemberReady)
}

// DrainMember implements drivers.Balancer.
func (d *Driver) DrainMember(ctx context.Context, call drivers.Call, pool, member string) (drivers.Task, error) {
	c, end, err := d.begin(ctx, call, "lb-drain", pool, member)
	if err != nil {
		return drivers.Task{}, err
	}
	defer end()
	if !c.there || slices.Contains([]drivers.MemberMode{drivers.MemberDraining, drivers.MemberOff}, c.is.Mode) {
		return drivers.Done(""), nil
	}
	if err := c.patch(map[string]string{"session": "user-disabled"}); err != nil {
		return drivers.Task{}, err
	}
	return c.want(drivers.MemberDraining)
}

// RemoveMember implements drivers.Balancer.
func (d *Driver) RemoveMember(ctx context.Context, call drivers.Call, pool, member string) (drivers.Task, error) {
	c, end, err := d.begin(ctx, call, "lb-remove", pool, member)
	if err != nil {
		return drivers.Task{}, err
	}
	defer end()
	if c.there {
		err = c.send(http.MethodDelete, c.path()+"/"+c.is.id, nil)
		if drivers.KindOf(err) == drivers.KindNotFound {
			err = c.look() // somebody else was quicker
		}
		if err != nil {
			return drivers.Task{}, err
		}
		if c.there {
			return drivers.Task{}, c.errorf(drivers.KindFailed, "BIG-IP reported success, and the member is there")
		}
	}
	// What is left to do is a node object of an earlier call that was cut off, too.
	if err := d.dropNode(c.ctx, member); err != nil {
		return drivers.Task{}, c.errorf(drivers.KindUnknown, "the member is removed, but not its node: %w", err)
	}
	return drivers.Done(""), nil
}
