package main

import (
	"context"

	"github.com/spf13/cobra"

	"yagura/rpc/api"
	"yagura/rpc/client"
)

// manyJobs is what the help of commands on several machines says of their end.
const manyJobs = `
Each machine is a job of its own. Either all jobs are queued or, when there
aren't so many machines, none. The report has a line for each job; the exit code
is that of the first job in it that didn't succeed.`

func moveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "move GroupNameDest GroupNameSrc [HostNameSrc | /c count]",
		Short: "Let machines of a group run in another group [3.2.2]",
		Long: `Change the use of physical machines: they leave GroupNameSrc and run in
GroupNameDest. They must be in the pool of GroupNameDest, which needs as many
free host settings. Without HostNameSrc they are chosen among the machines that
run in GroupNameSrc, one, or as many as /c (--count) says. Without a host a
category may stand for its groups.
` + manyJobs,
		Example: "pvmutl move shop/db batch host01\npvmutl move shop/db batch /c 10\npvmutl move shop batch --count 2",
		Args:    positional("GroupNameDest", "GroupNameSrc", "HostNameSrc?"),
	}
	count := countOption(cmd, 2, "HostNameSrc")
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Operations.ChangeUse(ctx, &api.ChangeUseRequest{Group: args[0], Source: args[1], Host: optional(args, 2), Count: int32(*count)})
	})
	return cmd
}

func replaceCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replace GroupName HostName",
		Short: "Let a pool machine take the place of a running one [3.2.3]",
		Long: `Replace a physical machine. A machine of the group's pool, or of the common pool
where the group may use it, takes over the host name, addresses, VLANs, balancing,
disk volumes and software of HostName. The old machine goes back to the pool that
it came from. When the old machine can't be proven off, the job parks and asks.`,
		Example: "pvmutl replace shop/db db01",
		Args:    positional("GroupName", "HostName"),
	}
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Operations.ReplaceMachine(ctx, &api.ReplaceMachineRequest{Group: args[0], Host: args[1]})
	})
	return cmd
}

func addCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add GroupName [MachineName [/master] | /c count]",
		Short: "Let pool machines run in a group [3.2.4]",
		Long: `Let machines of the pool run in a group, each under a free host setting. Without
MachineName they are chosen in the pools below GroupName, one, or as many as /c
(--count) says; groups and models are tried in the order of their priority. When
these pools are used up a group that may use the common pool takes from there;
machines of the common pool can't be named.

/master (--master) registers MachineName, any managed machine without a group, as
it is: nothing is installed on it, as for the machine that an image is made of.
` + manyJobs,
		Example: "pvmutl add shop/db ph03\npvmutl add shop /c 10\npvmutl add shop/db ph04 --master",
		Args:    positional("GroupName", "MachineName?"),
	}
	count := countOption(cmd, 1, "MachineName")
	master := cmd.Flags().Bool("master", false, "register the machine as it is, without installing anything on it")
	slash(cmd, "master", "master")
	exclusive := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if *master && len(args) < 2 {
			return usagef(cmd, "/master needs MachineName")
		}
		return exclusive(cmd, args)
	}
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Operations.AddMachines(ctx, &api.AddMachinesRequest{Group: args[0], Machine: optional(args, 1), Count: int32(*count), Master: *master})
	})
	return cmd
}

func addspecnameCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "addspecname GroupName NetInfo [MachineName]",
		Short: "Let a pool machine run under a named host setting [3.2.5]",
		Long: `Let one machine of the pool run in a group under the host setting that has the
host name or IP address NetInfo. Without MachineName the machine is chosen, as
by "pvmutl add".`,
		Example: "pvmutl addspecname shop/db db03 ph03\npvmutl addspecname shop/db 192.168.1.1",
		Args:    positional("GroupName", "NetInfo", "MachineName?"),
	}
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Operations.AddMachines(ctx, &api.AddMachinesRequest{Group: args[0], Netinfo: args[1], Machine: optional(args, 2)})
	})
	return cmd
}

func deleteCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete GroupName [HostName | /c count]",
		Short: "Take running machines back to the pool [3.2.6]",
		Long: `Take machines that run in a group out of operation: each is shut down and goes
back to the pool that it came from, the group's or the common one. If an
application needs more than a shutdown, stop it first and name the host. Without
HostName the machines are chosen, one, or as many as /c (--count) says.
` + manyJobs,
		Example: "pvmutl delete shop/db db02\npvmutl delete shop/db /c 10\npvmutl delete shop --count 2",
		Args:    positional("GroupName", "HostName?"),
	}
	count := countOption(cmd, 1, "HostName")
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Operations.RemoveMachines(ctx, &api.RemoveMachinesRequest{Group: args[0], Host: optional(args, 1), Count: int32(*count)})
	})
	return cmd
}

func poolCommand(a *app) *cobra.Command {
	change := func(use, short, long string, remove bool) *cobra.Command {
		cmd := &cobra.Command{
			Use: use + " GroupName MachineName", Short: short, Long: long,
			Example: "pvmutl pool " + use + " shop/db ph04",
			Args:    positional("GroupName", "MachineName"),
		}
		a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
			return c.Operations.ChangePool(ctx, &api.ChangePoolRequest{Group: args[0], Machine: args[1], Remove: remove})
		})
		return cmd
	}
	return family("pool", "Put machines into the pool of a group, or take them out",
		change("add", "Put a machine into the pool of a group",
			"Put a managed machine into the pool of a group. It may be in several pools, and\nleaves the common pool.", false),
		change("remove", "Take a machine out of the pool of a group",
			"Take a machine out of the pool of a group. In no pool any more, it is in the\ncommon pool.", true))
}
