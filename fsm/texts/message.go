package texts

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"yagura/fsm/schema"
)

// Limits of a message about several entries.
const (
	maxKinds = 50
	maxLines = 100
)

// Text is what is said of one entry.
func Text(language string, e *schema.Event) string {
	w, t := in(language), Of(language, e)
	var b strings.Builder
	if language != schema.LanguageJapanese {
		b.WriteString(cmp.Or(e.Text, t.Title)) // it begins with the title
	} else {
		b.WriteString(t.Title)
		for _, f := range []struct{ label, value string }{{w.machine, e.Target}, {w.group, e.Group}, {w.job, e.Job}} {
			if f.value != "" {
				b.WriteString("\n" + f.label + ": " + f.value)
			}
		}
		if e.Text != "" && e.Text != t.Title {
			b.WriteString("\n" + w.detail + ": " + e.Text)
		}
	}
	if t.Remedy != "" {
		b.WriteString("\n" + w.remedy + ": " + t.Remedy)
	}
	return b.String()
}

// Subject is the headline of a message.
func Subject(language string, events []*schema.Event) string {
	w := in(language)
	if len(events) == 1 {
		e := events[0]
		return "[Yagura] " + w.name(e.Severity) + ": " + headline(language, e)
	}
	return "[Yagura] " + fmt.Sprintf(w.entries, len(events)) + ": " + w.count(events)
}

// headline is one entry in one line.
func headline(language string, e *schema.Event) string {
	text, _, _ := strings.Cut(Text(language, e), "\n")
	if e.Target != "" && !strings.Contains(text, e.Target) {
		text += " (" + e.Target + ")"
	}
	return text
}

func (w words) name(severity string) string { return cmp.Or(w.severity[severity], severity) }

func (w words) count(events []*schema.Event) string {
	n := map[string]int{}
	for _, e := range events {
		n[e.Severity]++
	}
	return fmt.Sprintf(w.counts, n[schema.SeverityError], n[schema.SeverityWarning], n[schema.SeverityInfo])
}

// Body is a message about entries: of one everything, of several how many of
// which kind there are, and the first of them by severity.
func Body(language string, events []*schema.Event) string {
	w := in(language)
	if len(events) == 1 {
		e := events[0]
		return fmt.Sprintf("%s\n\n%s: %s\n%s: %s %s[%s]\n", Text(language, e), w.at, e.Time.AsTime().UTC().Format(time.RFC3339), w.event, e.Id, e.Source, e.EventId)
	}
	var b strings.Builder
	fmt.Fprintf(&b, w.entries+": %s\n\n%s\n", len(events), w.count(events), w.kinds)
	w.writeKinds(&b, language, events)
	b.WriteString("\n" + w.first + "\n")
	sorted := slices.Clone(events)
	slices.SortStableFunc(sorted, func(a, b *schema.Event) int {
		return slices.Index(schema.Severities(), b.Severity) - slices.Index(schema.Severities(), a.Severity)
	})
	for _, e := range sorted[:min(len(sorted), maxLines)] {
		fmt.Fprintf(&b, "  %s %s %s: %s\n", e.Time.AsTime().UTC().Format(time.RFC3339), w.name(e.Severity), e.Id, headline(language, e))
	}
	if n := len(events) - maxLines; n > 0 {
		fmt.Fprintf(&b, "  "+w.more+"\n", n)
	}
	b.WriteString("\n" + w.listed + "\n")
	return b.String()
}

// writeKinds lists how many entries of which kind there are, the most frequent first.
func (w words) writeKinds(b *strings.Builder, language string, events []*schema.Event) {
	n := map[string]int{}
	for _, e := range events {
		title := e.Operation // of no kind in the table: each text would be a kind of its own
		if len(find(e)) > 0 {
			title = Of(language, e).Title
		}
		n[e.Source+"["+e.EventId+"] "+w.name(e.Severity)+" "+title]++
	}
	names := slices.SortedFunc(maps.Keys(n), func(a, b string) int { return cmp.Or(n[b]-n[a], cmp.Compare(a, b)) })
	for _, name := range names[:min(len(names), maxKinds)] {
		fmt.Fprintf(b, "  %6d  %s\n", n[name], name)
	}
	if more := len(names) - maxKinds; more > 0 {
		fmt.Fprintf(b, "  "+w.more+"\n", more)
	}
}
