package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
	"yagura/rpc/client"
)

const (
	// maxWatches bounds the jobs that are watched at the same time; the others
	// are looked at as these end.
	maxWatches = 16
	// lostContact is how long a watcher puts up with a cluster that doesn't
	// answer: the job goes on once it has a leader again.
	lostContact = 2 * time.Minute
)

// jobStarter makes the run function of a command that starts jobs: it prints
// their ids with --no-wait, and else waits for their end.
func (a *app) jobStarter(cmd *cobra.Command, start func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error)) {
	noWait := cmd.Flags().Bool("no-wait", false, "print the ids of the jobs and don't wait for their end")
	cmd.RunE = a.online(func(ctx context.Context, c *client.Client, args []string) error {
		reply, err := start(ctx, c, args)
		if err != nil {
			return err
		}
		if *noWait {
			return a.printJobIDs(reply.Jobs)
		}
		return a.finish(ctx, c, reply.Jobs)
	})
}

func (a *app) printJobIDs(ids []string) error {
	return printIDs(a, ids, func() error {
		for _, id := range ids {
			fmt.Fprintln(a.stdout, id)
		}
		return nil
	})
}

// printIDs prints ids as an array, or calls table.
func printIDs(a *app, ids []string, table func() error) error {
	if a.options.output == formatTable {
		return table()
	}
	v := view[string]{json: func(b []byte, id string) []byte { return appendString(b, id) }}
	return printList(a, v, ids)
}

// finish waits for the end of jobs, prints how each ended, and returns an
// error with the exit code of the first that didn't succeed.
func (a *app) finish(ctx context.Context, c *client.Client, ids []string) error {
	if len(ids) == 0 && a.options.output == formatTable {
		_, err := fmt.Fprintln(a.stdout, "nothing to do")
		return err
	}
	parent := ctx
	ctx, cancel := a.withTimeout(ctx)
	defer cancel()
	infos, errs := a.watchJobs(ctx, c, ids)
	if err := a.printEnded(infos); err != nil {
		return err
	}
	code := 0
	for i, info := range infos {
		err := a.explain(errs[i])
		if err == nil {
			err = outcome(info)
		}
		if err == nil {
			continue
		}
		if parent.Err() != nil {
			return a.stoppedWaiting(ids)
		}
		a.complain("%s", err)
		if code == 0 {
			code = apierr.ExitCode(err)
		}
	}
	if code != 0 {
		return &reportedError{code}
	}
	return nil
}

// stoppedWaiting is the answer to Ctrl-C: the jobs are the cluster's.
func (a *app) stoppedWaiting(ids []string) error {
	a.complain("stopped waiting; the cluster goes on with job %s; see it with \"pvmutl job show %s\", end it with \"pvmutl ascancel %s\"",
		strings.Join(ids, ", "), ids[0], ids[0])
	return &reportedError{exitInterrupted}
}

// outcome is the error of a job that didn't succeed. Its kind gives the exit
// code: a job that failed before its first step tells the kind of what it
// lacked, one whose steps ran is a sequence that failed inside, whatever the
// reason [3.2.1].
func outcome(info *api.JobInfo) error {
	job := info.GetJob()
	object := jobTitle(job)
	switch job.GetState() {
	case schema.JobSucceeded:
		return nil
	case schema.JobCancelled:
		return schema.Errorf(schema.KindCancelled, object, "cancelled%s", because(job.CancelBy, " by ")).WithHint("%s", nextStep(info))
	case schema.JobParked:
		return schema.Errorf(schema.KindParked, object, "parked: %s", job.Parked).WithHint("%s", nextStep(info))
	case schema.JobFailed:
		kind := schema.KindJobFailed
		if !stepStarted(info.Steps) && job.ErrorKind != "" {
			kind = schema.Kind(job.ErrorKind)
		}
		return schema.Errorf(kind, object, "failed: %s", job.Error).WithHint("%s", nextStep(info))
	}
	return schema.Errorf(schema.KindTimeout, object, "it is still %s at %d %%", job.GetState(), job.GetProgress()).
		WithHint("the cluster goes on with it: pvmutl job show %s", job.GetId())
}

