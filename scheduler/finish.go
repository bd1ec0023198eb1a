package scheduler

import (
	"context"
	"errors"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// done ends the step whose effect is there, and starts the next step of its
// lane in the same batch when the gate lets it through.
func (r *runner) done(ctx context.Context) *outcome {
	if r.undo {
		return r.undone(ctx)
	}
	next, p := r.nextPass()
	o := outcome{kind: stepEnded}
	var begun *schema.Step // only to be looked at after success: a write whose outcome is unknown may still run
	attempt := func(alone bool) error {
		return r.update(ctx, "EndStep", func(js *jobState, st *schema.Step) error {
			e := js.env(st)
			e.Out, e.Carry = copyOf(r.out), r.carry
			begun = nil
			js.job.ResumeWord = ""
			if err := js.endStep(r.def, st, e); err != nil {
				return err
			}
			if schema.JobEnded(js.job.State) {
				return nil
			}
			if alone {
				return js.save()
			}
			if err := js.advance(next); err != nil {
				return err
			}
			begun = js.begun
			return nil
		})
	}
	err := attempt(false)
	var commit *commitError
	if errors.As(err, &commit) && commit.number != r.st.Number {
		// A later step of the database failed: this one's end stands for itself.
		err = attempt(true)
	}
	if err == nil {
		o.next = begun
	}
	if next != nil && o.next == nil {
		r.leaveNext(p)
	}
	if errors.As(err, &commit) {
		f := r.fail(ctx, commit.err)
		return &f
	}
	if err != nil {
		return r.writeFailed(err)
	}
	if o.next != nil {
		r.handOver(&o, p)
	}
	return &o
}

// nextPass looks for the step of the world that comes next, and goes through
// the gate for it: with the pass that this step holds when it is the same.
func (r *runner) nextPass() (*begin, pass) {
	v := r.t.Store.View()
	for _, st := range fsm.StepsOf(v, r.st.Job) {
		def, err := sequence.StepOf(st)
		if st.Number <= r.st.Number || st.State != schema.StepPending || (st.Lane != 0 && st.Lane != r.st.Lane) || err != nil || def.Act == nil {
			continue
		}
		p := passOf(v, st)
		if p.free() || p == r.pass || r.t.gate.try(p) {
			return &begin{st.Number, p}, p
		}
		return nil, p
	}
	return nil, pass{}
}

func (r *runner) leaveNext(p pass) {
	if !p.free() && p != r.pass {
		r.t.gate.leave(p)
	}
}

// handOver gives the pass for the next step to the outcome.
func (r *runner) handOver(o *outcome, p pass) {
	o.pass = p
	if p == r.pass {
		r.pass = pass{} // it goes along
	}
}

// failed ends a step that failed. nothing: the other system is as before.
func (r *runner) failed(ctx context.Context, cause error, nothing bool) *outcome {
	o := r.failAs(ctx, cause, nothing)
	return &o
}

func (r *runner) fail(ctx context.Context, cause error) outcome { return r.failAs(ctx, cause, false) }

func (r *runner) failAs(ctx context.Context, cause error, nothing bool) outcome {
	r.t.log.Warn("step failed", "job", r.st.Job, "step", r.st.Number, "name", r.st.Name, "machine", r.st.Target, "undo", r.undo, "err", cause)
	err := r.update(ctx, "FailStep", func(js *jobState, st *schema.Step) error {
		js.job.ResumeWord = ""
		if r.undo {
			st.UndoState, st.UndoError, st.Manager = schema.StepFailed, cause.Error(), r.t.Node
			if err := fsm.MoveStep(js.tx, st); err != nil {
				return err
			}
			return js.save()
		}
		if err := js.failStep(st, cause, nothing); err != nil || schema.JobEnded(js.job.State) {
			return err
		}
		return js.save()
	})
	if err != nil {
		return *r.writeFailed(err)
	}
	return outcome{kind: stepEnded}
}

// undone ends the taking back of a step.
func (r *runner) undone(ctx context.Context) *outcome {
	err := r.update(ctx, "UndoStep", func(js *jobState, st *schema.Step) error {
		js.job.ResumeWord = ""
		return js.endUndo(r.def, st)
	})
	if err != nil && !lost(err) {
		return r.failed(ctx, err, false)
	}
	if err != nil {
		return r.writeFailed(err)
	}
	return &outcome{kind: stepEnded}
}

// takeWord goes by the operator's word on a step that nothing else tells
// about. nil: the word is to look again.
func (r *runner) takeWord(ctx context.Context) *outcome {
	switch r.word {
	case fsm.WordDone, fsm.WordOff:
		r.out = map[string]string{"word": r.word}
		return r.done(ctx)
	case fsm.WordFailed:
		return r.failed(ctx, schema.Errorf(schema.KindJobFailed, r.st.Target, "the operator says that it has failed"), false)
	}
	err := r.update(ctx, "TakeWord", func(js *jobState, _ *schema.Step) error {
		js.job.ResumeWord = ""
		return js.save()
	})
	if err != nil {
		return r.writeFailed(err)
	}
	return nil
}

func copyOf(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
