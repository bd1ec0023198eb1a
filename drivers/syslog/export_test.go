package syslog

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// Format is format for tests.
var Format = format

// Parsed is a message as a receiver understands it.
type Parsed struct {
	Priority int
	Params   map[string]string
	Text     string
}

var head = regexp.MustCompile(`(?s)^<(\d{1,3})>1 (?:-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) [!-~]{1,255} [!-~]{1,48} [!-~]{1,128} [!-~]{1,32} \[([^ =\]"]{1,32})(.*)$`)

// Parse reads a message as RFC 5424, 6 describes it.
func Parse(s string) (Parsed, error) {
	m := head.FindStringSubmatch(s)
	if m == nil {
		return Parsed{}, errors.New("the head isn't that of RFC 5424")
	}
	out := Parsed{Params: map[string]string{}}
	out.Priority, _ = strconv.Atoi(m[1])
	rest := m[3]
	for !strings.HasPrefix(rest, "]") {
		name, after, ok := strings.Cut(strings.TrimPrefix(rest, " "), `="`)
		if !ok {
			return out, errors.New("a parameter has no value")
		}
		var value strings.Builder
		i := 0
		for ; ; i++ {
			if i >= len(after) {
				return out, errors.New("a value has no end")
			}
			if after[i] == '"' {
				break
			}
			if after[i] == ']' {
				return out, errors.New("a bracket isn't escaped")
			}
			if after[i] == '\\' {
				i++
			}
			value.WriteByte(after[i])
		}
		out.Params[name], rest = value.String(), after[i+1:]
	}
	out.Text = strings.TrimPrefix(strings.TrimPrefix(rest, "] "), bom)
	return out, nil
}
