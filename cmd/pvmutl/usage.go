package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError is a malformed command line: exit code 1, with the command's usage.
type usageError struct {
	cmd     *cobra.Command
	message string
}

func usagef(cmd *cobra.Command, format string, args ...any) *usageError {
	message := fmt.Sprintf(format, args...)
	if cmd.HasParent() {
		message = commandName(cmd) + ": " + message
	}
	return &usageError{cmd, message}
}

// flagError is what is wrong with an option.
func flagError(cmd *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return usagef(cmd, "%v", err)
	}
	return usagef(cmd, "option %s can't be %q: %v", optionName(bad.GetFlag()), bad.GetValue(), errors.Unwrap(bad))
}

// optionName is how an option is called in messages: as in the manual where it
// has a name there.
func optionName(f *pflag.Flag) string {
	if names := f.Annotations[slashNames]; len(names) > 0 {
		return "/" + names[0] + " (--" + f.Name + ")"
	}
	return "--" + f.Name
}

func (e *usageError) Error() string { return e.message }

// help is what follows the message: how the command is written.
func (e *usageError) help() string {
	var b strings.Builder
	if e.cmd.Runnable() && e.cmd.HasParent() {
		fmt.Fprintf(&b, "usage: %s\n", e.cmd.UseLine())
	}
	if example, _, _ := strings.Cut(strings.TrimSpace(e.cmd.Example), "\n"); example != "" {
		fmt.Fprintf(&b, "example: %s\n", example)
	}
	fmt.Fprintf(&b, "more: %s\n", strings.TrimSpace("pvmutl help "+commandName(e.cmd)))
	return b.String()
}

// commandName is the words of a command without the program's name.
func commandName(cmd *cobra.Command) string {
	_, name, _ := strings.Cut(cmd.CommandPath(), " ")
	return name
}

// positional checks the arguments of a command against their names in the
// usage: "GroupName" is required, "HostName?" may be left out, and "HostName..."
// may come any number of times.
func positional(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		for i, arg := range args {
			if arg == "" {
				return usagef(cmd, "argument %d is empty", i+1)
			}
		}
		for i, name := range names {
			if strings.HasSuffix(name, "...") {
				return nil
			}
			if i >= len(args) {
				if strings.HasSuffix(name, "?") {
					return nil
				}
				return usagef(cmd, "%s is missing", name)
			}
		}
		if len(args) > len(names) {
			return usagef(cmd, "unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// optional gives argument i, or "" when it was left out.
func optional(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

// family makes a command that only holds others, such as "job".
func family(name, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			words := make([]string, len(commands))
			for i, c := range commands {
				words[i] = c.Name()
			}
			list := strings.Join(words, ", ")
			if len(args) == 0 {
				return usagef(cmd, "say which: %s", list)
			}
			return usagef(cmd, "there is no %q; known are %s", args[0], list)
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}
