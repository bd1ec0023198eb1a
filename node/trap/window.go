package trap

import (
	"net/netip"
	"time"
)

// Retransmissions of an inform are recognised for this long, and among this
// many informs.
const (
	windowTime = 5 * time.Minute
	windowSize = 16384
)

// informKey is the identity of an inform: a retransmission has the same.
type informKey struct {
	from    netip.AddrPort
	request uint32
	oid     string
}

// inform is one inform on its way.
type inform struct {
	key    informKey
	at     time.Time
	answer []byte
	done   bool // its event is recorded: answer again at once
}

// window remembers informs, so that a retransmission makes no second event.
// The sink's lock guards it.
type window struct {
	by    map[informKey]*inform
	order []*inform // by age
}

func newWindow() *window { return &window{by: map[informKey]*inform{}} }

// see finds an inform that came before.
func (w *window) see(k informKey, now time.Time) (*inform, bool) {
	w.expire(now)
	i, ok := w.by[k]
	return i, ok
}

// add remembers a new inform.
func (w *window) add(i *inform) {
	w.by[i.key] = i
	w.order = append(w.order, i)
}

// forget takes an inform back whose event was dropped: the next transmission
// counts as new.
func (w *window) forget(i *inform) {
	if w.by[i.key] == i {
		delete(w.by, i.key)
	}
}

func (w *window) expire(now time.Time) {
	n := 0
	for n < len(w.order) && (len(w.order)-n > windowSize || now.Sub(w.order[n].at) > windowTime) {
		w.forget(w.order[n])
		w.order[n] = nil
		n++
	}
	w.order = w.order[n:]
}
