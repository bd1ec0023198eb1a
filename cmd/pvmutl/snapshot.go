package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"yagura/rpc/client"
)

func snapshotCommand(a *app) *cobra.Command {
	return family("snapshot", "Save a backup of the cluster's state, restore one",
		snapshotSaveCommand(a), snapshotRestoreCommand(a))
}

func snapshotSaveCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "save FILE",
		Short: "Save an online backup",
		Long: `Save the state of the cluster while it works. FILE is written whole or not at
all; "-" writes to standard output. It holds the encrypted credentials of other
systems and is readable by you alone.`,
		Example: "pvmutl snapshot save /backup/yagura.snap",
		Args:    positional("FILE"),

		Annotations: map[string]string{takesFiles: "yes"},
		RunE: a.online(func(ctx context.Context, c *client.Client, args []string) error {
			if args[0] == "-" {
				return c.SaveSnapshot(ctx, a.stdout)
			}
			err := replaceFile(args[0], func(f *os.File) error { return c.SaveSnapshot(ctx, f) })
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s: saved\n", args[0])
			return err
		}),
	}
}

func snapshotRestoreCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE [--yes]",
		Short: "Replace the state of the whole cluster by a backup",
		Long: `Replace the state of the whole cluster by a backup; all that changed since is
lost. A damaged file changes nothing. "-" reads standard input. On a terminal it
asks first, unless --yes is given.`,
		Example: "pvmutl snapshot restore /backup/yagura.snap --reason drill",
		Args:    positional("FILE"),

		Annotations: map[string]string{takesFiles: "yes"},
	}
	yes := cmd.Flags().BoolP("yes", "y", false, "don't ask")
	cmd.RunE = a.online(func(ctx context.Context, c *client.Client, args []string) error {
		var in io.Reader = a.stdin
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return fileError(args[0], err)
			}
			defer f.Close()
			in = f
			if a.stdinTTY && !*yes {
				if err := a.confirm("Replace the state of the whole cluster by "+args[0]+"?", args[0]); err != nil {
					return err
				}
			}
		}
		if err := c.RestoreSnapshot(ctx, in); err != nil {
			return err
		}
		_, err := fmt.Fprintln(a.stdout, "restored")
		return err
	})
	return cmd
}
