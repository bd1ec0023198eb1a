package policy_test

import (
	"fmt"
	"testing"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
)

// BenchmarkRecordEvents records events about unknown machines, 256 a verb, on
// a leader and two other replicas; the figures are of one event.
func BenchmarkRecordEvents(b *testing.B) {
	const batch = 256
	c := fsmtest.New(b)
	sequence := uint64(0)
	events := make([]*schema.Event, batch)
	b.ReportAllocs()
	for i := 0; i < b.N; i += batch {
		for k := range events {
			sequence++
			events[k] = &schema.Event{
				Sequence: sequence, Notifier: schema.NotifierESMPRO, Source: "ESMDSVNT", EventId: "0x800002BD", TargetHint: fmt.Sprintf("h%07d", sequence),
				From: "192.0.2.1:162", Rule: "esmpro", Varbinds: map[string]string{
					"1.3.6.1.4.1.119.2.2.4.4.100.1": "ESMDSVNT", "1.3.6.1.4.1.119.2.2.4.4.100.2": "0x800002BD", "1.3.6.1.4.1.119.2.2.4.4.100.3": fmt.Sprintf("h%07d", sequence),
				},
			}
		}
		c.Do(func(tx *fsm.Tx) error {
			_, _, err := policy.RecordEvents(tx, "node1", events)
			return err
		})
	}
}
