package scheduler

import (
	"yagura/fsm"
	"yagura/fsm/schema"
)

// eventMate is an earlier job of the same event that isn't over, or "": the
// actions of a rule take place in its order, each when those before it have
// ended, however they have.
func eventMate(r fsm.Reader, j *schema.Job) string {
	if j.Event == "" {
		return ""
	}
	for _, other := range fsm.LiveJobs(r) {
		if other.Event == j.Event && fsm.NumberKey(other.Id) < fsm.NumberKey(j.Id) {
			return other.Id
		}
	}
	return ""
}
