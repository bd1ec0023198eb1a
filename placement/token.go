package placement

import (
	"strconv"
	"strings"
)

// token is one word of a line: NAME, or KEY=VALUE with VALUE a list of names.
type token struct {
	text  string   // as written
	key   string   // before =, or empty
	name  string   // the value, or the whole word; unquoted; the first of a list
	items []string // the value's names, unquoted
}

// splitWords cuts a line into words. Quoted names may hold anything; # outside
// of quotes starts a comment.
func splitWords(line string) ([]token, *Error) {
	var words []token
	for i := 0; i < len(line); {
		switch c := line[i]; {
		case c == ' ' || c == '\t' || c == '\r':
			i++
			continue
		case c == '#':
			return words, nil
		}
		t, n, err := readToken(line[i:])
		if err != nil {
			return nil, err
		}
		words = append(words, t)
		i += n
	}
	return words, nil
}

// readToken reads one word from the start of s and returns its length.
func readToken(s string) (token, int, *Error) {
	var t token
	i := 0
	for {
		item, n, err := readName(s[i:])
		if err != nil {
			return t, 0, err
		}
		i += n
		if i < len(s) && s[i] == '=' && t.key == "" && len(t.items) == 0 {
			if t.key = item; item == "" {
				return t, 0, invalid("", "a value without a key before =")
			}
			i++
			continue
		}
		t.items = append(t.items, item)
		if i < len(s) && s[i] == ',' {
			i++
			continue
		}
		if i < len(s) && !strings.ContainsRune(" \t\r#", rune(s[i])) {
			return t, 0, invalid("", "unexpected %q in %q; quote names with unusual characters", s[i], s[:i+1])
		}
		t.text, t.name = s[:i], t.items[0]
		return t, i, nil
	}
}

// readName reads a bare or quoted name from the start of s.
func readName(s string) (string, int, *Error) {
	if strings.HasPrefix(s, `"`) {
		q, err := strconv.QuotedPrefix(s)
		if err != nil {
			return "", 0, invalid("", "a quoted name has no end or a bad escape")
		}
		name, err := strconv.Unquote(q)
		if err != nil {
			return "", 0, invalid("", "the quoted name %s can't be read", q)
		}
		return name, len(q), nil
	}
	n := strings.IndexAny(s, " \t\r#=,\"")
	if n < 0 {
		n = len(s)
	}
	return s[:n], n, nil
}
