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
		Use:     "list [--who USER] [--after ID] [--limit N]",
		Short:   "List changes, the newest last",
		Long:    "List changes of the configuration: who, from where, what, why.",
		Example: "pvmutl audit list --who admin",
		Args:    positional(),
	}
	who := list.Flags().String("who", "", "only changes by this `user`")
	after := list.Flags().String("after", "", "only changes after the one with this `id`")
	limit := list.Flags().Int32("limit", defaultLimit, "only the newest `N`; 0 for all that are kept")
	list.RunE = a.online(func(ctx context.Context, c *client.Client, _ []string) error {
		reply, err := c.Events.ListAudit(ctx, &api.ListAuditRequest{User: *who, After: *after, Limit: *limit})
		if err != nil {
			return err
		}
		return printList(a, auditView, reply.Audit)
	})
	return family("audit", "List who changed what, and why", list)
}
