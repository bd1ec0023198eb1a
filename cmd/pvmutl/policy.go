package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

var (
	policySettingView = view[*api.PolicySetting]{json: rowJSON[*api.PolicySetting]}
	policyView        = view[*schema.Policy]{json: rowJSON[*schema.Policy]}
)

func policyCommand(a *app) *cobra.Command {
	return family("policy", "Show policies, set that of a group, test what they decide [3.2.23 - 3.2.24]",
		&cobra.Command{
			Use:   "show [GroupName]",
			Short: "Show the policies of a group, or all policies",
			Long: `Show the policy of a group and of its models, for a category those of all
groups below it. Without a name: all policies with their descriptions.`,
			Example: "pvmutl policy show shop",
			Args:    positional("GroupName?"),
			RunE: a.online(func(ctx context.Context, c *client.Client, args []string) error {
				reply, err := c.Inventory.ShowPolicy(ctx, &api.GroupRequest{Group: optional(args, 0)})
				if err != nil {
					return err
				}
				return a.printPolicies(reply, len(args) == 1)
			}),
		},
		policySetCommand(a),
		policyTestCommand(a))
}

func (a *app) printPolicies(reply *api.ShowPolicyReply, settings bool) error {
	switch {
	case a.options.output != formatTable && settings:
		return printList(a, policySettingView, reply.Settings)
	case a.options.output != formatTable:
		return printList(a, policyView, reply.Policies)
	case settings:
		for _, s := range reply.Settings {
			writePolicySetting(a.stdout, s)
			for _, m := range s.Models {
				writePolicySetting(a.stdout, m)
			}
		}
	default:
		for _, p := range reply.Policies {
			fmt.Fprintf(a.stdout, "%s : %s\n", p.Name, clean(p.Description))
		}
	}
	return nil
}

func writePolicySetting(w io.Writer, s *api.PolicySetting) {
	fmt.Fprintf(w, "%s : %s\n", s.Group, s.Policy)
}

func policySetCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set GroupName [PolicyName] [/y]",
		Short: "Set the policy of a group, or take it off",
		Long: `Set the policy of a group; without PolicyName the group has none any more. It
asks first, unless /y (--yes) is given.`,
		Example: "pvmutl policy set shop/web standard /y\npvmutl policy set shop/web /y",
		Args:    positional("GroupName", "PolicyName?"),
	}
	yes := cmd.Flags().BoolP("yes", "y", false, "don't ask")
	slash(cmd, "yes", "y")
	cmd.RunE = a.online(func(ctx context.Context, c *client.Client, args []string) error {
		group, policy := args[0], optional(args, 1)
		question := fmt.Sprintf("Set policy %s on %s?", policy, group)
		if policy == "" {
			question = fmt.Sprintf("Take the policy off %s?", group)
		}
		if !*yes {
			if err := a.confirm(question, "policy of "+group); err != nil {
				return err
			}
		}
		_, err := c.Inventory.SetPolicy(ctx, &api.SetPolicyRequest{Group: group, Policy: policy})
		return err
	})
	return cmd
}
