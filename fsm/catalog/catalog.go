// Package catalog holds the fixed lists of the SigmaSystemCenter 2.0 Reference
// Guide: monitored events and their categories (4.1), policy actions (4.2), the
// standard policies (4.3), action sequences (2.3) and the event log (7.1). The
// lists are facts; their texts are our own. It is a leaf: it imports nothing of
// the project.
package catalog

import (
	"embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
)

//go:embed *.csv
var files embed.FS

// records reads an embedded list; each record is a map from column to value.
// The lists are part of the program, so a damaged one is a defect found by the
// package's tests.
func records(name string) []map[string]string {
	f, err := files.Open(name)
	if err != nil {
		panic(fmt.Sprintf("catalog: %v", err))
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil || len(all) < 2 {
		panic(fmt.Sprintf("catalog: %s: %v", name, err))
	}
	var out []map[string]string
	for _, rec := range all[1:] {
		row := make(map[string]string, len(rec))
		for i, v := range rec {
			row[all[0][i]] = v
		}
		out = append(out, row)
	}
	return out
}

// Notifiers as they stand in a policy [4.1.1].
const (
	notifierESMPRO = "SystemMonitorEvent"
	notifierPerf   = "SystemMonitorPerf"
	notifierVMware = "VMwareProvider"
)

// Event is a monitored event of the manual's lists [4.1.2 to 4.1.4].
type Event struct {
	Notifier string
	Source   string // ESMPRO: event source; VMware: alarm name
	ID       string // ESMPRO: 0x and 8 digits; Perf: 8 digits; VMware: the alarm text
	Category string // such as cpu-load; other for events that mean nothing by themselves
	Text     string
}

// NormalID gives an event id its usual form: hexadecimal digits in upper case,
// behind 0x where there is one, filled up to 8. Texts stay as they are.
func NormalID(id string) string {
	id = strings.TrimSpace(id)
	digits, prefixed := strings.CutPrefix(strings.ToLower(id), "0x")
	if digits == "" || len(digits) > 8 || strings.Trim(digits, "0123456789abcdef") != "" {
		return id
	}
	if !prefixed {
		return strings.ToUpper(id)
	}
	return "0x" + strings.Repeat("0", 8-len(digits)) + strings.ToUpper(digits)
}

// NormalEventID is NormalID for an event of a notifier. An ESMPRO id is a 32-bit
// number that agents send as hexadecimal text or as a number: decimal digits
// become 0x and 8 hexadecimal digits.
func NormalEventID(notifier, id string) string {
	if notifier == notifierESMPRO {
		if n, err := strconv.ParseUint(strings.TrimSpace(id), 10, 32); err == nil {
			return fmt.Sprintf("0x%08X", n)
		}
	}
	return NormalID(id)
}

// normalSource drops the spaces that the manual prints in some sources only.
func normalSource(s string) string { return strings.ReplaceAll(s, " ", "") }

// AlarmText is the text of a VMware alarm event as policies name it, such as
// "Alarm Host connection state on VMS changed from green to red" [4.1.4].
// target is VMS or VM; from and to are gray, green, yellow or red.
func AlarmText(alarm, target, from, to string) string {
	return "Alarm " + alarm + " on " + target + " changed from " + from + " to " + to
}

type eventKey struct{ notifier, source, id string }

var (
	events    = loadEvents()
	eventsBy  = indexEvents()
	known     = categoriesByNotifier()
	actions   = loadActions()
	sequences = loadSequences()
	policies  = loadPolicies()
	entries   = loadEntries()
)

func loadEvents() []Event {
	var out []Event
	for _, r := range records("events_esmpro.csv") {
		out = append(out, Event{notifierESMPRO, r["source"], r["event_id"], r["category"], r["text"]})
	}
	for _, r := range records("events_perf.csv") {
		out = append(out, Event{notifierPerf, "", r["event_id"], r["category"], r["text"]})
	}
	for _, r := range records("events_vmware.csv") {
		out = append(out, Event{notifierVMware, r["alarm"], AlarmText(r["alarm"], r["target"], r["from"], r["to"]), r["category"], r["text"]})
	}
	return out
}

// key finds an event in the list. VMware's and SystemMonitor's ids say all.
func key(notifier, source, id string) eventKey {
	if notifier != notifierESMPRO {
		source = ""
	}
	return eventKey{notifier, normalSource(source), NormalEventID(notifier, id)}
}

func indexEvents() map[eventKey]Event {
	m := make(map[eventKey]Event, len(events))
	for _, e := range events {
		m[key(e.Notifier, e.Source, e.ID)] = e
	}
	return m
}

func categoriesByNotifier() map[string]map[string]bool {
	m := map[string]map[string]bool{}
	for _, e := range events {
		if m[e.Notifier] == nil {
			m[e.Notifier] = map[string]bool{}
		}
		m[e.Notifier][e.Category] = true
	}
	return m
}

// Events are all monitored events.
func Events() []Event { return append([]Event(nil), events...) }

// Find finds a monitored event. The source counts for ESMPRO events alone.
func Find(notifier, source, id string) (Event, bool) {
	e, ok := eventsBy[key(notifier, source, id)]
	return e, ok
}

// CategoryOf is the category of an event, "" for one that is in no list.
func CategoryOf(notifier, source, id string) string {
	e, _ := Find(notifier, source, id)
	return e.Category
}

// recoveries are the categories that end others. The manual names them alike
// in the ESMPRO and VMware lists [4.1.2, 4.1.4]; VMware's memory alarms have none.
var recoveries = map[string]string{
	"disk-recoverable":     "disk-recovered",
	"cpu-load":             "cpu-load-recovered",
	"machine-inaccessible": "machine-accessible",
	"target-inaccessible":  "target-accessible",
}

// RecoveryOf is the category whose events end a fault of this category on the
// same target; "" when there is none.
func RecoveryOf(category string) string { return recoveries[category] }

// Inaccessible tells whether events of this category say that a machine doesn't answer.
func Inaccessible(category string) bool {
	return category == "machine-inaccessible" || category == "target-inaccessible"
}

// IsRecovery tells whether events of this category end a fault.
func IsRecovery(category string) bool {
	for _, r := range recoveries {
		if r == category {
			return true
		}
	}
	return false
}
