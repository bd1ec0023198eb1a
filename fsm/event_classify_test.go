package fsm_test

import (
	"testing"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// TestRecordedEventsAreClassified: id, category and severity don't depend on how
// an agent writes its id.
func TestRecordedEventsAreClassified(t *testing.T) {
	for name, tt := range map[string]struct {
		in                     *schema.Event
		id, category, severity string
	}{
		"hexadecimal": {&schema.Event{Notifier: schema.NotifierESMPRO, Source: "ESMDSVNT", EventId: "0xc0000002"}, "0xC0000002", "machine-inaccessible", "error"},
		"a number":    {&schema.Event{Notifier: schema.NotifierESMPRO, Source: "ESMDSVNT", EventId: "3221225474"}, "0xC0000002", "machine-inaccessible", "error"},
		"recovery":    {&schema.Event{Notifier: schema.NotifierESMPRO, Source: "ESMDSVNT", EventId: "1073741825"}, "0x40000001", "machine-accessible", "info"},
		"of the site": {&schema.Event{Notifier: schema.NotifierSNMP, Source: "UPS", EventId: "1.3.6.1", Category: "power", Severity: "warning"}, "1.3.6.1", "power", "warning"},
		"unknown":     {&schema.Event{Notifier: schema.NotifierSNMP, Source: "SNMP", EventId: "1.3.6.1"}, "1.3.6.1", "", "info"},
	} {
		t.Run(name, func(t *testing.T) {
			c := bootstrapped(t)
			tt.in.Sequence = 1
			c.Do(func(tx *fsm.Tx) error {
				_, err := fsm.RecordEvents(tx, "n1", []*schema.Event{tt.in})
				return err
			})
			e, _ := fsm.Events.Last(c.Store().View())
			if e.GetEventId() != tt.id || e.GetCategory() != tt.category || e.GetSeverity() != tt.severity {
				t.Errorf("%v", e)
			}
		})
	}
}
