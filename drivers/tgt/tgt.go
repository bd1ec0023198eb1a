package tgt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/drivers/internal/command"
)

// The end of sessions that were cut is waited for so long; it is looked after
// them every lookAgain.
const (
	cutTimeout = 10 * time.Second
	lookAgain  = 50 * time.Millisecond
)

// Driver drives one tgtd. It keeps nothing between two calls.
type Driver struct {
	name string
	settings

	changes chan struct{} // holds a token during a change: a check has to hold until its change
}

var _ drivers.Storage = (*Driver)(nil)

// Open checks the settings. The first call runs tgtadm first.
func Open(cfg Config) (*Driver, error) {
	s, err := cfg.settings()
	if err != nil {
		return nil, err
	}
	return &Driver{name: cfg.Name, settings: s, changes: make(chan struct{}, 1)}, nil
}

// Close implements drivers.Storage. There is no session to end.
func (d *Driver) Close(context.Context) error { return nil }

func (d *Driver) errorf(k drivers.Kind, op, object, format string, args ...any) error {
	return &drivers.Error{Kind: k, System: d.name, Op: op, Object: object, Err: fmt.Errorf(format, args...)}
}

// admin runs tgtadm.
func (d *Driver) admin(ctx context.Context, words ...string) (string, error) {
	return d.tool.Run(ctx, append(slices.Clone(d.words), words...))
}

// look reads all targets.
func (d *Driver) look(ctx context.Context, op, object string) ([]*target, error) {
	output, err := d.admin(ctx, "--mode", "target", "--op", "show")
	if err != nil {
		return nil, d.errorf(drivers.KindUnreachable, op, object, "%w", err)
	}
	all, err := parse(output)
	if err != nil {
		return nil, d.errorf(drivers.KindFailed, op, object, "what tgtadm printed can't be read: %w", err)
	}
	return all, nil
}

// target reads the target of a volume.
func (d *Driver) target(ctx context.Context, op, volume string) (*target, error) {
	all, err := d.look(ctx, op, volume)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(t *target) bool { return t.name == d.prefix+volume }); i >= 0 {
		return all[i], nil
	}
	return nil, d.errorf(drivers.KindNotFound, op, volume, "tgt has no target %s", d.prefix+volume)
}

