// Command pvmd is the manager daemon of Yagura, with the tools that belong to
// it: the simulated datacenter, the demo, certificates, and offline looks into
// snapshots and logs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is stamped by the build.
var version = "unknown"

// usageError is a command line that can't be understood; it exits with 2.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	root := newRootCmd()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "pvmd:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:           "pvmd",
		Short:         "the manager daemon of Yagura, and its tools",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(commands()...)
	plainArgs(root)
	return root
}

// plainArgs makes the errors of all commands about their arguments say what the
// command wants.
func plainArgs(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		plainArgs(sub)
	}
	if !cmd.Runnable() { // else a mistyped subcommand would print help and succeed
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	check := cmd.Args
	if check == nil {
		check = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		switch {
		case err == nil, errors.As(err, new(usageError)):
			return err
		case cmd.HasSubCommands() && len(args) > 0:
			return usageError{fmt.Errorf("unknown command %q; see %s --help", args[0], cmd.CommandPath())}
		}
		return usageError{fmt.Errorf("want %s; see %s --help", cmd.UseLine(), cmd.CommandPath())}
	}
}
