package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

const (
	// skewMargin is what the clocks of two managers may differ by: a new
	// leader waits that much longer than the old one's deadline.
	skewMargin = time.Second
	// callTimeout bounds the wait for the answer to one call.
	callTimeout = time.Minute
	// patience is how long another system may be silent, or not tell, before
	// a person has to look.
	patience = 5 * time.Minute
	// maxAttempts bounds the attempts whose effect wasn't there afterwards.
	maxAttempts = 3
	// tellAfter is how long another system may be silent before the job says so.
	tellAfter = 3 * time.Second
	// Pauses between two looks at the other system.
	firstPause = 100 * time.Millisecond
	maxPause   = 2 * time.Second
)

// runner takes one step to its end, or takes one back: see DESIGN.md, "The
// step protocol".
type runner struct {
	c    *conductor
	t    *leadership
	def  *sequence.Step
	st   *schema.Step // the row as last written
	undo bool

	fresh  bool    // this runner has just written STARTED: the call comes next
	ticket *ticket // place before the gate, not used yet
	pass   pass    // held
	word   string  // of the operator, about this step

	pause  time.Duration
	silent time.Time // since when the other system has told nothing
	told   time.Time // when the newest part of the task's output was written
	last   error     // last error of a call
	out    map[string]string
	carry  any
}

func newRunner(c *conductor, job *schema.Job, st *schema.Step) *runner {
	r := &runner{c: c, t: c.t, st: st}
	if p := passOf(c.t.Store.View(), st); st.State == schema.StepPending && !p.free() {
		r.ticket = c.t.gate.enter(p, job.GetPriority()) // here, so that runners come in the order of their steps
	}
	if job != nil && (st.State == schema.StepStarted || st.State == schema.StepHandled) {
		r.word = job.ResumeWord
	}
	return r
}

func (r *runner) number() int32 { return r.st.Number }

func (r *runner) act() *sequence.Act {
	if r.undo {
		return r.def.Undo
	}
	return r.def.Act
}

func (r *runner) state() string {
	if r.undo {
		return r.st.UndoState
	}
	return r.st.State
}

func (r *runner) deadline() time.Time {
	if r.undo {
		return r.st.UndoDeadline.AsTime()
	}
	return r.st.Deadline.AsTime()
}

func (r *runner) handle() string {
	if r.undo {
		return r.st.UndoHandle
	}
	return r.st.Handle
}

func (r *runner) attempts() int32 {
	if r.undo {
		return r.st.UndoAttempt
	}
	return r.st.Attempt
}

// env is what the step's functions work with outside of a transaction.
func (r *runner) env() *sequence.Env {
	v := r.t.Store.View()
	job, _ := fsm.Jobs.Get(v, fsm.NumberKey(r.st.Job))
	token := r.st.Token
	if r.undo {
		token = r.st.UndoToken
	}
	return &sequence.Env{
		Rows: v, Job: job, Step: r.st, Steps: fsm.StepsOf(v, r.st.Job), Drivers: r.t.Drivers,
		Call: drivers.Call{Token: token, Deadline: r.deadline()}, Now: r.t.Clock.Now(), Silent: r.silentFor(), Word: r.word, Out: r.out, Carry: r.carry,
	}
}

// run takes the step to its end and returns how that went. Its pass is given
// back unless the outcome carries it to the next step.
func (r *runner) run(ctx context.Context) outcome {
	def, err := sequence.StepOf(r.st)
	if err != nil {
		return r.end(r.fail(ctx, err))
	}
	r.def = def
	if r.word != "" {
		if o := r.takeWord(ctx); o != nil {
			return r.end(*o)
		}
	}
	for {
		if ctx.Err() != nil {
			return r.end(r.stopped())
		}
		var o *outcome
		switch r.state() {
		case schema.StepPending, "":
			o = r.begin(ctx)
		case schema.StepStarted:
			if r.fresh {
				r.fresh = false
				o = r.call(ctx)
			} else {
				o = r.probe(ctx)
			}
		case schema.StepHandled:
			o = r.attach(ctx)
		default:
			o = &outcome{kind: stepEnded}
		}
		if o != nil {
			return r.end(*o)
		}
	}
}

func (r *runner) end(o outcome) outcome {
	o.number = r.st.Number
	if r.ticket != nil {
		r.t.gate.giveUp(r.ticket)
	}
	if !r.pass.free() {
		r.t.gate.leave(r.pass)
		r.pass = pass{}
	}
	return o
}

func (r *runner) stopped() outcome { return outcome{kind: stepStopped} }

