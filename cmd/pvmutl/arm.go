package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"yagura/rpc/api"
	"yagura/rpc/client"
)

func armCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "arm [CATEGORY] [--reason TEXT]",
		Short:   "Turn automation on again",
		Long:    "Turn automation on again, for the whole cluster or below a category.",
		Example: `pvmutl arm shop --reason "storage is back"`,
		Args:    positional("CATEGORY?"),
		RunE:    a.armer(false),
	}
}

func disarmCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "disarm [CATEGORY] --reason TEXT",
		Short: "Turn automation off",
		Long: `Turn automation off, for the whole cluster or below a category: events are still
recorded, and no policy acts on them. Commands still work.`,
		Example: `pvmutl disarm shop --reason "storage is being moved"`,
		Args:    positional("CATEGORY?"),
		RunE:    a.armer(true),
	}
}

func (a *app) armer(disarm bool) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if disarm && a.options.reason == "" {
			return usagef(cmd, "--reason is missing")
		}
		return a.online(func(ctx context.Context, c *client.Client, args []string) error {
			reply, err := c.Inventory.Arm(ctx, &api.ArmRequest{Disarm: disarm, Category: optional(args, 0)})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "automation: %s\n", reply.State)
			return err
		})(cmd, args)
	}
}

// armed is StatusReply.automation while nothing is turned off.
const armed = "armed"

// tellDisarmed reminds on stderr, beside tables, that automation is off. An
// error is no matter: the table is what was asked for.
func (a *app) tellDisarmed(ctx context.Context, c *client.Client) {
	if a.options.output != formatTable {
		return
	}
	if s, err := c.Cluster.Status(ctx, &api.Empty{}); err == nil && s.Automation != "" && s.Automation != armed {
		fmt.Fprintf(a.stderr, "automation: %s\n", clean(s.Automation))
	}
}
