package drivers

import (
	"strings"
	"unicode/utf8"
)

// MaxOutput bounds Task.Output, in bytes.
const MaxOutput = 4096

// Newest is the newest part of an output, at most MaxOutput bytes, from the
// beginning of a line where there is one. What isn't UTF-8 or can't be
// shown becomes a question mark; lines end as on Unix.
func Newest(s string) string {
	s = s[max(0, len(s)-2*MaxOutput):] // enough, however it is cut below
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r != 0x7f {
			return r
		}
		return '?'
	}, s)
	if len(s) <= MaxOutput {
		return s
	}
	s = s[len(s)-MaxOutput:]
	for len(s) > 0 && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	if i := strings.IndexByte(s, '\n'); i >= 0 && i < len(s)-1 {
		s = s[i+1:]
	}
	return s
}

// LastLines are the last n lines of an output that aren't empty, joined into one.
func LastLines(output string, n int) string {
	var lines []string
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}
