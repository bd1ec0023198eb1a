package trap

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"yagura/fsm"
)

// windowSize is among how many informs a retransmission is recognised.
const windowSize = 16384

// fingerprint is the identity of an inform: its retransmission, to whichever
// manager, has the same (RFC 3413, section 3.3: it is the same PDU). The time that
// the agent gives with it tells it from one of an agent that was started anew
// and counts its requests from the beginning.
func fingerprint(n *Notification, from netip.AddrPort) uint64 {
	b := make([]byte, 0, 128)
	b = append(b, from.Addr().Unmap().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint32(b, n.RequestID)
	b = append(append(b, n.Uptime...), 0)
	sum := sha256.Sum256(append(b, n.TrapOID...))
	return binary.BigEndian.Uint64(sum[:])
}

// inform is one inform on its way.
type inform struct {
	fingerprint uint64
	from        netip.AddrPort
	at          time.Time
	answer      []byte
	done        bool // its event is recorded: answer again at once
}

// window remembers informs for fsm.RetransmitWindow. A retransmission that comes
// to the same manager costs the leader nothing then, and is answered at once. The
// sink's lock guards it.
type window struct {
	by    map[uint64]*inform // by fingerprint
	order []*inform          // by age
}

func newWindow() *window { return &window{by: map[uint64]*inform{}} }

// see finds an inform that came before.
func (w *window) see(fingerprint uint64, now time.Time) (*inform, bool) {
	w.expire(now)
	i, ok := w.by[fingerprint]
	return i, ok
}

// add remembers a new inform.
func (w *window) add(i *inform) {
	w.by[i.fingerprint] = i
	w.order = append(w.order, i)
}

// forget takes an inform back whose event was dropped: the next transmission
// counts as new.
func (w *window) forget(i *inform) {
	if w.by[i.fingerprint] == i {
		delete(w.by, i.fingerprint)
	}
}

func (w *window) expire(now time.Time) {
	n := 0
	for n < len(w.order) && (len(w.order)-n > windowSize || now.Sub(w.order[n].at) > fsm.RetransmitWindow) {
		w.forget(w.order[n])
		w.order[n] = nil
		n++
	}
	w.order = w.order[n:]
}
