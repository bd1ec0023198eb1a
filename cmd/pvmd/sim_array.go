package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"yagura/drivers/sim"
)

// newSimArrayCmd is `pvmd sim array`, the management tool of the simulated
// arrays, as a vendor would ship one.
func newSimArrayCmd() *cobra.Command {
	var stateDir, name string
	array := &cobra.Command{
		Use:   "array",
		Short: "the management tool of the simulated disk arrays",
		Long: `Lists the volumes of a simulated array, and connects them to initiators, as the
tool of an array's vendor would. A subsystem of kind storage-cli and family
custom runs it. STORAGE_TOKEN, when set, goes into the ledger.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	array.PersistentFlags().StringVar(&stateDir, "state-dir", sim.DemoStateDir, "state directory of the simulator")
	array.PersistentFlags().StringVar(&name, "array", "", "name of the array (default: the only one)")
	sub := func(use, short string, args int, do simDo) {
		array.AddCommand(newSimSubCmd(&stateDir, use, short, args, do))
	}
	sub("list", "print volumes, connections and sessions, one a line", 0,
		func(cmd *cobra.Command, c *sim.Client, _ []string) (string, error) {
			return c.ArrayList(cmd.Context(), name)
		})
	sub("connect VOLUME INITIATOR", "let an initiator use a volume", 2,
		func(cmd *cobra.Command, c *sim.Client, a []string) (string, error) {
			return c.ArrayConnect(cmd.Context(), name, a[0], a[1], os.Getenv("STORAGE_TOKEN"))
		})
	sub("disconnect VOLUME INITIATOR", "take a volume away from an initiator and cut its session", 2,
		func(cmd *cobra.Command, c *sim.Client, a []string) (string, error) {
			return c.ArrayDisconnect(cmd.Context(), name, a[0], a[1], os.Getenv("STORAGE_TOKEN"))
		})
	return array
}

// printSimStorage prints balancers and arrays for `pvmd sim ctl status`.
func printSimStorage(out io.Writer, st sim.Status) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer w.Flush()
	answers := func(name string, is bool) string {
		if !is {
			name += " (silent)"
		}
		return name
	}
	if len(st.Balancers) > 0 {
		fmt.Fprintln(w, "\nBALANCER\tPOOL\tSERVER\tADDRESS\tMODE\tCONNECTIONS")
	}
	for _, b := range st.Balancers {
		for _, s := range b.Servers {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\n", answers(b.Name, b.Answers), s.Pool, s.Name, s.Address, s.Mode, s.Connections)
		}
	}
	if len(st.Arrays) > 0 {
		fmt.Fprintln(w, "\nARRAY\tVOLUME\tSHARED\tINITIATORS\tSESSIONS")
	}
	for _, a := range st.Arrays {
		for _, v := range a.Volumes {
			fmt.Fprintf(w, "%s\t%s\t%t\t%s\t%s\n", answers(a.Name, a.Answers), v.Name, v.Shared,
				strings.Join(v.Initiators, " "), strings.Join(v.Sessions, " "))
		}
	}
}
