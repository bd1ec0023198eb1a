package scheduler

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// conductor takes one running job through its steps: it starts the steps whose
// turn it is, several when they are of different lanes, and waits for them.
// It ends with the job, when the job parks, and with the term.
type conductor struct {
	t     *leadership
	id    string
	ended chan struct{}
	log   func(msg string, args ...any)

	cancelOnce sync.Once
	cancelled  chan struct{} // closed when the job is to be cancelled
}

func newConductor(t *leadership, id string) *conductor {
	log := t.log.With("job", id)
	return &conductor{t: t, id: id, ended: make(chan struct{}), cancelled: make(chan struct{}), log: log.Info}
}

func (c *conductor) cancel() { c.cancelOnce.Do(func() { close(c.cancelled) }) }

func (c *conductor) isCancelled() bool {
	select {
	case <-c.cancelled:
		return true
	default:
		return false
	}
}

// outcome is how a runner's work on a step ended.
type outcome struct {
	number int32
	kind   outcomeKind
	text   string   // parked: what a person must look at
	words  []string // parked: how to go on
	next   *schema.Step
	pass   pass // held for next
}

type outcomeKind int

const (
	stepEnded   outcomeKind = iota // it is written in the rows
	stepParked                     // nobody can tell, a person must look
	stepGivenUp                    // the job is being cancelled
	stepStopped                    // the term has ended, or a write failed
)

// run takes the job to its end.
func (c *conductor) run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if !c.takeUp(ctx) {
		c.t.wait(ctx, nil, retryAfter)
		return
	}
	results := make(chan outcome)
	flying := map[int32]int32{} // steps with a runner, and their lanes
	var parked []outcome
	failed := false
	start := func(r *runner) {
		flying[r.number()] = r.st.Lane
		go func() { results <- r.run(ctx) }() // run takes it off results before it returns
	}
	for {
		if !failed && ctx.Err() == nil {
			job, steps := c.rows()
			if job == nil || (job.State != schema.JobRunning && job.State != schema.JobCancelling) {
				failed = true // ended, or parked: nothing more to start
			} else if c.isCancelled() || job.Undoing {
				if len(flying) == 0 {
					if !c.undo(ctx) {
						c.t.wait(ctx, nil, retryAfter)
					}
					return
				}
			} else {
				turn := current(steps)
				for _, st := range turn {
					if !laneFlies(flying, st.Lane) && !isParked(parked, st.Number) {
						start(newRunner(c, job, st))
					}
				}
				if len(turn) == 0 && len(flying) == 0 && !c.finish(ctx) {
					c.t.wait(ctx, nil, retryAfter)
					return
				}
			}
		}
		if len(flying) == 0 {
			break
		}
		o := <-results
		delete(flying, o.number)
		switch o.kind {
		case stepParked:
			parked = append(parked, o)
		case stepStopped:
			failed = true
			stop() // the others see it, and the job is taken up anew
		case stepEnded:
			if o.next != nil && !failed {
				start(&runner{c: c, t: c.t, st: o.next, fresh: true, pass: o.pass})
			} else if o.next != nil {
				c.t.gate.leave(o.pass)
			}
		}
	}
	if job, _ := c.rows(); job != nil && schema.JobEnded(job.State) {
		c.log("job ended", "state", job.State, "result", job.Result, "err", job.Error)
	}
	if len(parked) > 0 && !failed {
		if !c.park(ctx, parked) {
			c.t.wait(ctx, nil, retryAfter)
		}
	} else if failed {
		if job, _ := c.rows(); job != nil && !schema.JobEnded(job.State) && job.State != schema.JobParked {
			c.t.wait(ctx, nil, retryAfter)
		}
	}
}

// laneFlies tells whether a runner is at work in a lane; the main line shares
// with none. A runner that ends its step may have started the next one, which
// only it knows to be its own: no other must take that up.
func laneFlies(flying map[int32]int32, lane int32) bool {
	for _, l := range flying {
		if l == lane || l == 0 || lane == 0 {
			return true
		}
	}
	return false
}

func isParked(parked []outcome, number int32) bool {
	return slices.ContainsFunc(parked, func(o outcome) bool { return o.number == number })
}

// rows are the job and its steps now.
func (c *conductor) rows() (*schema.Job, []*schema.Step) {
	v := c.t.Store.View()
	j, ok := fsm.Jobs.Get(v, fsm.NumberKey(c.id))
	if !ok {
		return nil, nil
	}
	return j, fsm.StepsOf(v, c.id)
}

// takeUp notes in the job that this manager goes on with it, and what it
// finds, when another manager or term had begun it.
func (c *conductor) takeUp(ctx context.Context) bool {
	err := c.t.update(ctx, "TakeUpJob", func(tx *fsm.Tx) error {
		js, err := c.t.load(tx, c.id)
		if err != nil {
			return err
		}
		j := js.job
		if j.Term == c.t.number && j.Manager == c.t.Node {
			return nil
		}
		var found []string
		for _, st := range current(js.steps) {
			switch st.State {
			case schema.StepStarted:
				found = append(found, fmt.Sprintf("step %d (%s %s) was begun: looking whether its effect is there", st.Number, st.Name, st.Target))
			case schema.StepHandled:
				found = append(found, fmt.Sprintf("step %d (%s %s) is under way: attached to %s", st.Number, st.Name, st.Target, st.Handle))
			default:
				continue
			}
			st = js.own(st)
			st.Resumed = true
			if err := fsm.MoveStep(tx, st); err != nil {
				return err
			}
		}
		if len(found) == 0 {
			found = []string{"no step was under way"}
		}
		fsm.LogJob(j, "%s took it over from %s in term %d: %s", c.t.Node, j.Manager, c.t.number, strings.Join(found, "; "))
		return js.save()
	})
	return err == nil
}

// finish lets the rows advance when no step is left to wait for.
func (c *conductor) finish(ctx context.Context) bool {
	return c.t.update(ctx, "FinishJob", func(tx *fsm.Tx) error {
		js, err := c.t.load(tx, c.id)
		if err != nil || js.job.State != schema.JobRunning {
			return err
		}
		return js.advance(nil)
	}) == nil
}

// park hands the job to a person.
func (c *conductor) park(ctx context.Context, parked []outcome) bool {
	err := c.t.update(ctx, "ParkJob", func(tx *fsm.Tx) error {
		js, err := c.t.load(tx, c.id)
		if err != nil || (js.job.State != schema.JobRunning && js.job.State != schema.JobCancelling) {
			return err
		}
		j := js.job
		if j.Cancel && !j.Undoing {
			return nil // it is taken up again, to be undone
		}
		var texts []string
		words := parked[0].words
		for _, o := range parked {
			texts = append(texts, o.text)
			words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !slices.Contains(o.words, w) })
		}
		j.State, j.Parked, j.ResumeWords, j.ResumeWord, j.Waiting = schema.JobParked, strings.Join(texts, "; "), words, "", ""
		fsm.LogJob(j, "%s parked it: %s", c.t.Node, j.Parked)
		for _, name := range j.Targets {
			if m, ok := fsm.Machines.Edit(tx, name); ok && m.Status == schema.StatusInUse {
				m.StatusReason = "job " + j.Id + " is parked: " + j.Parked
				if err := fsm.Machines.Put(tx, m); err != nil {
					return err
				}
			}
		}
		if seq, err := sequence.Find(j.Sequence); err == nil {
			if err := seq.Record(tx, j, sequence.PhaseOther, firstTarget(j), "parked: "+j.Parked); err != nil {
				return err
			}
		}
		return js.save()
	})
	c.log("job parked", "parked", parked[0].text)
	return err == nil
}
