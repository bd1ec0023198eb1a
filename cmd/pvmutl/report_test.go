package main

import (
	"testing"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// TestReport holds what the report says of jobs in each state, and of the
// machines of a job that serves a group.
func TestReport(t *testing.T) {
	waiting := jobIn("7", schema.JobQueued, 0)
	waiting.Job.Waiting = "machine/ph01, held by job 00002"
	queued := groupJob()
	queued.Job.State, queued.Steps, queued.Job.Error = schema.JobQueued, nil, ""
	running := groupJob()
	running.Job.State, running.Job.Error, running.Steps[2].State, running.Steps[2].Error = schema.JobRunning, "", schema.StepHandled, ""
	nothing := groupJob()
	nothing.Job.State, nothing.Job.Error, nothing.Job.Targets, nothing.Steps = schema.JobSucceeded, "", []string{"ph01", "ph02"}, nothing.Steps[1:2]
	for name, test := range map[string]struct {
		info *api.JobInfo
		want [][3]string // targets, state, result
	}{
		"waiting": {waiting, [][3]string{{"web01", "queued", "waits for machine/ph01, held by job 00002"}}},
		"group": {groupJob(), [][3]string{
			{"ph01", "succeeded", "agent"}, {"ph02", "failed", "scenario base failed: exit status 2"}, {"ph03", "failed", "step distribute-software wasn't reached"}}},
		"group queued":  {queued, [][3]string{{"ph01", "queued", ""}, {"ph02", "queued", ""}, {"ph03", "queued", ""}}},
		"group running": {running, [][3]string{{"ph01", "succeeded", "agent"}, {"ph02", "running", "in step distribute-software"}, {"ph03", "running", "step distribute-software wasn't reached"}}},
		"nothing to do": {nothing, [][3]string{{"ph01", "succeeded", "nothing is registered for the machine"}, {"ph02", "succeeded", ""}}},
	} {
		lines := reportOf(test.info)
		if len(lines) != len(test.want) {
			t.Errorf("%s: %d lines", name, len(lines))
			continue
		}
		for i, l := range lines {
			if got := [3]string{l.targets, l.state, l.result}; got != test.want[i] {
				t.Errorf("%s: line %d is %q, want %q", name, i, got, test.want[i])
			}
		}
	}
}
