package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

func jobShowCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show JobID [--follow]",
		Short: "Show a job with its steps",
		Long: `Show a job: each step with what it does, the manager that did it, its task in
the other system, times and errors, then the newest part of what scripts and
scenarios wrote.

With --follow the steps and what scripts write are shown as they come, until the
job ends or is parked. The exit code is 0 however it ends; "pvmutl job wait"
tells by its own.`,
		Example: "pvmutl job show 00011\npvmutl job show 00011 --follow",
		Args:    positional("JobID"),
	}
	follow := cmd.Flags().BoolP("follow", "f", false, "go on showing what changes until the job ends")
	cmd.RunE = a.online(func(ctx context.Context, c *client.Client, args []string) error {
		if *follow {
			if a.options.output != formatTable {
				return usagef(cmd, "--follow writes text only; leave -o out")
			}
			f := follower{w: a.stdout, states: map[int32]string{}, tails: map[int32]string{}}
			_, err := watchJob(ctx, c, jobID(args[0]), f.show)
			return err
		}
		info, err := c.Jobs.GetJob(ctx, &api.JobRequest{Id: jobID(args[0])})
		if err != nil {
			return err
		}
		return printOne(a, jobView, info, func(w io.Writer) error { return writeJob(w, info) })
	})
	return cmd
}

var stepColumns = []column[*schema.Step]{
	{"#", func(s *schema.Step) string { return number(s.Number) }},
	{"STEP", (*schema.Step).GetName},
	{"TARGET", (*schema.Step).GetTarget},
	{"STATE", stepState},
	{"ATTEMPT", func(s *schema.Step) string { return number(s.Attempt) }},
	{"MANAGER", (*schema.Step).GetManager},
	{"HANDLE", (*schema.Step).GetHandle},
	{"STARTED", func(s *schema.Step) string { return localTime(s.Started) }},
	{"ENDED", func(s *schema.Step) string { return localTime(s.Ended) }},
	{"TIME", stepTime},
	{"REMARK", stepRemark},
}

// stepTime is how long a step took, from its first attempt to its end.
func stepTime(s *schema.Step) string {
	if s.Started == nil || s.Ended == nil {
		return ""
	}
	return s.Ended.AsTime().Sub(s.Started.AsTime()).Round(time.Millisecond).String()
}

func stepState(s *schema.Step) string {
	if s.UndoState == "" {
		return s.State
	}
	return s.State + ",undo-" + s.UndoState
}

// stepRemark is what the step does, and what is to be known of how it went.
func stepRemark(s *schema.Step) string {
	return strings.Join(append(stepPurpose(s), stepNews(s)...), "; ")
}

// stepPurpose says what the step does, and why it does that.
func stepPurpose(s *schema.Step) []string {
	var words []string
	if s.Description != "" {
		words = append(words, s.Description)
	}
	if why := s.Args["why"]; why != "" && s.Skipped == "" { // of the choice that was made
		if to := s.Args["vm_server"]; to != "" && to != s.Target {
			why = "to " + to + ": " + why
		}
		words = append(words, why)
	}
	return words
}

// stepNews says what has come about in the step.
func stepNews(s *schema.Step) []string {
	var words []string
	if s.Resumed {
		words = append(words, "resumed by "+s.Manager)
	}
	if s.Skipped != "" {
		words = append(words, s.Skipped)
	}
	if s.Output["part"] == "force" && s.State == schema.StepStarted {
		words = append(words, "it hasn't shut down within "+s.Args["grace"]+", and is being forced off")
	}
	if proof := s.Output["proof"]; proof != "" && s.State == schema.StepDone { // of a machine that is off
		words = append(words, proof)
	}
	if s.Error != "" {
		words = append(words, s.Error)
	}
	if s.UndoError != "" {
		words = append(words, "undo: "+s.UndoError)
	}
	return words
}

// writeJob writes a job for people.
func writeJob(w io.Writer, info *api.JobInfo) error {
	job := info.GetJob()
	pairs := [][2]string{
		{"job", job.GetId()},
		{"sequence", job.GetSequence()},
		{"targets", strings.Join(job.GetTargets(), ", ")},
		{"group", job.GetGroup()},
		{"state", fmt.Sprintf("%s, %d %%", job.GetState(), job.GetProgress())},
		{"waits for", waitsFor(info)},
		{"parked", job.GetParked()},
	}
	pairs = append(pairs, answers(job)...)
	pairs = append(pairs, [][2]string{
		{"error", job.GetError()},
		{"next", nextFromHere(info)},
		{resultTitle(job), job.GetResult()},
		{"manager", job.GetManager()},
		{"created", localTime(job.GetCreated()) + because(job.GetCreatedBy(), " by ")},
		{"started", localTime(job.GetStarted())},
		{"ended", localTime(job.GetEnded())},
		{"cancelled by", job.GetCancelBy()},
		{"reason", job.GetReason()},
		{"event", job.GetEvent()},
		{"started by job", job.GetParent()},
		{"resumed with", job.GetResumeWord()},
		{"parameters", parameters(job)},
	}...)
	if err := writePairs(w, pairs); err != nil {
		return err
	}
	if len(info.Steps) > 0 {
		fmt.Fprintln(w)
		if err := writeTable(w, stepColumns, info.Steps); err != nil {
			return err
		}
		writeTails(w, info.Steps)
	}
	if len(job.GetLog()) > 0 {
		fmt.Fprintln(w, "\nlog:")
		for _, line := range job.Log {
			fmt.Fprintf(w, "  %s\n", clean(line))
		}
	}
	return nil
}

