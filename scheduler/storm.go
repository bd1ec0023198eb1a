package scheduler

import (
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// opStorm is the operation of the event-log entries on storms.
const opStorm = "storm"

// watchStorm takes an event into account that says that a machine doesn't
// answer: it may begin a storm, or belong to the one that lasts.
func (t *leadership) watchStorm(tx *fsm.Tx, e *schema.Event) error {
	if !policy.Inaccessible(e) {
		return nil
	}
	if err := t.endStorm(tx); err != nil {
		return err
	}
	storm, begun := policy.Hit(tx, e)
	s, ok := fsm.SettingsTable.Edit(tx, schema.SettingsKey)
	if storm == nil || !ok {
		return nil
	}
	s.Storm = storm
	if err := fsm.SettingsTable.Put(tx, s); err != nil || !begun {
		return err
	}
	held, err := withdraw(tx, s)
	if err != nil {
		return err
	}
	return logStorm(tx, sequence.PhaseStarted, "error", fmt.Sprintf(
		"%s. Look at the network between the managers and these machines. Events of the storm start no job, %d jobs that had not begun are withdrawn, those that had begun go on. "+
			"What is really dead is recovered by hand: pvmutl replace GROUP HOST, pvmutl evacuate VMSERVER /failover", policy.DescribeStorm(s), held))
}

// endStorm notes that a storm is over, if it is.
func (t *leadership) endStorm(tx *fsm.Tx) error {
	s, ok := fsm.SettingsTable.Edit(tx, schema.SettingsKey)
	if !ok {
		return nil
	}
	now := t.Clock.Now()
	if over, _ := policy.StormOver(s, now); !over {
		return nil
	}
	s.Storm.Over = timestamppb.New(now)
	if err := fsm.SettingsTable.Put(tx, s); err != nil {
		return err
	}
	return logStorm(tx, sequence.PhaseCompleted, "warning", fmt.Sprintf(
		"the storm of %d inaccessible machines is over: no other has been hit for %s. Recovery by itself goes on; events that were braked in the storm stay as they are: pvmutl event list shows them",
		s.Storm.Count, policy.StormTime(s)))
}

func logStorm(tx *fsm.Tx, phase, severity, text string) error {
	entry, _ := catalog.LogEntry(sequence.OpNotification, sequence.PhaseOther)
	return fsm.LogEvent(tx, &schema.Event{EventId: entry.ID, Severity: severity, Text: text, Operation: opStorm, Phase: phase})
}

// withdraw cancels the jobs of a storm's first events that have not begun, and
// says so in these events. A job that has begun goes on: it has fenced its
// machine or will before it touches anything else, and half of it is worse than
// all or nothing.
func withdraw(tx *fsm.Tx, s *schema.Settings) (int, error) {
	var jobs []*schema.Job
	for j := range fsm.Jobs.By(tx, fsm.ByState, schema.JobQueued) {
		e, ok := fsm.Events.Get(tx, fsm.NumberKey(j.Event))
		if j.Event != "" && ok && j.Started == nil && !j.Cancel && policy.InStorm(s, e) {
			jobs = append(jobs, j)
		}
	}
	why := "the brake holds: " + policy.DescribeStorm(s)
	for _, j := range jobs {
		row, err := fsm.EditJob(tx, j.Id)
		if err != nil {
			return 0, err
		}
		row.Cancel, row.CancelBy = true, "the storm brake"
		fsm.LogJob(row, "%s", why)
		if err := fsm.Jobs.Put(tx, row); err != nil {
			return 0, err
		}
		e, _ := fsm.Events.Edit(tx, fsm.NumberKey(j.Event))
		e.Decision = schema.DecisionBraked
		e.Reason += fmt.Sprintf(" Job %s was withdrawn before it began: %s.", j.Id, why)
		for _, a := range e.Actions {
			if a.Job == j.Id {
				a.Result, a.Detail = policy.ResultNotCarried, fmt.Sprintf("job %s was withdrawn before it began: %s", j.Id, why)
			}
		}
		if err := fsm.Events.Put(tx, e); err != nil {
			return 0, err
		}
	}
	return len(jobs), nil
}
