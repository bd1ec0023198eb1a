package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// newSnapshotCmd looks into snapshot files without a cluster.
func newSnapshotCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "snapshot", Short: "look into snapshot files (offline)"}
	var rows bool
	inspect := &cobra.Command{
		Use:     "inspect FILE",
		Short:   "check a snapshot and tell what is in it",
		Example: "  pvmd snapshot inspect backup.snap\n  pvmd snapshot inspect --rows backup.snap",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			out := cmd.OutOrStdout()
			var each func(string, string, proto.Message) error
			if rows {
				each = func(table, key string, row proto.Message) error {
					js, err := rowJSON(row)
					if err == nil {
						_, err = fmt.Fprintf(out, "%s %s %s\n", table, key, js)
					}
					return err
				}
			}
			info, err := fsm.InspectSnapshot(f, each)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			h := info.Header
			fmt.Fprintf(out, "snapshot of index %d, taken %s, feature level %d, %d rows\ndigest %x: checked\n",
				h.Index, h.Time.AsTime().Format(time.RFC3339), h.Feature, h.Rows, h.Digest)
			tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(tw, "TABLE\tROWS\tBYTES")
			for _, t := range slices.Sorted(maps.Keys(info.Rows)) {
				fmt.Fprintf(tw, "%s\t%d\t%d\n", t, info.Rows[t], info.Bytes[t])
			}
			return tw.Flush()
		},
	}
	inspect.Flags().BoolVar(&rows, "rows", false, "print every row as JSON; secrets are left out")
	cmd.AddCommand(inspect)
	return cmd
}

// rowJSON is a row as one line of JSON, without its bytes fields: they hold
// password hashes and sealed credentials.
func rowJSON(row proto.Message) ([]byte, error) {
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(schema.WithoutSecrets(row))
}
