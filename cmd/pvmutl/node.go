package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"yagura/rpc/api"
	"yagura/rpc/client"
)

var nodeView = view[*api.Node]{
	columns: []column[*api.Node]{
		{"ID", (*api.Node).GetId},
		{"ADDRESS", (*api.Node).GetAddress},
		{"ROLE", (*api.Node).GetRole},
		{"APPLIED", func(n *api.Node) string { return number(n.AppliedIndex) }},
		{"LAST-CONTACT", func(n *api.Node) string { return localTime(n.LastContact) }},
		{"ALIVE", func(n *api.Node) string { return strconv.FormatBool(n.Alive) }},
		{"READY", func(n *api.Node) string { return strconv.FormatBool(n.Ready) }},
		{"VERSION", (*api.Node).GetVersion},
	},
	json: func(b []byte, n *api.Node) []byte {
		if n.Role == "non-voter" { // scripts see one word
			n = proto.CloneOf(n)
			n.Role = "nonvoter"
		}
		return rowJSON(b, n)
	},
}

func nodeCommand(a *app) *cobra.Command {
	return family("node", "List managers, remove one, hand over leadership",
		&cobra.Command{
			Use:     "list",
			Short:   "List the managers",
			Example: "pvmutl node list -o json",
			Args:    positional(),
			RunE: a.online(func(ctx context.Context, c *client.Client, _ []string) error {
				reply, err := c.Cluster.ListNodes(ctx, &api.Empty{})
				if err != nil {
					return err
				}
				a.tellDisarmed(ctx, c)
				return printList(a, nodeView, reply.Nodes)
			}),
		},
		&cobra.Command{
			Use:   "remove ID",
			Short: "Take a manager out of the cluster",
			Long: `Take a manager out of the cluster, such as one that is lost for good. It no
longer counts for the majority.`,
			Example: "pvmutl node remove node3",
			Args:    positional("ID"),
			RunE: a.online(func(ctx context.Context, c *client.Client, args []string) error {
				if _, err := c.Cluster.RemoveNode(ctx, &api.NodeRequest{Id: args[0]}); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.stdout, "%s: removed\n", args[0])
				return err
			}),
		},
		&cobra.Command{
			Use:     "transfer [ID]",
			Short:   "Hand leadership to another manager",
			Long:    "Hand leadership to a manager, or to the best one when none is named. Jobs go on there.",
			Example: "pvmutl node transfer node2",
			Args:    positional("ID?"),
			RunE: a.online(func(ctx context.Context, c *client.Client, args []string) error {
				reply, err := c.Cluster.Transfer(ctx, &api.NodeRequest{Id: optional(args, 0)})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.stdout, "leader: %s\n", reply.Id)
				return err
			}),
		})
}

var statusView = view[*api.StatusReply]{json: rowJSON[*api.StatusReply]}

func statusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show how the cluster is, as one manager sees it",
		Example: "pvmutl status",
		Args:    positional(),
		RunE: a.online(func(ctx context.Context, c *client.Client, _ []string) error {
			s, err := c.Cluster.Status(ctx, &api.Empty{})
			if err != nil {
				return err
			}
			return printOne(a, statusView, s, func(w io.Writer) error { return writeDetails(w, s.ProtoReflect()) })
		}),
	}
}
