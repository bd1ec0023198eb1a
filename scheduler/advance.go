package scheduler

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// jobState is a job with its steps inside a transaction. The job is a copy to
// change; a step becomes one by own.
type jobState struct {
	t     *leadership
	tx    *fsm.Tx
	job   *schema.Job
	steps []*schema.Step
	owned map[int32]bool
	begun *schema.Step // step of the world that advance has started
}

func (t *leadership) load(tx *fsm.Tx, id string) (*jobState, error) {
	j, err := fsm.EditJob(tx, id)
	if err != nil {
		return nil, err
	}
	return &jobState{t: t, tx: tx, job: j, steps: fsm.StepsOf(tx, j.Id), owned: map[int32]bool{}}, nil
}

// own makes a step a copy to change.
func (js *jobState) own(st *schema.Step) *schema.Step {
	if !js.owned[st.Number] {
		js.owned[st.Number] = true
		js.steps[st.Number-1] = proto.Clone(st).(*schema.Step)
	}
	return js.steps[st.Number-1]
}

// step returns the step of a number, to change.
func (js *jobState) step(number int32) (*schema.Step, error) {
	if number < 1 || int(number) > len(js.steps) {
		return nil, schema.Errorf(schema.KindConflict, fmt.Sprintf("job %s, step %d", js.job.Id, number), "there is no such step")
	}
	return js.own(js.steps[number-1]), nil
}

func (js *jobState) env(st *schema.Step) *sequence.Env {
	return &sequence.Env{Rows: js.tx, Job: js.job, Step: st, Steps: js.steps, Drivers: js.t.Drivers, Own: js.own, Now: js.t.Clock.Now()}
}

// commitError is the error of a step's Commit within a batch that did more.
type commitError struct {
	number int32
	err    error
}

func (e *commitError) Error() string { return e.err.Error() }

func (e *commitError) Unwrap() error { return e.err }

// current are the steps whose turn it is: those not ended, with all steps of
// the main line before them ended, and all of their own lane; a step of the
// main line waits for all lanes before it, too.
func current(steps []*schema.Step) []*schema.Step {
	var out []*schema.Step
	busy := map[int32]bool{} // lanes with a step that isn't ended
	for _, s := range steps {
		if s.Lane == 0 {
			if len(busy) > 0 {
				return out
			}
			if !schema.StepEnded(s.State) {
				return append(out, s)
			}
			continue
		}
		if !schema.StepEnded(s.State) && !busy[s.Lane] {
			busy[s.Lane] = true
			out = append(out, s)
		}
	}
	return out
}

// begin says which step of the world may be started in the batch at hand: the
// one that its runner holds a pass for.
type begin struct {
	number int32
	pass   pass
}

// advance does all that needs nobody outside: it skips what isn't needed,
// carries out steps of the database, starts the step that may begin, and ends
// the job after its last step.
func (js *jobState) advance(may *begin) error {
	for moved := true; moved; {
		moved = false
		for _, st := range current(js.steps) {
			if st.State != schema.StepPending {
				continue
			}
			st = js.own(st)
			def, err := sequence.StepOf(st)
			if err != nil {
				return &commitError{st.Number, err}
			}
			if done, err := js.skip(def, st); err != nil || done {
				if err != nil {
					return err
				}
				moved = true
				break
			}
			if def.Act == nil {
				if js.job.Cancel {
					continue
				}
				if err := js.commitStep(def, st); err != nil {
					return err
				}
				moved = true
				break
			}
			if may != nil && may.number == st.Number && !js.job.Cancel && may.pass == passOf(js.tx, st) {
				if err := js.startStep(st); err != nil {
					return err
				}
			}
		}
		if schema.JobEnded(js.job.State) {
			return nil
		}
	}
	if len(current(js.steps)) == 0 {
		return js.endJob(schema.JobSucceeded, nil)
	}
	return js.save()
}

// beginOne starts or skips one step of the world and nothing else.
func (js *jobState) beginOne(def *sequence.Step, st *schema.Step, p pass) error {
	if st.State != schema.StepPending || js.job.Cancel {
		return nil
	}
	done, err := js.skip(def, st)
	if err == nil && !done && p == passOf(js.tx, st) {
		err = js.startStep(st)
	}
	if err != nil {
		return err
	}
	return js.save()
}

