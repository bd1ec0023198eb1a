package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"yagura/placement"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

func vmaddCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vmadd GroupName VMName [/VMS VMServer [/DATASTORE Datastore]] [/NETINFO NetInfo] [/a] [--dry-run]",
		Short: "Create a VM in a group, or add an existing one [3.2.17]",
		Long: `Create one VM in a group. VM server, datastore and host setting are chosen
when they are left out; the models of the group are tried in the order of their
priority when no model is named (shop/web/web-vm).

/a (--existing) creates nothing: it adds a VM that exists already.
/VMFS is an older name of /DATASTORE.`,
		Example: `pvmutl vmadd shop/web web13
pvmutl vmadd shop/web web13 /VMS esx01 /DATASTORE shared01 /NETINFO 192.168.1.100
pvmutl vmadd shop/web spare01 --existing`,
		Args: positional("GroupName", "VMName"),
	}
	f := cmd.Flags()
	server := f.String("vms", "", "VM server to create the VM on")
	datastore := f.String("datastore", "", "datastore for its disks; needs --vms")
	vmfs := f.String("vmfs", "", "older name of --datastore, which wins")
	netinfo := f.String("netinfo", "", "host `name` or IP address of a host setting of the group")
	existing := f.Bool("existing", false, "add a VM that exists already")
	slash(cmd, "vms", "vms")
	slash(cmd, "datastore", "datastore")
	slash(cmd, "vmfs", "vmfs")
	slash(cmd, "netinfo", "netinfo")
	slash(cmd, "existing", "a")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if *server == "" && cmp.Or(*datastore, *vmfs) != "" {
			return usagef(cmd, "/DATASTORE needs /VMS")
		}
		return nil
	}
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Operations.AddVM(ctx, &api.AddVMRequest{
			Group: args[0], Vm: args[1],
			VmServer: *server, Datastore: cmp.Or(*datastore, *vmfs), Netinfo: *netinfo, Existing: *existing,
		})
	})
	a.dryRun(cmd, func(args []string) *api.PlacementRequest {
		return &api.PlacementRequest{Objective: string(placement.Create), Group: args[0], Vms: args[1:]}
	})
	return cmd
}

// dryRun gives a command that starts a job the option --dry-run: it shows where
// the VMs would go and starts nothing.
func (a *app) dryRun(cmd *cobra.Command, req func(args []string) *api.PlacementRequest) {
	dry := cmd.Flags().Bool("dry-run", false, "only show where VMs would go; nothing is started")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !*dry {
			return run(cmd, args)
		}
		for _, name := range []string{"vms", "existing", "failover"} {
			if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
				return usagef(cmd, "--dry-run shows what is chosen; with --%s nothing is", name)
			}
		}
		return a.preview(req(args))(cmd, args)
	}
}

func vmdeleteCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vmdelete GroupName [HostName] [/d]",
		Short: "Delete a VM of a group, or take it out of the group [3.2.18]",
		Long: `Delete one VM of a group, with its disks. When no host is named one of the
running machines is chosen; with a category the group of the lowest priority
comes first.

/d (--keep) only takes the VM out of the group and keeps it.`,
		Example: "pvmutl vmdelete shop/web web13\npvmutl vmdelete shop/web web13 /d",
		Args:    positional("GroupName", "HostName?"),
	}
	keep := cmd.Flags().Bool("keep", false, "take the VM out of the group, don't delete it")
	slash(cmd, "keep", "d")
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Operations.DeleteVM(ctx, &api.DeleteVMRequest{Group: args[0], Host: optional(args, 1), Keep: *keep})
	})
	return cmd
}

func vmdestroyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "vmdestroy VMName",
		Short:   "Destroy a VM that no group uses",
		Long:    "Destroy a managed VM that runs in no group, with its disks. For a VM of a group\nthere is vmdelete.",
		Example: "pvmutl vmdestroy spare01",
		Args:    positional("VMName"),
	}
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Operations.DestroyVM(ctx, &api.DestroyVMRequest{Vm: args[0]})
	})
	return cmd
}

func vmmigrateCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "vmmigrate GroupName HostName VMServer",
		Short:   "Move a VM to another VM server while it runs [3.2.19]",
		Long:    "Migrate one VM to another VM server. A running VM needs storage that both servers share.",
		Example: "pvmutl vmmigrate shop/web web01 esx02",
		Args:    positional("GroupName", "HostName", "VMServer"),
	}
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Operations.MigrateVM(ctx, &api.MigrateVMRequest{Group: args[0], Host: args[1], VmServer: args[2]})
	})
	return cmd
}

func vmmigrateandmoveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vmmigrateandmove GroupName HostName VMServer [/recreate]",
		Short: "Move a VM to another VM server, stopping it if need be [3.2.20]",
		Long: `Migrate one VM to another VM server; when that fails, stop it, move it and
start it again.

When both fail the job fails and says what to do. Only with /recreate
(--recreate) the VM is then deleted and created anew on the target, as the
manual has it: what is on its disks is lost.`,
		Example: "pvmutl vmmigrateandmove shop/web web01 esx02\npvmutl vmmigrateandmove shop/web web01 esx02 /recreate",
		Args:    positional("GroupName", "HostName", "VMServer"),
	}
	recreate := cmd.Flags().Bool("recreate", false, "as a last resort delete the VM and create it anew; its disks are lost")
	slash(cmd, "recreate", "recreate")
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Operations.MigrateVM(ctx, &api.MigrateVMRequest{
			Group: args[0], Host: args[1], VmServer: args[2], Move: true, Recreate: *recreate,
		})
	})
	return cmd
}

func evacuateCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "evacuate VMServer [/failover] [--dry-run]",
		Short: "Move all VMs of a VM server to others",
		Long: `Move all VMs of a VM server to other servers with room.

With /failover (--failover) the server is taken for dead: it is fenced or proven
off first, then its VMs are started elsewhere.`,
		Example: "pvmutl evacuate esx02\npvmutl evacuate esx02 /failover",
		Args:    positional("VMServer"),
	}
	failover := cmd.Flags().Bool("failover", false, "the server is dead: start its VMs elsewhere")
	slash(cmd, "failover", "failover")
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Operations.Evacuate(ctx, &api.EvacuateRequest{VmServer: args[0], Failover: *failover})
	})
	a.dryRun(cmd, func(args []string) *api.PlacementRequest {
		return &api.PlacementRequest{Objective: string(placement.Evacuate), VmServers: args, NoServerStart: true}
	})
	return cmd
}
