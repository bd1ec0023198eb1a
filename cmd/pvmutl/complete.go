package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

func completionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print the completion script for a shell",
		Long: `Print a script that makes the shell complete commands, options, and the names of
groups, hosts, machines and jobs, which it asks the cluster for. For bash:

    source <(pvmutl completion bash)

zsh and fish take the script as a file in their completion folders, named
_pvmutl and pvmutl.fish.`,
		Example:   "pvmutl completion bash > /etc/bash_completion.d/pvmutl",
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      positional("the shell"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch root := cmd.Root(); args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			}
			return usagef(cmd, "unknown shell %q; known are bash, zsh and fish", args[0])
		},
	}
}

// completionPatience bounds what a shell waits for words to complete.
const completionPatience = 2 * time.Second

// source gives the words that one argument may be, with the arguments before
// it at hand.
type source func(ctx context.Context, c *client.Client, before []string) ([]string, error)

// complete makes the completion of a command's arguments: one source for each,
// the last one for all that follow. When the cluster doesn't answer there is
// nothing to complete.
func (a *app) complete(sources ...source) cobra.CompletionFunc {
	return func(cmd *cobra.Command, before []string, prefix string) ([]string, cobra.ShellCompDirective) {
		none := cobra.ShellCompDirectiveNoFileComp
		if err := a.readOptions(cmd, nil); err != nil {
			return nil, none
		}
		a.options.timeout = completionPatience
		c, err := a.dial()
		if err != nil {
			return nil, none
		}
		defer c.Close()
		words, err := sources[min(len(before), len(sources)-1)](cmd.Context(), c, before)
		if err != nil {
			return nil, none
		}
		var fit []string
		for _, w := range words {
			if strings.HasPrefix(w, prefix) {
				fit = append(fit, w)
			}
		}
		return fit, none
	}
}

// completeFlag gives an option of a command the words of a source.
func (a *app) completeFlag(cmd *cobra.Command, flag string, words source) {
	fit := a.complete(words)
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return fit(cmd, nil, prefix)
	})
	if err != nil {
		panic(err) // the command has no such option
	}
}

// noWords is the source of arguments that are free text.
func noWords(context.Context, *client.Client, []string) ([]string, error) { return nil, nil }

