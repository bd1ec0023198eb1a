package planning

import (
	"yagura/fsm"
	"yagura/fsm/schema"
)

// Steps that bring a VM to a VM server, and the arguments that say to which
// one, or why to none: the scheduler names its steps so.
const (
	StepMigrate  = "migrate"
	StepMove     = "move"
	StepFailover = "failover"
	StepCreateVM = "create-vm"
	StepStart    = "start-machine"

	ArgServer = "vm_server"
	ArgFailed = "failed"
)

var relocates = map[string]bool{StepMigrate: true, StepMove: true, StepFailover: true, StepCreateVM: true}

// arrivals are the VM servers to which jobs take VMs, by VM. Of the job that
// asks only the moves under way count: the others are what it asks about.
func arrivals(r fsm.Reader, asking string) map[string]string {
	out := map[string]string{}
	for _, state := range []string{schema.JobRunning, schema.JobCancelling, schema.JobParked} {
		for j := range fsm.Jobs.By(r, fsm.ByState, state) {
			for s := range fsm.Steps.By(r, fsm.ByJob, j.Id) {
				if !relocates[s.Name] || schema.StepEnded(s.State) || s.Args[ArgServer] == "" || s.Args[ArgFailed] != "" {
					continue
				}
				if j.Id != asking || s.State != schema.StepPending {
					out[s.Target] = s.Args[ArgServer]
				}
			}
		}
	}
	return out
}

// starting are the VMs that other jobs are about to start: they use capacity
// from the choice of their VM server on.
func starting(r fsm.Reader, asking string) map[string]bool {
	out := map[string]bool{}
	for _, state := range []string{schema.JobRunning, schema.JobCancelling, schema.JobParked} {
		for j := range fsm.Jobs.By(r, fsm.ByState, state) {
			if j.Id == asking || !starts[j.Sequence] {
				continue
			}
			for s := range fsm.Steps.By(r, fsm.ByJob, j.Id) {
				if s.Name == StepStart && !schema.StepEnded(s.State) {
					out[s.Target] = true
				}
			}
		}
	}
	return out
}

// starts are the sequences that start a stopped VM; in others a start brings
// back what ran before.
var starts = map[string]bool{fsm.SeqStartupMachine: true, fsm.SeqCreateMachineToGroup: true, fsm.SeqMoveMasterMachineToGroup: true}
