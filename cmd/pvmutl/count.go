package main

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"
)

// countValue is the value of /c: how many machines, 1 or more; 0 while it
// isn't given. It implements pflag.Value.
type countValue int32

var errCount = errors.New("it takes a whole number of 1 or more")

// Set implements pflag.Value.
func (c *countValue) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return errCount
	}
	*c = countValue(n)
	return nil
}

// String implements pflag.Value.
func (c *countValue) String() string { return strconv.Itoa(int(*c)) }

// Type implements pflag.Value.
func (c *countValue) Type() string { return "N" }

// countOption gives a command the option /c. It and the argument with this
// index, called name, exclude each other.
func countOption(cmd *cobra.Command, index int, name string) *countValue {
	count := new(countValue)
	cmd.Flags().Var(count, "count", "how many machines, default 1; not together with "+name)
	slash(cmd, "count", "c")
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if *count > 0 && len(args) > index {
			return usagef(cmd, "%s and /c exclude each other; leave one of them out", name)
		}
		return nil
	}
	return count
}