// begin goes through the gate and writes STARTED, or lets the rows advance
// when the step isn't one of the world.
func (r *runner) begin(ctx context.Context) *outcome {
	if !r.undo && r.def.Act == nil {
		o := r.commitAlone(ctx)
		return &o
	}
	p, w := passOf(r.t.Store.View(), r.st), r.ticket
	r.ticket = nil
	if w == nil && !p.free() {
		w = r.t.gate.enter(p, fsm.PriorityOperator)
	}
	if w != nil {
		stop := r.c.cancelled
		if r.undo {
			stop = nil
		}
		if !r.t.gate.wait(ctx, stop, w) {
			return r.givenUp(ctx)
		}
		r.pass = w.pass
	}
	err := r.update(ctx, "StartStep", func(js *jobState, st *schema.Step) error {
		if r.undo {
			js.attempt(st, true)
			return fsm.MoveStep(js.tx, st)
		}
		if schema.StepEnded(st.State) {
			return nil // another lane's batch has skipped it
		}
		return js.advance(&begin{st.Number, p})
	})
	var commit *commitError
	switch {
	case errors.As(err, &commit) && commit.number == r.st.Number:
		o := r.fail(ctx, commit.err)
		return &o
	case errors.As(err, &commit):
		// A step of the database after this one fails: it will fail by itself.
		err = r.update(ctx, "StartStep", func(js *jobState, st *schema.Step) error { return js.beginOne(r.def, st, p) })
	}
	if errors.Is(err, errJobEnded) {
		return &outcome{kind: stepEnded}
	}
	if err != nil {
		return r.writeFailed(err)
	}
	if r.state() == schema.StepStarted {
		r.fresh = true
		return nil
	}
	return &outcome{kind: stepEnded} // skipped, or its turn isn't yet
}

// commitAlone carries out a step of the database in a batch of its own: in a
// batch with others it would have undone them by failing.
func (r *runner) commitAlone(ctx context.Context) outcome {
	err := r.update(ctx, "CommitStep", func(js *jobState, st *schema.Step) error {
		if st.State != schema.StepPending || js.job.Cancel {
			return nil
		}
		if done, err := js.skip(r.def, st); err != nil || done {
			return err
		}
		if err := js.commitStep(r.def, st); err != nil {
			return err
		}
		if schema.JobEnded(js.job.State) {
			return nil
		}
		return js.save()
	})
	var commit *commitError
	if errors.As(err, &commit) {
		return r.fail(ctx, commit.err)
	}
	if err != nil && !errors.Is(err, errJobEnded) {
		return *r.writeFailed(err)
	}
	return outcome{kind: stepEnded}
}

// errJobEnded is the error of a write about a step whose job has ended: what
// other lanes did has decided it.
var errJobEnded = schema.Errorf(schema.KindConflict, "job", "it has ended")

// update changes the step's row, and keeps what was written.
func (r *runner) update(ctx context.Context, op string, change func(*jobState, *schema.Step) error) error {
	var written *schema.Step
	err := r.t.update(ctx, op, func(tx *fsm.Tx) error {
		js, err := r.t.load(tx, r.st.Job)
		if err != nil {
			return err
		}
		if schema.JobEnded(js.job.State) {
			return errJobEnded
		}
		if js.job.State != schema.JobRunning && js.job.State != schema.JobCancelling {
			return schema.Errorf(schema.KindConflict, "job "+js.job.Id, "it is %s", js.job.State)
		}
		st, err := js.step(r.st.Number)
		if err != nil {
			return err
		}
		waited := js.job.Waiting
		js.job.Waiting = ""
		if err := change(js, st); err != nil {
			return err
		}
		written = proto.Clone(st).(*schema.Step)
		if js.job.Waiting != waited {
			return fsm.Jobs.Put(tx, js.job)
		}
		return nil
	})
	if err == nil {
		r.st = written
	}
	return err
}

func (r *runner) writeFailed(err error) *outcome {
	if !lost(err) {
		r.t.log.Error("a step can't be written", "job", r.st.Job, "step", r.st.Number, "err", err)
	}
	o := r.stopped()
	return &o
}

// maxAttempts is the bound of attempts; each part of an effect takes one.
func (r *runner) maxAttempts() int32 {
	if r.st.Output[sequence.OutPart] != "" {
		return maxAttempts + 1
	}
	return maxAttempts
}

// nextPart asks for the second part of the effect, by an attempt of its own.
func (r *runner) nextPart(ctx context.Context, part string) *outcome {
	err := r.update(ctx, "NextPart", func(js *jobState, st *schema.Step) error {
		js.attempt(st, false)
		st.Output = map[string]string{sequence.OutPart: part}
		return fsm.MoveStep(js.tx, st)
	})
	if err != nil {
		return r.writeFailed(err)
	}
	r.fresh, r.silent = true, time.Time{}
	return nil
}

// again makes the next attempt: the effect isn't there, and no call of an
// earlier attempt can bring it about any more. counted attempts are bounded.
func (r *runner) again(ctx context.Context, counted bool) *outcome {
	if counted && r.attempts() >= r.maxAttempts() && r.word == "" {
		cause := r.last
		if cause == nil {
			cause = errors.New("its effect wasn't there afterwards")
		}
		return r.failed(ctx, fmt.Errorf("%d attempts led to nothing: %w", r.attempts(), cause), true)
	}
	err := r.update(ctx, "RetryStep", func(js *jobState, st *schema.Step) error {
		if r.silentFor() >= tellAfter && r.last != nil {
			js.job.Waiting = waitsForAnswer(r.last) // as before
		}
		js.attempt(st, r.undo)
		return fsm.MoveStep(js.tx, st)
	})
	if err != nil {
		return r.writeFailed(err)
	}
	r.fresh = true
	if r.word == fsm.WordAgain {
		r.word = "" // this attempt is what it asked for
	}
	return nil
}