// Volumes implements drivers.Storage: the targets whose names have the prefix.
func (d *Driver) Volumes(ctx context.Context) ([]drivers.VolumeState, error) {
	targets, err := d.look(ctx, "read", "targets")
	if err != nil {
		return nil, err
	}
	var all []drivers.VolumeState
	for _, t := range targets {
		if volume, ok := strings.CutPrefix(t.name, d.prefix); ok {
			all = append(all, t.state(volume))
		}
	}
	slices.SortFunc(all, func(a, b drivers.VolumeState) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Volume implements drivers.Storage.
func (d *Driver) Volume(ctx context.Context, name string) (drivers.VolumeState, error) {
	t, err := d.target(ctx, "read", name)
	if err != nil {
		return drivers.VolumeState{}, err
	}
	return t.state(name), nil
}

// Connect implements drivers.Storage.
func (d *Driver) Connect(ctx context.Context, call drivers.Call, volume string, initiators []string, shared bool) (drivers.Task, error) {
	c, end, err := d.begin(ctx, call, "connect", volume, initiators)
	if err != nil {
		return drivers.Task{}, err
	}
	defer end()
	v := c.is.state(volume)
	for _, i := range slices.Concat(v.Initiators, v.Sessions) {
		if !shared && !slices.Contains(initiators, i) {
			return drivers.Task{}, c.errorf(drivers.KindRefused, "it is not shared, and connected to or in use by %s", i)
		}
	}
	spoken := slices.DeleteFunc(slices.Clone(initiators), func(i string) bool { return !drivers.IsISCSI(i) })
	if len(spoken) == 0 {
		return drivers.Task{}, c.errorf(drivers.KindRefused, "tgt speaks iSCSI, and the machine has no iSCSI name: %s", strings.Join(initiators, ", "))
	}
	for _, i := range spoken {
		if slices.Contains(c.is.acl, i) {
			continue
		}
		if err := c.bind("bind", i, true); err != nil {
			return drivers.Task{}, err
		}
	}
	return drivers.Done(""), nil
}

// Disconnect implements drivers.Storage.
func (d *Driver) Disconnect(ctx context.Context, call drivers.Call, volume string, initiators []string) (drivers.Task, error) {
	c, end, err := d.begin(ctx, call, "disconnect", volume, initiators)
	if err != nil {
		return drivers.Task{}, err
	}
	defer end()
	for _, i := range initiators {
		if !slices.Contains(c.is.acl, i) {
			continue
		}
		if err := c.bind("unbind", i, false); err != nil {
			return drivers.Task{}, err
		}
	}
	return c.cut(initiators)
}

// change is one wanted state of a target in the making.
type change struct {
	d          *Driver
	ctx        context.Context
	op, volume string
	is         *target // as read last
	sent       bool    // something was changed, perhaps
}

// begin checks a change and reads the target. The caller calls end.
func (d *Driver) begin(ctx context.Context, call drivers.Call, op, volume string, initiators []string) (*change, func(), error) {
	c := &change{d: d, op: op, volume: volume}
	if err := errors.Join(drivers.CheckName("the volume", volume), drivers.CheckInitiators(initiators)); err != nil {
		return nil, nil, c.errorf(drivers.KindRefused, "%w", err)
	}
	if call.Expired(time.Now()) {
		return nil, nil, c.errorf(drivers.KindExpired, "%w", call.Late())
	}
	var cancel context.CancelFunc
	c.ctx, cancel = call.Context(ctx)
	select {
	case d.changes <- struct{}{}:
	case <-c.ctx.Done():
		cancel()
		return nil, nil, c.errorf(drivers.KindUnreachable, "waiting for other changes: %w", c.ctx.Err())
	}
	end := func() {
		cancel()
		<-d.changes
	}
	if err := c.look(); err != nil {
		end()
		return nil, nil, err
	}
	return c, end, nil
}

// look reads the target afresh.
func (c *change) look() error {
	t, err := c.d.target(c.ctx, c.op, c.volume)
	if err != nil && c.sent {
		return c.errorf(drivers.KindUnknown, "%w", err)
	}
	if err == nil {
		c.is = t
	}
	return err
}

// bind binds an initiator to the target, or unbinds it, and reads that back.
func (c *change) bind(op, initiator string, want bool) error {
	_, err := c.d.admin(c.ctx, "--mode", "target", "--op", op, "--tid", c.is.tid, "--initiator-name", initiator)
	if never := (&command.NotStarted{}); errors.As(err, &never) && !c.sent {
		return c.errorf(drivers.KindUnreachable, "%w", err)
	}
	c.sent = true
	if look := c.look(); look != nil {
		return look
	}
	if slices.Contains(c.is.acl, initiator) == want {
		return nil
	}
	if err == nil {
		err = errors.New("tgtadm reported success, and the ACL says otherwise")
	}
	return c.errorf(drivers.KindFailed, "%s %s: %w", op, initiator, err)
}

// cut ends the sessions of initiators and waits until none is left.
func (c *change) cut(initiators []string) (drivers.Task, error) {
	limit := time.NewTimer(cutTimeout)
	defer limit.Stop()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		open := false
		for _, s := range c.is.sessions {
			if !slices.Contains(initiators, s.initiator) {
				continue
			}
			open = true
			for _, cid := range s.cids {
				// Its answer says nothing that the next look doesn't: a session
				// may end by itself in between.
				_, _ = c.d.admin(c.ctx, "--mode", "conn", "--op", "delete", "--tid", c.is.tid, "--sid", s.sid, "--cid", cid)
				c.sent = true
			}
		}
		if open {
			if err := c.look(); err != nil {
				return drivers.Task{}, err
			}
		}
		left := c.is.left(initiators)
		if left == "" {
			return drivers.Done(""), nil
		}
		if !open {
			return drivers.Task{}, c.errorf(drivers.KindFailed, "%s", left)
		}
		select {
		case <-tick.C:
			continue
		case <-limit.C:
		case <-c.ctx.Done():
		}
		return drivers.Task{}, c.errorf(drivers.KindFailed, "%s", left)
	}
}

func (c *change) errorf(k drivers.Kind, format string, args ...any) error {
	return c.d.errorf(k, c.op, c.volume, format, args...)
}
