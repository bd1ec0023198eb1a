package syslog

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"yagura/drivers"
)

const (
	facility = 3 // system daemons [RFC 5424, 6.2.1]
	app      = "yagura"
	element  = "yagura@32473"
	bom      = "\xEF\xBB\xBF" // says that the text is UTF-8 [6.4]
	maxText  = 4096           // characters
	maxParam = 64             // so that all of them fit into a datagram
)

// severities are the numbers of RFC 5424, 6.2.1.
var severities = map[string]int{"error": 3, "warning": 4, "info": 6}

// format makes a message of RFC 5424, of limit bytes at most.
func format(n drivers.Note, host string, limit int) []byte {
	severity, known := severities[n.Severity]
	if !known {
		severity = 6
	}
	var b strings.Builder
	b.WriteString("<" + strconv.Itoa(facility*8+severity) + ">1 ")
	b.WriteString(n.Time.UTC().Format("2006-01-02T15:04:05.000000Z07:00"))
	b.WriteString(" " + word(host, 255) + " " + app + " - " + word(n.EventID, 32))
	b.WriteString(" [" + element)
	for _, p := range []struct{ name, value string }{
		{"id", n.ID}, {"event", n.Event}, {"source", n.Source}, {"operation", n.Operation}, {"phase", n.Phase},
		{"target", n.Target}, {"group", n.Group}, {"job", n.Job},
	} {
		if p.value != "" {
			b.WriteString(" " + p.name + `="` + quote(drivers.OneLine(p.value, maxParam)) + `"`)
		}
	}
	b.WriteString("] ")
	text := drivers.OneLine(n.Text, maxText)
	if strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
		b.WriteString(bom)
	}
	b.WriteString(text)
	return []byte(clip(b.String(), limit))
}

// word is a field of a header: printable ASCII without spaces, "-" for none.
func word(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r > ' ' && r <= '~' {
			return r
		}
		return '_'
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), limit)]
}

// quote escapes what would end a parameter's value [6.3.3].
func quote(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(s)
}

// clip cuts a text between two characters.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// Times of the protocol.
const (
	dialTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second
	closeWait    = 2 * time.Second        // for the server to close its side
	refusalWait  = 100 * time.Millisecond // for a datagram's way to a closed port and back
)
