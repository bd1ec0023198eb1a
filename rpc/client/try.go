package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
)

// Back-off between rounds over all managers.
const (
	firstPause = 10 * time.Millisecond
	maxPause   = 500 * time.Millisecond
)

// lastMoment is how near its deadline a call that has found no leader isn't sent
// again: cut off in the middle, a write's outcome would be unknown for nothing.
const lastMoment = 300 * time.Millisecond

// outagePatience is how long a call puts up with a cluster none of whose
// managers can be connected to. An election takes less, and managers that hold
// one are reachable: this is about wrong addresses, networks and dead clusters.
const outagePatience = 2500 * time.Millisecond

// try is one call on its way through as many attempts as it needs.
type try struct {
	c      *Client
	ctx    context.Context
	method api.Method
	local  bool // any manager may answer

	// Of the attempt in hand:
	srv   *server
	token string // session that it was sent with
	sent  bool   // it may have reached the manager

	attempts int
	down     map[*server]string // managers that couldn't be connected to when last tried, and why
	downAt   time.Time          // since when none could; zero while one answers
	headless *schema.Error      // what a manager said that knows no leader
	relogged bool
	pause    time.Duration
	stop     bool
	err      error // outcome of the call, or of the last attempt
	maybe    bool  // an attempt to write was sent and its outcome isn't known
}

func (c *Client) newTry(ctx context.Context, m api.Method) *try {
	level := c.opt.Consistency
	if md, ok := metadata.FromOutgoingContext(ctx); ok {
		level = first(md, api.KeyConsistency)
	}
	local := m.Class == api.Local || m.Class == api.Read && level == api.Stale
	return &try{c: c, ctx: ctx, method: m, local: local, pause: firstPause}
}

// next chooses the manager of the next attempt, having waited if all were
// tried. It is false when the call is over: err is its outcome.
func (t *try) next() bool {
	if t.stop {
		return false
	}
	if at, ok := t.ctx.Deadline(); ok && t.headless != nil && !t.maybe && time.Until(at) < lastMoment {
		t.stop, t.err = true, t.noLeader()
		return false
	}
	if t.attempts > 0 && t.attempts%len(t.c.servers) == 0 {
		// Jitter keeps the clients of a lost manager from coming in step.
		timer := time.NewTimer(t.pause/2 + rand.N(t.pause/2))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-t.ctx.Done():
			t.giveUp()
			return false
		}
		t.pause = min(2*t.pause, maxPause)
	}
	t.srv = t.c.choose(t.local, t.srv)
	t.attempts++
	t.sent = false
	return true
}

// ended takes the result of an attempt and decides whether there is another.
func (t *try) ended(err error) {
	t.err = err
	if err == nil {
		t.stop = true
		return
	}
	switch again := t.judge(err); {
	case !again && !t.sent && t.maybe:
		// No manager's answer: an earlier attempt may still have been applied.
		t.stop, t.err = true, t.unknown()
	case !again:
		t.stop = true
	case t.ctx.Err() != nil:
		t.giveUp()
	}
}

// judge turns the error of an attempt into t.err and tells whether asking again is safe and of use.
func (t *try) judge(err error) bool {
	lost := transport(err)
	t.err = apierr.FromError(err)
	if lost {
		t.err = t.lostError(status.Code(err))
		if t.ctx.Err() == nil {
			t.srv.failed()
		}
	}
	if t.outage(err) {
		return false
	}
	kind := schema.KindOf(t.err)
	if kind == schema.KindNoLeader {
		errors.As(t.err, &t.headless)
	}
	switch {
	case !t.sent && untrusted(err):
		return t.attempts < len(t.c.servers) // waiting doesn't mend a certificate
	case !t.sent:
		return kind == schema.KindUnavailable // but not a login that was refused
	case lost, kind == schema.KindOutcomeUnknown:
		if t.method.Class == api.Once {
			if lost {
				t.err = schema.Errorf(schema.KindOutcomeUnknown, "manager "+t.srv.addr, "the connection was lost before the answer came").
					WithHint("look whether it was done before asking again")
			}
			return false
		}
		t.maybe = t.method.Class == api.Write
		return true
	case kind == schema.KindNoLeader:
		return true
	case kind == schema.KindUnauthenticated:
		again := !t.relogged && t.c.opt.Password != ""
		t.relogged = true
		if again {
			t.c.forget(t.token)
		}
		return again
	}
	return false
}

