package drivers

import (
	"context"
	"strings"
	"time"
	"unicode"
)

// Notifier brings messages about entries of the event log to one receiver: to
// mail addresses, a syslog server, the journal of systemd, or a web service. It
// keeps no connection between two messages.
type Notifier interface {
	// Notify sends one message. The error is nil when the receiver has taken
	// it; where its protocol tells nothing of that, when it has left without
	// an error. Delivered says who of several addresses has it, and is right
	// with an error, too: a caller that tries again gives these as m.Done.
	//
	// KindUnreachable, KindBusy: later; KindAuth: wrong credentials, or a
	// certificate that isn't right; KindRefused: this message isn't taken;
	// KindUnknown: it may have arrived, send it again under the same id;
	// KindExpired: ctx had ended before, nothing was sent.
	Notify(ctx context.Context, m Message) (delivered []string, err error)
}

// Message is what a receiver is sent at once.
type Message struct {
	ID      string   // the same at each attempt; receivers recognise duplicates by it
	Subject string   // one line
	Body    string   // readable text about all notes
	Notes   []Note   // the oldest first; at least one
	Done    []string // addresses that have it already
}

// Note is one entry of the event log.
type Note struct {
	ID        string    // as Message.ID, of this note alone
	Event     string    // number of the event
	Time      time.Time // when it was recorded
	Severity  string    // of the entry: info, warning or error
	About     string    // severity of what it tells of: of the entry, or of the event that a policy reports with it
	EventID   string    // such as 2064
	Source    string    // such as PVM
	Operation string    // such as move-machine
	Phase     string    // started, completed, failed, cancelled or other
	Target    string    // machine; may be empty, as the next two
	Group     string
	Job       string
	Language  string // of the text: en or ja
	Text      string // what happened, in one or several lines
}

// Counts of the notes by the severity of what they tell of.
type Counts struct{ Info, Warning, Error int }

// Count counts the notes by the severity of what they tell of.
func (m Message) Count() Counts {
	var c Counts
	for _, n := range m.Notes {
		switch n.About {
		case "error":
			c.Error++
		case "warning":
			c.Warning++
		default:
			c.Info++
		}
	}
	return c
}

// OneLine makes one line of a text, of so many characters at most: what would
// end the line, or hide in it, becomes a space.
func OneLine(s string, limit int) string {
	runes := []rune(strings.ToValidUTF8(s, "\uFFFD"))
	if len(runes) > limit {
		runes = append(runes[:limit-3:limit-3], '.', '.', '.')
	}
	for i, r := range runes {
		if !unicode.IsPrint(r) {
			runes[i] = ' '
		}
	}
	return strings.TrimSpace(string(runes))
}
