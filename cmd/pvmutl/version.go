package main

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"yagura/rpc/apierr"
)

// version is stamped by the build.
var version = "unknown"

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this command",
		Example: "pvmutl version",
		Args:    positional(),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.stdout, "pvmutl %s (%s %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// helpCommand is cobra's, but for an unknown topic being an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Explain a command",
		Example: "pvmutl help vmadd",
		GroupID: groupSelf,
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef(cmd.Root(), "there is no command or topic %q", strings.Join(args, " "))
			}
			return topic.Help()
		},
	}
}

// exitCodesTopic is a help text without a command: the exit codes, from the
// table that gives them.
func exitCodesTopic() *cobra.Command {
	kindsOf := map[int][]string{}
	for _, k := range apierr.Kinds() {
		code := apierr.Lookup(k).Exit
		kindsOf[code] = append(kindsOf[code], string(k))
	}
	var b strings.Builder
	b.WriteString("Exit codes: 0 is success, all others tell the kind of failure.\n\n    0  success\n")
	for _, code := range slices.Sorted(maps.Keys(kindsOf)) {
		fmt.Fprintf(&b, "  %3d  %s\n", code, strings.Join(kindsOf[code], ", "))
	}
	fmt.Fprintf(&b, "  %3d  interrupted by Ctrl-C; jobs go on\n", exitInterrupted)
	b.WriteString(`
1 to 16 are the manual's [3.2.1]; 1 is a malformed command line as well.

A command that starts several jobs queues all of them or none. It waits for all,
reports each, and ends with the code of the first job in the report that didn't
succeed: 7 when steps of it ran, else the code of what it lacked. With --no-wait
it ends with 0 once the jobs are queued; "pvmutl job wait" gives the code later.`)
	return &cobra.Command{Use: "exit-codes", Short: "Exit codes that scripts may rely on", Long: b.String()}
}
