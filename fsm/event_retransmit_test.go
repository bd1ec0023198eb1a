package fsm_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// The retransmission of an inform makes no second event and isn't counted,
// whichever manager it comes to, in one batch or minutes later, and whatever has
// become of the machine that it is about.
func TestRetransmittedInform(t *testing.T) {
	c := iron(t)
	apply(t, c, doc("Host", "a/h1", `{}`))
	activate := func(machine string) {
		c.Do(func(tx *fsm.Tx) error {
			return fsm.Activate(tx, fsm.Activation{Machine: machine, Group: "a", Host: "h1"})
		})
	}
	activate("m1")
	start, sequence := time.Now().Add(-time.Hour), uint64(0)
	inform := func(after time.Duration, fingerprint uint64) *schema.Event {
		sequence++
		return &schema.Event{
			Sequence: sequence, Notifier: schema.NotifierESMPRO, Source: "ESMDSVNT", EventId: "0xC0000002", TargetHint: "h1",
			Received: timestamppb.New(start.Add(after)), Requests: []uint64{fingerprint},
		}
	}
	record := func(node string, events ...*schema.Event) {
		t.Helper()
		c.Do(func(tx *fsm.Tx) error {
			recorded, err := fsm.RecordEvents(tx, node, events)
			if err == nil && recorded != sequence {
				t.Errorf("all up to %d is recorded, want %d: its sender would send it again", recorded, sequence)
			}
			return err
		})
	}
	check := func(what string, counts ...int64) {
		t.Helper()
		var got []int64
		for e := range fsm.Events.All(c.Store().View()) {
			if e.Notifier == schema.NotifierESMPRO {
				got = append(got, e.Count)
			}
		}
		if len(got) != len(counts) {
			t.Fatalf("%s: %d events, want %d", what, len(got), len(counts))
		}
		for i, n := range counts {
			if got[i] != n {
				t.Errorf("%s: event %d is counted %d times, want %d", what, i+1, got[i], n)
			}
		}
	}
	record("n1", inform(0, 1))
	check("an inform", 1)
	record("n2", inform(time.Second, 1))
	check("to another manager within the coalescing window", 1)
	record("n2", inform(2*time.Second, 2), inform(3*time.Second, 2))
	check("two of another one at once", 2)
	record("n3", inform(time.Minute, 1), inform(time.Minute, 2))
	check("much later, the second of what was counted into an earlier one", 2)

	c.Do(func(tx *fsm.Tx) error { return fsm.Release(tx, "m1") })
	activate("m2")
	record("n1", inform(2*time.Minute, 1))
	check("after another machine has taken the host over", 2)
	record("n1", inform(2*time.Minute, 3))
	check("another inform about the new machine", 2, 1)
	record("n1", inform(time.Minute+fsm.RetransmitWindow, 1))
	check("a number that came again after the window", 2, 1, 1)
	for n := range uint64(20) {
		record("n1", inform(time.Minute+fsm.RetransmitWindow, 10+n))
	}
	check("more informs than an event remembers", 2, 1, 21)
	if e, _ := fsm.Events.Last(c.Store().View()); len(e.Requests) != 8 {
		t.Errorf("the event remembers %d informs", len(e.Requests))
	}
}
