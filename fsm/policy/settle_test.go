package policy_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
)

// What leads to nothing is decided on when it is recorded, with the decision
// and the reason that Decide gives; all else is left to the scheduler.
func TestRecordedAndDecidedAtOnce(t *testing.T) {
	const fault, other, recovery, inaccessible = "0xC0000101", "0xC0000102", "0x40000001", "0xC0000002"
	w := newWorld(t)
	w.Do(func(tx *fsm.Tx) error {
		return fsm.Policies.Put(tx, &schema.Policy{Name: "p", Rules: []*schema.PolicyRule{
			{Name: "fault", Notifier: schema.NotifierESMPRO, Selector: "ESMDSVNT[" + fault + "]", Actions: []string{"reboot-machine"}},
		}})
	})
	sequence := uint64(0)
	record := func(id, target string) *schema.Event {
		t.Helper()
		w.Do(func(tx *fsm.Tx) error {
			sequence++
			_, _, err := policy.RecordEvents(tx, "node1", []*schema.Event{{
				Sequence: sequence, Notifier: schema.NotifierESMPRO, Source: "ESMDSVNT", EventId: id, TargetHint: target, Received: timestamppb.New(tx.Now()),
			}})
			return err
		})
		e, _ := fsm.Events.Last(w.Store().View())
		return e
	}
	v := func() fsm.Reader { return w.Store().View() }
	for _, c := range []struct {
		id, target string
		decided    bool
	}{
		{other, "stranger", true},
		{other, "db01", true}, // no rule is about it
		{other, "db04", true}, // runs in no group
		{fault, "stranger", true},
		{inaccessible, "stranger", true},
		{inaccessible, "db01", false}, // may be part of a storm
		{recovery, "db01", false},     // the one before isn't decided on yet
		{other, "db02", false},        // neither
		{fault, "stranger2", true},
	} {
		e := record(c.id, c.target)
		if !c.decided {
			if e.State != schema.EventNew || e.Decision != "" || e.Reason != "" {
				t.Errorf("%s of %s is decided on: %s, %s, %s", c.id, c.target, e.State, e.Decision, e.Reason)
			}
			continue
		}
		want := policy.Decide(policy.Gather(v(), e, e.Time.AsTime(), false))
		if e.State != schema.EventHandled || e.Decision != want.Decision || e.Reason != want.Reason || e.Decision != schema.DecisionIgnored {
			t.Errorf("%s of %s is %s, %s: %s; decided would be %s: %s", c.id, c.target, e.State, e.Decision, e.Reason, want.Decision, want.Reason)
		}
	}
	// A rule's event is the scheduler's, also when nothing else is under way.
	w = newWorld(t)
	w.Do(func(tx *fsm.Tx) error {
		return fsm.Policies.Put(tx, &schema.Policy{Name: "p", Rules: []*schema.PolicyRule{
			{Name: "fault", Notifier: schema.NotifierESMPRO, Selector: "ESMDSVNT[" + fault + "]", Actions: []string{"do-nothing"}},
		}})
	})
	if e := record(fault, "db01"); e.State != schema.EventNew {
		t.Errorf("an event that a rule is about is %s", e.State)
	}
	// While a fault waits, its recovery isn't settled behind its back.
	w = newWorld(t)
	w.Do(func(tx *fsm.Tx) error {
		return fsm.Events.Put(tx, &schema.Event{Id: "1", Target: "db01", State: schema.EventWaiting, Due: timestamppb.New(tx.Now().Add(time.Hour))})
	})
	if e := record(recovery, "db01"); e.State != schema.EventNew {
		t.Errorf("a recovery is %s while a fault waits for it", e.State)
	}
}

// A storm that comes in few calls leaves the rows that it leaves when each of
// its events comes in a call of its own.
func TestManyEventsOfACallCountAsEachAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	begin := time.Now().Add(-time.Hour)
	var events []*schema.Event
	at := begin
	for n := range 3000 {
		switch r.IntN(40) {
		case 0:
			at = at.Add(2 * fsm.CoalesceWindow)
		default:
			at = at.Add(time.Duration(r.IntN(400)) * time.Millisecond)
		}
		received := at.Add(-time.Duration(r.IntN(3)) * time.Second) // senders' clocks differ
		e := &schema.Event{
			Sequence: uint64(n + 1), Notifier: schema.NotifierESMPRO, Source: "ESMDSVNT", EventId: fmt.Sprintf("0xC00001%02X", r.IntN(2)),
			TargetHint: fmt.Sprintf("h%d", r.IntN(3)), Received: timestamppb.New(received),
		}
		if r.IntN(20) == 0 {
			e.EventId = "0x40000101" // a recovery, say
		}
		events = append(events, e)
	}
	rows := func(size int) (out []*schema.Event) {
		c := fsmtest.New(t)
		for left := events; len(left) > 0; left = left[min(size, len(left)):] {
			c.Do(func(tx *fsm.Tx) error {
				_, _, err := policy.RecordEvents(tx, "node1", left[:min(size, len(left))])
				return err
			})
		}
		for e := range fsm.Events.All(c.Store().View()) {
			e = proto.Clone(e).(*schema.Event)
			e.Time = nil // that of the call
			out = append(out, e)
		}
		return out
	}
	alone, together := rows(1), rows(250)
	total := int64(0)
	for _, e := range together {
		total += e.Count
	}
	if total != int64(len(events)) {
		t.Errorf("%d events are counted of %d", total, len(events))
	}
	if len(alone) != len(together) {
		t.Fatalf("%d rows, %d when each comes alone", len(together), len(alone))
	}
	again := int32(0)
	for i := range alone {
		again += alone[i].Again
		if !proto.Equal(alone[i], together[i]) {
			t.Fatalf("row %d is\n%v\nand alone\n%v", i, together[i], alone[i])
		}
	}
	if again == 0 || len(alone) > len(events)/2 {
		t.Errorf("the events try too little: %d rows, %d recurrences", len(alone), again)
	}
}
