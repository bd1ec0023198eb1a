package fsm

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

// Jobs are runs of action sequences, by number.
var Jobs = &Table[*schema.Job]{
	number: 11, name: "job",
	key: func(j *schema.Job) string { return numberKey(j.Id) },
	indexes: []Index[*schema.Job]{
		// Ended jobs are the many; leaving them out keeps the index small.
		{Name: ByState, Values: func(j *schema.Job) []string {
			if schema.JobEnded(j.State) {
				return nil
			}
			return []string{j.State}
		}},
		{Name: ByParent, Values: func(j *schema.Job) []string { return []string{j.Parent} }},
	},
}

// LiveStates are the states of jobs that aren't over.
var LiveStates = []string{schema.JobRunning, schema.JobCancelling, schema.JobParked, schema.JobQueued}

// Priorities of jobs: higher ones are tried first.
const (
	PriorityRecovery = 100 // brings back what a fault took away
	PriorityOperator = 50  // a person waits for it
	PriorityRoutine  = 10  // collection and housekeeping
)

// maxJobLog bounds the lines of a job's log.
const maxJobLog = 200

// maxLiveJobs bounds the jobs that wait or run.
const maxLiveJobs = 10000

// JobRow returns a job by its id, written with or without leading zeros.
func JobRow(r Reader, id string) (*schema.Job, error) {
	key := numberKey(strings.TrimSpace(id))
	if key == "" {
		return nil, schema.Errorf(schema.KindInvalid, "job "+id, "a job id is a number").WithHint("pvmutl job list shows the ids")
	}
	j, ok := Jobs.Get(r, key)
	if !ok {
		return nil, schema.Errorf(schema.KindNotFound, "job "+id, "there is no such job").WithHint("pvmutl job list shows the ids")
	}
	return j, nil
}

// LiveJobs are the jobs that aren't over, oldest first.
func LiveJobs(r Reader) []*schema.Job {
	var out []*schema.Job
	for _, state := range LiveStates {
		out = slices.AppendSeq(out, Jobs.By(r, ByState, state))
	}
	slices.SortFunc(out, func(a, b *schema.Job) int { return strings.Compare(numberKey(a.Id), numberKey(b.Id)) })
	return out
}

// QueueJob queues a job and returns its id. Sequence, params, targets, group,
// priority, event and reason are the caller's; the rest is filled in. The
// scheduler starts it once its locks are free.
func QueueJob(tx *Tx, j *schema.Job) (string, error) {
	live := 0
	for _, state := range LiveStates {
		for range Jobs.By(tx, ByState, state) {
			live++
		}
	}
	if live >= maxLiveJobs {
		return "", schema.Errorf(schema.KindTooLarge, "job "+j.Sequence, "%d jobs wait or run already", live).WithHint("cancel some, or wait for them")
	}
	last, ok := Jobs.Last(tx)
	j.Id = fmt.Sprintf("%05d", nextNumber(last.GetId(), ok))
	j.State = schema.JobQueued
	j.Created = timestamppb.New(tx.Now())
	if j.CreatedBy == "" {
		j.CreatedBy = tx.Why().User
	}
	if j.Reason == "" {
		j.Reason = tx.Why().Reason
	}
	j.Request = tx.Why().Request
	return j.Id, Jobs.Put(tx, j)
}

// LogJob appends a line to a job's log; the oldest lines go when it is full.
func LogJob(j *schema.Job, format string, args ...any) {
	if len(j.Log) >= maxJobLog {
		j.Log = j.Log[len(j.Log)-maxJobLog+1:]
	}
	j.Log = append(j.Log, fmt.Sprintf(format, args...))
}

