package schema_test

import (
	"testing"
	"time"

	"yagura/fsm/schema"
)

func TestHours(t *testing.T) {
	for _, c := range []struct {
		text, at string // at in UTC; 2026-11-23 is a Monday
		want     bool
	}{
		{"", "2026-11-23T03:00:00Z", true},
		{"08:00-18:00", "2026-11-22T08:00:00Z", true},
		{"08:00-18:00", "2026-11-22T18:00:00Z", false},
		{"mon-fri 08:00-18:00", "2026-11-22T12:00:00Z", false},
		{"Mon-Fri 08:00-18:00", "2026-11-23T12:00:00Z", true},
		{"mon-fri 08:00-18:00, sun 10:00-11:00", "2026-11-22T10:30:00Z", true},
		{"sat-mon 00:00-24:00", "2026-11-23T23:59:59Z", true},
		{"sat-mon 00:00-24:00", "2026-11-24T00:00:00Z", false},
		{"sun 22:00-06:00", "2026-11-23T05:59:00Z", true},
		{"sun 22:00-06:00", "2026-11-22T05:59:00Z", false},
		{"sun 22:00-06:00", "2026-11-22T22:00:00Z", true},
		{"mon 08:00-18:00 Asia/Tokyo", "2026-11-22T23:00:00Z", true},
		{"mon 08:00-18:00 Asia/Tokyo", "2026-11-23T09:00:00Z", false},
	} {
		h, err := schema.ParseHours(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Contain(at); got != c.want {
			t.Errorf("%q at %s: %v", c.text, c.at, got)
		}
	}
	for _, text := range []string{"8", "08:00", "08:00-08:00", "25:00-26:00", "mon", "monday 08:00-18:00", "mon-xyz 08:00-18:00", "08:00-18:00 Mars/Base", "mon tue 08:00-18:00", ","} {
		if _, err := schema.ParseHours(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

// FuzzHours holds of any text: it is refused, or names times of which there are
// some in a week, all of them for an empty one.
func FuzzHours(f *testing.F) {
	for _, text := range []string{"", "08:00-18:00", "mon-fri 08:00-18:00, sat 09:00-12:00 Asia/Tokyo", "fri-mon 22:00-06:00 UTC", "00:00-24:00", "24:00-00:00", "sun 23:59-00:00", "x 1:2-3:4", "a/../b"} {
		f.Add(text)
	}
	monday := time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		h, err := schema.ParseHours(text)
		if err != nil {
			return
		}
		for at := monday; at.Before(monday.AddDate(0, 0, 7)); at = at.Add(time.Minute) {
			if h.Contain(at) {
				return
			}
		}
		t.Errorf("%q contains no minute of a week", text)
	})
}
