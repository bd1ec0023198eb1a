package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

func asjobCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "asjob [-a | -s | -d]",
		Short: "List running jobs [3.2.21]",
		Long: `List the jobs that haven't ended. Without an option only those that no other job
started. "pvmutl job list" also shows ended jobs. The progress of a job falls
while it is taken back, and is 0 when nothing of it is left.`,
		Example: "pvmutl asjob\npvmutl asjob -d",
		Args:    positional(),
	}
	f := cmd.Flags()
	all := f.BoolP("all", "a", false, "jobs that other jobs started as well")
	phase := f.BoolP("steps", "s", false, "as -a, with the step that runs")
	params := f.BoolP("details", "d", false, "as -s, with the parameters")
	slash(cmd, "all", "a")
	slash(cmd, "steps", "s")
	slash(cmd, "details", "d")
	cmd.RunE = a.online(func(ctx context.Context, c *client.Client, _ []string) error {
		jobs, err := runningJobs(ctx, c, *all || *phase || *params)
		if err != nil {
			return err
		}
		if a.options.output != formatTable {
			return printList(a, jobView, jobs)
		}
		a.writeJobTable(jobs, *phase || *params, *params)
		return nil
	})
	return cmd
}

// runningJobs lists the jobs that haven't ended, with those that other jobs
// started when all is set.
func runningJobs(ctx context.Context, c *client.Client, all bool) ([]*api.JobInfo, error) {
	reply, err := c.Jobs.ListJobs(ctx, &api.ListJobsRequest{All: all})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(reply.Jobs, func(i *api.JobInfo) bool {
		return schema.JobEnded(i.GetJob().GetState()) || !all && i.GetJob().GetParent() != ""
	}), nil
}

// writeJobTable writes the manual's table. The phase and the parameters follow
// the columns that it shows.
func (a *app) writeJobTable(jobs []*api.JobInfo, phase, params bool) {
	title, rule := "JobID Progress(%) StartTime          ActionSequence Name", "-----+----------+------------------+------------------"
	if phase {
		title, rule = title+"      Phase", rule+"------+----------"
	}
	if params {
		title, rule = title+"                    Parameters", rule+"--------------------+----------"
	}
	fmt.Fprintf(a.stdout, "%s\n%s\n", title, rule)
	for _, info := range jobs {
		job := info.GetJob()
		start := job.GetStarted()
		if start == nil {
			start = job.GetCreated()
		}
		line := fmt.Sprintf("%s %-10d %s %s", job.GetId(), job.GetProgress(), start.AsTime().In(time.Local).Format("2006/01/02 15:04:05"), job.GetSequence())
		if phase {
			line = fmt.Sprintf("%-61s %s", line, jobPhase(info))
		}
		if params {
			line = fmt.Sprintf("%-91s %s", line, parameters(job))
		}
		fmt.Fprintln(a.stdout, clean(line))
	}
	fmt.Fprintf(a.stdout, "\nTotal job : %d\n", len(jobs))
}

// jobPhase is the step that runs, in one word, with the state when the job
// doesn't simply run.
func jobPhase(info *api.JobInfo) string {
	job := info.GetJob()
	for _, s := range info.GetSteps() {
		if s.Number != job.GetCurrent() {
			continue
		}
		phase := fmt.Sprintf("%d/%d:%s", s.Number, len(info.Steps), s.Name)
		if job.GetState() != schema.JobRunning {
			phase += "(" + job.GetState() + ")"
		}
		return phase
	}
	return job.GetState()
}

// parameters are a job's parameters in a line.
func parameters(job *schema.Job) string {
	words := make([]string, 0, len(job.GetParams()))
	for _, key := range slices.Sorted(maps.Keys(job.GetParams())) {
		words = append(words, key+"="+job.Params[key])
	}
	return strings.Join(words, " ")
}

func ascancelCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "ascancel [JobID]",
		Short: "Cancel a job, or list the ids of running jobs [3.2.21]",
		Long: `Cancel a job: it stops before its next step and undoes what it did. Without an
id the ids of the running jobs are listed.`,
		Example: "pvmutl ascancel 00011",
		Args:    positional("JobID?"),
		RunE: a.online(func(ctx context.Context, c *client.Client, args []string) error {
			if len(args) == 1 {
				_, err := c.Jobs.CancelJob(ctx, &api.JobRequest{Id: jobID(args[0])})
				return err
			}
			jobs, err := runningJobs(ctx, c, true)
			if err != nil {
				return err
			}
			ids := make([]string, len(jobs))
			for i, info := range jobs {
				ids[i] = info.GetJob().GetId()
			}
			return printIDs(a, ids, func() error {
				writeHeading(a.stdout, "ActionSequence List", 40)
				for _, id := range ids {
					fmt.Fprintln(a.stdout, id)
				}
				return nil
			})
		}),
	}
}
