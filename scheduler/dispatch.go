package scheduler

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// retryAfter is the pause after a write that failed.
const retryAfter = 500 * time.Millisecond

// dispatch gives each running job a conductor and starts queued jobs, by
// priority, then age. It looks at the rows at each change of them, and at the
// start of the term; it ends once all conductors have.
func (t *leadership) dispatch(ctx context.Context) {
	defer t.awaitConductors()
	for {
		changed := t.Store.Watch(fsm.Jobs, fsm.Locks)
		ok := t.look(ctx, t.Store.View())
		var again <-chan time.Time
		end := func() {}
		if !ok {
			again, end = t.Clock.After(retryAfter)
		}
		select {
		case <-ctx.Done():
			end()
			return
		case <-changed:
		case <-t.poke:
		case <-again:
		}
		end()
	}
}

func (t *leadership) awaitConductors() {
	t.mu.Lock()
	all := make([]*conductor, 0, len(t.conductors))
	for _, c := range t.conductors {
		all = append(all, c)
	}
	t.mu.Unlock()
	for _, c := range all {
		<-c.ended
	}
}

// look brings conductors and jobs in step with the rows. It returns false when
// a write failed and it should look again soon.
func (t *leadership) look(ctx context.Context, v *fsm.View) bool {
	var queued []*schema.Job
	for _, j := range fsm.LiveJobs(v) {
		switch j.State {
		case schema.JobQueued:
			queued = append(queued, j)
		case schema.JobRunning, schema.JobCancelling:
			t.conduct(ctx, j)
		}
	}
	slices.SortStableFunc(queued, func(a, b *schema.Job) int { return cmp.Compare(b.Priority, a.Priority) })
	ok := true
	ahead := reservations{}
	for _, j := range queued {
		if ctx.Err() != nil {
			return true
		}
		if !t.startJob(ctx, v, j, ahead) {
			ok = false
		}
	}
	return ok
}

// conduct makes sure that a running job has a conductor, and tells it when the
// job is to be cancelled.
func (t *leadership) conduct(ctx context.Context, j *schema.Job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.conductors[j.Id]
	if c == nil {
		c = newConductor(t, j.Id)
		t.conductors[j.Id] = c
		go func() { // awaitConductors waits for it
			defer t.forget(c)
			c.run(ctx)
		}()
	}
	if j.Cancel || j.Undoing {
		c.cancel()
	}
}

// forget takes an ended conductor off the list and has dispatch look again:
// there is room for another job, and the job itself may go on.
func (t *leadership) forget(c *conductor) {
	t.mu.Lock()
	delete(t.conductors, c.id)
	t.mu.Unlock()
	close(c.ended)
	select {
	case t.poke <- struct{}{}:
	default:
	}
}

func (t *leadership) running() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conductors)
}

// startJob starts a queued job if it can: its locks are free, no job ahead
// of it waits for one of them, and there is room for it.
func (t *leadership) startJob(ctx context.Context, v *fsm.View, j *schema.Job, ahead reservations) bool {
	if !j.Cancel {
		if len(j.Locks) == 0 && t.running() >= t.MaxJobs {
			return true // nothing can start, whatever it needs
		}
		if mate := eventMate(v, j); mate != "" && mate == j.Waiting {
			return true
		}
		waiting := t.whyWait(v, j, ahead)
		if waiting != "" && len(j.Locks) > 0 && waiting == j.Waiting {
			ahead.add(j.Id, j.Locks)
			return true
		}
	}
	prepare := t.planAhead(v, j)
	var started bool
	attempt := func(alone bool) error {
		return t.update(ctx, "StartJob", func(tx *fsm.Tx) error {
			js, err := t.load(tx, j.Id)
			if err != nil || js.job.State != schema.JobQueued {
				return err
			}
			started, err = js.start(ahead, prepare, alone)
			return err
		})
	}
	err := attempt(false)
	var commit *commitError
	if errors.As(err, &commit) {
		err = attempt(true) // a first step of the database fails: it does so by itself
	}
	if err != nil {
		if !lost(err) {
			t.log.Error("a job can't be started", "job", j.Id, "err", err)
			t.failUnstartable(ctx, j.Id, err)
		}
		return false
	}
	now := t.Store.View()
	if row, ok := fsm.Jobs.Get(now, fsm.NumberKey(j.Id)); ok {
		if row.State == schema.JobQueued {
			ahead.add(j.Id, row.Locks)
		}
		if started {
			t.log.Info("job started", "job", j.Id, "sequence", j.Sequence, "targets", j.Targets)
			t.conduct(ctx, row)
		}
	}
	return true
}

