package fsm

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// Events are faults, recoveries and reports, by number.
var Events = &Table[*schema.Event]{
	number: 10, name: "event",
	key:    func(e *schema.Event) string { return numberKey(e.Id) },
	decode: decodeOnce,
	indexes: []Index[*schema.Event]{
		{Name: ByState, Raw: eventByState},
		{Name: ByTarget, Raw: eventByTarget},
		{Name: ByInaccessible, Raw: eventByInaccessible},
		{Name: ByOrigin, Raw: eventByOrigin},
		{Name: ByRequest, Raw: eventByRequest},
	},
}

// Inaccessible is the value of the index ByInaccessible, which has the events
// that say of a machine that it doesn't answer.
const Inaccessible = "yes"

// Intakes are how far each manager's event stream is recorded, by manager.
var Intakes = &Table[*schema.Intake]{
	number: 18, name: "intake",
	key: func(i *schema.Intake) string { return i.Node },
}

const (
	// CoalesceWindow is the time within which an event that equals an earlier
	// one (notifier, source, event id, target) is counted there instead of
	// becoming a row: a storm takes one row, and a trap that was sent to every
	// manager acts once. It is short, since the same machine may fail again
	// soon after it was repaired, and an event lost in an older one's count
	// would be a rescue that never comes.
	CoalesceWindow = 15 * time.Second
	// RetransmitWindow is the time for which the retransmission of an inform is
	// recognised, whichever managers it goes to: longer than senders try.
	RetransmitWindow = 5 * time.Minute
	// maxFingerprints bounds how many informs an event remembers that went into it.
	maxFingerprints = 8
	// coalesceLook bounds how many earlier events of one origin are compared.
	coalesceLook = 64
	// maxEventText bounds each text of an event, bytes.
	maxEventText = 2048
	// maxVarbinds bounds the variable bindings kept with an event.
	maxVarbinds = 64
)

// Settle decides at once on a new event that leads to nothing, and leaves all
// others as they are, for the scheduler. It changes the event alone.
type Settle func(tx *Tx, e *schema.Event)

// RecordEvents records events that node received, exactly once: those whose
// sequence number is not above what is recorded of that node already are left
// out. It returns the sequence number up to which all is recorded. Events come
// in the order of their numbers; a gap is the node's own (an event that it
// dropped and counted). The retransmission of an inform that any manager has
// recorded changes nothing. What a manager sees by its own polls, or samples, comes in
// a stream of its own, its name with MonitorStream or SampleStream.
func RecordEvents(tx *Tx, node string, events []*schema.Event) (uint64, error) {
	return RecordSettled(tx, node, events, nil)
}

// RecordSettled is RecordEvents with settle, unless it is nil, asked about each
// new event.
func RecordSettled(tx *Tx, node string, events []*schema.Event, settle Settle) (uint64, error) {
	if node == "" {
		return 0, schema.Errorf(schema.KindInvalid, "events", "the name of the manager that received them is missing")
	}
	in, ok := Intakes.Edit(tx, node)
	if !ok {
		in = &schema.Intake{Node: node}
	}
	manager, news := streamOf(node)
	r := recorder{tx: tx, node: manager, settle: settle}
	for _, e := range events {
		if e.Sequence == 0 {
			return 0, schema.Errorf(schema.KindInvalid, "events of "+node, "an event has no sequence number")
		}
		if e.Sequence <= in.Sequence {
			continue
		}
		in.Sequence = e.Sequence
		if news != nil {
			if is, err := news(tx, e); err != nil {
				return 0, err
			} else if !is {
				continue
			}
		}
		if err := r.record(e); err != nil {
			return 0, err
		}
	}
	if err := r.end(); err != nil {
		return 0, err
	}
	in.Time = timestamppb.New(tx.Now())
	return in.Sequence, Intakes.Put(tx, in)
}

