package scheduler

import (
	"yagura/fsm"
	"yagura/fsm/schema"
)

// eventMate is an earlier job of the same event that isn't over, as what a job
// waits for before it begins, or "": the actions of a rule take place in its
// order, each when those before it have ended, however they have.
func eventMate(r fsm.Reader, j *schema.Job) string {
	if j.Event == "" || j.Started != nil {
		return ""
	}
	for _, other := range fsm.LiveJobs(r) {
		if other.Event == j.Event && fsm.NumberKey(other.Id) < fsm.NumberKey(j.Id) {
			return "job " + other.Id + " of the same event, which goes first"
		}
	}
	return ""
}