// failUnstartable ends a job whose start can't even be written, so that it
// isn't tried for ever.
func (t *leadership) failUnstartable(ctx context.Context, id string, cause error) {
	err := t.update(ctx, "FailJob", func(tx *fsm.Tx) error {
		js, err := t.load(tx, id)
		if err != nil || js.job.State != schema.JobQueued {
			return err
		}
		return js.endJob(schema.JobFailed, cause)
	})
	if err != nil && !lost(err) {
		t.log.Error("a job can't be ended", "job", id, "err", err)
	}
}

// whyWait says what a queued job waits for, as far as is known without a plan:
// what can be read behind "waits for".
func (t *leadership) whyWait(r fsm.Reader, j *schema.Job, ahead reservations) string {
	if object, holder, conflict := fsm.LockConflict(r, j.Id, j.Locks); conflict {
		return object + ", held by job " + holder
	}
	if object, first := ahead.conflict(j.Locks); first != "" {
		return object + ", which job " + first + " gets first"
	}
	if t.running() >= t.MaxJobs {
		return "other jobs to end: as many as may are running"
	}
	return ""
}

// planner makes a job's plan, inside of the batch that starts it or before.
type planner func(r fsm.Reader, j *schema.Job) (*sequence.Plan, error)

// planAhead makes the plan of a job that goes by measured loads, on a snapshot;
// for others it is made in the batch. An unknown sequence is told there, too.
func (t *leadership) planAhead(v *fsm.View, j *schema.Job) planner {
	seq, err := sequence.Find(j.Sequence)
	if err != nil || j.Cancel || j.Undoing || resumed(j) {
		return nil
	}
	if seq.PlanByLoad == nil {
		return seq.Plan
	}
	now := t.Clock.Now()
	plan, err := seq.PlanByLoad(v, j, sequence.Measured{Loads: t.Meter.Loads(now), Now: now})
	return func(fsm.Reader, *schema.Job) (*sequence.Plan, error) { return plan, err }
}

// start starts the job if it can, or notes what it waits for. alone: no step of
// it is carried out in the same batch.
func (js *jobState) start(ahead reservations, prepare planner, alone bool) (bool, error) {
	j, t := js.job, js.t
	if j.Cancel && resumed(j) {
		j.Undoing = true // its earlier steps are done
	} else if j.Cancel {
		return false, js.endJob(schema.JobCancelled, schema.Errorf(schema.KindCancelled, "job "+j.Id, "%s cancelled it before it began", j.CancelBy))
	}
	if resumed(j) && !j.Cancel {
		if err := fsm.ResumeRefused(js.tx, j); err != nil {
			return false, js.leave(err)
		}
	}
	if j.Undoing {
		if err := fsm.UndoRefused(js.tx, j); err != nil {
			return false, js.leave(err)
		}
	}
	seq, err := sequence.Find(j.Sequence)
	if err != nil {
		return false, js.endJob(schema.JobFailed, err)
	}
	if mate := eventMate(js.tx, j); mate != "" {
		j.Waiting = mate // not planned yet: what there is to do depends on the one before
		return false, fsm.Jobs.Put(js.tx, j)
	}
	wants := j.Locks
	var plan *sequence.Plan
	if !j.Undoing && !resumed(j) {
		if err := policy.Guard(js.tx, j); err != nil {
			state := schema.JobFailed
			if schema.KindOf(err) == schema.KindCancelled {
				state = schema.JobCancelled
			}
			return false, js.endJob(state, err)
		}
		if plan, err = prepare(js.tx, j); err != nil {
			return false, js.endJob(schema.JobFailed, err)
		}
		wants = fsm.NormalLocks(plan.Locks)
	}
	j.Locks = wants
	if waiting := t.whyWait(js.tx, j, ahead); waiting != "" {
		j.Waiting = waiting
		if err := js.preempt(wants); err != nil {
			return false, err
		}
		return false, fsm.Jobs.Put(js.tx, j)
	}
	if err := fsm.TakeLocks(js.tx, j.Id, wants); err != nil {
		return false, err
	}
	j.Waiting, j.Manager, j.Term = "", t.Node, t.number
	if j.Undoing {
		j.State = schema.JobCancelling
		fsm.LogJob(j, "%s began to roll it back in term %d", t.Node, t.number)
		if err := js.holdTargets(); err != nil {
			return false, err
		}
		return true, fsm.Jobs.Put(js.tx, j)
	}
	if resumed(j) {
		j.State = schema.JobRunning
		fsm.LogJob(j, "%s went on with it in term %d", t.Node, t.number)
		if err := js.holdTargets(); err != nil {
			return false, err
		}
		return true, js.save()
	}
	j.State, j.Started = schema.JobRunning, timestamppb.New(js.tx.Now())
	if len(plan.Targets) > 0 {
		j.Targets = plan.Targets
	}
	if plan.Group != "" {
		j.Group = plan.Group
	}
	for _, st := range plan.Steps {
		st.Job = j.Id
		if err := fsm.Steps.Put(js.tx, st); err != nil {
			return false, err
		}
	}
	js.steps = plan.Steps
	if err := seq.Record(js.tx, j, sequence.PhaseStarted, firstTarget(j), j.Reason); err != nil {
		return false, err
	}
	if err := js.holdTargets(); err != nil {
		return false, err
	}
	if alone {
		return true, js.save()
	}
	return true, js.advance(nil)
}

