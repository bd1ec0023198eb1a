package fsm_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// failedJob makes a job that failed at its second step, with a lane behind it.
func failedJob(c *fsmtest.Cluster, sequence string) string {
	id := queue(c, &schema.Job{Sequence: sequence, Locks: []string{"machine/ph01"}})
	c.Do(func(tx *fsm.Tx) error {
		for i, s := range []*schema.Step{
			{Name: "lb-remove", State: schema.StepDone, Attempt: 1},
			{Name: "vlan-remove", State: schema.StepFailed, Attempt: 2, Error: "no", Output: map[string]string{"nothing_done": "true"}, Started: timestamppb.Now()},
			{Name: "check-power", State: schema.StepDone, Attempt: 1},
			{Name: "distribute", State: schema.StepDone, Attempt: 1, Lane: 1},
			{Name: "lb-add", State: schema.StepSkipped, Skipped: "the job has ended before it"},
		} {
			s.Job, s.Number = id, int32(i+1)
			if err := fsm.Steps.Put(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	setState(c, id, func(j *schema.Job) { j.State, j.Started, j.Error = schema.JobFailed, timestamppb.Now(), "no" })
	return id
}

func TestResumeAFailedJob(t *testing.T) {
	c := fsmtest.New(t)
	id := failedJob(c, fsm.SeqTakeOverMachine)
	if _, err := c.Try(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "off") }); schema.KindOf(err) != schema.KindInvalid {
		t.Errorf("with a word about something else: %v", err)
	}
	c.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") })
	var states []string
	for _, s := range fsm.StepsOf(c.Store().View(), id) {
		states = append(states, s.State)
	}
	want := []string{schema.StepDone, schema.StepPending, schema.StepPending, schema.StepDone, schema.StepPending}
	if !slices.Equal(states, want) {
		t.Errorf("the steps are %v, want %v", states, want)
	}
	s := fsm.StepsOf(c.Store().View(), id)[1]
	j, _ := fsm.JobRow(c.Store().View(), id)
	if s.Attempt != 2 || s.Error != "" || s.Output != nil || s.Started != nil || j.State != schema.JobQueued || j.Error != "" || j.Started == nil || len(j.Locks) != 1 {
		t.Errorf("the step is %v, the job %v", s, j)
	}
	if _, err := c.Try(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") }); schema.KindOf(err) != schema.KindConflict {
		t.Errorf("while it waits: %v", err)
	}
}

func TestWhatCannotBeResumed(t *testing.T) {
	c := fsmtest.New(t)
	bulk := failedJob(c, fsm.SeqEvacuate)
	undone := failedJob(c, fsm.SeqTakeOverMachine)
	setState(c, undone, func(j *schema.Job) { j.Undoing = true })
	refused := queue(c, &schema.Job{Sequence: fsm.SeqTakeOverMachine})
	setState(c, refused, func(j *schema.Job) { j.State = schema.JobFailed })
	for what, id := range map[string]string{"a job on all VMs": bulk, "one that is taken back": undone, "one that never began": refused} {
		if _, err := c.Try(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") }); schema.KindOf(err) != schema.KindConflict {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Taking back goes on where it has failed.
func TestRollbackAgain(t *testing.T) {
	c := fsmtest.New(t)
	id := failedJob(c, fsm.SeqTakeOverMachine)
	c.Do(func(tx *fsm.Tx) error {
		s, _ := fsm.Steps.Edit(tx, fsm.StepKey(id, 1))
		s.UndoState, s.UndoAttempt, s.UndoError = schema.StepFailed, 3, "refused"
		return fsm.Steps.Put(tx, s)
	})
	c.Do(func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) })
	j, _ := fsm.JobRow(c.Store().View(), id)
	if s := fsm.StepsOf(c.Store().View(), id)[0]; s.UndoState != "" || s.UndoAttempt != 3 || s.UndoError != "" || j.State != schema.JobQueued || !j.Undoing {
		t.Errorf("the step is %v, the job %v", s, j)
	}
}
