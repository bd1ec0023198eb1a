// Command pvmutl is Yagura's command line, for operators and for scripts.
//
// It speaks the grammar of the manual's pvmutl (chapter 3.2: "/VMS esx01",
// category, group and model joined by ¥) and conventional options side by
// side, prints tables, JSON or YAML, and ends with the manual's exit codes.
// commands.go is the list of commands; DESIGN.md says why it is built so.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"yagura/fsm/schema"
	"yagura/rpc/apierr"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	a := &app{
		stdin:      os.Stdin,
		stdout:     os.Stdout,
		stderr:     os.Stderr,
		getenv:     os.Getenv,
		configDir:  os.UserConfigDir,
		stdinTTY:   term.IsTerminal(int(os.Stdin.Fd())),
		stderrTTY:  term.IsTerminal(int(os.Stderr.Fd())),
		width:      terminalWidth,
		readSecret: readSecret,
	}
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func terminalWidth() int {
	width, _, err := term.GetSize(int(os.Stderr.Fd()))
	if err != nil || width < 20 {
		return 80
	}
	return width
}

// readSecret reads a line from the terminal without showing it.
func readSecret() (string, error) {
	text, err := term.ReadPassword(int(os.Stdin.Fd()))
	return string(text), err
}

// app is one run of the command: its surroundings and its options.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	configDir      func() (string, error)
	stdinTTY       bool // somebody can answer a question
	stderrTTY      bool // somebody watches progress
	width          func() int
	readSecret     func() (string, error)

	options options
	started bool // the command line was well-formed
}

// Exit codes that no error kind has.
const (
	exitUsage       = 1   // as schema.KindInvalid
	exitInterrupted = 130 // by Ctrl-C, as shells have it
)

// run carries out one command line and gives the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := newRoot(a)
	for _, arg := range args {
		if !utf8.ValidString(arg) {
			return a.report(ctx, usagef(root, "argument %q is not UTF-8 text", arg))
		}
	}
	args, err := expandSlash(root, args)
	if err == nil {
		root.SetArgs(args)
		var cmd *cobra.Command
		cmd, err = root.ExecuteContextC(ctx)
		if err != nil && !a.started && !errors.As(err, new(*usageError)) {
			err = usagef(cmd, "%v", err) // cobra's own checks
		}
	}
	return a.report(ctx, err)
}

// report prints an error to stderr and gives its exit code: that of its kind
// in the one table (rpc/apierr).
func (a *app) report(ctx context.Context, err error) int {
	switch err := err.(type) {
	case nil:
		return 0
	case *usageError:
		fmt.Fprintf(a.stderr, "pvmutl: %s\n%s", clean(err.message), err.help())
		return exitUsage
	case *reportedError:
		return err.code
	}
	if ctx.Err() != nil {
		fmt.Fprintln(a.stderr, "pvmutl: interrupted")
		return exitInterrupted
	}
	a.complain("%s", err)
	return apierr.ExitCode(err)
}

// complain prints one error line to stderr.
func (a *app) complain(format string, args ...any) {
	fmt.Fprintf(a.stderr, "pvmutl: %s\n", clean(fmt.Sprintf(format, args...)))
}

// reportedError is an error that the user has read already.
type reportedError struct{ code int }

func (e *reportedError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// confirm asks a yes-or-no question, which /y answers beforehand. Without a
// terminal nobody could answer: that is a malformed call.
func (a *app) confirm(question, object string) error {
	if !a.stdinTTY {
		return schema.Errorf(schema.KindInvalid, object, "the change has to be confirmed and this is no terminal").
			WithHint("add /y to confirm it")
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	var answer string
	if _, err := fmt.Fscanln(a.stdin, &answer); err != nil {
		answer = ""
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return nil
	}
	return schema.Errorf(schema.KindInvalid, object, "not confirmed, nothing was changed")
}
