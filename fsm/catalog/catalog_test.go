package catalog

import (
	"slices"
	"testing"
)

func TestLists(t *testing.T) {
	for name, n := range map[string][2]int{
		"events":      {len(Events()), 95 + 17 + 60},
		"indexed":     {len(eventsBy), 95 + 17 + 60},
		"actions":     {len(ActionSlugs()), 21},
		"sequences":   {len(Sequences()), 23},
		"policies":    {len(Policies()), 3},
		"log entries": {len(entries), 85},
	} {
		if n[0] != n[1] {
			t.Errorf("%d %s, want %d", n[0], name, n[1])
		}
	}
	physical, virtual, both := 0, 0, 0
	for _, s := range Sequences() {
		switch {
		case s.Physical && s.Virtual:
			both++
		case s.Physical:
			physical++
		case s.Virtual:
			virtual++
		}
	}
	if physical != 2 || virtual != 7 || both != 14 {
		t.Errorf("%d physical, %d virtual, %d both; the manual says 2, 7, 14", physical, virtual, both)
	}
	for _, e := range Events() {
		if e.ID == "" || e.Category == "" || e.Text == "" || NormalID(e.ID) != e.ID {
			t.Errorf("incomplete or not in the usual form: %+v", e)
		}
	}
	severities := []string{"info", "warning", "error"}
	for _, e := range entries {
		if !slices.Contains(severities, e.Severity) || e.ID == "" || e.Operation == "" || e.Phase == "" || e.Text == "" {
			t.Errorf("incomplete: %+v", e)
		}
	}
	for fault, recovery := range recoveries {
		for _, c := range []string{fault, recovery} {
			if !slices.ContainsFunc(Events(), func(e Event) bool { return e.Category == c }) {
				t.Errorf("no event has the category %s", c)
			}
		}
	}
}

func TestCategoryOf(t *testing.T) {
	for _, tt := range []struct{ notifier, source, id, want string }{
		{"SystemMonitorEvent", "ESMDSVNT", "0xC0000002", "machine-inaccessible"},
		{"SystemMonitorEvent", "ESMDSVNT", "0xc0000002", "machine-inaccessible"},
		{"SystemMonitorEvent", "ESMDSVNT", "3221225474", "machine-inaccessible"},
		{"SystemMonitorEvent", "ESMDSVNT", "0x40000001", "machine-accessible"},
		{"SystemMonitorEvent", "ESM Mylex Service", "0x80040205", "disk-recoverable"},
		{"SystemMonitorEvent", "ASMBENotify", "0x200C", "disk-recoverable"},
		{"SystemMonitorEvent", "Other", "0xC0000002", ""},
		{"SystemMonitorPerf", "", "11000006", "vm-server"},
		{"SystemMonitorPerf", "any", "1000000a", "machine-custom"},
		{"VMwareProvider", "", "Alarm Host connection state on VMS changed from green to red", "target-inaccessible"},
		{"VMwareProvider", "vc1", AlarmText("Host CPU Usage", "VMS", "gray", "red"), "cpu-load"},
		{"VMwareProvider", "", "Alarm mine on VM changed from green to red", ""},
		{"SNMP", "ESMDSVNT", "0xC0000002", ""},
	} {
		if got := CategoryOf(tt.notifier, tt.source, tt.id); got != tt.want {
			t.Errorf("%s %s %s is %q, want %q", tt.notifier, tt.source, tt.id, got, tt.want)
		}
	}
	if RecoveryOf("machine-inaccessible") != "machine-accessible" || RecoveryOf("cpu-failure") != "" || !IsRecovery("target-accessible") || IsRecovery("target-inaccessible") {
		t.Error("recovery")
	}
}