// RaiseEvent records an event that this cluster itself has seen, such as a VM
// server that its manager reaches no more: the verb that sees the change raises
// it in the same batch.
func RaiseEvent(tx *Tx, e *schema.Event) error {
	r := recorder{tx: tx, node: tx.Why().Node}
	if err := r.record(e); err != nil {
		return err
	}
	return r.end()
}

// recorder records the events of one call.
type recorder struct {
	tx     *Tx
	node   string
	settle Settle
	// open are earlier events that new ones are being counted into, in the order
	// of their numbers' first appearance, and by origin: a storm costs one write
	// a call and not one for each of its events.
	open     []*recurrence
	byOrigin map[string]*recurrence
}

// end writes what is still open.
func (r *recorder) end() error {
	for _, o := range r.open {
		if err := o.write(r.tx); err != nil {
			return err
		}
	}
	return nil
}

func (r *recorder) record(received *schema.Event) error {
	tx := r.tx
	if retransmitted(tx, received) {
		return nil
	}
	e := &schema.Event{
		Time: timestamppb.New(tx.Now()), Node: r.node, Sequence: received.Sequence, Notifier: clip(received.Notifier), Source: clip(received.Source),
		EventId: clip(received.EventId), Target: received.Target, TargetHint: clip(received.TargetHint), Severity: received.Severity,
		Text: clip(received.Text), Category: received.Category, Varbinds: clipMap(received.Varbinds), Received: received.Received,
		From: received.From, State: schema.EventNew, Count: 1, Requests: newest(received.Requests),
	}
	classify(e)
	if e.Received == nil || e.Received.AsTime().After(tx.Now()) {
		e.Received = e.Time // a node's clock that runs ahead mustn't order events
	}
	e.LastTime = e.Received
	resolveTarget(tx, e)
	origin := originOf(e)
	if o := r.byOrigin[origin]; o != nil {
		if o.counts(e) {
			knowRequests(tx, e, o.row.Id)
			return nil
		}
		if err := o.write(tx); err != nil {
			return err
		}
	}
	if o := sameEvent(tx, origin, e); o != nil {
		if r.byOrigin == nil {
			r.byOrigin = map[string]*recurrence{}
		}
		r.open, r.byOrigin[origin] = append(r.open, o), o
		knowRequests(tx, e, o.row.Id)
		return nil
	}
	e.Id = strconv.FormatUint(tx.nextEvent(), 10)
	knowRequests(tx, e, e.Id)
	if r.settle != nil {
		r.settle(tx, e)
	}
	return Events.Put(tx, e)
}

// retransmitted tells whether an event comes of an inform that went into an
// event already: its sender had no answer, because the manager that recorded it
// died or was too slow. Its target may be another machine by now, such as the one
// that has replaced the failed one, so nothing else is compared.
func retransmitted(tx *Tx, e *schema.Event) bool {
	for _, fingerprint := range e.Requests {
		old, ok := tx.eventOfRequest(fingerprint)
		if ok && e.Received.AsTime().Before(old.LastTime.AsTime().Add(RetransmitWindow)) {
			return true
		}
	}
	return false
}

// newest are as many of the fingerprints as an event remembers.
func newest(requests []uint64) []uint64 { return requests[max(0, len(requests)-maxFingerprints):] }

// knowRequests keeps for the verbs to come which event an inform went into.
func knowRequests(tx *Tx, e *schema.Event, id string) {
	for _, fingerprint := range e.Requests {
		tx.events.request(fingerprint, numberKey(id))
	}
}

// classify brings an event's id into its usual form, and gives it the category
// and the severity of the catalog where its sender said none.
func classify(e *schema.Event) {
	e.EventId = catalog.NormalEventID(e.Notifier, e.EventId)
	e.Category = cmp.Or(e.Category, catalog.CategoryOf(e.Notifier, e.Source, e.EventId))
	e.Severity = cmp.Or(e.Severity, catalog.Severity(e.Notifier, e.Source, e.EventId), "info")
}

// LogEvent records an entry of our own event log, and tells the receivers that
// want such.
func LogEvent(tx *Tx, e *schema.Event) error { return LogEventAbout(tx, e, e.Severity) }

