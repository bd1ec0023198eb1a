package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// Groups of commands in the help.
const (
	groupManual  = "manual"
	groupObjects = "objects"
	groupWatch   = "watch"
	groupCluster = "cluster"
	groupSelf    = "self"
)

// commands is THE list of commands: the group that it is shown in, and what
// makes it.
var commands = []struct {
	group string
	make  func(*app) *cobra.Command
}{
	{groupManual, listCommand},
	{groupManual, moveCommand},
	{groupManual, replaceCommand},
	{groupManual, addCommand},
	{groupManual, addspecnameCommand},
	{groupManual, deleteCommand},
	{groupManual, deploygrpCommand},
	{groupManual, deploysrvCommand},
	{groupManual, deploypsvCommand},
	{groupManual, poweronCommand},
	{groupManual, shutdownCommand},
	{groupManual, rebootCommand},
	{groupManual, suspendCommand},
	{groupManual, vmaddCommand},
	{groupManual, vmdeleteCommand},
	{groupManual, vmmigrateCommand},
	{groupManual, vmmigrateandmoveCommand},
	{groupManual, vmdestroyCommand},
	{groupManual, evacuateCommand},
	{groupManual, poolCommand},
	{groupManual, maintenanceCommand},
	{groupManual, policyCommand},
	{groupManual, asjobCommand},
	{groupManual, ascancelCommand},
	{groupManual, changepasswordCommand},

	{groupObjects, applyCommand},
	{groupObjects, getCommand},
	{groupObjects, unsetCommand},
	{groupObjects, collectCommand},

	{groupWatch, jobCommand},
	{groupWatch, eventCommand},
	{groupWatch, lockCommand},
	{groupWatch, trapCommand},
	{groupWatch, auditCommand},
	{groupWatch, receiverCommand},
	{groupWatch, perfCommand},
	{groupWatch, placementCommand},
	{groupWatch, armCommand},
	{groupWatch, disarmCommand},

	{groupCluster, statusCommand},
	{groupCluster, nodeCommand},
	{groupCluster, snapshotCommand},
	{groupCluster, userCommand},

	{groupSelf, loginCommand},
	{groupSelf, logoutCommand},
	{groupSelf, completionCommand},
	{groupSelf, versionCommand},
}

func init() { cobra.EnableCaseInsensitive = true }

// newRoot makes the tree of all commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "pvmutl",
		Short: "Command line of the Yagura datacenter controller",
		Long: `pvmutl operates a Yagura cluster, the controller of a datacenter.

A group is written shop/web (category and group; \ and ¥ do as well), a model
shop/web/web-vm; the category may be left out. Options are written as in the
manual (/VMS esx01, in any case) or conventionally (--vms esx01). Any manager
serves any command. Commands that start jobs wait for their ends.

pvmutl help exit-codes lists what scripts may rely on.`,
		Example:           "pvmutl --server 10.0.0.11,10.0.0.12,10.0.0.13 list group",
		Args:              cobra.ArbitraryArgs,
		PersistentPreRunE: a.readOptions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef(cmd, "unknown command %q%s", args[0], suggestion(cmd, args[0]))
			}
			return cmd.Help()
		},
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(
		&cobra.Group{ID: groupManual, Title: "Operations:"},
		&cobra.Group{ID: groupObjects, Title: "Objects:"},
		&cobra.Group{ID: groupWatch, Title: "Jobs, events and automation:"},
		&cobra.Group{ID: groupCluster, Title: "Cluster:"},
		&cobra.Group{ID: groupSelf, Title: "This command:"},
	)
	a.addGlobalOptions(root)
	for _, c := range commands {
		cmd := c.make(a)
		cmd.GroupID = c.group
		root.AddCommand(cmd)
	}
	root.AddCommand(exitCodesTopic())
	root.SetHelpCommand(helpCommand())
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetVersionTemplate("pvmutl {{.Version}}\n")
	a.finishTree(root)
	return root
}

// finishTree gives all commands below cmd their completions, and keeps cobra
// from adding "[flags]" to usages that are written out in full.
func (a *app) finishTree(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	if sources := completions[commandName(cmd)]; sources != nil {
		cmd.ValidArgsFunction = a.complete(sources...)
	}
	for _, c := range cmd.Commands() {
		a.finishTree(c)
	}
}

func suggestion(root *cobra.Command, word string) string {
	near := root.SuggestionsFor(word)
	if len(near) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}