func TestSeverity(t *testing.T) {
	for _, tt := range []struct{ notifier, source, id, want string }{
		{"SystemMonitorEvent", "ESMDSVNT", "0xC0000002", "error"},
		{"SystemMonitorEvent", "ESMDSVNT", "0x40000001", "info"},
		{"SystemMonitorEvent", "ESMMylexService", "0x800403E9", "warning"},
		{"SystemMonitorEvent", "ASMBENotify", "0x0000200C", "warning"},
		{"SystemMonitorEvent", "ASMBENotify", "0x00002013", "info"},
		{"SystemMonitorEvent", "X", "coldStart", ""},
		{"SystemMonitorPerf", "", "11000006", "warning"},
		{"SystemMonitorPerf", "", "10000001", "info"},
		{"VMwareProvider", "", AlarmText("a", "VM", "green", "red"), "error"},
		{"VMwareProvider", "", AlarmText("a", "VM", "red", "green"), "info"},
		{"VMwareProvider", "", AlarmText("a", "VM", "green", "gray"), "warning"},
		{"VMwareProvider", "", "something", ""},
		{"SNMP", "", "linkDown", ""},
	} {
		if got := Severity(tt.notifier, tt.source, tt.id); got != tt.want {
			t.Errorf("%s %s %s is %q, want %q", tt.notifier, tt.source, tt.id, got, tt.want)
		}
	}
}

func TestParseSelector(t *testing.T) {
	for _, tt := range []struct {
		notifier, text string
		want           Selector
		ok             bool
	}{
		{"SystemMonitorEvent", "category:cpu-load", Selector{Category: "cpu-load"}, true},
		{"SystemMonitorEvent", "ESM Mylex Service[0x80040205]", Selector{Source: "ESMMylexService", ID: "0x80040205"}, true},
		{"SystemMonitorEvent", "ESMDSVNT[0xc0000002]", Selector{Source: "ESMDSVNT", ID: "0xC0000002"}, true},
		{"SystemMonitorEvent", "ESMDSVNT[3221225474]", Selector{Source: "ESMDSVNT", ID: "0xC0000002"}, true},
		{"SystemMonitorEvent", "category:vm-server", Selector{}, false},
		{"SystemMonitorEvent", "category:", Selector{}, false},
		{"SystemMonitorEvent", "ESMDSVNT", Selector{}, false},
		{"SystemMonitorEvent", "ESMDSVNT[]", Selector{}, false},
		{"SystemMonitorEvent", "[0x1]", Selector{}, false},
		{"SystemMonitorPerf", "1000000a", Selector{ID: "1000000A"}, true},
		{"SystemMonitorPerf", "1100", Selector{}, false},
		{"VMwareProvider", " Alarm x ", Selector{ID: "Alarm x"}, true},
		{"VMwareProvider", "category:memory-degraded", Selector{Category: "memory-degraded"}, true},
		{"VMwareProvider", "category:memory-failure", Selector{}, false},
		{"SNMP", "SNMPv2-MIB[linkDown]", Selector{Source: "SNMPv2-MIB", ID: "linkDown"}, true},
		{"SNMP", "category:anything", Selector{Category: "anything"}, true},
		{"SNMP", "", Selector{}, false},
	} {
		got, err := ParseSelector(tt.notifier, tt.text)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s %q: %+v, %v", tt.notifier, tt.text, got, err)
		}
	}
	sel, err := ParseSelector("SystemMonitorEvent", "ESMDSVNT[0xC0000002]")
	if err != nil || !sel.Match("ESMDSVNT", "0xC0000002", "") || sel.Match("ESMDSVNT", "0xC0000003", "") || sel.Match("OTHER", "0xC0000002", "") {
		t.Error("match")
	}
}

func TestLogEntry(t *testing.T) {
	for _, tt := range []struct{ operation, phase, id, severity string }{
		{"startup-machine", "started", "2021", "info"}, {"move-machine", "failed", "2064", "warning"}, {"create-vm", "failed", "2901", "error"}, {"nothing", "started", "", ""},
	} {
		e, ok := LogEntry(tt.operation, tt.phase)
		if e.ID != tt.id || e.Severity != tt.severity || ok != (tt.id != "") {
			t.Errorf("%s %s: %+v", tt.operation, tt.phase, e)
		}
	}
	if _, ok := ActionBySlug("vms-power-save"); !ok {
		t.Error("no action vms-power-save")
	}
	if _, ok := ActionBySlug("fly"); ok {
		t.Error("an action that isn't")
	}
}
