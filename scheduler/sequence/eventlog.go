package sequence

import (
	"fmt"
	"strings"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// LogIDs are the ids under which a sequence writes to our event log
// (event_log.csv). A sequence that the catalog gives none uses 502, the entry
// for actions of a policy.
type LogIDs struct {
	Operation                             string
	Started, Completed, Failed, Cancelled string
	Text                                  string // what it does, such as "Start of a machine"
}

// Phases of an entry.
const (
	PhaseStarted   = "started"
	PhaseCompleted = "completed"
	PhaseFailed    = "failed"
	PhaseCancelled = "cancelled"
	PhaseOther     = "other"
)

// NotifyID is the id of notifications and of actions without ids of their own.
const NotifyID = "502"

func policyActionLog(text string) LogIDs {
	return LogIDs{Operation: "policy-action", Started: NotifyID, Completed: NotifyID, Failed: NotifyID, Cancelled: NotifyID, Text: text}
}

// Record writes the entry for a phase of a job; detail may be empty.
func (l LogIDs) Record(tx *fsm.Tx, j *schema.Job, phase, target, detail string) error {
	id, severity := l.Started, "info"
	switch phase {
	case PhaseCompleted:
		id = l.Completed
	case PhaseFailed:
		id, severity = l.Failed, "warning"
	case PhaseCancelled:
		id = l.Cancelled
	case PhaseOther:
		id, severity = NotifyID, "warning"
	}
	if id == "" {
		return nil
	}
	text := fmt.Sprintf("%s: %s, job %s", l.Text, phase, j.Id)
	if target != "" {
		text += ", " + target
	}
	if detail != "" {
		text += ": " + detail
	}
	return fsm.LogEvent(tx, &schema.Event{
		EventId: id, Severity: severity, Text: text, Target: target, Group: j.Group, Operation: l.Operation, Phase: phase, Job: j.Id,
	})
}

// Describe is a job in a few words, for texts: its sequence and targets.
func Describe(j *schema.Job) string {
	if len(j.Targets) == 0 {
		return j.Sequence
	}
	return j.Sequence + " " + strings.Join(j.Targets, " ")
}
