package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"yagura/fsm"
)

func newVersionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "pvmd %s (feature level %d, %s, %s/%s)\n", version, fsm.MaxFeature, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
