package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"yagura/rpc/api"
	"yagura/rpc/client"
)

var policyCaseView = view[*api.PolicyCase]{json: rowJSON[*api.PolicyCase]}

func policyTestCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "test GroupName EVENT [HostName]",
		Short: "Tell what would be done about an event",
		Long: `Tell what would be decided now on an event about a host of a group, or about each
machine that runs in the group, and why. Nothing is done and nothing is recorded.

EVENT is written as in the rules of policies: ESMDSVNT[0xC0000002], the id of a
performance event, the text of an alarm, or category:machine-inaccessible.`,
		Example: "pvmutl policy test shop/db ESMDSVNT[0xC0000002] db01\npvmutl policy test shop category:machine-inaccessible",
		Args:    positional("GroupName", "EVENT", "HostName?"),
		RunE: a.online(func(ctx context.Context, c *client.Client, args []string) error {
			reply, err := c.Inventory.PreviewPolicy(ctx, &api.PreviewPolicyRequest{Group: args[0], Event: args[1], Host: optional(args, 2)})
			if err != nil {
				return err
			}
			a.tellDisarmed(ctx, c)
			if a.options.output != formatTable {
				return printList(a, policyCaseView, reply.Cases)
			}
			for _, c := range reply.Cases {
				writePolicyCase(a.stdout, c)
			}
			return nil
		}),
	}
}

// writePolicyCase writes what would be decided about one machine.
func writePolicyCase(w io.Writer, c *api.PolicyCase) {
	fmt.Fprintf(w, "%s\n", clean(c.Machine+because(c.Host, " as ")))
	writePolicyDecision(w, "", c.Decision)
	if c.Then != nil {
		writePolicyDecision(w, fmt.Sprintf("after %d s without a recovery: ", c.Decision.GetWaitSeconds()), c.Then)
	}
}

func writePolicyDecision(w io.Writer, when string, d *api.PolicyDecision) {
	fmt.Fprintf(w, "  %s%s: %s\n", when, d.GetDecision(), clean(d.GetReason()))
	for _, action := range d.GetActions() {
		effect := action.Effect
		if !action.CarriedOut {
			effect = "not carried out: " + effect
		}
		fmt.Fprintf(w, "    %s%s\n", action.Action, clean(because(effect, ": ")))
	}
}
