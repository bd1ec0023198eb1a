package policy

import (
	"fmt"
	"time"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// Limits of automation: too many faults at once, or too much done at once, is
// the time to stop and ask.
type Limits struct {
	Jobs, GroupJobs                 int // jobs of automation that aren't over: all, and those of one group; 0: any number
	Replacements, GroupReplacements int // the same for replacements
	MinHealthy                      int // machines of the group that must run normally beside the one that is taken away
	Hold                            time.Duration
}

// LimitsOf are the limits for a group; a nil one has none of its own.
func LimitsOf(s *schema.Settings, g *schema.Group) Limits {
	return Limits{
		Jobs: int(s.BrakeJobs), GroupJobs: int(s.BrakeJobsPerGroup),
		Replacements:      or(s.BrakeReplacements, schema.DefaultBrakeReplacements),
		GroupReplacements: or(g.GetMaxReplacements(), schema.DefaultMaxReplacements),
		MinHealthy:        int(g.GetMinHealthy()),
		Hold:              seconds(s.ReplaceHoldSeconds, schema.DefaultReplaceHoldSeconds),
	}
}

// or is n, or the standard value when it is 0.
func or(n, standard int32) int {
	if n == 0 {
		n = standard
	}
	return int(n)
}

// seconds is a time in seconds, or the standard one when it is 0.
func seconds(n, standard int32) time.Duration { return time.Duration(or(n, standard)) * time.Second }

// braked says which brake keeps automation from starting a job, and why; "" when none does.
func (f *Facts) braked(j *schema.Job) (Brake, string) {
	l := f.Limits
	running := append(append([]*schema.Job{}, f.Running...), f.jobs...)
	all, group := counts(running, f.group(), func(*schema.Job) bool { return true })
	switch {
	case f.Storm != "":
		return BrakeStorm, f.Storm
	case f.Rule.FlapCount > 0 && f.Flaps >= int(f.Rule.FlapCount):
		return BrakeFlap, fmt.Sprintf("flapping: the fault has come %d times within %s, %d are taken for flapping", f.Flaps, flapTime(f.Rule), f.Rule.FlapCount)
	case l.Jobs > 0 && all >= l.Jobs:
		return BrakeJobs, fmt.Sprintf("%d jobs that automation has started aren't over, %d are allowed (brake_jobs)", all, l.Jobs)
	case l.GroupJobs > 0 && group >= l.GroupJobs:
		return BrakeGroupJobs, fmt.Sprintf("%d jobs that automation has started for group %s aren't over, %d are allowed (brake_jobs_per_group)", group, f.group(), l.GroupJobs)
	}
	if j.Sequence == fsm.SeqTakeOverMachine {
		if brake, why := f.brakedReplacement(running); brake != "" {
			return brake, why
		}
	}
	if !takesAway(j) || l.MinHealthy == 0 {
		return "", ""
	}
	left := -f.unnamed()
	for _, m := range f.normal() {
		if m.Name != j.Params[fsm.ParamMachine] {
			left++
		}
	}
	if left < l.MinHealthy {
		return BrakeMinHealthy, fmt.Sprintf("%d machines of group %s would run normally, %d are to (min_healthy)", max(left, 0), f.group(), l.MinHealthy)
	}
	return "", ""
}

// brakedReplacement says which brake keeps a further machine from being replaced, and why.
func (f *Facts) brakedReplacement(running []*schema.Job) (Brake, string) {
	all, group := counts(running, f.group(), func(j *schema.Job) bool { return j.Sequence == fsm.SeqTakeOverMachine })
	switch {
	case f.Held != "":
		return BrakeHold, f.Held
	case group >= f.Limits.GroupReplacements:
		return BrakeGroupReplacements, fmt.Sprintf("%d automatic replacements in group %s aren't over, %d are allowed at once (max_replacements)", group, f.group(), f.Limits.GroupReplacements)
	case all >= f.Limits.Replacements:
		return BrakeReplacements, fmt.Sprintf("%d automatic replacements aren't over, %d are allowed at once (brake_replacements)", all, f.Limits.Replacements)
	}
	return "", ""
}

// counts counts jobs: all, and those of a group.
func counts(jobs []*schema.Job, group string, counted func(*schema.Job) bool) (all, in int) {
	for _, j := range jobs {
		if !counted(j) {
			continue
		}
		all++
		if j.Group == group {
			in++
		}
	}
	return all, in
}

// byHand says how a person does what the brake holds.
func byHand(j *schema.Job) string {
	host, group := j.Params[fsm.ParamHost], j.Group
	switch j.Sequence {
	case fsm.SeqTakeOverMachine:
		return fmt.Sprintf("replace it by hand: pvmutl replace %s %s", group, host)
	case fsm.SeqFailoverVMServer:
		return fmt.Sprintf("evacuate it by hand: pvmutl evacuate %s /failover", j.Params[fsm.ParamVMServer])
	}
	return "start the job by hand"
}

// flaps counts how often a fault has come within the rule's time.
func flaps(r fsm.Reader, rule *schema.PolicyRule, e *schema.Event) int {
	if rule.FlapCount == 0 {
		return 0
	}
	since := Since(e).Add(-flapTime(rule))
	n := 0
	if e.Id == "" {
		n++ // one that is only thought of
	}
	for old := range fsm.Events.ByBackward(r, fsm.ByTarget, e.Target) {
		if old.LastTime.AsTime().Before(since) && old.Time.AsTime().Before(since) || n >= int(rule.FlapCount) {
			break
		}
		if old.Notifier == e.Notifier && old.Source == e.Source && old.EventId == e.EventId && !old.LastTime.AsTime().Before(since) {
			n += 1 + int(old.Again)
		}
	}
	return n
}

func flapTime(rule *schema.PolicyRule) time.Duration {
	return seconds(rule.FlapSeconds, schema.DefaultFlapSeconds)
}
