package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// defaultLimit is how many jobs, events or audit entries a listing shows
// unless --limit says otherwise.
const defaultLimit = 100

func jobCommand(a *app) *cobra.Command {
	return family("job", "List jobs, look into them, cancel, resume, roll back",
		jobListCommand(a),
		jobShowCommand(a),
		&cobra.Command{
			Use:     "wait JobID...",
			Short:   "Wait for the end of jobs",
			Long:    "Wait for the end of jobs, with the exit code that the command which started them would have had.",
			Example: "pvmutl job wait 00011 00012",
			Args:    positional("JobID", "JobID..."),
			RunE: a.online(func(ctx context.Context, c *client.Client, args []string) error {
				ids := make([]string, len(args))
				for i, arg := range args {
					ids[i] = jobID(arg)
				}
				return a.finish(ctx, c, ids)
			}),
		},
		&cobra.Command{
			Use:   "cancel JobID",
			Short: "Cancel a job",
			Long: `Cancel a job: it stops before its next step and undoes what it did. Wait for its
end with "pvmutl job wait".`,
			Example: "pvmutl job cancel 00011",
			Args:    positional("JobID"),
			RunE: a.jobChange("cancel asked for", func(ctx context.Context, c *client.Client, id string, _ []string) error {
				_, err := c.Jobs.CancelJob(ctx, &api.JobRequest{Id: id})
				return err
			}),
		},
		&cobra.Command{
			Use:   "resume JobID [WORD]",
			Short: "Let a parked or failed job go on",
			Long: `Let a job go on that is parked, or that failed in the middle: at the very step
where it stopped. WORD answers what a parked job asks, such as "off" for a server
that you have seen to be off; "pvmutl job show" says what it asks.`,
			Example: "pvmutl job resume 00011 off",
			Args:    positional("JobID", "WORD?"),
			RunE: a.jobChange("goes on", func(ctx context.Context, c *client.Client, id string, rest []string) error {
				_, err := c.Jobs.ResumeJob(ctx, &api.ResumeJobRequest{Id: id, Word: optional(rest, 0)})
				return err
			}),
		},
		&cobra.Command{
			Use:   "rollback JobID",
			Short: "Undo the steps of a parked or failed job",
			Long: `Undo the steps of a job that is parked, or that failed in the middle, the newest
first. What can't be undone stays, and "pvmutl job show" says so. Wait for its
end with "pvmutl job wait".`,
			Example: "pvmutl job rollback 00011",
			Args:    positional("JobID"),
			RunE: a.jobChange("its steps are being undone", func(ctx context.Context, c *client.Client, id string, _ []string) error {
				_, err := c.Jobs.RollbackJob(ctx, &api.JobRequest{Id: id})
				return err
			}),
		})
}

// jobChange makes the run function of a command that changes a job and says so.
func (a *app) jobChange(said string, change func(ctx context.Context, c *client.Client, id string, rest []string) error) func(*cobra.Command, []string) error {
	return a.online(func(ctx context.Context, c *client.Client, args []string) error {
		id := jobID(args[0])
		if err := change(ctx, c, id, args[1:]); err != nil {
			return err
		}
		_, err := fmt.Fprintf(a.stdout, "job %s: %s\n", id, said)
		return err
	})
}

// jobID brings an id into the form of the API: 11 means 00011.
func jobID(word string) string {
	if n, err := strconv.ParseUint(word, 10, 64); err == nil {
		return fmt.Sprintf("%05d", n)
	}
	return word
}

// jobJSON is view.json for jobs: the job's fields, and its steps beside them.
func jobJSON(b []byte, info *api.JobInfo) []byte {
	b = append(b, '{')
	job := info.GetJob()
	if job == nil {
		job = &schema.Job{}
	}
	b = appendFields(b, job.ProtoReflect())
	b = append(b, `,"steps":[`...)
	for i, s := range info.GetSteps() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, s.ProtoReflect())
	}
	return append(b, "]}"...)
}

var jobView = view[*api.JobInfo]{
	columns: []column[*api.JobInfo]{
		{"JOB", func(i *api.JobInfo) string { return i.GetJob().GetId() }},
		{"SEQUENCE", func(i *api.JobInfo) string { return i.GetJob().GetSequence() }},
		{"TARGETS", func(i *api.JobInfo) string { return strings.Join(i.GetJob().GetTargets(), ",") }},
		{"STATE", func(i *api.JobInfo) string { return i.GetJob().GetState() }},
		{"%", func(i *api.JobInfo) string { return number(i.GetJob().GetProgress()) }},
		{"MANAGER", func(i *api.JobInfo) string { return i.GetJob().GetManager() }},
		{"STARTED", func(i *api.JobInfo) string { return localTime(i.GetJob().GetStarted()) }},
		{"ENDED", func(i *api.JobInfo) string { return localTime(i.GetJob().GetEnded()) }},
		{"BY", func(i *api.JobInfo) string { return i.GetJob().GetCreatedBy() }},
		{"REMARK", jobRemark},
	},
	json: jobJSON,
}

// jobRemark is what an operator wants to know of a job first.
func jobRemark(i *api.JobInfo) string {
	job := i.GetJob()
	switch {
	case job.GetState() == schema.JobParked:
		return job.GetParked()
	case job.GetError() != "":
		return job.GetError()
	}
	return cmp.Or(because(waitsFor(i), "waits for "), job.GetReason())
}

func jobListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [--active] [--state STATE] [--limit N]",
		Short: "List jobs, the newest last",
		Long: `List jobs with their states, the newest last; ended ones are kept for a while.
States: ` + strings.Join(schema.JobStates, " ") + `.`,
		Example: "pvmutl job list --active\npvmutl job list --state parked -o json",
		Args:    positional(),
	}
	active := cmd.Flags().Bool("active", false, "only jobs that haven't ended and weren't started by others")
	state := cmd.Flags().String("state", "", "only jobs in this `state`")
	limit := cmd.Flags().Int32("limit", defaultLimit, "only the newest `N`; 0 for all that are kept")
	cmd.RunE = a.online(func(ctx context.Context, c *client.Client, _ []string) error {
		reply, err := c.Jobs.ListJobs(ctx, &api.ListJobsRequest{All: !*active, State: *state, Limit: *limit})
		if err != nil {
			return err
		}
		a.tellDisarmed(ctx, c)
		return printList(a, jobView, reply.Jobs)
	})
	return cmd
}
