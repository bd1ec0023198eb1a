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
	ArgOld         = "old"  // of StepSwap: the machine that was replaced
	argHost        = "host" // of StepSwap: the host setting
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

// ResumeRefused says why a failed replacement can't go on: its substitute has
// another task by now, or the old machine has left its host setting, so what the
// old one does would be lost for nothing. nil: it can.
func ResumeRefused(r Reader, j *schema.Job) error {
	for _, s := range StepsOf(r, j.Id) {
		if s.Name != StepSwap || s.State == schema.StepDone {
			continue
		}
		if sub, _ := Machines.Get(r, s.Target); sub.GetGroup() != "" {
			return schema.Errorf(schema.KindConflict, "job "+j.Id, "it can't go on: machine %s runs as host %s by now", sub.Name, GroupKey(sub.Group, sub.Host)).
				WithHint("take it back: pvmutl job rollback %s, and ask for it anew", j.Id)
		}
		if old, _ := Machines.Get(r, s.Args[ArgOld]); GroupKey(old.GetGroup(), old.GetHost()) != s.Args[argHost] {
			return schema.Errorf(schema.KindConflict, "job "+j.Id, "it can't go on: machine %s doesn't run as host %s any more", s.Args[ArgOld], s.Args[argHost]).
				WithHint("take it back: pvmutl job rollback %s", j.Id)
		}
	}
	return nil
}

// books are the steps after which other machines stand in the rows; they aren't
// carried out again.
var books = []string{StepSwap, "release-host-setting", "assign-host-setting"}

// goesOnAt is the index of the step at which a failed job goes on: the first one
// that failed, without those that the flow has gone past. Less than 0: there is none.
func goesOnAt(steps []*schema.Step) int {
	from := 0
	for i, s := range steps {
		if s.State == schema.StepDone && slices.Contains(books, s.Name) {
			from = i + 1
		}
	}
	i := slices.IndexFunc(steps[from:], func(s *schema.Step) bool { return s.State == schema.StepFailed })
	if i < 0 {
		return i
	}
	return from + i
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
	if err := ResumeRefused(tx, j); err != nil {
		return err
	}
	steps := StepsOf(tx, j.Id)
	first := goesOnAt(steps)
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
