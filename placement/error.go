package placement

import "fmt"

// ErrorKind sorts errors for callers; nobody compares their text.
type ErrorKind string

// Kinds of errors.
const (
	KindInvalid  ErrorKind = "invalid"   // the problem or request breaks a rule of form
	KindNotFound ErrorKind = "not-found" // the request names a VM or server that the problem lacks
)

// Error is the only error type of the package.
type Error struct {
	Kind   ErrorKind
	Line   int    // of the text, from 1; 0 if the problem was not read from text
	Object string // what the error is about, for example `vm "web01"`
	Msg    string // what is wrong
	Hint   string // what to do about it; may be empty
}

func (e *Error) Error() string {
	s := e.Msg
	if e.Object != "" {
		s = e.Object + ": " + s
	}
	if e.Line > 0 {
		s = fmt.Sprintf("line %d: %s", e.Line, s)
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func invalid(object, format string, args ...any) *Error {
	return &Error{Kind: KindInvalid, Object: object, Msg: fmt.Sprintf(format, args...)}
}