// groupWords are the categories and groups, by path.
func groupWords(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	words, err := categoryWords(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	groups, err := listRows[*schema.Group](ctx, c, "Group")
	for _, g := range groups {
		words = append(words, strings.TrimPrefix(g.Category+"/"+g.Name, "/"))
	}
	return words, err
}

func categoryWords(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	categories, err := listRows[*schema.Category](ctx, c, "Category")
	var words []string
	for _, category := range categories {
		words = append(words, category.Path)
	}
	return words, err
}

// hostWords are the hosts that run in the group named just before.
func hostWords(group int) source {
	return func(ctx context.Context, c *client.Client, before []string) ([]string, error) {
		reply, err := c.Inventory.GroupMachines(ctx, &api.GroupRequest{Group: before[group]})
		var words []string
		for _, m := range reply.GetRunning() {
			words = append(words, m.Host)
		}
		return words, err
	}
}

// poolWords are the machines in the pool of the group named before.
func poolWords(ctx context.Context, c *client.Client, before []string) ([]string, error) {
	reply, err := c.Inventory.GroupMachines(ctx, &api.GroupRequest{Group: before[0]})
	var words []string
	for _, m := range reply.GetPool() {
		words = append(words, m.Name)
	}
	return words, err
}

// machineWords are the machines that fit.
func machineWords(fit func(*schema.Machine) bool) source {
	return func(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
		reply, err := c.Inventory.List(ctx, &api.ListRequest{Kind: kindMachine})
		var words []string
		for _, m := range reply.GetMachines() {
			if fit(m) {
				words = append(words, m.Name)
			}
		}
		return words, err
	}
}

// serverWords are the VM servers.
var serverWords = machineWords(func(m *schema.Machine) bool { return m.Kind == schema.MachineVMServer })

// managedWords are the machines under management.
var managedWords = machineWords(func(m *schema.Machine) bool { return m.Managed })

// idleWords are the machines that could come into a pool: those that run in no group.
var idleWords = machineWords(func(m *schema.Machine) bool { return m.Managed && m.Group == "" })

// idleVMWords are the VMs that run in no group.
var idleVMWords = machineWords(func(m *schema.Machine) bool {
	return m.Managed && m.Group == "" && m.Kind == schema.MachineVM && !m.Template
})

// freeHostWords are the host settings of the group named before that no
// machine runs under.
func freeHostWords(ctx context.Context, c *client.Client, before []string) ([]string, error) {
	reply, err := c.Inventory.List(ctx, &api.ListRequest{Kind: "Host", Group: before[0]})
	var words []string
	for _, o := range reply.GetObjects() {
		if o.GetRow().GetFields()["machine"].GetStringValue() == "" {
			_, name := cutPath(o.Name)
			words = append(words, name)
		}
	}
	return words, err
}

func kindWords(context.Context, *client.Client, []string) ([]string, error) { return kindNames(), nil }

// nameWords are the objects of the kind named before.
func nameWords(ctx context.Context, c *client.Client, before []string) ([]string, error) {
	k, err := kindByName(before[0])
	if err != nil {
		return nil, err
	}
	reply, err := c.Inventory.List(ctx, &api.ListRequest{Kind: k.name})
	var words []string
	for _, m := range reply.GetMachines() {
		words = append(words, m.Name)
	}
	for _, o := range reply.GetObjects() {
		words = append(words, o.Name)
	}
	return words, err
}

func subsystemWords(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	return nameWords(ctx, c, []string{"Subsystem"})
}

func receiverWords(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	return nameWords(ctx, c, []string{"Receiver"})
}

func softwareWords(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	return nameWords(ctx, c, []string{"Software"})
}

func policyWords(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	return nameWords(ctx, c, []string{"Policy"})
}

// jobWords are the jobs that haven't ended.
func jobWords(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	jobs, err := runningJobs(ctx, c, true)
	words := make([]string, len(jobs))
	for i, info := range jobs {
		words[i] = info.GetJob().GetId()
	}
	return words, err
}

func nodeWords(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	reply, err := c.Cluster.ListNodes(ctx, &api.Empty{})
	var words []string
	for _, n := range reply.GetNodes() {
		words = append(words, n.Id)
	}
	return words, err
}

// operatingWords are the machines that run in a group.
var operatingWords = machineWords(func(m *schema.Machine) bool { return m.Group != "" })

func metricWords(context.Context, *client.Client, []string) ([]string, error) {
	return schema.Metrics(), nil
}

func switchWords(context.Context, *client.Client, []string) ([]string, error) {
	return []string{"on", "off"}, nil
}

// completions are the sources of each command's arguments, by its path. Other
// commands take no words that the cluster knows.
var completions = map[string][]source{
	"list server":       {groupWords, noWords},
	"list soft":         {groupWords, noWords},
	"move":              {groupWords, groupWords, hostWords(1), noWords},
	"replace":           {groupWords, hostWords(0), noWords},
	"add":               {groupWords, poolWords, noWords},
	"addspecname":       {groupWords, freeHostWords, poolWords, noWords},
	"delete":            {groupWords, hostWords(0), noWords},
	"deploygrp":         {groupWords, noWords},
	"deploysrv":         {groupWords, hostWords(0), noWords},
	"deploypsv":         {managedWords, softwareWords, noWords},
	"pool add":          {groupWords, idleWords, noWords},
	"pool remove":       {groupWords, poolWords, noWords},
	"vmdestroy":         {idleVMWords, noWords},
	"poweron":           {groupWords, hostWords(0)},
	"shutdown":          {groupWords, hostWords(0)},
	"reboot":            {groupWords, hostWords(0)},
	"suspend":           {groupWords, hostWords(0)},
	"vmadd":             {groupWords, noWords},
	"vmdelete":          {groupWords, hostWords(0), noWords},
	"vmmigrate":         {groupWords, hostWords(0), serverWords, noWords},
	"vmmigrateandmove":  {groupWords, hostWords(0), serverWords, noWords},
	"evacuate":          {serverWords, noWords},
	"maintenance":       {switchWords, groupWords, hostWords(1), noWords},
	"policy show":       {groupWords, noWords},
	"policy set":        {groupWords, policyWords, noWords},
	"policy test":       {groupWords, noWords, hostWords(0), noWords},
	"receiver test":     {receiverWords, noWords},
	"receiver log":      {receiverWords, noWords},
	"ascancel":          {jobWords, noWords},
	"get":               {kindWords, nameWords, noWords},
	"unset":             {kindWords, nameWords, noWords},
	"collect":           {subsystemWords, noWords},
	"job show":          {jobWords, noWords},
	"job wait":          {jobWords},
	"job cancel":        {jobWords, noWords},
	"job resume":        {jobWords, noWords},
	"job rollback":      {jobWords, noWords},
	"perf show":         {operatingWords, metricWords, noWords},
	"placement explain": {serverWords, noWords},
	"arm":               {categoryWords, noWords},
	"disarm":            {categoryWords, noWords},
	"node remove":       {nodeWords, noWords},
	"node transfer":     {nodeWords, noWords},
}
