package fsm

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

// The indexes of events are read out of encoded rows: they must find what the
// decoded ones say, whatever else is in them.
func TestEventIndexesOfEncodedRows(t *testing.T) {
	fields := (&schema.Event{}).ProtoReflect().Descriptor().Fields()
	for name, number := range map[string]int{
		"notifier": eventNotifierField, "source": eventSourceField, "target": eventTargetField, "target_hint": eventTargetHintField,
		"category": eventCategoryField, "state": eventStateField, "requests": eventRequestsField,
	} {
		if f := fields.ByTextName(name); f == nil || int(f.Number()) != number {
			t.Errorf("field %s hasn't the number %d", name, number)
		}
	}
	one := func(s ...string) []string { return s }
	for _, c := range []struct {
		event                       *schema.Event
		state, target, down, origin []string
	}{
		{&schema.Event{}, nil, nil, nil, one("\x01\x01")},
		{
			&schema.Event{
				Id: "7", Time: timestamppb.Now(), Sequence: 1 << 40, Notifier: "SNMP", Source: "IF-MIB", Target: "m1", TargetHint: "h1", State: schema.EventNew,
				Varbinds: map[string]string{"1.2": "3"}, Count: 9, Jobs: []string{"00001"}, Actions: []*schema.ActionRecord{{Action: "notify"}}, Again: 2,
			},
			one(schema.EventNew), one("m1"), nil, one("SNMP\x01IF-MIB\x01m1"),
		},
		{&schema.Event{Notifier: "SNMP", TargetHint: "h1", State: schema.EventHandled, Category: "machine-inaccessible"}, nil, nil, nil, one("SNMP\x01\x01h1")},
		{&schema.Event{Notifier: schema.NotifierPVM, Target: "m1", State: schema.EventHandled, Category: "target-inaccessible"}, nil, one("m1"), one(Inaccessible), nil},
	} {
		raw, err := proto.Marshal(c.event)
		if err != nil {
			t.Fatal(err)
		}
		for _, ix := range []struct {
			name string
			of   func([]byte) [][]byte
			want []string
		}{{ByState, eventByState, c.state}, {ByTarget, eventByTarget, c.target}, {ByInaccessible, eventByInaccessible, c.down}, {ByOrigin, eventByOrigin, c.origin}} {
			var got []string
			for _, v := range ix.of(raw) {
				if len(v) > 0 {
					got = append(got, string(v))
				}
			}
			if len(got) != len(ix.want) || len(got) > 0 && got[0] != ix.want[0] {
				t.Errorf("index %s of %v has %q, want %q", ix.name, c.event, got, ix.want)
			}
		}
		if c.origin != nil && originOf(c.event) != c.origin[0] {
			t.Errorf("the origin of %v is %q, its index has %q", c.event, originOf(c.event), c.origin[0])
		}
	}
}
