package scheduler

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/fsm/texts"
)

// Notifiers opens the way to receivers of notices, by the names of their rows.
type Notifiers interface {
	Notifier(ctx context.Context, receiver string) (drivers.Notifier, error)
}

const (
	// noticeTimeout bounds one attempt to send a message.
	noticeTimeout = time.Minute
	// Pauses between attempts.
	firstNoticePause = time.Second
	maxNoticePause   = 5 * time.Minute
	// noticePatience is how long a receiver may take nothing before what waits
	// for it is given up; refusedPatience the same for a message that the
	// receiver has understood and doesn't want, which holds up those behind it.
	noticePatience  = 24 * time.Hour
	refusedPatience = time.Hour
)

// notify sends what waits in the outbox, each receiver's in a goroutine of its
// own, so that one that hangs holds up no other.
func (t *leadership) notify(ctx context.Context) {
	busy := map[string]bool{}
	ended := make(chan string)
	defer func() {
		for len(busy) > 0 {
			delete(busy, <-ended)
		}
	}()
	for {
		changed := t.Store.Watch(fsm.Receivers)
		now := t.Clock.Now()
		var next time.Time
		for r := range fsm.Receivers.All(t.Store.View()) {
			if busy[r.Name] || r.Disabled || r.Waiting == 0 {
				continue
			}
			if at := r.Next.AsTime(); at.After(now) {
				if next.IsZero() || at.Before(next) {
					next = at
				}
				continue
			}
			busy[r.Name] = true
			go func() { // waited for through busy
				t.deliver(ctx, r.Name)
				ended <- r.Name
			}()
		}
		var timer <-chan time.Time
		end := func() {}
		if !next.IsZero() {
			timer, end = t.Clock.After(next.Sub(now))
		}
		select {
		case <-ctx.Done():
			end()
			return
		case <-changed:
		case <-timer:
		case name := <-ended:
			delete(busy, name)
		}
		end()
	}
}

// deliver makes one attempt to send a receiver its next message. What the
// message holds is written before it is sent: a new leader sends the same.
func (t *leadership) deliver(ctx context.Context, name string) {
	some := false
	err := t.update(ctx, "BeginNotice", func(tx *fsm.Tx) (err error) {
		some, err = fsm.BeginSending(tx, name)
		return err
	})
	if err == nil && some {
		err = t.attemptNotice(ctx, name)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	if !lost(err) {
		t.log.Error("what became of a notice can't be written", "receiver", name, "err", err)
	}
	t.wait(ctx, nil, retryAfter)
}

func (t *leadership) attemptNotice(ctx context.Context, name string) error {
	v := t.Store.View()
	to, ok := fsm.Receivers.Get(v, name)
	if !ok || to.Sending == nil {
		return nil
	}
	var delivered []string
	var err error
	if notices := fsm.Outgoing(v, to); len(notices) > 0 {
		delivered, err = t.sendNotice(ctx, name, messageOf(v, to, notices))
	}
	if ctx.Err() != nil {
		return ctx.Err() // its end may have cut the attempt short: the next leader knows the message's id
	}
	now := t.Clock.Now()
	patience := noticePatience
	switch {
	case err == nil:
		return t.update(ctx, "EndNotice", func(tx *fsm.Tx) error { return fsm.EndSending(tx, name, "") })
	case drivers.KindOf(err) == drivers.KindRefused && len(to.Sending.Done)+len(delivered) > 0:
		// The others have it; those who were refused won't be asked again.
		return t.update(ctx, "EndNotice", func(tx *fsm.Tx) error { return fsm.EndSending(tx, name, err.Error()) })
	case drivers.KindOf(err) == drivers.KindRefused:
		patience = refusedPatience
	}
	if to.Sending.Attempts == 0 {
		t.log.Warn("a receiver doesn't take a message; it is sent again", "receiver", name, "err", err)
	}
	next := now.Add(min(firstNoticePause<<min(to.Sending.Attempts, 10), maxNoticePause))
	return t.update(ctx, "FailNotice", func(tx *fsm.Tx) error {
		return fsm.FailSending(tx, name, err.Error(), delivered, next, now.Add(-patience))
	})
}

func (t *leadership) sendNotice(ctx context.Context, name string, m drivers.Message) ([]string, error) {
	ctx, cancel := t.Clock.WithTimeout(ctx, noticeTimeout)
	defer cancel()
	n, err := t.Notifiers.Notifier(ctx, name)
	if err != nil {
		return nil, err
	}
	return n.Notify(ctx, m)
}

// messageOf puts notices into the words of their receiver. People read in it how
// severe the things are that it tells of: an entry that reports a fault is an
// information by itself.
func messageOf(r fsm.Reader, to *schema.Receiver, notices []*schema.Notice) drivers.Message {
	m := drivers.Message{ID: fsm.MessageID(r, to.Sending.First), Done: slices.Clone(to.Sending.Done)}
	var events []*schema.Event
	for _, n := range notices {
		e, ok := fsm.Events.Get(r, fsm.NumberKey(n.Event))
		if !ok {
			e = &schema.Event{Id: n.Event, Severity: n.Severity, Time: n.Created, Source: schema.NotifierPVM, Text: "event " + n.Event + " isn't kept any more"}
		}
		told := proto.CloneOf(e)
		told.Severity = n.Severity
		events = append(events, told)
		m.Notes = append(m.Notes, drivers.Note{
			ID: fsm.MessageID(r, n.Id), Event: e.Id, Time: e.Time.AsTime(), Severity: e.Severity, About: n.Severity, EventID: e.EventId, Source: e.Source,
			Operation: e.Operation, Phase: e.Phase, Target: e.Target, Group: e.Group, Job: e.Job,
			Language: to.Language, Text: texts.Text(to.Language, e),
		})
	}
	m.Subject, m.Body = texts.Subject(to.Language, events), texts.Body(to.Language, events)
	return m
}
