package main

import (
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// slashNames is the flag annotation that holds the manual's spellings of an
// option, without the slash and in lower case.
const slashNames = "slash"

// takesFiles is the annotation of commands whose arguments are paths of files.
const takesFiles = "files"

// slash gives the flag of cmd the manual's spellings beside its conventional
// one: slash(cmd, "vms", "vms") makes /VMS and --vms the same option.
func slash(cmd *cobra.Command, flag string, names ...string) {
	f := cmd.Flags().Lookup(flag)
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[slashNames] = names
}

// slashOptions gives the slash options of cmd by their lower-case names.
func slashOptions(cmd *cobra.Command) map[string]*pflag.Flag {
	options := map[string]*pflag.Flag{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		for _, name := range f.Annotations[slashNames] {
			options[name] = f
		}
	})
	return options
}

// expandSlash rewrites the slash options of the manual's grammar into the
// conventional ones, which cobra then parses: "/VMS esx01" becomes
// "--vms=esx01". Options are matched without regard to case.
//
// Only an argument that begins with a slash is an option: "shop/web" is a
// name. Commands whose arguments are files (takesFiles) have no slash options,
// so that "snapshot save /backup/x" means a file. "/?" asks for help.
func expandSlash(root *cobra.Command, args []string) ([]string, error) {
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return args, nil // the shell asks for completions of an unfinished line
	}
	cmd, _, err := root.Find(args)
	if err != nil || cmd.Annotations[takesFiles] != "" {
		return args, nil // of the errors cobra makes its own
	}
	options := slashOptions(cmd)
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return append(out, args[i:]...), nil
		case arg == "/?":
			out = append(out, "--help")
		case strings.HasPrefix(arg, "-"):
			out = append(out, arg)
			if takesNext(cmd, arg) && i+1 < len(args) {
				i++
				out = append(out, args[i])
			}
		case len(arg) > 1 && arg[0] == '/':
			f, ok := options[strings.ToLower(arg[1:])]
			if !ok {
				return nil, usagef(cmd, "unknown option %s; %s", arg, knownOptions(options))
			}
			if f.NoOptDefVal != "" {
				out = append(out, "--"+f.Name)
				continue
			}
			if i+1 == len(args) || isSlashOption(options, args[i+1]) {
				return nil, usagef(cmd, "option %s needs a value", arg)
			}
			i++
			out = append(out, "--"+f.Name+"="+args[i])
		default:
			out = append(out, arg)
		}
	}
	return out, nil
}

func isSlashOption(options map[string]*pflag.Flag, arg string) bool {
	return strings.HasPrefix(arg, "/") && options[strings.ToLower(arg[1:])] != nil
}

// takesNext tells whether the conventional option arg has its value in the
// next argument, which then is no option of its own.
func takesNext(cmd *cobra.Command, arg string) bool {
	if name, long := strings.CutPrefix(arg, "--"); long {
		f := cmd.Flag(name) // finds nothing for name=value
		return f != nil && f.NoOptDefVal == ""
	}
	for i, letter := range arg[1:] {
		f := shorthand(cmd, string(letter))
		if f == nil {
			return false
		}
		if f.NoOptDefVal == "" { // the rest is its value, or the next argument when there is no rest
			return i+len(string(letter)) == len(arg)-1
		}
	}
	return false
}

func shorthand(cmd *cobra.Command, letter string) *pflag.Flag {
	if len(letter) != 1 { // pflag panics on more than one byte
		return nil
	}
	if f := cmd.Flags().ShorthandLookup(letter); f != nil {
		return f
	}
	return cmd.InheritedFlags().ShorthandLookup(letter)
}

func knownOptions(options map[string]*pflag.Flag) string {
	if len(options) == 0 {
		return "the command has none"
	}
	names := make([]string, 0, len(options))
	for name := range options {
		names = append(names, "/"+name)
	}
	sort.Strings(names)
	return "known are " + strings.Join(names, " ")
}
