package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/rpc/api"
	"yagura/rpc/client"
)

// lockLine is a lock that a job holds, or a job that waits for locks.
type lockLine struct {
	State   string `json:"state"`  // held | waiting
	Object  string `json:"object"` // empty while waiting: all are taken at once
	Job     string `json:"job"`
	Shared  bool   `json:"shared"`
	Since   string `json:"since"`
	Waiting string `json:"waiting"` // what it waits for

	since *timestamppb.Timestamp
}

var lockView = view[lockLine]{
	columns: []column[lockLine]{
		{"STATE", func(l lockLine) string { return l.State }},
		{"OBJECT", func(l lockLine) string { return l.Object }},
		{"JOB", func(l lockLine) string { return l.Job }},
		{"SHARED", func(l lockLine) string { return strconv.FormatBool(l.Shared) }},
		{"SINCE", func(l lockLine) string { return localTime(l.since) }},
		{"WAITS FOR", func(l lockLine) string { return l.Waiting }},
	},
	json: structJSON[lockLine],
}

func lockCommand(a *app) *cobra.Command {
	return family("lock", "List the locks of jobs", &cobra.Command{
		Use:     "list",
		Short:   "List who holds locks, and who waits for them",
		Example: "pvmutl lock list",
		Args:    positional(),
		RunE: a.online(func(ctx context.Context, c *client.Client, _ []string) error {
			reply, err := c.Jobs.ListLocks(ctx, &api.Empty{})
			if err != nil {
				return err
			}
			return printList(a, lockView, lockLines(reply))
		}),
	})
}

func lockLines(reply *api.ListLocksReply) []lockLine {
	lines := make([]lockLine, 0, len(reply.Locks)+len(reply.Waiting))
	for _, l := range reply.Locks {
		lines = append(lines, lockLine{State: "held", Object: l.Object, Job: l.Job, Shared: l.Shared, Since: rfc3339(l.Since), since: l.Since})
	}
	for _, j := range reply.Waiting {
		lines = append(lines, lockLine{State: "waiting", Job: j.Id, Since: rfc3339(j.Created), Waiting: j.Waiting, since: j.Created})
	}
	return lines
}
