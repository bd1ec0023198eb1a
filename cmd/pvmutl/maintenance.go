package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"yagura/rpc/api"
	"yagura/rpc/client"
)

func maintenanceCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "maintenance {On|Off} GroupName [HostName]",
		Short: "Switch maintenance mode [3.2.10]",
		Long: `Switch the maintenance mode of a host of a group, or of all machines running in
the group. Fault events of a machine in maintenance are recorded and trigger no
action.`,
		Example: "pvmutl maintenance on shop/web web01\npvmutl maintenance off shop/web",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := positional("On or Off", "GroupName", "HostName?")(cmd, args); err != nil {
				return err
			}
			if !strings.EqualFold(args[0], "on") && !strings.EqualFold(args[0], "off") {
				return usagef(cmd, "the first argument is %q and must be On or Off", args[0])
			}
			return nil
		},
		RunE: a.online(func(ctx context.Context, c *client.Client, args []string) error {
			word := strings.ToLower(args[0])
			reply, err := c.Inventory.SetMaintenance(ctx, &api.SetMaintenanceRequest{
				On: word == "on", Group: args[1], Host: optional(args, 2),
			})
			if err != nil {
				return err
			}
			return printIDs(a, reply.Machines, func() error {
				for _, m := range reply.Machines {
					fmt.Fprintf(a.stdout, "%s: maintenance %s\n", m, word)
				}
				return nil
			})
		}),
	}
}
