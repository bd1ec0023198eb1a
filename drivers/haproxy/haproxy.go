package haproxy

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"yagura/drivers"
)

// Ends of connections that were cut are waited for so long, before a server is
// deleted; it is looked after them every retryDelete.
const (
	deleteTimeout = 5 * time.Second
	retryDelete   = 20 * time.Millisecond
)

// Driver drives one HAProxy. It keeps nothing between two calls.
type Driver struct {
	cfg              Config
	network, address string
	words            []string // further words of added servers
}

var _ drivers.Balancer = (*Driver)(nil)

// Open checks the settings. The first call makes the first contact.
func Open(cfg Config) (*Driver, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	d := &Driver{cfg: cfg}
	var err error
	if d.network, d.address, err = cfg.dial(); err != nil {
		return nil, err
	}
	if d.words, err = cfg.words(); err != nil {
		return nil, err
	}
	return d, nil
}

// Close implements drivers.Balancer. There is no session to end.
func (d *Driver) Close(context.Context) error { return nil }

// Pools implements drivers.Balancer: the backends.
func (d *Driver) Pools(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	answer, err := d.ask(ctx, "show backend")
	if err != nil {
		return nil, d.errorf(drivers.KindUnreachable, "read", d.address, "%w", err)
	}
	names, err := parseBackends(answer)
	if err != nil {
		return nil, d.errorf(drivers.KindFailed, "read", d.address, "%w", err)
	}
	return names, nil
}

// Members implements drivers.Balancer. Connections are HAProxy's current
// sessions of the server; one that is deleted or off is MemberOff or missing.
func (d *Driver) Members(ctx context.Context, pool string) ([]drivers.MemberState, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	servers, err := d.read(ctx, "read", pool)
	if err != nil {
		return nil, err
	}
	all := make([]drivers.MemberState, len(servers))
	for i, s := range servers {
		all[i] = s.MemberState
	}
	return all, nil
}

func (d *Driver) read(ctx context.Context, op, pool string) ([]server, error) {
	if checkName("the pool", pool) != nil {
		return nil, d.errorf(drivers.KindNotFound, op, pool, "there is no such backend")
	}
	answer, err := d.ask(ctx, readCommands(pool)...)
	if err != nil {
		return nil, d.errorf(drivers.KindUnreachable, op, pool, "%w", err)
	}
	servers, there, err := parsePool(pool, answer)
	switch {
	case err != nil:
		return nil, d.errorf(drivers.KindFailed, op, pool, "%w", err)
	case !there:
		return nil, d.errorf(drivers.KindNotFound, op, pool, "there is no such backend")
	}
	return servers, nil
}

// checkName is stricter than drivers.CheckName: HAProxy's names have no slash.
func checkName(what, name string) error {
	if err := drivers.CheckName(what, name); err != nil {
		return err
	}
	if strings.ContainsAny(name, "/@+") {
		return fmt.Errorf("%s has the name %q: HAProxy takes letters, digits and . _ : -", what, name)
	}
	return nil
}

// change is one wanted state of a server in the making.
type change struct {
	d              *Driver
	ctx            context.Context
	op, pool, name string
	call           drivers.Call
	servers        []server // of the pool, before
	is             server   // before; zero when it isn't there
	there          bool
	answer         []byte // to what was sent
	sent           bool
}

// begin checks a change and reads what is there. The caller calls end.
func (d *Driver) begin(ctx context.Context, call drivers.Call, op, pool, name string) (*change, func(), error) {
	c := &change{d: d, op: op, pool: pool, name: name, call: call}
	if err := checkName("the node", name); err != nil {
		return nil, nil, c.errorf(drivers.KindRefused, "%w", err)
	}
	if call.Expired(time.Now()) {
		return nil, nil, c.errorf(drivers.KindExpired, "%w", call.Late())
	}
	var cancel context.CancelFunc
	c.ctx, cancel = call.Within(ctx, d.cfg.Timeout)
	if err := c.look(); err != nil {
		cancel()
		return nil, nil, err
	}
	return c, cancel, nil
}

// look reads the server afresh.
func (c *change) look() error {
	servers, err := c.d.read(c.ctx, c.op, c.pool)
	if err != nil {
		return err
	}
	c.servers, c.is, c.there = servers, server{}, false
	if i := slices.IndexFunc(servers, func(s server) bool { return s.Name == c.name }); i >= 0 {
		c.is, c.there = servers[i], true
	}
	return nil
}

// mode is what the node's mode comes to: off when there is none.
func (c *change) mode() drivers.MemberMode {
	if !c.there {
		return drivers.MemberOff
	}
	return c.is.Mode
}

// send sends commands and looks again.
func (c *change) send(commands ...string) error {
	if c.call.Expired(time.Now()) {
		kind := drivers.KindExpired
		if c.sent {
			kind = drivers.KindUnknown // something was done before
		}
		return c.errorf(kind, "%w", c.call.Late())
	}
	answer, err := c.d.ask(c.ctx, commands...)
	if dial := (errDial{}); errors.As(err, &dial) && !c.sent {
		return c.errorf(drivers.KindUnreachable, "%w", err)
	}
	c.sent = true
	if err == nil {
		c.answer = answer
		err = c.look()
	}
	if err != nil {
		return c.errorf(drivers.KindUnknown, "%w", err)
	}
	return nil
}

