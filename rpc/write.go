package rpc

import (
	"context"

	"google.golang.org/protobuf/proto"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// write runs a verb on the leader for the caller of ctx. reply is what the
// method answers: the verb fills it in, and it is kept under the call's request
// id, so that a repeated call is answered with it and nothing is done twice.
func (s *Server) write(ctx context.Context, reply proto.Message, verb func(tx *fsm.Tx) error) error {
	return s.writeKeeping(ctx, reply, func() proto.Message { return reply }, verb)
}

// maxKept bounds what is kept of an answer under its request id, bytes: it goes
// through the log and stays in memory for a while.
const maxKept = 128 << 10

// writeKeeping is write for answers of any length: kept gives what is worth keeping of one.
func (s *Server) writeKeeping(ctx context.Context, reply proto.Message, kept func() proto.Message, verb func(tx *fsm.Tx) error) error {
	c := callOf(ctx)
	res, err := s.cfg.Store.Update(ctx, s.why(c), func(tx *fsm.Tx) error {
		proto.Reset(reply) // the verb may run more than once
		if err := verb(tx); err != nil {
			return err
		}
		result, err := proto.Marshal(kept())
		if err != nil {
			return schema.Errorf(schema.KindInternal, c.name, "the reply can't be encoded: %v", err)
		}
		tx.SetResult(result)
		return nil
	})
	if err != nil {
		return err
	}
	c.index = max(c.index, res.Index)
	if res.Replayed {
		proto.Reset(reply)
		if err := proto.Unmarshal(res.Value, reply); err != nil {
			return schema.Errorf(schema.KindCorrupt, "request id "+c.request, "its stored answer can't be decoded: %v", err)
		}
	}
	return nil
}

// why is the reason trail of a call.
func (s *Server) why(c *call) fsm.Why {
	return fsm.Why{User: c.user, From: c.from, Node: c.edge, Op: c.op(), Reason: c.reason, Request: c.request}
}

// view is the state that a read of ctx is answered from.
func (s *Server) view(ctx context.Context) *fsm.View {
	v := s.cfg.Store.View()
	callOf(ctx).index = v.Index()
	return v
}