// CancelJob asks for a job to stop: a queued one ends at once, a running or
// parked one when its current step allows it, and its steps are undone.
func CancelJob(tx *Tx, id string) error {
	j, err := EditJob(tx, id)
	if err != nil {
		return err
	}
	switch {
	case schema.JobEnded(j.State):
		return schema.Errorf(schema.KindConflict, "job "+j.Id, "it has ended (%s)", j.State)
	case j.Undoing:
		return schema.Errorf(schema.KindConflict, "job "+j.Id, "its steps are being undone already")
	case j.Cancel:
		return nil
	}
	j.Cancel, j.CancelBy = true, tx.Why().User
	if j.State == schema.JobRunning || j.State == schema.JobParked {
		j.State, j.Parked, j.ResumeWords = schema.JobCancelling, "", nil
	}
	LogJob(j, "%s asked for it to be cancelled", orUnknown(tx.Why().User))
	return Jobs.Put(tx, j)
}

// ResumeJob lets a parked job go on with the operator's word, which must be
// one of the words that the job asks for; none means "retry": look again. A
// failed job goes on at the step that failed, see Resumable.
func ResumeJob(tx *Tx, id, word string) error {
	j, err := EditJob(tx, id)
	if err != nil {
		return err
	}
	word = strings.ToLower(strings.TrimSpace(word))
	if word == "" {
		word = WordRetry
	}
	if j.State == schema.JobFailed && j.Started != nil {
		return resumeFailed(tx, j, word)
	}
	if j.State != schema.JobParked {
		return schema.Errorf(schema.KindConflict, "job "+j.Id, "it is neither parked nor failed on its way, it is %s", j.State).WithHint("pvmutl job show %s tells more", j.Id)
	}
	if !slices.Contains(j.ResumeWords, word) {
		return schema.Errorf(schema.KindInvalid, "job "+j.Id, "it can't go on with the word %q", word).
			WithHint("pvmutl job resume %s {%s}", j.Id, strings.Join(j.ResumeWords, "|"))
	}
	j.State, j.ResumeWord, j.Parked, j.ResumeWords = schema.JobRunning, word, "", nil
	if j.Undoing {
		j.State = schema.JobCancelling
	}
	LogJob(j, "%s let it go on with the word %q", orUnknown(tx.Why().User), word)
	return Jobs.Put(tx, j)
}

// Words that an operator gives to a parked job.
const (
	WordRetry  = "retry"  // look again, and try again
	WordDone   = "done"   // the effect is there
	WordFailed = "failed" // the effect isn't there and won't be: the step has failed
	WordOff    = "off"    // the machine is proven off
	WordAgain  = "again"  // carry it out once more, though it may have been carried out
)

// RollbackJob undoes the steps of a failed or parked job, backwards. It ends
// as cancelled, or as failed when a step can't be undone; then it may be asked
// for again. A failed job waits for its locks first.
func RollbackJob(tx *Tx, id string) error {
	j, err := EditJob(tx, id)
	if err != nil {
		return err
	}
	switch {
	case j.State == schema.JobParked:
		j.State = schema.JobCancelling
	case j.State == schema.JobFailed && j.Started != nil:
		if err := UndoRefused(tx, j); err != nil {
			return err
		}
		j.State = schema.JobQueued
		if err := reopenUndo(tx, j); err != nil {
			return err
		}
	default:
		return schema.Errorf(schema.KindConflict, "job "+j.Id, "only a failed or parked job that had begun can be rolled back, it is %s", j.State)
	}
	j.Undoing, j.Parked, j.ResumeWords, j.ResumeWord, j.Ended = true, "", nil, "", nil
	LogJob(j, "%s asked for it to be rolled back", orUnknown(tx.Why().User))
	return Jobs.Put(tx, j)
}

// EditJob returns a copy of a job to change and Put, by its id.
func EditJob(tx *Tx, id string) (*schema.Job, error) {
	j, err := JobRow(tx, id)
	if err != nil {
		return nil, err
	}
	j, _ = Jobs.Edit(tx, numberKey(j.Id))
	return j, nil
}

func orUnknown(user string) string {
	if user == "" {
		return "somebody"
	}
	return user
}