// LogEventAbout records an entry that tells of something of another severity
// than its own, such as a fault that a policy notifies of: receivers choose by that.
func LogEventAbout(tx *Tx, e *schema.Event, severity string) error {
	if err := writeEntry(tx, e); err != nil {
		return err
	}
	return tell(tx, e, severity, "")
}

// writeEntry writes an entry of our own event log.
func writeEntry(tx *Tx, e *schema.Event) error {
	now := timestamppb.New(tx.Now())
	e.Time, e.Received, e.LastTime, e.Count = now, now, now, 1
	e.Notifier, e.State, e.Decision = schema.NotifierPVM, schema.EventHandled, schema.DecisionRecorded
	if e.Source == "" {
		e.Source = schema.NotifierPVM
	}
	if e.Node == "" {
		e.Node = tx.Why().Node
	}
	e.Text = clip(e.Text)
	return putEvent(tx, e)
}

func putEvent(tx *Tx, e *schema.Event) error {
	e.Id = strconv.FormatUint(tx.nextEvent(), 10)
	return Events.Put(tx, e)
}

// recurrence is an earlier event that new ones are counted into.
type recurrence struct {
	row     *schema.Event // a copy, to be written
	alone   bool          // no event of another severity has come since
	written bool
}

// write writes the row.
func (o *recurrence) write(tx *Tx) error {
	if o.written {
		return nil
	}
	o.written = true
	return Events.Put(tx, o.row)
}

// within tells whether an event of this time is counted into a row.
func within(row *schema.Event, at time.Time) bool {
	return !at.Before(row.Received.AsTime().Add(-CoalesceWindow)) && !at.After(row.LastTime.AsTime().Add(CoalesceWindow))
}

// counts counts e, which is of the same origin, if that needs no further look.
func (o *recurrence) counts(e *schema.Event) bool {
	at := e.Received.AsTime()
	if o.written || !o.alone || o.row.EventId != e.EventId || o.row.Severity != e.Severity || !within(o.row, at) {
		return false
	}
	o.add(e)
	return true
}

func (o *recurrence) add(e *schema.Event) {
	o.row.Count++
	o.row.Requests = newest(append(o.row.Requests, e.Requests...))
	if e.Received.AsTime().After(o.row.LastTime.AsTime()) {
		o.row.LastTime = e.Received
	}
}

// sameEvent returns the earlier event that e is counted into, changed, or nil.
// When an event of another severity came between, such as a recovery, or when
// its actions were held back and wouldn't be now, the earlier one is looked at
// anew.
func sameEvent(tx *Tx, origin string, e *schema.Event) *recurrence {
	at := e.Received.AsTime()
	var same *schema.Event
	var others []*schema.Event
	looked := 0
	for old := range tx.eventsOf(origin) {
		if looked++; looked > coalesceLook {
			break
		}
		switch {
		case old.EventId == e.EventId && same == nil:
			same = old
		case old.Severity != e.Severity:
			others = append(others, old)
		}
	}
	if same == nil || !within(same, at) {
		return nil
	}
	out, _ := Events.Edit(tx, numberKey(same.Id))
	o := &recurrence{row: out, alone: true}
	for _, other := range others {
		t := other.LastTime.AsTime()
		if !t.After(same.LastTime.AsTime()) {
			continue
		}
		o.alone = false
		if !t.After(at) && out.State == schema.EventHandled {
			out.State, out.Decision = schema.EventNew, ""
			out.Again++
			out.Reason = "it came again after " + other.Source + " " + other.EventId
			break
		}
	}
	if held(tx, out) {
		out.State, out.Decision, out.Reason = schema.EventNew, "", "it came again after what held its actions back was over"
	}
	o.add(e)
	return o
}

// held tells whether an event's actions were held back by something that is
// over: when the event comes again it is to be decided on anew.
func held(r Reader, e *schema.Event) bool {
	switch e.Decision {
	case schema.DecisionDisarmed:
		armed, _, _ := ArmedState(r, e.Group)
		return armed
	case schema.DecisionMaintenance:
		m, ok := Machines.Get(r, e.Target)
		return ok && !m.Maintenance
	}
	return false
}