// skip skips a step that isn't needed, or whose lane has failed before it.
func (js *jobState) skip(def *sequence.Step, st *schema.Step) (bool, error) {
	why := sequence.LeftOut(st)
	if why == "" && st.Lane != 0 {
		for _, s := range js.steps[:st.Number-1] {
			if s.Lane == st.Lane && s.State == schema.StepFailed && !js.tolerated(s) {
				why = fmt.Sprintf("step %d (%s) has failed", s.Number, s.Name)
			}
		}
	}
	if why == "" && def.Skip != nil {
		why = def.Skip(js.env(st))
	}
	if why == "" {
		return false, nil
	}
	st.State, st.Skipped, st.Manager = schema.StepSkipped, why, js.t.Node
	return true, fsm.MoveStep(js.tx, st)
}

func (js *jobState) tolerated(st *schema.Step) bool {
	def, err := sequence.StepOf(st)
	return err == nil && def.Tolerant != nil && def.Tolerant(js.env(st))
}

// commitStep carries out a step of the database, or ends one of the world
// whose effect is there: its rows change with it.
func (js *jobState) commitStep(def *sequence.Step, st *schema.Step) error {
	return js.endStep(def, st, js.env(st))
}

func (js *jobState) endStep(def *sequence.Step, st *schema.Step, e *sequence.Env) error {
	now := timestamppb.New(js.tx.Now())
	if def.Commit != nil {
		err := def.Commit(js.tx, e)
		var partial *sequence.Partial
		if errors.As(err, &partial) {
			return js.failStep(st, partial.Err, false)
		}
		if err != nil {
			return &commitError{st.Number, err}
		}
	}
	st.State, st.Ended, st.Manager, st.Output, st.Error, st.ErrorKind = schema.StepDone, now, js.t.Node, e.Out, "", ""
	if st.Started == nil {
		st.Started = now
	}
	if err := fsm.MoveStep(js.tx, st); err != nil {
		return err
	}
	if err := js.logStep(st, sequence.PhaseCompleted); err != nil {
		return err
	}
	// A commit may have changed what later steps are told.
	for _, s := range js.steps[st.Number:] {
		if js.owned[s.Number] && s.State == schema.StepPending {
			if err := fsm.Steps.Put(js.tx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// callWindow is how long a call may be on its way before it takes effect: the
// driver starts nothing after the deadline, and a new leader nothing before
// it. Each further attempt gets twice as long, for a system that is slow.
const (
	callWindow    = 3 * time.Second
	maxCallWindow = time.Minute
)

func (js *jobState) startStep(st *schema.Step) error {
	js.attempt(st, false)
	js.job.Current = st.Number
	js.begun = st
	if st.Attempt == 1 {
		if err := js.logStep(st, sequence.PhaseStarted); err != nil {
			return err
		}
	}
	return fsm.MoveStep(js.tx, st)
}

// logStep writes what our event log is to hold about a step.
func (js *jobState) logStep(st *schema.Step, phase string) error {
	operation := st.Name // such as create-vm
	if def, err := sequence.StepOf(st); err == nil && def.Operation != "" {
		operation = def.Operation
	} else if phase != sequence.PhaseFailed {
		return nil
	}
	entry, ok := catalog.LogEntry(operation, phase)
	if !ok {
		return nil
	}
	text := entry.Text
	if st.Description != "" {
		text += ": " + st.Description
	}
	if st.Error != "" {
		text += ": " + st.Error
	}
	return fsm.LogEvent(js.tx, &schema.Event{
		Source: entry.Source, EventId: entry.ID, Severity: entry.Severity, Text: text, Target: st.Target, Group: js.job.Group,
		Operation: entry.Operation, Phase: entry.Phase, Job: js.job.Id,
	})
}

// attempt makes st the next attempt at its effect, or at its undoing.
func (js *jobState) attempt(st *schema.Step, undo bool) {
	n := st.Attempt + 1
	if undo {
		n = st.UndoAttempt + 1
	}
	window := min(callWindow<<min(n-1, 10), maxCallWindow)
	deadline := timestamppb.New(js.t.Clock.Now().Add(window))
	token := sequence.Token(js.job.Id, st.Number, n, undo)
	st.Manager = js.t.Node
	if undo {
		st.UndoState, st.UndoAttempt, st.UndoToken, st.UndoDeadline, st.UndoHandle = schema.StepStarted, n, token, deadline, ""
		return
	}
	st.State, st.Attempt, st.Token, st.Deadline, st.Handle = schema.StepStarted, n, token, deadline, ""
	if st.Started == nil {
		st.Started = timestamppb.New(js.tx.Now())
	}
}

// failStep ends a step that failed, and with it its job, unless the flow goes
// on: the step is one of a lane, or its failure is provided for. nothing says
// that the other system is certainly as before.
func (js *jobState) failStep(st *schema.Step, cause error, nothing bool) error {
	st.State, st.Ended, st.Manager = schema.StepFailed, timestamppb.New(js.tx.Now()), js.t.Node
	st.Error, st.ErrorKind = cause.Error(), string(kindOf(cause))
	if nothing && st.Output[sequence.OutPart] == "" {
		st.Output = map[string]string{outNothing: "true"}
	}
	if err := fsm.MoveStep(js.tx, st); err != nil {
		return err
	}
	if err := js.logStep(st, sequence.PhaseFailed); err != nil {
		return err
	}
	if js.tolerated(st) {
		return nil
	}
	if def, err := sequence.StepOf(st); st.Lane != 0 && err == nil && def.Operation != "" {
		return nil
	}
	if st.Lane != 0 {
		return js.logLane(st)
	}
	return js.endJob(schema.JobFailed, schema.Errorf(kindOf(cause), st.Target, "step %d (%s): %v", st.Number, st.Name, cause))
}

// outNothing marks a failed step that has certainly changed nothing outside.
const outNothing = "nothing_done"

// logLane writes the failure of one VM's lane to our event log.
func (js *jobState) logLane(st *schema.Step) error {
	seq, err := sequence.Find(fsm.SeqMoveMachine)
	if err != nil {
		return err
	}
	return seq.Record(js.tx, js.job, sequence.PhaseFailed, st.Target, st.Error)
}

// kindOf is the kind of an error for rows: drivers' kinds become ours.
func kindOf(err error) schema.Kind {
	var own *schema.Error
	if errors.As(err, &own) {
		return own.Kind
	}
	var d *drivers.Error
	if errors.As(err, &d) {
		switch d.Kind {
		case drivers.KindUnreachable, drivers.KindBusy:
			return schema.KindUnavailable
		default:
			return schema.KindJobFailed
		}
	}
	return schema.KindInternal
}

// save writes the job with its progress: how many of its steps have ended. While
// it is taken back, how many of them are still to be: it falls, to 0 in the end.
func (js *jobState) save() error {
	j := js.job
	if j.Undoing {
		j.Progress = min(j.Progress, int32(100*len(toUndo(js.steps))/max(1, len(js.steps))))
		j.Manager, j.Term = js.t.Node, js.t.number
		return fsm.Jobs.Put(js.tx, j)
	}
	total, done := 0, 0
	for _, s := range js.steps {
		if s.State == schema.StepSkipped {
			continue
		}
		total++
		if schema.StepEnded(s.State) {
			done++
		}
	}
	if total > 0 {
		j.Progress = max(j.Progress, min(99, int32(100*done/total)))
	}
	j.Manager, j.Term = js.t.Node, js.t.number
	return fsm.Jobs.Put(js.tx, j)
}

// endJob ends the job: its locks go, the machines get a state that says how
// they are, and our event log tells it.
func (js *jobState) endJob(state string, cause error) error {
	j := js.job
	j.State, j.Ended, j.Manager, j.Term = state, timestamppb.New(js.tx.Now()), js.t.Node, js.t.number
	j.Waiting, j.Parked, j.ResumeWords, j.ResumeWord = "", "", nil, ""
	phase := sequence.PhaseCompleted
	switch state {
	case schema.JobSucceeded:
		j.Progress, j.Error, j.ErrorKind = 100, "", ""
	case schema.JobCancelled:
		phase = sequence.PhaseCancelled
		j.Progress = 0 // nothing of it is left
	default:
		phase = sequence.PhaseFailed
	}
	if cause != nil {
		j.Error, j.ErrorKind = cause.Error(), string(kindOf(cause))
	}
	for _, st := range js.steps {
		if st.State == schema.StepPending {
			st = js.own(st)
			st.State, st.Skipped = schema.StepSkipped, "the job has ended before it"
			if err := fsm.MoveStep(js.tx, st); err != nil {
				return err
			}
		}
	}
	if err := js.freeTargets(); err != nil {
		return err
	}
	if err := fsm.ReleaseLocks(js.tx, j.Id); err != nil {
		return err
	}
	if seq, err := sequence.Find(j.Sequence); err == nil {
		detail := j.Result
		if cause != nil {
			detail = cause.Error()
		}
		if err := seq.Record(js.tx, j, phase, firstTarget(j), detail); err != nil {
			return err
		}
	}
	return fsm.Jobs.Put(js.tx, j)
}
