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
func (t *leadership) watchStorm(tx *fsm.Tx, e *schema.Event, out *policy.Outcome) error {
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
	held, err := withdrawAll(tx, out, schema.DecisionBraked, "the storm brake", "the brake holds: "+policy.DescribeStorm(s), func(e *schema.Event) bool { return policy.InStorm(s, e) })
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
