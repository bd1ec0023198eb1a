package main

import (
	"cmp"
	"slices"
	"strings"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// reportLine is a line of the report on jobs that were waited for: what became
// of a job, or of one of the machines of a job that serves a whole group.
type reportLine struct {
	job     *schema.Job
	targets string // machines, and the host that the job is about
	state   string
	result  string // what went wrong, or what the job made
}

var reportView = view[reportLine]{columns: []column[reportLine]{
	{"JOB", func(l reportLine) string { return l.job.GetId() }},
	{"SEQUENCE", func(l reportLine) string { return l.job.GetSequence() }},
	{"TARGETS", func(l reportLine) string { return l.targets }},
	{"STATE", func(l reportLine) string { return l.state }},
	{"RESULT", func(l reportLine) string { return l.result }},
}}

// printEnded prints what became of jobs: the jobs as JSON, else a line for
// each job or machine.
func (a *app) printEnded(infos []*api.JobInfo) error {
	if a.options.output != formatTable {
		return printList(a, jobView, infos)
	}
	var lines []reportLine
	for _, info := range infos {
		lines = append(lines, reportOf(info)...)
	}
	return printList(a, reportView, lines)
}

// reportOf are the lines of a job: one for each machine where the job serves a
// whole group, for there one machine may fail and the next succeed; else one.
func reportOf(info *api.JobInfo) []reportLine {
	job := info.GetJob()
	if strings.HasPrefix(job.GetSequence(), "DistributeSoftwareToMachinesInGroup") && len(job.GetTargets()) > 1 {
		lines := make([]reportLine, len(job.Targets))
		for i, machine := range job.Targets {
			lines[i] = machineLine(info, machine)
		}
		return lines
	}
	l := reportLine{job, strings.Join(job.GetTargets(), ","), job.GetState(), job.GetResult()}
	if host := job.GetParams()["host"]; host != "" && !slices.Contains(job.GetTargets(), host) {
		l.targets = strings.TrimLeft(l.targets+" ("+host+")", " ")
	}
	switch {
	case job.GetState() == schema.JobParked:
		l.result = job.GetParked()
	case job.GetError() != "":
		l.result = job.GetError()
	case !schema.JobEnded(job.GetState()) && job.GetWaiting() != "":
		l.result = "waits for " + job.Waiting
	}
	return []reportLine{l}
}

// machineLine is what became of a machine, by the steps on it: the first that
// isn't done tells, else all is well.
func machineLine(info *api.JobInfo, machine string) reportLine {
	l := reportLine{job: info.GetJob(), targets: machine, state: info.GetJob().GetState()}
	var software []string
	skipped := ""
	for _, s := range info.GetSteps() {
		if s.Target != machine {
			continue
		}
		switch s.State {
		case schema.StepDone:
			software = append(software, s.Args["software"])
		case schema.StepSkipped:
			skipped = s.Skipped
		case schema.StepFailed:
			l.state, l.result = schema.JobFailed, cmp.Or(s.Error, "step "+s.Name+" failed")
			return l
		case schema.StepPending:
			l.result = "step " + s.Name + " wasn't reached"
			return l
		default:
			l.result = "in step " + s.Name
			return l
		}
	}
	if len(software) > 0 || skipped != "" {
		l.state, l.result = schema.JobSucceeded, cmp.Or(strings.Join(software, ", "), skipped)
	}
	return l
}
