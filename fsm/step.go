package fsm

import (
	"fmt"

	"yagura/fsm/schema"
)

// Steps are the steps of jobs, by job and number.
var Steps = &Table[*schema.Step]{
	number: 12, name: "step",
	key:     func(s *schema.Step) string { return StepKey(s.Job, s.Number) },
	indexes: []Index[*schema.Step]{{Name: ByJob, Values: func(s *schema.Step) []string { return []string{s.Job} }}},
}

// StepKey is the key of a job's step.
func StepKey(job string, number int32) string {
	k := numberKey(job)
	if k == "" {
		return ""
	}
	return fmt.Sprintf("%s/%05d", k, number)
}