// want ends a change: the mode is there, or HAProxy's words say why not.
func (c *change) want(before drivers.MemberMode, mode drivers.MemberMode) (drivers.Task, error) {
	switch c.mode() {
	case mode:
		return drivers.Done(""), nil
	case before:
		return drivers.Task{}, c.errorf(drivers.KindRefused, "HAProxy says: %s", message(c.answer))
	}
	return drivers.Task{}, c.errorf(drivers.KindFailed, "it is %s; HAProxy says: %s", c.mode(), message(c.answer))
}

func (c *change) path() string { return c.pool + "/" + c.name }

func (c *change) errorf(k drivers.Kind, format string, args ...any) error {
	return c.d.errorf(k, c.op, c.path(), format, args...)
}

func (d *Driver) errorf(k drivers.Kind, op, object, format string, args ...any) error {
	return &drivers.Error{Kind: k, System: d.cfg.Name, Op: op, Object: object, Err: fmt.Errorf(format, args...)}
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
	if c.is.added() && c.is.Mode == drivers.MemberOff && !c.is.Same(m) {
		// Left by a removal that was cut off; it would bar the name for ever.
		if task, err := c.delete(); err != nil {
			return task, err
		}
	}
	before, wasThere := c.mode(), c.there
	switch {
	case c.there && !c.is.Same(m):
		return drivers.Task{}, c.errorf(drivers.KindRefused, "a server of this name has the address %s port %d", c.is.Address, c.is.Port)
	case before == drivers.MemberReady:
		return drivers.Done(""), nil
	}
	var commands []string
	if !c.there {
		commands = append(commands, c.register(m))
	}
	if (!c.there || c.is.added()) && slices.Contains(d.words, "check") {
		commands = append(commands, "enable health "+c.path())
	}
	if err := c.send(append(commands, "set server "+c.path()+" state ready")...); err != nil {
		return drivers.Task{}, err
	}
	if c.there && !c.is.Same(m) {
		return drivers.Task{}, c.errorf(drivers.KindUnknown, "another server of this name came in between, with the address %s port %d", c.is.Address, c.is.Port)
	}
	if c.there != wasThere {
		before = "" // whatever it is now, it isn't what it was
	}
	return c.want(before, drivers.MemberReady)
}

// register is the command that adds the node in maintenance, with an id of the
// driver's range that no server has.
func (c *change) register(m drivers.Member) string {
	id := firstID + int(crc32.ChecksumIEEE([]byte(m.Name))%countID)
	for slices.ContainsFunc(c.servers, func(s server) bool { return s.id == id }) {
		if id++; id == firstID+countID {
			id = firstID
		}
	}
	address := netip.AddrPortFrom(netip.MustParseAddr(m.Address).Unmap(), uint16(m.Port)).String()
	words := append([]string{"add server", c.path(), address, "id", strconv.Itoa(id)}, c.d.words...)
	return strings.Join(words, " ")
}

// DrainMember implements drivers.Balancer. HAProxy still gives a draining
// server the requests of clients that a cookie binds to it.
func (d *Driver) DrainMember(ctx context.Context, call drivers.Call, pool, member string) (drivers.Task, error) {
	c, end, err := d.begin(ctx, call, "lb-drain", pool, member)
	if err != nil {
		return drivers.Task{}, err
	}
	defer end()
	if c.mode() != drivers.MemberReady {
		return drivers.Done(""), nil
	}
	if err := c.send("set server " + c.path() + " state drain"); err != nil {
		return drivers.Task{}, err
	}
	return c.want(drivers.MemberReady, drivers.MemberDraining)
}

// RemoveMember implements drivers.Balancer: maintenance, connections cut, and
// a server that was added at run time is deleted.
func (d *Driver) RemoveMember(ctx context.Context, call drivers.Call, pool, member string) (drivers.Task, error) {
	c, end, err := d.begin(ctx, call, "lb-remove", pool, member)
	if err != nil {
		return drivers.Task{}, err
	}
	defer end()
	if before := c.mode(); before != drivers.MemberOff {
		if err := c.send("set server "+c.path()+" state maint", "shutdown sessions server "+c.path()); err != nil {
			return drivers.Task{}, err
		}
		if task, err := c.want(before, drivers.MemberOff); err != nil {
			return task, err
		}
	}
	if c.there && c.is.added() {
		return c.delete()
	}
	return drivers.Done(""), nil
}

// delete deletes a server in maintenance, which HAProxy refuses until its last
// connection is gone.
func (c *change) delete() (drivers.Task, error) {
	limit := time.NewTimer(deleteTimeout)
	defer limit.Stop()
	tick := time.NewTicker(retryDelete)
	defer tick.Stop()
	for {
		if err := c.send("del server " + c.path()); err != nil {
			return drivers.Task{}, err
		}
		if !c.there {
			return drivers.Done(""), nil
		}
		if c.mode() != drivers.MemberOff {
			return drivers.Task{}, c.errorf(drivers.KindFailed, "it became %s in between", c.mode())
		}
		select {
		case <-c.ctx.Done():
		case <-limit.C:
		case <-tick.C:
			continue
		}
		return drivers.Task{}, c.errorf(drivers.KindFailed, "it takes no traffic any more, but can't be deleted; HAProxy says: %s", message(c.answer))
	}
}
