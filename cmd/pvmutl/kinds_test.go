package main

import "testing"

func TestEventNames(t *testing.T) {
	for _, c := range []struct{ source, id, want string }{
		{"ESMDSVNT", "0xC0000002", "ESMDSVNT[0xC0000002]"},
		{"ESMDSVNT", "", "ESMDSVNT"},
		{"Host CPU Usage", "Alarm Host CPU Usage on VMS changed from green to red", "Alarm Host CPU Usage on VMS changed from green to red"},
	} {
		if got := eventName(c.source, c.id); got != c.want {
			t.Errorf("event %q of %q is written %q, want %q", c.id, c.source, got, c.want)
		}
	}
}
