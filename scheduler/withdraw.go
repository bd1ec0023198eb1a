package scheduler

import (
	"fmt"

	"yagura/fsm"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
)

// withdrawAll cancels the jobs of events which have not begun, for those events
// that are chosen, and says so in the events, which get the decision, counted in out. A job that
// has begun goes on: it has fenced its machine or will before it touches anything
// else, and half of it is worse than all or nothing. It returns how many there were.
func withdrawAll(tx *fsm.Tx, out *policy.Outcome, decision, by, why string, chosen func(e *schema.Event) bool) (int, error) {
	var jobs []*schema.Job
	for j := range fsm.Jobs.By(tx, fsm.ByState, schema.JobQueued) {
		if j.Event == "" || j.Started != nil || j.Cancel {
			continue
		}
		if e, ok := fsm.Events.Get(tx, fsm.NumberKey(j.Event)); ok && chosen(e) {
			jobs = append(jobs, j)
		}
	}
	for _, j := range jobs {
		if err := withdraw(tx, out, j, decision, by, why); err != nil {
			return 0, err
		}
	}
	return len(jobs), nil
}

func withdraw(tx *fsm.Tx, out *policy.Outcome, j *schema.Job, decision, by, why string) error {
	row, err := fsm.EditJob(tx, j.Id)
	if err != nil {
		return err
	}
	row.Cancel, row.CancelBy = true, by
	fsm.LogJob(row, "%s", why)
	if err := fsm.Jobs.Put(tx, row); err != nil {
		return err
	}
	e, _ := fsm.Events.Edit(tx, fsm.NumberKey(j.Event))
	if e.Decision != decision {
		var brake policy.Brake
		if decision == schema.DecisionBraked {
			brake = policy.BrakeStorm // no other one withdraws
		}
		out.Decided(decision, brake)
	}
	e.Decision = decision
	e.Reason += fmt.Sprintf(" Job %s was withdrawn before it began: %s.", j.Id, why)
	for _, a := range e.Actions {
		if a.Job == j.Id {
			a.Result, a.Detail = policy.ResultNotCarried, fmt.Sprintf("job %s was withdrawn before it began: %s", j.Id, why)
		}
	}
	return fsm.Events.Put(tx, e)
}
