package trap

import "container/list"

// maxEngines bounds the sending engines whose clocks are known; the ones heard
// of longest ago are forgotten first.
const maxEngines = 4096

// clocks are the latest boots and time of the engines that send v3 traps. An
// authenticated message that is older by more than the time window is a replay
// (RFC 3414, section 3.2, step 7b). One goroutine uses it.
type clocks struct {
	order *list.List // of *engineClock, the latest first
	by    map[string]*list.Element
}

type engineClock struct {
	id          string
	boots, time uint32
}

func newClocks() *clocks { return &clocks{order: list.New(), by: map[string]*list.Element{}} }

// accept takes a message's boots and time; false for an old message.
func (c *clocks) accept(id string, boots, time uint32) bool {
	e, ok := c.by[id]
	if !ok {
		if c.order.Len() >= maxEngines {
			delete(c.by, c.order.Remove(c.order.Back()).(*engineClock).id)
		}
		c.by[id] = c.order.PushFront(&engineClock{id, boots, time})
		return true
	}
	c.order.MoveToFront(e)
	k := e.Value.(*engineClock)
	switch {
	case boots < k.boots, boots == k.boots && uint64(time)+timeWindow < uint64(k.time):
		return false
	case boots > k.boots || time > k.time:
		k.boots, k.time = boots, time
	}
	return true
}
