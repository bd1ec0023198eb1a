package drivers_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"yagura/drivers"
)

func TestNewest(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "",
		"one\r\ntwo\n":        "one\ntwo\n",
		"bell\a, \xff\x1b[1m": "bell?, ??[1m",
		"構成\n":                "構成\n",
	} {
		if got := drivers.Newest(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
	for name, in := range map[string]string{
		"lines":    strings.Repeat("a line of output\n", 100000) + "the end\n",
		"one line": strings.Repeat("x", 100000) + "the end\n",
		"wide":     strings.Repeat("構成", 100000) + "the end\n",
		"no text":  strings.Repeat("\xff\x00", 100000) + "the end\n",
	} {
		got := drivers.Newest(in)
		if len(got) > drivers.MaxOutput || len(got) < drivers.MaxOutput/2 || !utf8.ValidString(got) || !strings.HasSuffix(got, "the end\n") {
			t.Errorf("%s: %d bytes, %q...", name, len(got), got[:40])
		}
	}
	if got := drivers.Newest(strings.Repeat("a line of output\n", 1000)); !strings.HasPrefix(got, "a line") {
		t.Errorf("it begins within a line: %q", got[:20])
	}
}

func TestLastLines(t *testing.T) {
	if got := drivers.LastLines("one\n\ntwo\n three\n\n", 2); got != "two | three" {
		t.Errorf("%q", got)
	}
	if got := drivers.LastLines("", 3); got != "" {
		t.Errorf("%q", got)
	}
}
