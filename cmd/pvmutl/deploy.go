package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"yagura/rpc/api"
	"yagura/rpc/client"
)

func deploygrpCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deploygrp GroupName [/f | /p SoftwareName[,SoftwareName]...] [/seq]",
		Short: "Distribute software to a group [3.2.7]",
		Long: `Distribute software to all machines that run in a group, to all at once or with
/seq (--sequential) one after another. What is registered for them and isn't on
them yet is distributed; with /f (--full) all that is registered, whatever is on
them; with /p (--software) exactly the software named, registered or not.

The report has a line for each machine.`,
		Example: "pvmutl deploygrp shop/db\npvmutl deploygrp shop/db /f /seq\n" + `pvmutl deploygrp shop/db /p "soft1","soft2"`,
		Args:    positional("GroupName"),
	}
	o := a.distributionOptions(cmd)
	sequential := cmd.Flags().Bool("sequential", false, "one machine after another")
	slash(cmd, "sequential", "seq")
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		return c.Operations.Deploy(ctx, &api.DeployRequest{
			Group: args[0], Software: o.software, Only: o.software != nil, Full: o.full, Sequential: *sequential,
		})
	})
	return cmd
}

func deploysrvCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deploysrv GroupName HostName [/a SoftwareName[,SoftwareName]... | /f | /p SoftwareName[,SoftwareName]...]",
		Short: "Distribute software to a running machine [3.2.8]",
		Long: `Distribute software to the machine that runs as a host of a group. What is
registered for it and isn't on it yet is distributed; with /a (--registered) the
software named out of what is registered; with /f (--full) all that is
registered, whatever is on it; with /p (--software) exactly the software named,
registered or not. For a whole group there is deploygrp.`,
		Example: "pvmutl deploysrv shop/db db01\npvmutl deploysrv shop/db db01 /f\n" + `pvmutl deploysrv shop/db db01 /a "soft1","soft2"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return usagef(cmd, "HostName is missing; for all machines of a group there is \"pvmutl deploygrp\"")
			}
			return positional("GroupName", "HostName")(cmd, args)
		},
	}
	o := a.distributionOptions(cmd)
	var registered softwareValue
	cmd.Flags().Var(&registered, "registered", "only this software out of what is registered")
	slash(cmd, "registered", "a")
	a.completeFlag(cmd, "registered", softwareWords)
	atMostOne(cmd, "registered", "full", "software")
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		req := &api.DeployRequest{Group: args[0], Host: args[1], Software: registered, Full: o.full}
		if o.software != nil {
			req.Software, req.Only = o.software, true
		}
		return c.Operations.Deploy(ctx, req)
	})
	return cmd
}

func deploypsvCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "deploypsv MachineName SoftwareName[,SoftwareName]...",
		Short:   "Distribute software to any managed machine [3.2.9]",
		Long:    "Distribute exactly the software named to a managed machine, whatever is registered\nfor it or on it already.",
		Example: `pvmutl deploypsv ph03 "soft1","soft2"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := positional("MachineName", "SoftwareName")(cmd, args); err != nil {
				return err
			}
			if _, err := softwareNames(args[1]); err != nil {
				return usagef(cmd, "%v", err)
			}
			return nil
		},
	}
	a.jobStarter(cmd, func(ctx context.Context, c *client.Client, args []string) (*api.JobsReply, error) {
		names, err := softwareNames(args[1])
		if err != nil {
			return nil, err
		}
		return c.Operations.Deploy(ctx, &api.DeployRequest{Machine: args[0], Software: names, Only: true})
	})
	return cmd
}

// distribution are the options that deploygrp and deploysrv share.
type distribution struct {
	full     bool
	software softwareValue // nil while not given
}

func (a *app) distributionOptions(cmd *cobra.Command) *distribution {
	o := &distribution{}
	cmd.Flags().BoolVar(&o.full, "full", false, "all that is registered, whatever has been distributed before")
	cmd.Flags().Var(&o.software, "software", "exactly this software, registered or not")
	slash(cmd, "full", "f")
	slash(cmd, "software", "p")
	atMostOne(cmd, "full", "software")
	a.completeFlag(cmd, "software", softwareWords)
	return o
}

// atMostOne makes options of a command exclude each other.
func atMostOne(cmd *cobra.Command, flags ...string) {
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		given := ""
		for _, name := range flags {
			f := cmd.Flags().Lookup(name)
			switch {
			case !f.Changed:
			case given != "":
				return usagef(cmd, "%s and %s exclude each other; leave one of them out", given, optionName(f))
			default:
				given = optionName(f)
			}
		}
		return nil
	}
}

// softwareValue is a list of software on the command line. It implements
// pflag.Value; given several times the lists are joined.
type softwareValue []string

// Set implements pflag.Value.
func (s *softwareValue) Set(text string) error {
	names, err := softwareNames(text)
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.Contains(*s, name) {
			return errTwice(name)
		}
		*s = append(*s, name)
	}
	return nil
}

// String implements pflag.Value.
func (s *softwareValue) String() string { return strings.Join(*s, ",") }

// Type implements pflag.Value.
func (s *softwareValue) Type() string { return "NAME,..." }

func errTwice(name string) error { return fmt.Errorf("software %q is named twice", name) }

// softwareNames takes a list of software apart: names joined with commas, each
// of which may still be in quotes, where the shell or the job scheduler has
// left them.
func softwareNames(text string) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		name = strings.Trim(name, `"“”`)
		if name == "" {
			return nil, fmt.Errorf("a name in the list %s is empty; write commas without spaces between the names", text)
		}
		if slices.Contains(names, name) {
			return nil, errTwice(name)
		}
		names = append(names, name)
	}
	return names, nil
}
