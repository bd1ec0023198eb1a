package rpc

import (
	"context"
	"crypto/rand"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// forward passes a call to the leader of r and gives its reply as it came.
func (s *Server) forward(ctx context.Context, c *call, r *reign, req any) (any, error) {
	conn, err := s.leaderConn(r)
	if err != nil {
		return nil, err
	}
	out, cancel := c.during(c.outgoing(ctx, s.node), r)
	defer cancel()
	var header metadata.MD
	reply := new(frame)
	if err := conn.Invoke(out, c.name, req, reply, grpc.Header(&header)); err != nil {
		return nil, c.lost(ctx, r, err)
	}
	return reply, grpc.SetHeader(ctx, passed(header, r))
}

// during bounds a forwarded call to the reign of the leader that it goes to, so
// that a leader that hangs is left. A call of class Once waits for its answer:
// it isn't sent again, and ending the reign may be what it is for.
func (c *call) during(ctx context.Context, r *reign) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if c.method.Class == api.Once {
		return ctx, cancel
	}
	stop := context.AfterFunc(r.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// leaderConn is the connection to the leader. One that couldn't be made is
// KindNoLeader: nothing was sent.
func (s *Server) leaderConn(r *reign) (*grpc.ClientConn, error) {
	conn, err := s.cfg.Peers.Conn(r.Address)
	if err != nil {
		return nil, err
	}
	if conn.GetState() == connectivity.TransientFailure {
		return nil, schema.Errorf(schema.KindNoLeader, "leader "+r.ID, "it can't be reached at %s; nothing was sent", r.Address).
			WithHint("wait for the election, or mend the network between the managers")
	}
	return conn, nil
}

// lost turns the loss of the connection to the leader into the kind that says
// whether the call may have been carried out. Other errors are the leader's answer.
func (c *call) lost(ctx context.Context, r *reign, err error) error {
	st, _ := status.FromError(err)
	if len(st.Details()) > 0 || c.method.Class == api.Read && ctx.Err() != nil {
		return err
	}
	switch st.Code() {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
	default:
		return err
	}
	e := &schema.Error{Kind: schema.KindOutcomeUnknown, Object: "leader " + r.ID, Msg: "the connection was lost before the answer came",
		Hint: "ask again with the same request id"}
	switch c.method.Class {
	case api.Read:
		e.Kind, e.Hint = schema.KindNoLeader, "ask again"
	case api.Once:
		e.Hint = "look whether it was done before asking again"
	}
	return e
}

// ensureRequestID gives a write without a request id one of the edge's own, so
// that the edge can ask the next leader when this one is lost on the way.
func (c *call) ensureRequestID() {
	if c.method.Class == api.Write && c.request == "" && c.hops == 0 {
		c.request = rand.Text()
	}
}

// passed is the metadata of a forwarded reply, with the leader's address for
// clients that want to go there at once.
func passed(header metadata.MD, r *reign) metadata.MD {
	md := metadata.MD{api.KeyLeader: {r.Address}}
	for _, key := range []string{api.KeyIndex, api.KeyAge, api.KeyNode} {
		if v := header[key]; len(v) > 0 {
			md[key] = v
		}
	}
	return md
}

// serveStream takes one stream to the manager that has to answer it.
func (s *Server) serveStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, m api.Method, handler grpc.StreamHandler) (err error) {
	defer s.recovered(info.FullMethod, &err)
	select {
	case s.watchers <- struct{}{}:
		defer func() { <-s.watchers }()
	default:
		return schema.Errorf(schema.KindRateLimited, "manager "+s.node, "it serves %d streams already", maxWatchers).WithHint("close some, or ask another manager")
	}
	c, err := s.newCall(ss.Context(), info.FullMethod, m)
	if err != nil {
		return err
	}
	known, err := s.authenticate(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ss.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.stopping, func() { cancel(errStopping) })()
	var first *frame // request of a server stream, kept so that it can be sent again
	for p := s.newPatience(ctx); ; {
		r := s.leaders.current()
		switch {
		case c.local(r):
			if err := s.awaitToken(ctx, c, known); err != nil {
				return err
			}
			return s.answerStream(ctx, cancel, c, r, srv, &localStream{ServerStream: ss, call: c, first: first}, handler)
		case c.hops > 0 && s.elsewhere(r):
			return noLeader(c)
		case r.Address == "" || !s.elsewhere(r):
			if !p.wait(ctx, r, false) {
				return noLeader(c)
			}
			continue
		}
		if first == nil && !info.IsClientStream {
			first = new(frame)
			if err := ss.RecvMsg(first); err != nil {
				return err
			}
		}
		begun, err := s.forwardStream(ctx, c, r, ss, info, first)
		if err == nil || begun || !c.again(err) || !p.wait(ctx, r, true) {
			return err
		}
	}
}

// answerStream runs a stream's method on this manager. A stream that the
// leader answers ends when this manager leads no more.
func (s *Server) answerStream(ctx context.Context, cancel context.CancelCauseFunc, c *call, r *reign, srv any, ss *localStream, handler grpc.StreamHandler) error {
	if c.level != api.Stale && c.method.Class != api.Once && c.method.Class != api.Local {
		defer context.AfterFunc(r.ctx, func() { cancel(errDeposed) })()
	}
	if err := s.admit(ctx, c); err != nil {
		return err
	}
	if err := ss.SetHeader(s.header(c)); err != nil {
		return err
	}
	ss.ctx = context.WithValue(ctx, callKey{}, c)
	err := handler(srv, ss)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

var errDeposed = schema.Errorf(schema.KindNoLeader, "manager", "it leads no more; nothing was written").WithHint("ask again")

// localStream is a stream that this manager answers.
type localStream struct {
	grpc.ServerStream
	ctx   context.Context
	call  *call
	first *frame // request that was received already, when there is one
}

func (l *localStream) Context() context.Context { return l.ctx }

func (l *localStream) RecvMsg(m any) error {
	if l.first == nil {
		if err := l.ServerStream.RecvMsg(m); err != nil {
			return err
		}
		return l.call.checkRequest(m)
	}
	msg, ok := m.(proto.Message)
	if !ok {
		return errNoMessage
	}
	if err := proto.Unmarshal(l.first.data, msg); err != nil {
		return &schema.Error{Kind: schema.KindInvalid, Object: l.call.name, Msg: "the request can't be decoded", Err: err}
	}
	return l.call.checkRequest(m)
}

// forwardStream passes a stream to the leader of r, in both directions. begun
// tells that the caller has seen some of it, so that it can't be tried again here.
func (s *Server) forwardStream(ctx context.Context, c *call, r *reign, ss grpc.ServerStream, info *grpc.StreamServerInfo, first *frame) (begun bool, err error) {
	conn, err := s.leaderConn(r)
	if err != nil {
		return false, err
	}
	out, cancel := c.during(c.outgoing(ctx, s.node), r)
	defer cancel()
	desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	cs, err := conn.NewStream(out, desc, c.name)
	if err != nil {
		return false, c.lost(ctx, r, err)
	}
	// The pump of a client stream is waited for: it ends when the caller's
	// stream does, or with out.
	pumped := make(chan struct{})
	if info.IsClientStream {
		begun = true
		go func() {
			defer close(pumped)
			pump(ss, cs)
		}()
	} else {
		close(pumped)
		// A send that fails is explained by what relay receives.
		if cs.SendMsg(first) == nil {
			cs.CloseSend()
		}
	}
	began, err := s.relay(c, r, cs, ss)
	cancel()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if err != nil {
		err = c.lost(ctx, r, err)
	}
	if info.IsClientStream {
		// RecvMsg of the caller's stream ends only when the handler returns.
		s.tasks.Go(func() { <-pumped })
	}
	return begun || began, err
}

// relay passes the leader's messages to the caller until the stream ends.
func (s *Server) relay(c *call, r *reign, from grpc.ClientStream, to grpc.ServerStream) (begun bool, err error) {
	for {
		f := new(frame)
		if err := from.RecvMsg(f); errors.Is(err, io.EOF) {
			return begun, nil
		} else if err != nil {
			return begun, err
		}
		if !begun {
			begun = true
			header, err := from.Header()
			if err != nil {
				return true, err
			}
			if err := to.SetHeader(passed(header, r)); err != nil {
				return true, err
			}
		}
		if err := to.SendMsg(f); err != nil {
			return true, err
		}
	}
}

// pump passes the caller's messages to the leader until either ends.
func pump(from grpc.ServerStream, to grpc.ClientStream) {
	for {
		f := new(frame)
		if err := from.RecvMsg(f); err != nil {
			to.CloseSend()
			return
		}
		if err := to.SendMsg(f); err != nil {
			return
		}
	}
}
