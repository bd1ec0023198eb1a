package fsm

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
)

// Limits of one Retain.
const (
	maxRetained    = 250            // rows deleted in one batch: other writes wait while it is made
	requestMaxAge  = 24 * time.Hour // how long a request id is remembered: far longer than any client retries
	maxRequests    = 20000          // and how many
	defaultAgeDays = 365
)

// Retain deletes what has become too old or too many: events, ended jobs with
// their steps, audit rows, notices and request ids by count and age, expired sessions,
// unmanaged machines that are gone. The newest row of a numbered table always stays,
// since the next number follows from it. It deletes at most maxRetained rows;
// more tells that there is more to do.
func Retain(tx *Tx) (more bool, err error) {
	s := Settings(tx)
	days := time.Duration(s.MaxAgeDays)
	if days == 0 {
		days = defaultAgeDays
	}
	before := tx.Now().Add(-days * 24 * time.Hour)
	r := &retainer{tx: tx, left: maxRetained}
	retain(r, Events, int(s.MaxEvents), defaultMaxEvents, before,
		func(e *schema.Event) *timestamppb.Timestamp { return e.Time },
		func(e *schema.Event) bool { return e.State == schema.EventHandled && !awaited(tx, e) }, nil)
	retain(r, Jobs, int(s.MaxJobs), defaultMaxJobs, before,
		func(j *schema.Job) *timestamppb.Timestamp { return j.Created },
		func(j *schema.Job) bool { return schema.JobEnded(j.State) && !parentLives(tx, j) }, r.deleteSteps)
	retain(r, Audits, int(s.MaxAudit), defaultMaxAudit, before,
		func(a *schema.Audit) *timestamppb.Timestamp { return a.Time }, nil, nil)
	retain(r, Requests, 0, maxRequests, tx.Now().Add(-requestMaxAge),
		func(q *schema.Request) *timestamppb.Timestamp { return q.Time }, nil, nil)
	retain(r, Notices, 0, maxNotices, before,
		func(n *schema.Notice) *timestamppb.Timestamp { return n.Created },
		func(n *schema.Notice) bool { return n.State != schema.NoticeWaiting }, nil)
	r.tokens()
	r.machines(before)
	return r.left <= 0, r.err
}

// parentLives tells whether the job that started j is still there and not over.
func parentLives(r Reader, j *schema.Job) bool {
	p, ok := Jobs.Get(r, numberKey(j.Parent))
	return j.Parent != "" && ok && !schema.JobEnded(p.State)
}

// retainer is one run of Retain.
type retainer struct {
	tx   *Tx
	left int // rows that may still be deleted
	err  error
}

func (r *retainer) take(err error) {
	r.left--
	if r.err == nil {
		r.err = err
	}
}

// keyNumber is the number in the key of a numbered table.
func keyNumber(key string) int {
	n, err := strconv.Atoi(key)
	if err != nil {
		return 0
	}
	return n
}

// retain deletes the oldest rows of a numbered table while they are too old or
// too many. Rows for which may is false stay, and those behind them are looked
// at. Times grow with the numbers, so the first row that is neither ends it.
func retain[T proto.Message](r *retainer, t *Table[T], keep, standard int, before time.Time,
	when func(T) *timestamppb.Timestamp, may func(T) bool, also func(T) error,
) {
	if keep == 0 {
		keep = standard
	}
	newest, ok := t.Last(r.tx)
	if !ok {
		return
	}
	// "Too many" goes by number, which counts nothing and walks nothing: a row
	// stays while fewer than keep numbers have been given since.
	last := keyNumber(t.key(newest)) - keep
	for row := range t.All(r.tx) {
		old := when(row) != nil && when(row).AsTime().Before(before)
		if r.left <= 0 || r.err != nil || keyNumber(t.key(row)) > last && !old || t.key(row) == t.key(newest) {
			return
		}
		if may != nil && !may(row) {
			continue
		}
		r.take(t.Delete(r.tx, t.key(row)))
		if also != nil && r.err == nil {
			r.err = also(row)
		}
	}
}

func (r *retainer) deleteSteps(j *schema.Job) error {
	for s := range Steps.By(r.tx, ByJob, j.Id) {
		r.take(Steps.Delete(r.tx, StepKey(s.Job, s.Number)))
	}
	return r.err
}

func (r *retainer) tokens() {
	for t := range Tokens.All(r.tx) {
		if r.left <= 0 {
			return
		}
		if !t.Expires.AsTime().After(r.tx.Now()) {
			r.take(Tokens.Delete(r.tx, t.Hash))
		}
	}
}

func (r *retainer) machines(before time.Time) {
	for m := range Machines.All(r.tx) {
		if r.left <= 0 {
			return
		}
		if m.Gone && !m.Managed && m.Collected.AsTime().Before(before) && len(machineUsers(r.tx, m)) == 0 {
			r.take(Machines.Delete(r.tx, m.Name))
		}
	}
}
