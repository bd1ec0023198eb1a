package scheduler

import (
	"context"
	"strings"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// undo takes the job's steps back, the last one first, and ends the job. It
// stops at a step that can't be taken back: what came before it may be safe
// only without it, as a volume that goes back to the old machine is only once
// the new one is off. It returns false when it must be taken up again.
func (c *conductor) undo(ctx context.Context) bool {
	if !c.beginUndo(ctx) {
		return false
	}
	for {
		job, steps := c.rows()
		if ctx.Err() != nil || job == nil || job.State != schema.JobCancelling {
			return true
		}
		left := toUndo(steps)
		if len(left) == 0 || undoFailed(steps) != nil {
			return c.endUndo(ctx)
		}
		st := left[len(left)-1]
		def, err := sequence.StepOf(st)
		if err != nil || def.Undo == nil {
			if !c.undoRows(ctx, st.Number) {
				return false
			}
			continue
		}
		r := newRunner(c, job, st)
		r.undo, r.word = true, job.ResumeWord
		switch o := r.run(ctx); o.kind {
		case stepParked:
			return c.park(ctx, []outcome{o})
		case stepStopped:
			return false
		}
	}
}

// beginUndo ends what was waiting or under way, and marks what needs no
// taking back.
func (c *conductor) beginUndo(ctx context.Context) bool {
	err := c.t.update(ctx, "BeginUndo", func(tx *fsm.Tx) error {
		js, err := c.t.load(tx, c.id)
		if err != nil || js.job.State != schema.JobCancelling && js.job.State != schema.JobRunning {
			return err
		}
		if !js.job.Undoing {
			js.job.ResumeWord = "" // it was about a step, not about its undoing
		}
		js.job.State, js.job.Undoing = schema.JobCancelling, true
		why := schema.Errorf(schema.KindCancelled, "job "+c.id, "the job is being taken back")
		for _, st := range js.steps {
			def, err := sequence.StepOf(st)
			if err != nil {
				return err
			}
			st = js.own(st)
			switch {
			case st.State == schema.StepPending && st.Attempt > 0: // it was opened again
				st.State, st.Error, st.ErrorKind = schema.StepFailed, "it wasn't carried out again: "+why.Msg, string(why.Kind)
			case st.State == schema.StepPending:
				st.State, st.Skipped = schema.StepSkipped, why.Msg
			case st.State == schema.StepStarted || st.State == schema.StepHandled:
				st.State, st.Error, st.ErrorKind = schema.StepFailed, "given up while it was under way: "+why.Msg, string(why.Kind)
			}
			if st.UndoState == "" && needsUndo(st, def) && def.UndoSkip != nil && def.UndoSkip(js.env(st)) != "" {
				st.UndoState = schema.StepSkipped
			}
			if err := fsm.MoveStep(tx, st); err != nil {
				return err
			}
		}
		return js.save()
	})
	return err == nil
}

// needsUndo tells whether a step has, or may have, an effect that can be taken back.
func needsUndo(st *schema.Step, def *sequence.Step) bool {
	if def.Undo == nil && def.UndoCommit == nil {
		return false
	}
	return st.State == schema.StepDone || st.State == schema.StepFailed && st.Attempt > 0 && st.Output[outNothing] != "true"
}

// toUndo are the steps that must still be taken back, in their order.
func toUndo(steps []*schema.Step) []*schema.Step {
	var out []*schema.Step
	for _, st := range steps {
		if def, err := sequence.StepOf(st); err == nil && needsUndo(st, def) && !schema.StepEnded(st.UndoState) {
			out = append(out, st)
		}
	}
	return out
}

// undoFailed is the step that couldn't be taken back; nil when there is none.
func undoFailed(steps []*schema.Step) *schema.Step {
	for _, st := range steps {
		if st.UndoState == schema.StepFailed {
			return st
		}
	}
	return nil
}

// undoRows takes a step of the database back.
func (c *conductor) undoRows(ctx context.Context, number int32) bool {
	write := func(failure error) error {
		return c.t.update(ctx, "UndoStep", func(tx *fsm.Tx) error {
			js, err := c.t.load(tx, c.id)
			if err != nil {
				return err
			}
			st, err := js.step(number)
			if err != nil {
				return err
			}
			if failure != nil {
				// Nothing was begun outside; the state goes by way of started.
				js.attempt(st, true)
				if err := fsm.MoveStep(tx, st); err != nil {
					return err
				}
				st.UndoState, st.UndoError = schema.StepFailed, failure.Error()
				return fsm.MoveStep(tx, st)
			}
			def, err := sequence.StepOf(st)
			if err != nil {
				return err
			}
			return js.endUndo(def, st)
		})
	}
	err := write(nil)
	if err != nil && !lost(err) {
		err = write(err)
	}
	return err == nil
}

// endUndo notes that a step is taken back.
func (js *jobState) endUndo(def *sequence.Step, st *schema.Step) error {
	if def.UndoCommit != nil {
		if err := def.UndoCommit(js.tx, js.env(st)); err != nil {
			return err
		}
	}
	st.UndoState, st.Manager = schema.StepDone, js.t.Node
	if err := fsm.MoveStep(js.tx, st); err != nil {
		return err
	}
	return js.save()
}

// endUndo ends the job after its steps are taken back: as cancelled, or as
// failed when one of them couldn't be.
func (c *conductor) endUndo(ctx context.Context) bool {
	err := c.t.update(ctx, "EndJob", func(tx *fsm.Tx) error {
		js, err := c.t.load(tx, c.id)
		if err != nil || js.job.State != schema.JobCancelling {
			return err
		}
		if st := undoFailed(js.steps); st != nil {
			return js.endJob(schema.JobFailed, schema.Errorf(schema.KindJobFailed, "job "+c.id, "step %d (%s %s) couldn't be taken back: %s", st.Number, st.Name, st.Target, st.UndoError).
				WithHint("the steps before it are as they were; remove the cause, then: pvmutl job rollback %s", c.id))
		}
		return js.endJob(schema.JobCancelled, &schema.Error{Kind: schema.KindCancelled, Msg: js.takenBack()})
	})
	return err == nil
}

// takenBack says by whom the job was taken back, and which effects on the
// outside world stay because nothing takes them back, or may still come because
// they were only waited for no longer, such as the end of a guest's shutdown.
func (js *jobState) takenBack() string {
	var done, open []string
	for _, st := range js.steps {
		def, err := sequence.StepOf(st)
		if err != nil || def.Act == nil || def.ReadOnly {
			continue
		}
		switch {
		case st.State == schema.StepDone && def.Undo == nil:
			done = append(done, st.Name+" "+st.Target)
		case st.State == schema.StepFailed && st.ErrorKind == string(schema.KindCancelled) && (st.UndoState != schema.StepDone || def.Lingers):
			open = append(open, st.Name+" "+st.Target)
		}
	}
	text := "cancelled"
	if js.job.CancelBy != "" {
		text += " by " + js.job.CancelBy
	}
	if len(done) > 0 {
		text += "; done all the same: " + strings.Join(done, ", ")
	}
	if len(open) > 0 {
		text += "; asked for, and may still take effect: " + strings.Join(open, ", ")
	}
	return text
}
