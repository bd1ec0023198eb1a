package fsm

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// planned are the sequences whose steps are worth nothing once they have
// failed: what they do depends on loads and on who runs where at the time.
var planned = []string{SeqFailoverVMServer, SeqEvacuate, SeqLoadBalanceVMServer, SeqPowerSaveVMServer}

// Resumable tells whether a failed job can go on at the step that failed.
func Resumable(j *schema.Job) bool {
	return j.State == schema.JobFailed && j.Started != nil && !j.Undoing && !slices.Contains(planned, j.Sequence)
}

// What this package knows of a job's steps: those that prove a machine off, or
// cut off, before what it had goes elsewhere, and the one by which a machine
// takes the place of another.
const (
	StepDisconnect = "disconnect-storage"
	StepSwap       = "swap-machine"
	ArgVariant     = "variant"
	VariantFence   = "fence"
	ArgOld         = "old" // of StepSwap: the machine that was replaced
)

// opensAgain tells whether a step that is done is carried out once more when
// its job goes on at a later one: that a machine was off when the job failed is no
// proof that nobody has started it since.
func opensAgain(steps []*schema.Step, s *schema.Step) bool {
	if s.Lane != 0 || s.State != schema.StepDone {
		return false
	}
	return s.Args[ArgVariant] == VariantFence || s.Name == StepDisconnect && slices.ContainsFunc(steps, func(f *schema.Step) bool {
		return f.Target == s.Target && f.Number < s.Number && f.Args[ArgVariant] == VariantFence
	})
}

// UndoRefused says why a failed job can't be taken back: the machine that was
// replaced has another task by now, so what its substitute does would be lost
// for nothing. nil: it can be.
func UndoRefused(r Reader, j *schema.Job) error {
	for _, s := range StepsOf(r, j.Id) {
		if s.Name != StepSwap || s.State != schema.StepDone || s.UndoState == schema.StepDone {
			continue
		}
		old, ok := Machines.Get(r, s.Args[ArgOld])
		switch {
		case !ok:
			return schema.Errorf(schema.KindConflict, "job "+j.Id, "it can't be taken back: machine %s is gone", s.Args[ArgOld])
		case old.Group != "":
			return schema.Errorf(schema.KindConflict, "job "+j.Id, "it can't be taken back: machine %s runs as host %s by now", old.Name, GroupKey(old.Group, old.Host)).
				WithHint("%s keeps its place; let the job go on: pvmutl job resume %s", s.Target, j.Id)
		}
	}
	return nil
}

// resumeFailed lets a failed job go on at the step that failed, once its locks
// are free again: that step and those behind it are open once more, and so are
// those before it that proved a machine off.
func resumeFailed(tx *Tx, j *schema.Job, word string) error {
	object := "job " + j.Id
	if j.Undoing {
		return schema.Errorf(schema.KindConflict, object, "it has failed while it was being taken back").WithHint("pvmutl job rollback %s goes on with that", j.Id)
	}
	if !Resumable(j) {
		return schema.Errorf(schema.KindConflict, object, "%s has failed, and its plan is out of date", j.Sequence).WithHint("ask for it anew")
	}
	if word != WordRetry {
		return schema.Errorf(schema.KindInvalid, object, "it has failed and can't go on with the word %q", word).WithHint("pvmutl job resume %s tries the failed step again", j.Id)
	}
	steps := StepsOf(tx, j.Id)
	first := slices.IndexFunc(steps, func(s *schema.Step) bool { return s.State == schema.StepFailed })
	if first < 0 {
		return schema.Errorf(schema.KindConflict, object, "none of its steps has failed").WithHint("ask for it anew")
	}
	for i, s := range steps {
		if i < first && !opensAgain(steps, s) {
			continue
		}
		// Of the main line all is carried out again: a step that was done after
		// one that failed may rest on it. What a lane has done stays done.
		if s.State == schema.StepDone && s.Lane != 0 {
			continue
		}
		s = proto.Clone(s).(*schema.Step)
		s.State, s.Handle, s.Error, s.ErrorKind, s.Skipped, s.Output, s.Started, s.Ended = schema.StepPending, "", "", "", "", nil, nil, nil
		if err := Steps.Put(tx, s); err != nil {
			return err
		}
	}
	j.State, j.Error, j.ErrorKind, j.Ended, j.Cancel, j.CancelBy = schema.JobQueued, "", "", nil, false, ""
	LogJob(j, "%s let it go on at step %d (%s)", orUnknown(tx.Why().User), first+1, steps[first].Name)
	return Jobs.Put(tx, j)
}

// reopenUndo lets steps be taken back whose undoing has failed before.
func reopenUndo(tx *Tx, j *schema.Job) error {
	for _, s := range StepsOf(tx, j.Id) {
		if s.UndoState != schema.StepFailed {
			continue
		}
		s = proto.Clone(s).(*schema.Step)
		s.UndoState, s.UndoHandle, s.UndoError = "", "", ""
		if err := Steps.Put(tx, s); err != nil {
			return err
		}
	}
	return nil
}
