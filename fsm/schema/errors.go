package schema

import (
	"errors"
	"fmt"
)

// Kind classifies an error once for the whole system. The gRPC code, the HTTP
// status and pvmutl's exit code are derived from it in one table
// (rpc/apierr). Kinds are only ever appended; their texts travel in rows
// and over the wire.
type Kind string

// The kinds of errors. The number is pvmutl's exit code (manual 3.2.1).
const (
	KindInvalid         Kind = "invalid"           // 1: malformed request
	KindMachineNotFound Kind = "machine-not-found" // 2: named machine, VM server or datastore not found, or not a VM
	KindTooFewHosts     Kind = "too-few-running"   // 2: too few running hosts, or none
	KindSameServer      Kind = "same-vm-server"    // 2: target VM server is the current one
	KindDuplicateHost   Kind = "duplicate-host"    // 2: same host named more than once
	KindGroupNotFound   Kind = "group-not-found"   // 3: named group not found or not usable for this
	KindHostSetting     Kind = "host-setting"      // 4: host setting missing, used up or in use
	KindTooFewMachines  Kind = "too-few-machines"  // 5: too few candidates, or named machine not found among them
	KindNotStarted      Kind = "not-started"       // 6: the action sequence couldn't be started
	KindJobFailed       Kind = "job-failed"        // 7: the action sequence ran and failed inside
	KindSoftware        Kind = "software-not-found"
	KindPermission      Kind = "permission"       // 9: the caller's role doesn't allow it
	KindExists          Kind = "exists"           // 10: named machine already exists
	KindInGroup         Kind = "already-in-group" // 11: named machine already runs in a group
	KindAccount         Kind = "account"          // 14: no such account, or not permitted to change it
	KindLogin           Kind = "login"            // 15: wrong user name or password
	KindPassword        Kind = "password"         // 15: a user name or password that breaks the rules
	KindPolicyNotFound  Kind = "policy-not-found" // 16
	KindNotFound        Kind = "not-found"        // another object that isn't there
	KindConflict        Kind = "conflict"         // the object's state or something that refers to it forbids the change
	KindUnauthenticated Kind = "unauthenticated"  // no valid login
	KindRateLimited     Kind = "rate-limited"     // too many tries; come back later
	KindNoLeader        Kind = "no-leader"        // no leader or no quorum: nothing was written; try again
	KindOutcomeUnknown  Kind = "outcome-unknown"  // it may have been written: ask again with the same request id
	KindTimeout         Kind = "timeout"          // the time given ran out; a read, or a wait
	KindUnavailable     Kind = "unavailable"      // another system can't be reached
	KindCancelled       Kind = "cancelled"        // the job was cancelled
	KindParked          Kind = "parked"           // the job waits for a person
	KindCorrupt         Kind = "corrupt"          // a file or message is damaged
	KindInternal        Kind = "internal"         // a defect of ours
	KindTooLarge        Kind = "too-large"        // a limit on size or number is exceeded
	KindGroupUnusable   Kind = "group-unusable"   // 3: the group can't be used for this: its kind, no model, too few host settings for a re-purposing, machine not in its pool
	KindText            Kind = "text"             // 15: a name in a command is too long or has forbidden characters
	KindGone            Kind = "gone"             // history that isn't kept any more, or never was
)

// Error says what happened, to which object, and what to do next.
type Error struct {
	Kind   Kind
	Op     string // what was tried, such as "vmadd"
	Object string // to which object, such as "group shop/web"
	Msg    string // what happened
	Hint   string // what to do next; may be empty
	Err    error  // the cause; may be nil
}

// Error gives one line: object: message (cause); hint.
func (e *Error) Error() string {
	s := e.Msg
	if e.Object != "" {
		s = e.Object + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of kind about object.
func Errorf(kind Kind, object, format string, args ...any) *Error {
	return &Error{Kind: kind, Object: object, Msg: fmt.Sprintf(format, args...)}
}

// WithHint adds what to do next and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// KindOf is the kind of the first *Error in err's chain, KindInternal for any
// other error, and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}
