// Package fault carries what went wrong within a driver, together with what it
// means, up to where system, operation and object are known.
package fault

import (
	"errors"
	"fmt"
	"slices"

	"yagura/drivers"
)

// Error is a cause and its kind.
type Error struct {
	Kind drivers.Kind
	Err  error // with no secret in it
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// New gives an error its kind.
func New(k drivers.Kind, err error) error { return &Error{k, err} }

// Errorf makes an error of a kind. The format is that of fmt.Errorf.
func Errorf(k drivers.Kind, format string, args ...any) error {
	return &Error{k, fmt.Errorf(format, args...)}
}

// Expired is the error of a call whose deadline has passed.
func Expired(call drivers.Call) error { return &Error{drivers.KindExpired, call.Late()} }

// KindOf returns the kind of the first *Error in err's chain. An error of
// another type counts as unknown: the safe reading.
func KindOf(err error) drivers.Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return drivers.KindUnknown
}

// Is tells whether err is an *Error of one of these kinds.
func Is(err error, kinds ...drivers.Kind) bool {
	var e *Error
	return errors.As(err, &e) && slices.Contains(kinds, e.Kind)
}

// At makes of err what a driver returns; nil stays nil.
func At(system, op, object string, err error) error {
	if err == nil {
		return nil
	}
	return &drivers.Error{Kind: KindOf(err), System: system, Op: op, Object: object, Err: err}
}
