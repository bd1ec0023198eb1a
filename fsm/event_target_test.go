package fsm_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// An event that names a host is about the machine that runs under it, also when
// another machine has that name, as after a replacement.
func TestTargetOfAnEvent(t *testing.T) {
	c := iron(t)
	apply(t, c,
		doc("Host", "a/h1", `{'nics':[{'addresses':[{'ip':'192.0.2.7','prefix':24}]}]}`),
		doc("Machine", "h1", `{'kind':'physical','managed':true,'model_name':'R1'}`))
	c.Do(func(tx *fsm.Tx) error { return fsm.Activate(tx, fsm.Activation{Machine: "m1", Group: "a", Host: "h1"}) })
	for i, e := range []struct {
		event *schema.Event
		want  string
	}{
		{&schema.Event{TargetHint: "h1"}, "m1"},
		{&schema.Event{TargetHint: "h1.example.com"}, "m1"},
		{&schema.Event{TargetHint: "192.0.2.7"}, "m1"},
		{&schema.Event{TargetHint: "::ffff:192.0.2.7"}, "m1"},
		{&schema.Event{TargetHint: "192.0.2.8"}, ""},
		{&schema.Event{TargetHint: "h2"}, ""}, // nothing runs under it
		{&schema.Event{TargetHint: "m2"}, "m2"},
		{&schema.Event{TargetHint: "m2.example.com"}, "m2"},
		{&schema.Event{Target: "h1", TargetHint: "h1"}, "h1"}, // its sender knows the machine
		{&schema.Event{}, ""},
	} {
		e.event.Notifier, e.event.Source, e.event.EventId, e.event.Sequence = schema.NotifierESMPRO, "S", string(rune('A'+i)), uint64(i+1)
		e.event.Received = timestamppb.Now()
		c.Do(func(tx *fsm.Tx) error {
			_, err := fsm.RecordEvents(tx, "n1", []*schema.Event{e.event})
			return err
		})
		got, _ := fsm.Events.Last(c.Store().View())
		if got.Target != e.want {
			t.Errorf("%v is about %q, want %q", e.event, got.Target, e.want)
		}
	}
	if m := fsm.FindMachine(c.Store().View(), "h1"); m.GetName() != "h1" {
		t.Errorf("a person who says h1 means the machine, not %s", m.GetName())
	}
}
