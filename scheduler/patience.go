package scheduler

import (
	"context"
	"fmt"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// givenUp ends the work on a step while it waits: the job is being cancelled,
// or the term has ended.
func (r *runner) givenUp(ctx context.Context) *outcome {
	if ctx.Err() != nil {
		o := r.stopped()
		return &o
	}
	return &outcome{kind: stepGivenUp}
}

// sleep waits for the next look, longer each time. An outcome says why there is none.
func (r *runner) sleep(ctx context.Context, interruptible bool) *outcome {
	r.pause = min(max(firstPause, r.pause*3/2), maxPause)
	return r.sleepFor(ctx, r.pause, interruptible)
}

func (r *runner) sleepFor(ctx context.Context, d time.Duration, interruptible bool) *outcome {
	stop := r.c.cancelled
	if r.undo || !interruptible {
		stop = nil
	}
	if !r.t.wait(ctx, stop, d) {
		return r.givenUp(ctx)
	}
	return nil
}

// silentFor is for how long the other system has told nothing.
func (r *runner) silentFor() time.Duration {
	if r.silent.IsZero() {
		return 0
	}
	return r.t.Clock.Now().Sub(r.silent)
}

// silence counts the time for which the other system has told nothing; when it
// is long the job tells what it waits for, when it is too long the step parks.
func (r *runner) silence(ctx context.Context, err error) *outcome {
	now := r.t.Clock.Now()
	if r.silent.IsZero() {
		r.silent = now
	}
	limit := patience
	if r.def.Patience > 0 {
		limit = r.def.Patience
	}
	switch silent := now.Sub(r.silent); {
	case silent >= limit && r.def.GivesUp && !r.undo:
		return r.failed(ctx, err, true)
	case silent >= limit:
		return r.park(ctx, err)
	case silent >= tellAfter:
		return r.tell(ctx, err)
	}
	return nil
}

// tell notes on the job that another system is silent, unless it says already
// what it waits for. The next write about one of its steps takes the note away.
func (r *runner) tell(ctx context.Context, cause error) *outcome {
	if job, _ := fsm.Jobs.Get(r.t.Store.View(), fsm.NumberKey(r.st.Job)); job.GetWaiting() != "" {
		return nil
	}
	err := r.update(ctx, "TellWaiting", func(js *jobState, _ *schema.Step) error {
		js.job.Waiting = waitsForAnswer(cause)
		return nil
	})
	if err != nil {
		return r.writeFailed(err)
	}
	return nil
}

func waitsForAnswer(cause error) string { return "an answer: " + cause.Error() }

// park hands the step to a person, unless something else proves what it is for.
// Where the rows have another machine's controller nothing does: whose ports and
// initiators they have isn't sure either.
func (r *runner) park(ctx context.Context, cause error) *outcome {
	if r.def.Proof != nil && !r.undo && drivers.KindOf(cause) != drivers.KindWrongMachine {
		e := r.env()
		cctx, end := r.timeout(ctx)
		proof, err := r.def.Proof(cctx, e)
		end()
		switch {
		case ctx.Err() != nil:
			o := r.stopped()
			return &o
		case err == nil:
			r.out = map[string]string{sequence.OutProof: proof}
			return r.done(ctx)
		}
		cause = fmt.Errorf("%w; %w", cause, err)
	}
	o := outcome{kind: stepParked}
	if parked := r.parked(); parked != nil {
		o.text, o.words = parked(r.env(), cause)
		return &o
	}
	o.words = []string{fsm.WordRetry, fsm.WordDone, fsm.WordFailed}
	o.text = fmt.Sprintf("nothing tells whether step %d (%s %s) has taken effect: %v; look there, then: pvmutl job resume %s {%s}",
		r.st.Number, r.st.Name, r.st.Target, cause, r.st.Job, strings.Join(o.words, "|"))
	return &o
}
