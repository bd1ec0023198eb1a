package fsm

import (
	"fmt"
	"slices"

	"yagura/fsm/schema"
)

// Steps are the steps of jobs, by job and number.
var Steps = &Table[*schema.Step]{
	number: 12, name: "step",
	key:     func(s *schema.Step) string { return StepKey(s.Job, s.Number) },
	indexes: []Index[*schema.Step]{{Name: ByJob, Values: func(s *schema.Step) []string { return []string{s.Job} }}},
}

// StepKey is the key of a job's step.
func StepKey(job string, number int32) string {
	k := numberKey(job)
	if k == "" {
		return ""
	}
	return fmt.Sprintf("%s/%05d", k, number)
}

// StepsOf are the steps of a job in order.
func StepsOf(r Reader, job string) []*schema.Step {
	return slices.Collect(Steps.By(r, ByJob, job))
}

// stepNext are the moves that a step, or the undoing of one, may make. A step
// moves forward only; started again is the next attempt.
var stepNext = map[string][]string{
	"":                 {schema.StepStarted, schema.StepDone, schema.StepSkipped},
	schema.StepPending: {schema.StepStarted, schema.StepDone, schema.StepSkipped, schema.StepFailed},
	schema.StepStarted: {schema.StepStarted, schema.StepHandled, schema.StepDone, schema.StepFailed},
	schema.StepHandled: {schema.StepStarted, schema.StepDone, schema.StepFailed},
}

// MoveStep writes a step that a runner has moved forward. KindConflict: the
// step isn't there, or the move isn't one that its state allows; then another
// runner has been here.
func MoveStep(tx *Tx, s *schema.Step) error {
	old, ok := Steps.Get(tx, StepKey(s.Job, s.Number))
	if !ok {
		return schema.Errorf(schema.KindConflict, stepName(s), "there is no such step")
	}
	if err := forward(s, old.State, s.State, old.Attempt, s.Attempt); err != nil {
		return err
	}
	if err := forward(s, old.UndoState, s.UndoState, old.UndoAttempt, s.UndoAttempt); err != nil {
		return err
	}
	return Steps.Put(tx, s)
}

func forward(s *schema.Step, from, to string, old, now int32) error {
	again := to == schema.StepStarted && now > old // a further attempt
	switch {
	case from == to && !again && now == old:
		return nil
	case slices.Contains(stepNext[from], to) && (to != schema.StepStarted || again) && now >= old:
		return nil
	}
	return schema.Errorf(schema.KindConflict, stepName(s), "it can't go from %q (attempt %d) to %q (attempt %d)", from, old, to, now)
}

func stepName(s *schema.Step) string { return fmt.Sprintf("job %s, step %d", s.Job, s.Number) }