// lostError is the error of an attempt whose connection broke or whose time ran out.
func (t *try) lostError(code codes.Code) error {
	switch {
	case t.ctx.Err() == context.Canceled:
		return schema.Errorf(schema.KindCancelled, "call", "the caller gave up")
	case t.ctx.Err() != nil, code == codes.DeadlineExceeded:
		return schema.Errorf(schema.KindTimeout, "manager "+t.srv.addr, "it didn't answer in the time given")
	}
	return schema.Errorf(schema.KindUnavailable, "manager "+t.srv.addr, "the connection was lost before the answer came").WithHint(checkManager)
}

// outage notes a manager that couldn't be connected to, and tells whether that
// has been true of all for long enough: t.err then names them. Whoever answers
// ends an outage.
func (t *try) outage(err error) bool {
	var no *unreachable
	if t.sent || !errors.As(err, &no) {
		delete(t.down, t.srv)
		t.downAt = time.Time{}
		return false
	}
	if t.down == nil {
		t.down = make(map[*server]string, len(t.c.servers))
	}
	if t.downAt.IsZero() {
		t.downAt = time.Now()
	}
	t.down[t.srv] = no.why
	if len(t.down) < len(t.c.servers) || time.Since(t.downAt) < outagePatience {
		return false
	}
	t.err = t.outageError()
	return true
}

// outageError is the error of a cluster none of whose managers can be connected to.
func (t *try) outageError() error {
	if len(t.c.servers) == 1 {
		return t.srv.unavailable(t.down[t.srv])
	}
	return schema.Errorf(schema.KindUnavailable, "cluster", "no manager can be reached: %s", t.listDown()).
		WithHint("look whether the managers run, and whether addresses and CA are right")
}

// listDown names the managers that couldn't be connected to, and why.
func (t *try) listDown() string {
	var list []string
	for _, s := range t.c.servers {
		if why, ok := t.down[s]; ok {
			list = append(list, s.addr+" ("+why+")")
		}
	}
	return strings.Join(list, ", ")
}

// noLeader is the error of a cluster with managers that answer, but without a leader.
func (t *try) noLeader() error {
	e := *t.headless
	if list := t.listDown(); list != "" {
		e.Msg += "; out of reach: " + list
	}
	return &e
}

// unknown is the error of a write that may have been applied.
func (t *try) unknown() error {
	id := ""
	if md, ok := metadata.FromOutgoingContext(t.ctx); ok {
		id = first(md, api.KeyRequestID)
	}
	return &schema.Error{Kind: schema.KindOutcomeUnknown, Object: "write", Msg: "no answer came", Err: t.err,
		Hint: "ask again with request id " + id}
}

// giveUp ends a call whose time ran out while it was being tried again.
func (t *try) giveUp() {
	t.stop = true
	last := t.err
	if t.maybe {
		t.err = t.unknown()
		return
	}
	if t.ctx.Err() == context.Canceled {
		t.err = &schema.Error{Kind: schema.KindCancelled, Object: "call", Msg: "the caller gave up", Err: last}
		return
	}
	if len(t.down) == len(t.c.servers) {
		t.err = t.outageError()
		return
	}
	switch k := schema.KindOf(last); {
	case t.headless != nil && (k == schema.KindNoLeader || k == schema.KindUnavailable || k == schema.KindTimeout):
		t.err = t.noLeader() // a manager that answers says more than one that doesn't
		return
	case k == schema.KindUnavailable:
		return // says more than that time ran out
	}
	t.err = &schema.Error{Kind: schema.KindTimeout, Object: "manager " + t.srv.addr, Msg: "the time given ran out", Err: last}
}

// transport tells whether an error is the connection's and not the answer of a
// manager: those carry our details.
func transport(err error) bool {
	st, ok := status.FromError(err)
	if !ok || len(st.Details()) > 0 {
		return false
	}
	return st.Code() == codes.Unavailable || st.Code() == codes.Canceled || st.Code() == codes.DeadlineExceeded
}
