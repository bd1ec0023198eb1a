package drivers

import (
	"errors"
	"fmt"
)

// Kind says what a failed driver call means for the caller.
type Kind string

// The kinds of driver errors. A runner decides by kind, never by text.
const (
	KindNotFound    Kind = "not-found"   // the object doesn't exist there; nothing was done
	KindRefused     Kind = "refused"     // the other system understood and said no; nothing was done
	KindFailed      Kind = "failed"      // it tried and failed; the effect isn't there
	KindUnreachable Kind = "unreachable" // no contact was made; nothing was done
	KindUnknown     Kind = "unknown"     // contact broke off: the effect may or may not be there, probe before another try
	KindAuth        Kind = "auth"        // credentials or rights are wrong; nothing was done
	KindBusy        Kind = "busy"        // not now, for a passing reason; nothing was done
	KindUnsupported Kind = "unsupported" // this system has no such operation; nothing was done
	KindExpired     Kind = "expired"     // the call's deadline had passed; nothing was done
	// KindWrongMachine: who answers isn't the machine that is meant, by its system
	// UUID. What it says tells nothing about that one; nothing was done.
	KindWrongMachine Kind = "wrong-machine"
)

// Error is what drivers return: what happened, to which object, and what it means.
type Error struct {
	Kind   Kind
	System string // the subsystem's name or kind, such as "vc1"
	Op     string // what was asked, such as "power-on"
	Object string // of which object
	Err    error  // the cause, with no secret in it
}

// Error says it in one line.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s %s: %s", e.System, e.Op, e.Object, e.Kind)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first *Error in err's chain. An error of
// another type counts as unknown: the safe reading.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindUnknown
}
