package rpc

import (
	"context"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// watch calls look with the state now, and with the newest one whenever one of
// the tables has changed, until look says done or fails, or ctx ends. A slow
// caller misses states in between, never the last one. Each time it asks
// again whether the caller may still see this.
func (s *Server) watch(ctx context.Context, tables []fsm.TableRef, look func(*fsm.View) (done bool, err error)) error {
	for {
		changed := s.cfg.Store.Watch(tables...)
		if err := s.permit(callOf(ctx)); err != nil {
			return err
		}
		if done, err := look(s.cfg.Store.View()); done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// empty is write for methods that answer nothing.
func (s *Server) empty(ctx context.Context, verb func(tx *fsm.Tx) error) (*api.Empty, error) {
	reply := &api.Empty{}
	return reply, s.write(ctx, reply, verb)
}

// checkLimit refuses a negative limit.
func checkLimit(limit int32) error {
	if limit < 0 {
		return schema.Errorf(schema.KindInvalid, "limit", "it is negative").WithHint("0 means all")
	}
	return nil
}