// nextStep says what to do about a job that waits for a person or has ended
// otherwise than asked for, "" when there is nothing to do.
func nextStep(info *api.JobInfo) string {
	job := info.GetJob()
	switch job.GetState() {
	case schema.JobParked:
		answer, undo := fmt.Sprintf(`answer with "pvmutl job resume %s%s"`, job.Id, because(strings.Join(job.ResumeWords, "|"), " ")), fmt.Sprintf(`or undo it with "pvmutl job rollback %s"`, job.Id)
		switch told := strings.Contains(job.Parked, "pvmutl job resume"); {
		case told && job.Undoing:
			return "what the answers mean: pvmutl job show " + job.Id
		case told:
			return undo
		case job.Undoing:
			return answer
		}
		return answer + ", " + undo
	case schema.JobCancelled:
		return "look at its machines before going on: pvmutl job show " + job.Id
	case schema.JobFailed:
		if !stepStarted(info.Steps) {
			return "" // nothing was done, and the error says what was lacking
		}
		undo := ""
		if effectLeft(info.Steps) {
			undo = fmt.Sprintf(", or undo what was done with \"pvmutl job rollback %s\"", job.Id)
		}
		again := "give the command again"
		switch {
		case job.Undoing:
			again, undo = fmt.Sprintf("go on with undoing it: \"pvmutl job rollback %s\"", job.Id), ""
		case !inLanes(info.Steps): // of many machines side by side, the command again does what is left
			again = fmt.Sprintf("let it go on with \"pvmutl job resume %s\"", job.Id)
		}
		return fmt.Sprintf("put right what was wrong and %s%s; its steps: pvmutl job show %s", again, undo, job.Id)
	}
	return ""
}

// inLanes tells whether a job works on many machines side by side.
func inLanes(steps []*schema.Step) bool {
	return slices.ContainsFunc(steps, func(s *schema.Step) bool { return s.Lane != 0 })
}

// effectLeft tells whether a step has, or may have, an effect that stays.
func effectLeft(steps []*schema.Step) bool {
	for _, s := range steps {
		if s.State == schema.StepDone || s.State == schema.StepFailed && s.Output["nothing_done"] != "true" {
			return true
		}
	}
	return false
}

// stepStarted tells whether a step has run. Those that a job has passed over,
// or never reached, haven't.
func stepStarted(steps []*schema.Step) bool {
	for _, s := range steps {
		switch s.State {
		case schema.StepStarted, schema.StepHandled, schema.StepDone, schema.StepFailed:
			return true
		}
	}
	return false
}

func because(text, before string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// jobTitle names a job in messages.
func jobTitle(job *schema.Job) string {
	return strings.TrimRight(fmt.Sprintf("job %s (%s %s", job.GetId(), job.GetSequence(), strings.Join(job.GetTargets(), ",")), " ") + ")"
}

// errParked ends the watch of a job that waits for a person.
var errParked = errors.New("parked")

// watchJobs watches jobs until each has ended or is parked. For each it gives
// the last that was seen of it, and what went wrong with watching it.
func (a *app) watchJobs(ctx context.Context, c *client.Client, ids []string) ([]*api.JobInfo, []error) {
	infos, errs := make([]*api.JobInfo, len(ids)), make([]error, len(ids))
	p := newProgress(a, len(ids))
	defer p.clear()
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxWatches)
	for i, id := range ids {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			infos[i], errs[i] = watchJob(ctx, c, id, p.show)
		})
	}
	wg.Wait()
	return infos, errs
}

// watchJob watches one job and has each change shown. The info is never nil.
func watchJob(ctx context.Context, c *client.Client, id string, show func(*api.JobInfo)) (*api.JobInfo, error) {
	last := &api.JobInfo{Job: &schema.Job{Id: id}}
	seen := time.Now()
	for {
		err := c.WatchJob(ctx, id, func(info *api.JobInfo) error {
			last, seen = info, time.Now()
			show(info)
			if info.GetJob().GetState() == schema.JobParked {
				return errParked
			}
			return nil
		})
		switch kind := schema.KindOf(err); {
		case err == nil, errors.Is(err, errParked):
			return last, nil
		case ctx.Err() != nil:
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return last, nil // outcome says how far it has come
			}
			return last, err
		case kind != schema.KindUnavailable && kind != schema.KindNoLeader, time.Since(seen) > lostContact:
			return last, err
		}
	}
}
