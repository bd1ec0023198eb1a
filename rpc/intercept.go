package rpc

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
)

// Limits on the time of a call.
const (
	defaultDeadline = 30 * time.Second // for a caller that sets none
	maxDeadline     = 10 * time.Minute
	tokenWait       = time.Second // for a session opened a moment ago to reach this manager
	maxWatchers     = 1024        // streams at once
)

// unary is the interceptor of all calls with one reply.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	m, ok := api.LookupMethod(info.FullMethod)
	if !ok {
		return handler(ctx, req) // the health service, which anybody may ask
	}
	began := time.Now()
	reply, err := s.serveUnary(ctx, info.FullMethod, m, req, handler)
	return reply, s.finish(info.FullMethod, began, err)
}

// stream is the interceptor of all streams.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	m, ok := api.LookupMethod(info.FullMethod)
	if !ok {
		return handler(srv, ss)
	}
	began := time.Now()
	return s.finish(info.FullMethod, began, s.serveStream(srv, ss, info, m, handler))
}

// finish counts a call and puts its error on the wire.
func (s *Server) finish(name string, began time.Time, err error) error {
	kind := schema.KindOf(apierr.FromError(err))
	s.metrics.observe(name, kind, time.Since(began))
	if err == nil {
		return nil
	}
	if kind == schema.KindInternal {
		s.log.Error("call failed by a defect", "method", name, "err", err)
	}
	return apierr.ToStatus(err).Err()
}

// recovered turns a panic into KindInternal.
func (s *Server) recovered(name string, err *error) {
	if p := recover(); p != nil {
		s.log.Error("call panicked", "method", name, "err", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = schema.Errorf(schema.KindInternal, name, "a defect of the manager; its log says more")
	}
}

// serveUnary takes one call to the manager that has to answer it, and again
// to the next leader while that is safe.
func (s *Server) serveUnary(ctx context.Context, name string, m api.Method, req any, handler grpc.UnaryHandler) (reply any, err error) {
	defer s.recovered(name, &err)
	c, err := s.newCall(ctx, name, m)
	if err != nil {
		return nil, err
	}
	if err := c.checkRequest(req); err != nil {
		return nil, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	known, err := s.authenticate(c)
	if err != nil {
		return nil, err
	}
	c.ensureRequestID()
	for p := s.newPatience(ctx); ; {
		r := s.leaders.current()
		switch {
		case c.local(r):
			if err := s.awaitToken(ctx, c, known); err != nil {
				return nil, err
			}
			reply, err = s.answer(ctx, c, req, handler)
		case c.hops > 0 && s.elsewhere(r):
			return nil, noLeader(c) // the caller learns of the new leader as fast as we did
		case r.Address == "" || !s.elsewhere(r):
			if !p.wait(ctx, r, false) {
				return nil, noLeader(c)
			}
			continue
		default:
			reply, err = s.forward(ctx, c, r, req)
		}
		if err == nil || c.hops > 0 || !c.again(err) || !p.wait(ctx, r, true) {
			return reply, err
		}
	}
}

// answer runs the method on this manager.
func (s *Server) answer(ctx context.Context, c *call, req any, handler grpc.UnaryHandler) (any, error) {
	if err := s.admit(ctx, c); err != nil {
		return nil, err
	}
	reply, err := handler(context.WithValue(ctx, callKey{}, c), req)
	if err != nil {
		return nil, err
	}
	return reply, grpc.SetHeader(ctx, s.header(c))
}

// admit checks the caller's role and waits for the state that a read asks for.
func (s *Server) admit(ctx context.Context, c *call) error {
	if err := s.permit(c); err != nil {
		return err
	}
	if !c.isRead() && c.minIndex == 0 {
		return nil
	}
	index := c.minIndex
	if c.method.Class == api.Read && c.level == api.Linear {
		proven, err := s.cfg.Cluster.ReadIndex(ctx)
		if err != nil {
			return err
		}
		index = max(index, proven)
	}
	if index > 0 {
		if err := s.cfg.Store.WaitIndex(ctx, index); err != nil {
			return err
		}
	}
	c.index = s.cfg.Store.View().Index()
	return nil
}

// header is the metadata of a reply.
func (s *Server) header(c *call) metadata.MD {
	return metadata.MD{
		api.KeyIndex: {strconv.FormatUint(c.index, 10)},
		api.KeyAge:   {strconv.FormatInt(s.age().Milliseconds(), 10)},
		api.KeyNode:  {s.node},
	}
}

// age is how old this manager's state may be. One that never heard of a leader
// counts from the last batch that it has.
func (s *Server) age() time.Duration {
	if age := s.cfg.Cluster.LastContact(); age >= 0 {
		return age
	}
	return max(0, s.cfg.Now().Sub(s.cfg.Store.View().Time()))
}

// awaitToken gives a session that isn't known here a moment to arrive, when
// the call is to be answered here.
func (s *Server) awaitToken(ctx context.Context, c *call, known bool) error {
	if known || c.user != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tokenWait)
	defer cancel()
	for {
		changed := s.cfg.Store.Watch(fsm.Tokens)
		if known, err := s.authenticate(c); known {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return schema.Errorf(schema.KindUnauthenticated, "session", "it isn't known here").WithHint("log in again, or ask another manager")
		}
	}
}

// bounded gives ctx a deadline that is neither missing nor too far.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	at, ok := ctx.Deadline()
	switch {
	case !ok:
		return context.WithTimeout(ctx, defaultDeadline)
	case time.Until(at) > maxDeadline:
		return context.WithTimeout(ctx, maxDeadline)
	}
	return ctx, func() {}
}

// isRead tells whether the call changes nothing.
func (c *call) isRead() bool { return c.method.Class == api.Read || c.method.Class == api.Local }

// local tells whether this manager may answer during r.
func (c *call) local(r *reign) bool {
	return c.method.Class == api.Local || c.method.Class == api.Read && c.level == api.Stale || r.Self
}

// again tells whether a call that failed may be tried on the next leader.
func (c *call) again(err error) bool {
	switch schema.KindOf(apierr.FromError(err)) {
	case schema.KindNoLeader:
		return true
	case schema.KindOutcomeUnknown:
		return c.method.Class != api.Once
	}
	return false
}

var errNoMessage = errors.New("a request that is no message")

// checkRequest refuses unknown fields. Managers are exempt: they may be one
// version apart, and the feature level says what they may send.
func (c *call) checkRequest(req any) error {
	m, ok := req.(proto.Message)
	if !ok {
		return errNoMessage
	}
	if c.method.Role == api.Managers {
		return nil
	}
	return checkFields(m)
}
