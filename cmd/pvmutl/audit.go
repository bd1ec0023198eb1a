package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

var auditView = view[*schema.Audit]{
	columns: []column[*schema.Audit]{
		{"ID", (*schema.Audit).GetId},
		{"TIME", func(r *schema.Audit) string { return localTime(r.Time) }},
		{"USER", (*schema.Audit).GetUser},
		{"FROM", (*schema.Audit).GetFrom},
		{"NODE", (*schema.Audit).GetNode},
		{"OPERATION", (*schema.Audit).GetOp},
		{"OBJECTS", auditObjects},
		{"REASON", (*schema.Audit).GetReason},
	},
	json: rowJSON[*schema.Audit],
}

// auditObjects names what a change was about, as far as a line has room: -o json
// has all.
func auditObjects(r *schema.Audit) string {
	const room = 3
	if len(r.Objects) <= room {
		return strings.Join(r.Objects, ",")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(r.Objects[:room], ","), len(r.Objects)-room)
}

func auditCommand(a *app) *cobra.Command {
	list := &cobra.Command{
		Use:   "list [--who USER] [--after ID] [--limit N] [--follow]",
		Short: "List changes, the newest last",
		Long: `List changes of the configuration: who, from where, what, why. With --follow it
prints them a line each (-o json: an object a line) and goes on with new ones as
they come, until Ctrl-C or the end of --timeout.`,
		Example: "pvmutl audit list --who admin\npvmutl audit list --follow -o json",
		Args:    positional(),
	}
	who := list.Flags().String("who", "", "only changes by this `user`")
	after := list.Flags().String("after", "", "only changes after the one with this `id`")
	limit := list.Flags().Int32("limit", defaultLimit, "only the newest `N`; 0 for all that are kept")
	follow := list.Flags().BoolP("follow", "f", false, "go on with new changes as they come")
	list.RunE = a.online(func(ctx context.Context, c *client.Client, _ []string) error {
		req := &api.ListAuditRequest{User: *who, After: *after, Limit: *limit}
		reply, err := c.Events.ListAudit(ctx, req)
		if err != nil {
			return err
		}
		if *follow {
			return a.followAudit(ctx, c, req, reply.Audit)
		}
		return printList(a, auditView, reply.Audit)
	})
	return family("audit", "List who changed what, and why", list)
}

// followAudit prints the changes listed, and those that come after them.
func (a *app) followAudit(ctx context.Context, c *client.Client, req *api.ListAuditRequest, listed []*schema.Audit) error {
	ctx, cancel := a.withTimeout(ctx)
	defer cancel()
	if req.After == "" {
		req.After = "0" // nothing was there
	}
	show := func(r *schema.Audit) error { return printLine(a, auditView, r) }
	for _, r := range listed {
		if err := show(r); err != nil {
			return err
		}
		req.After = r.Id
	}
	return ended(ctx, c.WatchAudit(ctx, req, show))
}