// nextFromHere is nextStep for one who is looking at the job's steps already.
func nextFromHere(info *api.JobInfo) string {
	switch info.GetJob().GetState() {
	case schema.JobCancelled, schema.JobParked: // its answers are told
		return ""
	}
	return strings.TrimSuffix(nextStep(info), "; its steps: pvmutl job show "+info.GetJob().GetId())
}

// resumeWords say what the words mean that a parked job may go on with.
var resumeWords = map[string]string{
	"retry":  "look again, and try again",
	"done":   "somebody has looked, and it is done",
	"off":    "somebody has looked, and the machine is off",
	"again":  "carry it out once more, though it may have been carried out",
	"failed": "it isn't done and won't be: the step has failed",
}

// answers are the commands with which a parked job goes on, and what each means.
func answers(job *schema.Job) [][2]string {
	if job.GetState() != schema.JobParked {
		return nil
	}
	var out [][2]string
	for _, word := range job.GetResumeWords() {
		out = append(out, [2]string{"answer", fmt.Sprintf("pvmutl job resume %s %s%s", job.Id, word, because(resumeWords[word], "  # "))})
	}
	if !job.GetUndoing() {
		out = append(out, [2]string{"or", fmt.Sprintf("pvmutl job rollback %s  # take back what was done", job.Id)})
	}
	return out
}

// resultTitle tells what a job has come to from what it had when it was seen.
func resultTitle(job *schema.Job) string {
	if job.GetState() == schema.JobSucceeded {
		return "result"
	}
	return "so far"
}

// waitsFor says what a job waits for, "" when it doesn't or that isn't known.
func waitsFor(info *api.JobInfo) string {
	return cmp.Or(info.GetJob().GetWaiting(), cancelWaits(info), shutdownWaits(info))
}

// shutdownWaits says until when a machine that was asked to shut down has time
// for it, and what happens then.
func shutdownWaits(info *api.JobInfo) string {
	if info.GetJob().GetState() != schema.JobRunning {
		return ""
	}
	for _, s := range info.GetSteps() {
		if until := graceEnds(s); until != "" {
			return fmt.Sprintf("%s to shut down, until %s; then %s", s.Target, until, s.Args["after_grace"])
		}
	}
	return ""
}

// graceEnds is until when a step gives its machine time to shut down, "" when it
// doesn't.
func graceEnds(s *schema.Step) string {
	grace, err := time.ParseDuration(s.Args["grace"])
	if err != nil || s.State != schema.StepStarted || s.Started == nil || s.Output["part"] != "" {
		return ""
	}
	return localTime(timestamppb.New(s.Started.AsTime().Add(grace)))
}

// cancelWaits says what a job that is to be taken back waits for: a step that
// can't be given up half-way.
func cancelWaits(info *api.JobInfo) string {
	if info.GetJob().GetState() != schema.JobCancelling || info.GetJob().GetUndoing() {
		return ""
	}
	for _, s := range info.GetSteps() {
		if s.State == schema.StepStarted || s.State == schema.StepHandled {
			return stepTitle(s) + " to end" + because(graceEnds(s), ", at the latest at ") + "; then what was done is taken back"
		}
	}
	return ""
}

// writeTails writes what the scripts and scenarios of steps wrote last.
func writeTails(w io.Writer, steps []*schema.Step) {
	for _, s := range steps {
		if s.Tail != "" {
			fmt.Fprintf(w, "\n%s wrote:\n", stepTitle(s))
			writeOutput(w, s.Tail)
		}
	}
}

// stepTitle names a step in a line of its own.
func stepTitle(s *schema.Step) string {
	return clean(strings.TrimRight(fmt.Sprintf("step %d, %s %s", s.Number, s.Name, s.Target), " "))
}

// colours are the sequences that make a terminal change its colours.
var colours = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// writeOutput writes the output of a script, indented and without what could
// confuse a terminal.
func writeOutput(w io.Writer, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(w, "  %s\n", clean(colours.ReplaceAllString(strings.TrimRight(line, "\r\n"), "")))
	}
}

// follower writes what changes in a job as it comes.
type follower struct {
	w      io.Writer
	state  string           // of the job, with what it waits for
	states map[int32]string // of the steps, by number
	tails  map[int32]string // of the steps, as far as they were written
}

// show writes what is new since it was called last.
func (f *follower) show(info *api.JobInfo) {
	for _, s := range info.GetSteps() {
		if s.State != schema.StepPending && f.states[s.Number] != stepState(s) {
			words := stepNews(s)
			if f.states[s.Number] == "" {
				words = append(stepPurpose(s), words...)
			}
			f.states[s.Number] = stepState(s)
			fmt.Fprintf(f.w, "%s: %s%s\n", stepTitle(s), stepState(s), clean(because(strings.Join(words, "; "), ": ")))
		}
		if s.Tail != f.tails[s.Number] {
			writeOutput(f.w, newOutput(f.tails[s.Number], s.Tail))
			f.tails[s.Number] = s.Tail
		}
	}
	job := info.GetJob()
	state := jobTitle(job) + " " + job.GetState() + because(cmp.Or(job.GetParked(), job.GetError(), because(waitsFor(info), "waits for ")), ": ")
	if state != f.state {
		f.state = state
		fmt.Fprintln(f.w, clean(state))
	}
}

// newOutput is what a script wrote after old was seen, of tail, the newest part
// of what it wrote. All of tail, when the two have nothing in common.
func newOutput(old, tail string) string {
	for i := range len(old) {
		if strings.HasPrefix(tail, old[i:]) {
			return tail[len(old)-i:]
		}
	}
	return tail
}