// resolveTarget finds the machine that an event is about: the one that runs
// under the host name or address that it gives, else the one of that name, each
// in full and, for names, without the domain. The host goes first, since it is
// what an agent knows: after a replacement the machine that had been named after
// its host is another one than the one that runs under it.
func resolveTarget(r Reader, e *schema.Event) {
	hint := e.Target
	if hint == "" {
		hint = e.TargetHint
	}
	m := hostMachine(r, hint)
	if e.Target != "" {
		if named, ok := Machines.Get(r, e.Target); ok {
			m = named // its sender knows the machine
		}
	}
	if m == nil {
		m = namedMachine(r, hint)
	}
	e.Target = ""
	if m != nil {
		e.Target, e.Group = m.Name, m.Group
	}
	if e.TargetHint == "" && e.Target != hint {
		e.TargetHint = hint
	}
}

// FindMachine finds a machine by its name, by the host name under which it
// runs, or by an IP address of that host setting; nil when there is none.
func FindMachine(r Reader, hint string) *schema.Machine {
	if m := namedMachine(r, hint); m != nil {
		return m
	}
	return hostMachine(r, hint)
}

// namedMachine is the machine of a name; nil when there is none.
func namedMachine(r Reader, hint string) *schema.Machine {
	for _, name := range namesOf(hint) {
		if m, ok := Machines.Get(r, name); ok {
			return m
		}
	}
	return nil
}

// hostMachine is the machine that runs under a host name or an address; nil
// when none does.
func hostMachine(r Reader, hint string) *schema.Machine {
	if addr, err := netip.ParseAddr(hint); err == nil {
		h, _ := Hosts.One(r, ByAddress, addr.Unmap().String())
		m, _ := Machines.Get(r, h.GetMachine())
		return m
	}
	for _, name := range namesOf(hint) {
		for h := range Hosts.By(r, ByName, name) {
			if m, ok := Machines.Get(r, h.Machine); ok {
				return m
			}
		}
	}
	return nil
}

// namesOf are the names that a hint may stand for: itself, and a host name
// without its domain.
func namesOf(hint string) []string {
	if hint == "" {
		return nil
	}
	names := []string{hint}
	if _, err := netip.ParseAddr(hint); err != nil {
		if short, _, ok := strings.Cut(hint, "."); ok && short != "" {
			names = append(names, short)
		}
	}
	return names
}

func clip(s string) string {
	if len(s) > maxEventText {
		s = s[:maxEventText]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func clipMap(in map[string]string) map[string]string {
	if len(in) == 0 {
		return nil
	}
	if len(in) <= maxVarbinds && allFit(in) {
		return in
	}
	out := make(map[string]string, min(len(in), maxVarbinds))
	for k, v := range in {
		if len(out) == maxVarbinds {
			break
		}
		out[clip(k)] = clip(v)
	}
	return out
}

// allFit tells whether clip leaves all texts as they are.
func allFit(in map[string]string) bool {
	for k, v := range in {
		if len(k) > maxEventText || len(v) > maxEventText || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return false
		}
	}
	return true
}

// numberKey makes an id of digits sort by its number; "" for anything else.
func numberKey(id string) string {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return ""
	}
	key := []byte("00000000000000000000")
	digits := strconv.AppendUint(make([]byte, 0, numberKeyLen), n, 10)
	copy(key[numberKeyLen-len(digits):], digits)
	return string(key)
}

// NumberKey is the key of a job or an event with this id; "" for what is no number.
func NumberKey(id string) string { return numberKey(id) }

// nextNumber is the number after that of the last row. Retention never
// deletes the newest row, so a number is never given twice.
func nextNumber(last string, ok bool) uint64 {
	if !ok {
		return 1
	}
	n, err := strconv.ParseUint(last, 10, 64)
	if err != nil {
		return 1
	}
	return n + 1
}