// leave lets a failed job be failed as it was: nothing of it can be taken back
// any more. Its machines may belong to others by now.
func (js *jobState) leave(cause error) error {
	j := js.job
	j.State, j.Undoing, j.Waiting, j.Ended = schema.JobFailed, false, "", timestamppb.New(js.tx.Now())
	j.Error, j.ErrorKind = cause.Error(), string(kindOf(cause))
	fsm.LogJob(j, "%v", cause)
	for _, st := range js.steps {
		if st.State != schema.StepPending || st.Attempt == 0 {
			continue
		}
		st = js.own(st) // it was opened again
		st.State, st.Error, st.ErrorKind = schema.StepFailed, cause.Error(), j.ErrorKind
		if err := fsm.MoveStep(js.tx, st); err != nil {
			return err
		}
	}
	return fsm.Jobs.Put(js.tx, j)
}

// resumed tells whether a queued job goes on where it had failed: its plan is made.
func resumed(j *schema.Job) bool {
	return j.State == schema.JobQueued && j.Started != nil && !j.Undoing
}

// preempt asks the jobs in a recovery's way to end: what they wait for may
// never come from a machine that is dead, and VMs are down meanwhile.
func (js *jobState) preempt(wants []string) error {
	if js.job.Priority < fsm.PriorityRecovery {
		return nil
	}
	for _, w := range wants {
		object, shared := fsm.LockWant(w)
		for l := range fsm.Locks.By(js.tx, fsm.ByObject, object) {
			holder, err := fsm.EditJob(js.tx, l.Job)
			if err != nil || shared && l.Shared || holder.Cancel || holder.Undoing || holder.Priority >= js.job.Priority ||
				holder.State != schema.JobRunning {
				continue
			}
			holder.Cancel, holder.CancelBy, holder.State = true, "job "+js.job.Id, schema.JobCancelling
			fsm.LogJob(holder, "job %s (%s) needs %s and goes first", js.job.Id, js.job.Sequence, object)
			if err := fsm.Jobs.Put(js.tx, holder); err != nil {
				return err
			}
		}
	}
	return nil
}

func firstTarget(j *schema.Job) string {
	if len(j.Targets) == 0 {
		return ""
	}
	return j.Targets[0]
}

// reservations are the locks that waiting jobs will take, by object: a job
// that comes later leaves them alone, so that nobody starves.
type reservations map[string]reservation

type reservation struct {
	job    string
	shared bool
}

func (r reservations) add(job string, wants []string) {
	for _, w := range wants {
		object, shared := fsm.LockWant(w)
		if old, ok := r[object]; !ok || (old.shared && !shared) {
			r[object] = reservation{job, shared}
		}
	}
}

func (r reservations) conflict(wants []string) (object, job string) {
	for _, w := range wants {
		object, shared := fsm.LockWant(w)
		if res, ok := r[object]; ok && !(shared && res.shared) {
			return object, res.job
		}
	}
	return "", ""
}
