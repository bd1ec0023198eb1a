package node_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"yagura/fsm"
	"yagura/node"
	"yagura/node/nodetest"
	"yagura/scheduler/sequence"
)

// slowGoodbye are drivers whose end takes until it is released, as with a
// system that hangs.
type slowGoodbye struct {
	sequence.Drivers // nobody asks for a driver here
	released         chan struct{}
	begun            atomic.Int32 // terms whose duties have begun
	active           atomic.Int32 // terms whose duties run
	most             atomic.Int32
}

func (s *slowGoodbye) open(*fsm.Store) node.DriverSource {
	s.begun.Add(1)
	if now := s.active.Add(1); now > s.most.Load() {
		s.most.Store(now)
	}
	return s
}

// Close implements node.DriverSource.
func (s *slowGoodbye) Close() {
	<-s.released
	s.active.Add(-1)
}

// TestSlowDutyDoesNotBlockTheNextTerm lets one manager lead twice while the
// duties of its first term don't end: it must serve calls in the second, and
// begin the duties of the second only when those of the first are over.
func TestSlowDutyDoesNotBlockTheNextTerm(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	var slow [3]slowGoodbye
	c := nodetest.New(t, 3, func(i int, cfg *node.Config) {
		slow[i].released = released
		cfg.Drivers = slow[i].open
	})
	release := sync.OnceFunc(func() { close(released) })
	defer release()
	c.WaitReady()
	leader := c.WaitLeader()
	first := c.Node(leader).Term()
	s := &slow[leader]
	c.Wait("the duties", func() bool { return s.begun.Load() == 1 })
	hand := func(from, to int) {
		c.Wait("leadership to be handed over", func() bool {
			if c.Leader() == to {
				return true
			}
			if c.Leader() == from {
				_, _ = c.Node(from).Transfer(context30(t), nodetest.ID(to))
			}
			return false
		})
	}
	hand(leader, (leader+1)%3)
	hand((leader+1)%3, leader)
	if c.Node(leader).Term() <= first {
		t.Fatal("it isn't another term")
	}
	c.Update("put", put("shop"))
	if s.begun.Load() != 1 {
		t.Error("the duties of two terms run at once")
	}
	release()
	c.Wait("the next duties", func() bool { return s.begun.Load() == 2 })
	if s.most.Load() != 1 {
		t.Errorf("the duties of %d terms ran at once", s.most.Load())
	}
}
