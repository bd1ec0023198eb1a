package main

import (
	"context"

	"github.com/spf13/cobra"

	"yagura/rpc/api"
	"yagura/rpc/client"
)

func poweronCommand(a *app) *cobra.Command {
	return a.powerCommand("poweron", "Power machines on",
		"VMs are placed on a VM server with room first where their model asks for optimal start.")
}

func shutdownCommand(a *app) *cobra.Command {
	return a.powerCommand("shutdown", "Shut machines down", "The operating system shuts itself down.")
}

func rebootCommand(a *app) *cobra.Command {
	return a.powerCommand("reboot", "Reboot machines", "The operating system restarts.")
}

func suspendCommand(a *app) *cobra.Command {
	return a.powerCommand("suspend", "Suspend machines", "Power them on to resume them.")
}

func (a *app) powerCommand(op, short, detail string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   op + " GroupName [HostName...]",
		Short: short + " [3.2.14 - 3.2.16]",
		Long: short + `: the named hosts of a group, or all machines running in it when no
host is named. The group may then be a category, for all groups below it.
` + detail + ` Each machine is a job of its own.`,
		Example: "pvmutl " + op + " shop/web web01 web02\npvmutl " + op + " shop",
		Args:    positional("GroupName", "HostName..."),
	}
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Operations.Power(ctx, &api.PowerRequest{Op: op, Group: args[0], Hosts: args[1:]})
	})
	return cmd
}
