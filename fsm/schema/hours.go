package schema

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a manager may run where no time zones are installed
)

// Hours are times of the week, such as those at which a policy rule holds.
// None stands for always.
type Hours struct {
	zone    *time.Location
	windows []window
}

// window is a time of the day on some days. One that ends before it begins
// goes over midnight and belongs to the day on which it begins.
type window struct {
	days     [7]bool
	from, to time.Duration // since midnight
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseHours reads times of the week: "[DAYS ]HH:MM-HH:MM", several of them
// separated by commas, where DAYS is a day or DAY-DAY, and a time zone's name
// behind the last one, UTC when there is none:
//
//	mon-fri 08:00-18:00, sat 09:00-12:00 Asia/Tokyo
func ParseHours(text string) (Hours, error) {
	h := Hours{zone: time.UTC}
	if strings.TrimSpace(text) == "" {
		return h, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		words := strings.Fields(part)
		if n := len(words); n > 1 && !strings.Contains(words[n-1], ":") {
			zone, err := time.LoadLocation(words[n-1])
			if err != nil {
				return Hours{}, fmt.Errorf("%q is no time zone", words[n-1])
			}
			h.zone, words = zone, words[:n-1]
		}
		w := window{days: [7]bool{true, true, true, true, true, true, true}}
		if len(words) == 2 {
			days, err := parseDays(words[0])
			if err != nil {
				return Hours{}, err
			}
			w.days, words = days, words[1:]
		}
		if len(words) != 1 {
			return Hours{}, fmt.Errorf("%q isn't [DAYS ]HH:MM-HH:MM", strings.TrimSpace(part))
		}
		from, to, ok := strings.Cut(words[0], "-")
		var errFrom, errTo error
		w.from, errFrom = parseClock(from)
		w.to, errTo = parseClock(to)
		if !ok || errFrom != nil || errTo != nil || w.from == w.to || w.from == 24*time.Hour {
			return Hours{}, fmt.Errorf("%q isn't HH:MM-HH:MM", words[0])
		}
		h.windows = append(h.windows, w)
	}
	return h, nil
}

func parseDays(text string) (days [7]bool, err error) {
	first, last, several := strings.Cut(strings.ToLower(text), "-")
	if !several {
		last = first
	}
	a, b := -1, -1
	for i, d := range weekdays {
		if d == first {
			a = i
		}
		if d == last {
			b = i
		}
	}
	if a < 0 || b < 0 {
		return days, fmt.Errorf("%q is no day of the week; days are %s, or two of them with - between", text, strings.Join(weekdays, ", "))
	}
	for i := a; ; i = (i + 1) % 7 {
		days[i] = true
		if i == b {
			return days, nil
		}
	}
}

// parseClock reads a time of the day; 24:00 is its end.
func parseClock(text string) (time.Duration, error) {
	if text == "24:00" {
		return 24 * time.Hour, nil
	}
	t, err := time.Parse("15:04", text)
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, err
}

// Contain tells whether at lies within the times.
func (h Hours) Contain(at time.Time) bool {
	if len(h.windows) == 0 {
		return true
	}
	at = at.In(h.zone)
	since := time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second
	today, yesterday := int(at.Weekday()), (int(at.Weekday())+6)%7
	for _, w := range h.windows {
		switch {
		case w.from < w.to && w.days[today] && since >= w.from && since < w.to,
			w.from > w.to && w.days[today] && since >= w.from,
			w.from > w.to && w.days[yesterday] && since < w.to:
			return true
		}
	}
	return false
}
