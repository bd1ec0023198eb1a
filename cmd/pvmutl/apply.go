package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

var appliedView = view[*api.Applied]{json: rowJSON[*api.Applied]}

func applyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR|- [--dry-run]",
		Short: "Create or change objects from YAML documents",
		Long: `Create or change objects from YAML documents:

    kind: Group
    name: web
    spec:
      category: shop
      kind: vm

-f takes a file of one or more documents, a folder (its *.yaml files in the order
of their names) or - for standard input, and may be given several times. All
documents are applied, or none. What changes is printed; with --dry-run it is
only printed.`,
		Example: "pvmutl apply -f site.yaml --dry-run",
		Args:    positional(),
	}
	files := cmd.Flags().StringArrayP("filename", "f", nil, "`FILE`, folder or -")
	dryRun := cmd.Flags().Bool("dry-run", false, "only print what would change")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(*files) == 0 {
			return usagef(cmd, "-f is missing")
		}
		var in loaded
		for _, f := range *files {
			if err := in.load(f, a.stdin); err != nil {
				return err
			}
		}
		if len(in.documents) == 0 {
			return schema.Errorf(schema.KindInvalid, strings.Join(*files, ", "), "there is no document in it")
		}
		return a.online(func(ctx context.Context, c *client.Client, _ []string) error {
			return a.apply(ctx, c, &in, *dryRun)
		})(cmd, args)
	}
	return cmd
}

func (a *app) apply(ctx context.Context, c *client.Client, in *loaded, dryRun bool) error {
	reply, err := c.Inventory.Apply(ctx, &api.ApplyRequest{Documents: in.documents, DryRun: dryRun})
	if err != nil {
		return in.locate(err)
	}
	if a.options.output != formatTable {
		return printList(a, appliedView, reply.Applied)
	}
	writeApplied(a.stdout, reply)
	return nil
}

// writeApplied writes what became of each object, its changed fields below it,
// and the sum.
func writeApplied(w io.Writer, reply *api.ApplyReply) {
	count := map[string]int{}
	for _, r := range reply.Applied {
		count[r.Action]++
		fmt.Fprintf(w, "%s %s: %s\n", r.Kind, r.Name, r.Action)
		for _, change := range r.Changes {
			fmt.Fprintf(w, "  %s\n", clean(change))
		}
	}
	note := ""
	if reply.DryRun {
		note = " (dry run: nothing was changed)"
	}
	if reply.Cut {
		fmt.Fprintln(w, "applied at an earlier try of this call; its full answer was too long to keep, pvmutl audit list shows what it changed")
		if len(reply.Applied) == 0 {
			return
		}
	}
	fmt.Fprintf(w, "%d created, %d changed, %d unchanged%s\n", count["created"], count["changed"], count["unchanged"], note)
}
