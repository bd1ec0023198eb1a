package client

import (
	"context"
	"math/rand/v2"
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
	relogged bool
	pause    time.Duration
	stop     bool
	err      error // outcome of the call, or of the last attempt
	maybe    bool  // some attempt was sent and its outcome isn't known
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
	again := t.judge(err)
	if !again {
		t.stop = true
		return
	}
	if t.ctx.Err() != nil {
		t.giveUp()
	}
}

// judge turns the error of an attempt into t.err and tells whether asking again is safe and of use.
func (t *try) judge(err error) bool {
	lost := transport(err)
	t.err = apierr.FromError(err)
	if lost && t.ctx.Err() == nil {
		t.srv.failed()
	}
	kind := schema.KindOf(t.err)
	switch {
	case !t.sent && untrusted(err):
		return t.attempts < len(t.c.servers) // waiting doesn't mend a certificate
	case !t.sent:
		return kind == schema.KindUnavailable // but not a login that was refused
	case lost, kind == schema.KindOutcomeUnknown:
		if t.method.Class == api.Once {
			if lost {
				t.err = &schema.Error{Kind: schema.KindOutcomeUnknown, Object: "manager " + t.srv.addr, Msg: "the connection was lost before the answer came",
					Hint: "look whether it was done before asking again"}
			}
			return false
		}
		t.maybe = true
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

// giveUp ends a call whose time ran out while it was being tried again.
func (t *try) giveUp() {
	t.stop = true
	last := t.err
	if t.maybe && t.method.Class == api.Write {
		id := ""
		if md, ok := metadata.FromOutgoingContext(t.ctx); ok {
			id = first(md, api.KeyRequestID)
		}
		t.err = &schema.Error{Kind: schema.KindOutcomeUnknown, Object: "write", Msg: "the time ran out before an answer came", Err: last,
			Hint: "ask again with request id " + id}
		return
	}
	if t.ctx.Err() == context.Canceled {
		t.err = &schema.Error{Kind: schema.KindCancelled, Object: "call", Msg: "the caller gave up", Err: last}
		return
	}
	if k := schema.KindOf(last); k == schema.KindNoLeader || k == schema.KindUnavailable {
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
