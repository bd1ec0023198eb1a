package fsm

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// eventFields are the fields of an event that its indexes are made of, read out
// of the encoded row: most events are never looked at on most managers, and
// decoding costs more than all the rest of writing one.
type eventFields struct {
	notifier, source, target, hint, category, state, requests []byte
}

// Numbers of the fields in event.proto.
const (
	eventNotifierField   = 5
	eventSourceField     = 6
	eventTargetField     = 8
	eventTargetHintField = 9
	eventCategoryField   = 12
	eventStateField      = 18
	eventRequestsField   = 31 // packed, fingerprintLen bytes each
)

func fieldsOf(raw []byte) (f eventFields) {
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return f
		}
		raw = raw[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, raw); n < 0 {
				return f
			}
			raw = raw[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(raw)
		if n < 0 {
			return f
		}
		raw = raw[n:]
		switch number {
		case eventNotifierField:
			f.notifier = value
		case eventSourceField:
			f.source = value
		case eventTargetField:
			f.target = value
		case eventTargetHintField:
			f.hint = value
		case eventCategoryField:
			f.category = value
		case eventStateField:
			f.state = value
		case eventRequestsField:
			f.requests = value
		}
	}
	return f
}

// Handled events are the many; leaving them out keeps the index small.
func eventByState(raw []byte) [][]byte {
	if f := fieldsOf(raw); string(f.state) != schema.EventHandled {
		return [][]byte{f.state}
	}
	return nil
}

func eventByTarget(raw []byte) [][]byte {
	if f := fieldsOf(raw); len(f.target) > 0 {
		return [][]byte{f.target}
	}
	return nil
}

func eventByInaccessible(raw []byte) [][]byte {
	if f := fieldsOf(raw); len(f.target) > 0 && catalog.Inaccessible(string(f.category)) {
		return [][]byte{[]byte(Inaccessible)}
	}
	return nil
}

func eventByOrigin(raw []byte) [][]byte {
	if o := originOfRow(raw); len(o) > 0 {
		return [][]byte{o}
	}
	return nil
}

func eventByRequest(raw []byte) [][]byte {
	var out [][]byte
	for f := fieldsOf(raw); len(f.requests) >= fingerprintLen; f.requests = f.requests[fingerprintLen:] {
		out = append(out, f.requests[:fingerprintLen])
	}
	return out
}

// fingerprintLen is the length of an inform's fingerprint in an encoded event, bytes.
const fingerprintLen = 8

// fingerprintKey is a fingerprint as the index has it.
func fingerprintKey(request uint64) string {
	return string(binary.LittleEndian.AppendUint64(make([]byte, 0, fingerprintLen), request))
}

// originOfRow is originOf of an encoded event; nil for our own event log.
func originOfRow(raw []byte) []byte {
	f := fieldsOf(raw)
	if string(f.notifier) == schema.NotifierPVM {
		return nil
	}
	target := f.target
	if len(target) == 0 {
		target = f.hint
	}
	return bytes.Join([][]byte{f.notifier, f.source, target}, []byte{1})
}

// originOf is what an event is of: who reported it, and about what.
func originOf(e *schema.Event) string {
	target := e.Target
	if target == "" {
		target = e.TargetHint
	}
	return e.Notifier + "\x01" + e.Source + "\x01" + target
}

// addedEvents are the events that a batch, or a verb of it, has added: what the
// next number is and which came of one origin is asked for each event, and a look
// into the batch's transaction would make it copy what it has changed.
type addedEvents struct {
	last      uint64 // number of the last one, 0: none
	byOrigin  map[string][]string
	byRequest map[uint64]string // those and earlier ones that informs were counted into
}

// request says into which event an inform went.
func (a *addedEvents) request(fingerprint uint64, key string) {
	if a.byRequest == nil {
		a.byRequest = map[uint64]string{}
	}
	a.byRequest[fingerprint] = key
}

func (a *addedEvents) add(rec *record) {
	if n := uint64(keyNumber(rec.key)); n > a.last {
		a.last = n
	}
	if o := originOfRow(rec.raw); len(o) > 0 {
		if a.byOrigin == nil {
			a.byOrigin = map[string][]string{}
		}
		a.byOrigin[string(o)] = append(a.byOrigin[string(o)], rec.key)
	}
}

// take adds those of a verb that stands.
func (a *addedEvents) take(of *addedEvents) {
	a.last = max(a.last, of.last)
	for fingerprint, key := range of.byRequest {
		a.request(fingerprint, key)
	}
	if a.byOrigin == nil {
		a.byOrigin = of.byOrigin
		return
	}
	for o, keys := range of.byOrigin {
		a.byOrigin[o] = append(a.byOrigin[o], keys...)
	}
}

// nextEvent is the number of the next event.
func (tx *Tx) nextEvent() uint64 {
	if last := max(tx.events.last, tx.b.events.last); last > 0 {
		return last + 1
	}
	last, ok := Events.Last(tx.b.base)
	return nextNumber(last.GetId(), ok)
}

// eventOfRequest is the event that an inform went into, as far as it is known still.
func (tx *Tx) eventOfRequest(fingerprint uint64) (*schema.Event, bool) {
	for _, added := range []*addedEvents{&tx.events, &tx.b.events} {
		if key, ok := added.byRequest[fingerprint]; ok {
			return Events.Get(tx, key)
		}
	}
	return Events.One(tx.b.base, ByRequest, fingerprintKey(fingerprint))
}

// eventsOf walks the events of one origin, the newest first, as the verb sees them.
func (tx *Tx) eventsOf(origin string) iter.Seq[*schema.Event] {
	return func(yield func(*schema.Event) bool) {
		for _, added := range []*addedEvents{&tx.events, &tx.b.events} {
			for _, key := range slices.Backward(added.byOrigin[origin]) {
				if e, ok := Events.Get(tx, key); ok && !yield(e) {
					return
				}
			}
		}
		for row := range Events.ByBackward(tx.b.base, ByOrigin, origin) {
			if e, ok := Events.Get(tx, numberKey(row.Id)); ok && !yield(e) {
				return
			}
		}
	}
}
