package sequence

import (
	"fmt"

	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// Phases of an entry of our event log.
const (
	PhaseStarted   = "started"
	PhaseCompleted = "completed"
	PhaseFailed    = "failed"
	PhaseCancelled = "cancelled"
	PhaseOther     = "other"
)

// OpPolicyAction is the operation of an action that the catalog gives no
// entries of its own, OpNotification that of a notification.
const (
	OpPolicyAction = "policy-action"
	OpNotification = "notification"
)

// Record writes the entry of our event log for a phase of a job, about target;
// both target and detail may be empty.
func (s *Sequence) Record(tx *fsm.Tx, j *schema.Job, phase, target, detail string) error {
	if s.Operation == "" {
		return nil // housekeeping
	}
	operation := s.Operation
	entry, ok := catalog.LogEntry(operation, phase)
	if !ok {
		operation = OpPolicyAction
		if entry, ok = catalog.LogEntry(operation, phase); !ok {
			entry, _ = catalog.LogEntry(OpNotification, PhaseOther)
		}
	}
	text := entry.Text
	if operation != s.Operation || operation == OpPolicyAction {
		text = s.Purpose + ": " + phase
	}
	text += ", job " + j.Id
	if s.PlanByLoad != nil {
		target = j.Params[fsm.ParamVMServer] // it is about that, whatever machines it works on
	}
	if target != "" {
		text += ", " + target
	}
	if detail != "" {
		text += ": " + detail
	}
	severity := entry.Severity
	if phase == PhaseFailed || phase == PhaseOther {
		severity = "warning"
	}
	return fsm.LogEvent(tx, &schema.Event{
		EventId: entry.ID, Severity: severity, Text: text, Target: target, Group: j.Group, Operation: s.Operation, Phase: phase, Job: j.Id,
	})
}

// Notify writes a notification of a policy about event e; receivers choose it by
// that event's severity.
func Notify(tx *fsm.Tx, e *schema.Event, format string, args ...any) error {
	entry, _ := catalog.LogEntry(OpNotification, PhaseOther)
	return fsm.LogEventAbout(tx, &schema.Event{
		EventId: entry.ID, Severity: entry.Severity, Text: fmt.Sprintf(format, args...), Target: e.Target, Group: e.Group, Operation: OpNotification, Phase: PhaseOther,
	}, e.Severity)
}
