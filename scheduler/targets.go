package scheduler

import (
	"cmp"
	"slices"
	"strings"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// holdTargets marks the machines that the job works on.
func (js *jobState) holdTargets() error {
	for _, name := range js.job.Targets {
		if m, ok := fsm.Machines.Edit(js.tx, name); ok {
			m.Status, m.StatusReason = schema.StatusInUse, "job "+js.job.Id+" ("+js.job.Sequence+") works on it"
			if err := fsm.Machines.Put(js.tx, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// freeTargets gives the job's machines their state after it: ready, or
// abnormal with what happened and the way out.
func (js *jobState) freeTargets() error {
	for _, name := range js.job.Targets {
		m, ok := fsm.Machines.Edit(js.tx, name)
		if !ok || (m.Status == schema.StatusAbnormal && js.job.State != schema.JobSucceeded) {
			continue
		}
		m.Status, m.StatusReason = js.machineAfter(m)
		if err := fsm.Machines.Put(js.tx, m); err != nil {
			return err
		}
	}
	return nil
}

// machineAfter is the state of a machine after the job.
func (js *jobState) machineAfter(m *schema.Machine) (status, reason string) {
	j, name := js.job, m.Name
	if j.State == schema.JobSucceeded {
		note := ""
		for _, s := range js.steps {
			if s.Target == name && s.Output[sequence.OutProblem] != "" {
				return schema.StatusAbnormal, s.Output[sequence.OutProblem]
			}
			if s.Target == name {
				note = cmp.Or(note, s.Output[sequence.OutNote])
			}
		}
		return schema.StatusReady, note
	}
	changed, why := js.changes(name)
	ended := "job " + j.Id + " (" + j.Sequence + ") "
	switch {
	case changed && m.Kind == schema.MachineVM && m.Group != "" && m.Power == schema.PowerOff && sequence.WasOn(js.steps, name):
		if fsm.Resumable(j) {
			return schema.StatusAbnormal, ended + "has failed and left it off on " + m.VmServer + ": " + cmp.Or(why, j.Error) + "; remove the cause and go on: pvmutl job resume " + j.Id +
				", or take it back: pvmutl job rollback " + j.Id + ", or start it with: pvmutl poweron " + m.Group + " " + m.Host
		}
		return schema.StatusAbnormal, ended + "was " + j.State + " and has left it off on " + m.VmServer + "; start it with: pvmutl poweron " + m.Group + " " + m.Host
	case why == "" && j.State == schema.JobCancelled:
		return schema.StatusReady, ended + "was cancelled"
	case !changed:
		return schema.StatusReady, strings.TrimSuffix(ended+"has failed and changed nothing: "+cmp.Or(why, j.Error), ": ")
	case why == "" && j.State == schema.JobFailed && slices.ContainsFunc(js.steps, func(s *schema.Step) bool { return s.Lane != 0 }):
		return schema.StatusReady, "" // one of many, and nothing went wrong with it
	}
	if j.State == schema.JobCancelled {
		return schema.StatusAbnormal, ended + "was taken back, but nothing takes back what came of: " + why + "; look at it, then set its status to ready"
	}
	out := "look at it with: pvmutl job show " + j.Id
	switch {
	case j.Undoing:
		out += ", go on with taking it back: pvmutl job rollback " + j.Id
	case fsm.Resumable(j):
		out += ", remove the cause and go on: pvmutl job resume " + j.Id + ", or take it back: pvmutl job rollback " + j.Id
	default:
		out += ", take it back with: pvmutl job rollback " + j.Id + ", or run the operation again"
	}
	return schema.StatusAbnormal, ended + "has failed: " + cmp.Or(why, j.Error) + "; " + out
}

// changes tells whether the job has left a machine other than it was, as far
// as is known, and what went wrong with it.
func (js *jobState) changes(machine string) (changed bool, why string) {
	for _, s := range js.steps {
		def, err := sequence.StepOf(s)
		if s.Target != machine || err != nil || def.ReadOnly || s.Attempt == 0 && def.UndoCommit == nil {
			continue
		}
		switch {
		case s.UndoState == schema.StepFailed:
			changed, why = true, s.UndoError
		case s.UndoState == schema.StepDone || s.UndoState == schema.StepSkipped:
		case s.State == schema.StepDone:
			changed = true
		case s.State == schema.StepFailed && s.Attempt > 0 && s.Output[outNothing] != "true":
			changed, why = true, s.Error
		case s.State == schema.StepFailed:
			why = s.Error
		}
	}
	return changed, why
}
