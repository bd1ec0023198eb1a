package fsm

import (
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// Notices are the outbox: entries of the event log that are to reach
// receivers, and for a while those that have. By number.
var Notices = &Table[*schema.Notice]{
	number: 24, name: "notice", since: 2,
	key: func(n *schema.Notice) string { return numberKey(n.Id) },
	indexes: []Index[*schema.Notice]{
		// Those that wait alone: the others are the many.
		{Name: ByReceiver, Values: func(n *schema.Notice) []string { return whileWaiting(n, n.Receiver) }},
		{Name: ByOutbox, Values: func(n *schema.Notice) []string { return whileWaiting(n, outboxOf(n.Receiver, n.Severity)) }},
		{Name: ByEvent, Values: func(n *schema.Notice) []string { return whileWaiting(n, n.Event) }},
	},
}

// Limits of the outbox.
const (
	// MaxWaiting is how many notices wait for one receiver at most. When it is
	// reached the oldest of the lowest severity is lost, and counted.
	MaxWaiting = 10000
	// MaxBundle is how many notices one message holds at most.
	MaxBundle = 2000
	// bundlePatience is how many times bundle_seconds a bundle's first notice waits
	// at most, while others go on coming.
	bundlePatience = 4
	// maxRun is how many are sent one by one over one connection.
	maxRun = 500
	// maxNotices is how many are kept, those sent included.
	maxNotices = 20000
)

// Operations of entries about notification itself.
const (
	OpReceiverTest = "receiver-test"
	OpReceiver     = "receiver"
)

func whileWaiting(n *schema.Notice, value string) []string {
	if n.State != schema.NoticeWaiting {
		return nil
	}
	return []string{value}
}

func outboxOf(receiver, severity string) string { return receiver + "\x01" + severity }

// MessageID is the id under which a notice goes out, whoever sends it and how
// often: receivers recognise by it what they have already.
func MessageID(r Reader, notice string) string { return Settings(r).Cluster + "-" + notice }

// tell makes a notice of an entry of the event log for each receiver that wants
// such, but for one.
func tell(tx *Tx, e *schema.Event, severity, except string) error {
	for _, to := range slices.Collect(Receivers.All(tx)) {
		if to.Name == except || !wants(tx, to, e, severity) {
			continue
		}
		if _, err := addNotice(tx, to.Name, e, severity); err != nil {
			return err
		}
	}
	return nil
}

// addNotice puts an entry into a receiver's outbox.
func addNotice(tx *Tx, receiver string, e *schema.Event, severity string) (*schema.Notice, error) {
	r, ok := Receivers.Edit(tx, receiver)
	if !ok {
		return nil, noSuch("receiver", "receiver", receiver)
	}
	last, ok := Notices.Last(tx)
	n := &schema.Notice{
		Id: strconv.FormatUint(nextNumber(last.GetId(), ok), 10), Receiver: receiver, Event: e.Id, Severity: severity,
		Created: timestamppb.New(tx.Now()), State: schema.NoticeWaiting,
	}
	if r.Waiting >= MaxWaiting {
		way := firstToGo(tx, r, severity)
		if way == nil {
			way = n
		}
		lose(tx, way, "it gave way: "+strconv.FormatInt(r.Waiting, 10)+" notices wait for the receiver already")
		r.Lost++
		r.Waiting--
		if way != n {
			if err := Notices.Put(tx, way); err != nil {
				return nil, err
			}
		}
	}
	first := r.Waiting == 0
	r.Waiting++
	if err := Notices.Put(tx, n); err != nil {
		return nil, err
	}
	// What is due stays due, and a message that is on its way has its own time.
	if first || r.Sending == nil && r.Next.AsTime().After(tx.Now()) {
		nextMessage(tx, r)
	}
	return n, Receivers.Put(tx, r)
}

// firstToGo is the notice that gives way to one of this severity: the oldest of
// the lowest severity that isn't on its way; nil when all are of a higher one.
func firstToGo(tx *Tx, r *schema.Receiver, severity string) *schema.Notice {
	for _, s := range schema.Severities() {
		if !schema.AtLeast(severity, s) {
			break
		}
		for n := range Notices.By(tx, ByOutbox, outboxOf(r.Name, s)) {
			if !onItsWay(r, n) {
				row, _ := Notices.Edit(tx, numberKey(n.Id))
				return row
			}
		}
	}
	return nil
}

// onItsWay tells whether a notice belongs to the message that is being sent.
func onItsWay(r *schema.Receiver, n *schema.Notice) bool {
	return r.Sending != nil && numberKey(n.Id) <= numberKey(r.Sending.Last)
}

func lose(tx *Tx, n *schema.Notice, why string) {
	n.State, n.Ended, n.Error = schema.NoticeLost, timestamppb.New(tx.Now()), clip(why)
}

// Outgoing are the notices of the message that a receiver is being sent, by number.
func Outgoing(r Reader, to *schema.Receiver) []*schema.Notice {
	var out []*schema.Notice
	for n := range Notices.By(r, ByReceiver, to.GetName()) {
		if !onItsWay(to, n) {
			break
		}
		out = append(out, n)
	}
	return out
}

// BeginSending fixes what the next message to a receiver holds, unless one is on
// its way already; false when nothing waits. A message that was sent and whose
// end was not written is sent again as it was, under the same id: what came
// since waits for the next one, or it would be lost with the duplicate.
func BeginSending(tx *Tx, receiver string) (bool, error) {
	r, ok := Receivers.Edit(tx, receiver)
	if !ok {
		return false, nil
	}
	if r.Sending != nil {
		return true, nil
	}
	limit := 1
	switch {
	case r.Bundles():
		limit = MaxBundle
	case r.Kind == schema.ReceiverSyslog || r.Kind == schema.ReceiverJournald:
		limit = maxRun
	}
	for n := range Notices.By(tx, ByReceiver, receiver) {
		if r.Sending == nil {
			r.Sending = &schema.Sending{First: n.Id}
		}
		r.Sending.Last = n.Id
		if limit--; limit == 0 {
			break
		}
	}
	if r.Sending == nil {
		r.Waiting = 0
		return false, Receivers.Put(tx, r)
	}
	return true, Receivers.Put(tx, r)
}

// EndSending notes that the message on its way to a receiver has arrived. A
// remark says what wasn't right all the same, such as an address that was refused.
func EndSending(tx *Tx, receiver, remark string) error {
	r, ok := Receivers.Edit(tx, receiver)
	if !ok || r.Sending == nil {
		return nil
	}
	now := timestamppb.New(tx.Now())
	for _, n := range Outgoing(tx, r) {
		row, _ := Notices.Edit(tx, numberKey(n.Id))
		row.State, row.Ended, row.Attempts, row.Message = schema.NoticeSent, now, r.Sending.Attempts+1, MessageID(tx, r.Sending.First)
		if err := Notices.Put(tx, row); err != nil {
			return err
		}
		r.Sent++
		r.Waiting--
	}
	r.Sending, r.Error, r.LastSuccess = nil, clip(remark), now
	if remark != "" {
		r.LastFailure = now
	}
	nextMessage(tx, r)
	return Receivers.Put(tx, r)
}

// nextMessage sets when the next message is due: once no notice has come for the
// bundle's time, so that a storm and what is done about it are one message. The
// first notice doesn't wait for ever, and a message that is full for nothing.
func nextMessage(tx *Tx, r *schema.Receiver) {
	r.Next = nil
	oldest, ok := Notices.One(tx, ByReceiver, r.Name)
	if !ok {
		return
	}
	due, bundle := oldest.Created.AsTime(), time.Duration(r.BundleSeconds)*time.Second
	if r.Waiting < MaxBundle {
		latest := due.Add(bundlePatience * bundle)
		for newest := range Notices.ByBackward(tx, ByReceiver, r.Name) {
			due = newest.Created.AsTime().Add(bundle)
			break
		}
		if due.After(latest) {
			due = latest
		}
	}
	r.Next = timestamppb.New(due)
}

// FailSending notes that an attempt has failed: why, which addresses have the
// message all the same, and when the next attempt is due. Notices of the
// message that were made before giveUp are lost, and the event log says so.
func FailSending(tx *Tx, receiver, why string, done []string, next, giveUp time.Time) error {
	r, ok := Receivers.Edit(tx, receiver)
	if !ok || r.Sending == nil {
		return nil
	}
	r.Error, r.LastFailure, r.Next = clip(why), timestamppb.New(tx.Now()), timestamppb.New(next)
	r.Sending.Attempts++
	r.Failures++
	for _, a := range done {
		if !slices.Contains(r.Sending.Done, a) {
			r.Sending.Done = append(r.Sending.Done, a)
		}
	}
	lost := 0
	for _, n := range Outgoing(tx, r) {
		if !n.Created.AsTime().Before(giveUp) {
			break
		}
		row, _ := Notices.Edit(tx, numberKey(n.Id))
		row.Attempts = r.Sending.Attempts
		lose(tx, row, why)
		if err := Notices.Put(tx, row); err != nil {
			return err
		}
		lost++
	}
	r.Lost += int64(lost)
	r.Waiting -= int64(lost)
	if lost > 0 {
		r.Sending = nil // the rest is another message
		if r.Waiting == 0 {
			r.Next = nil
		}
	}
	if err := Receivers.Put(tx, r); err != nil || lost == 0 {
		return err
	}
	return tellLost(tx, r, lost)
}

// tellLost writes into the event log that notices were given up. The receiver
// that doesn't get them isn't told.
func tellLost(tx *Tx, r *schema.Receiver, lost int) error {
	entry, _ := catalog.LogEntry("notification", "other")
	e := &schema.Event{
		EventId: entry.ID, Severity: schema.SeverityError, Operation: OpReceiver, Phase: "failed",
		Text: "receiver " + r.Name + ": " + strconv.Itoa(lost) + " notices were given up: " + r.Error,
	}
	if err := writeEntry(tx, e); err != nil {
		return err
	}
	return tell(tx, e, e.Severity, r.Name)
}

// TestReceiver sends a test message to a receiver, at once, and returns the
// number of its notice. KindNotFound; KindConflict for a receiver
// that is disabled or of a kind that gets no notices.
func TestReceiver(tx *Tx, name string) (string, error) {
	row, ok := Receivers.Get(tx, name)
	if !ok {
		return "", notFound(receiverKind, name)
	}
	if row.Disabled {
		return "", schema.Errorf(schema.KindConflict, "Receiver "+name, "it is disabled").WithHint("apply it with disabled: false first")
	}
	if !row.GetsNotices() {
		return "", schema.Errorf(schema.KindConflict, "Receiver "+name, "it is of kind %s, which gets no messages but the traps that managers receive", row.Kind).
			WithHint("send a manager a trap; yagura_traps_forwarded_total in its metrics tells whether it was passed on")
	}
	entry, _ := catalog.LogEntry("notification", "other")
	e := &schema.Event{
		EventId: entry.ID, Severity: schema.SeverityInfo, Operation: OpReceiverTest, Phase: "other",
		Text: "test message for receiver " + name + ", asked for by " + tx.Why().User,
	}
	if err := writeEntry(tx, e); err != nil {
		return "", err
	}
	n, err := addNotice(tx, name, e, e.Severity)
	if err != nil {
		return "", err
	}
	r, _ := Receivers.Edit(tx, name)
	r.Next = timestamppb.New(tx.Now())
	return n.Id, Receivers.Put(tx, r)
}

// forgetNotices removes what waits for a receiver that is removed.
func forgetNotices(tx *Tx, receiver string) error {
	for _, n := range slices.Collect(Notices.By(tx, ByReceiver, receiver)) {
		if err := Notices.Delete(tx, numberKey(n.Id)); err != nil {
			return err
		}
	}
	return nil
}

// awaited tells whether a notice of an event waits, which needs its text.
func awaited(r Reader, e *schema.Event) bool {
	_, ok := Notices.One(r, ByEvent, e.Id)
	return ok
}
