package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Selector names events in a policy rule. It is one of category:NAME,
// SOURCE[ID] [4.1.2], an id alone [4.1.3], or an alarm's text [4.1.4].
type Selector struct {
	Category string
	Source   string
	ID       string
}

// ParseSelector reads a selector for the events of a notifier. A category must
// be in the notifier's list; other notifiers than the manual's may have any.
func ParseSelector(notifier, text string) (Selector, error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > 1024 {
		return Selector{}, fmt.Errorf("the selector is empty or longer than 1024 bytes")
	}
	if name, ok := strings.CutPrefix(text, "category:"); ok {
		cats := known[notifier]
		if name == "" || cats != nil && !cats[name] {
			return Selector{}, fmt.Errorf("%s has no category %q; it has %s", notifier, name, strings.Join(Categories(notifier), ", "))
		}
		return Selector{Category: name}, nil
	}
	switch notifier {
	case notifierPerf:
		id := NormalID(text)
		if len(id) != 8 || strings.Trim(id, "0123456789ABCDEF") != "" {
			return Selector{}, fmt.Errorf("%q is no event id of %s, which has 8 hexadecimal digits", text, notifier)
		}
		return Selector{ID: id}, nil
	case notifierVMware:
		return Selector{ID: text}, nil
	}
	source, rest, ok := strings.Cut(text, "[")
	id, end := strings.CutSuffix(rest, "]")
	if !ok || !end || normalSource(source) == "" || strings.TrimSpace(id) == "" {
		return Selector{}, fmt.Errorf("%q isn't SOURCE[ID] or category:NAME", text)
	}
	return Selector{Source: normalSource(source), ID: NormalEventID(notifier, id)}, nil
}

// Match tells whether the selector names an event of its notifier, whose id is
// in the form of NormalEventID.
func (s Selector) Match(source, id, category string) bool {
	if s.Category != "" {
		return s.Category == category
	}
	return s.ID == id && (s.Source == "" || s.Source == normalSource(source))
}

// Categories are the categories of a notifier's events, sorted.
func Categories(notifier string) []string { return slices.Sorted(maps.Keys(known[notifier])) }
