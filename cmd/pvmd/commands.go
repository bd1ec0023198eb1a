package main

import "github.com/spf13/cobra"

// commands is THE list of commands.
func commands() []*cobra.Command {
	return []*cobra.Command{
		newServeCmd(),
		newDemoCmd(),
		newSimCmd(),
		newTLSCmd(),
		newSnapshotCmd(),
		newLogCmd(),
		newVersionCmd(),
	}
}
