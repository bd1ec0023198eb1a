package fsm

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

func timestamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }

// Watch returns a channel that is closed at the next change of one of these
// tables, or of any table when none is named. Take it before the View that you
// look at, or you miss what came between. Watching is level-triggered: look at
// the rows, not for the event.
func (s *Store) Watch(watched ...TableRef) <-chan struct{} {
	set := tableSet(watched)
	s.mu.Lock()
	defer s.mu.Unlock()
	ch, ok := s.watchers[set]
	if !ok {
		ch = make(chan struct{})
		s.watchers[set] = ch
	}
	return ch
}

// tableSet is a bit for each table; table numbers stay below 64.
func tableSet(ts []TableRef) uint64 {
	if len(ts) == 0 {
		return ^uint64(0)
	}
	var set uint64
	for _, t := range ts {
		set |= 1 << t.Number()
	}
	return set
}

// WaitIndex waits until this manager has applied log index i. Only indexes
// that an Update returned, or smaller ones, are sure to come.
func (s *Store) WaitIndex(ctx context.Context, i uint64) error {
	for {
		s.mu.Lock()
		ch := s.advanced
		s.mu.Unlock()
		if s.View().index >= i {
			return nil
		}
		select {
		case <-ch:
		case <-s.stop:
			return errStopped
		case <-ctx.Done():
			return schema.Errorf(schema.KindTimeout, "read", "this manager has applied index %d only, %d was asked for", s.View().index, i).
				WithHint("ask again, or ask another manager")
		}
	}
}

// publish makes v the state and wakes those who watch the changed tables.
func (s *Store) publish(v *View, changed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Store(v)
	close(s.advanced)
	s.advanced = make(chan struct{})
	for set, ch := range s.watchers {
		if set&changed != 0 {
			close(ch)
			delete(s.watchers, set)
		}
	}
}
