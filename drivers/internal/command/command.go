// Package command runs the command-line tools of other systems for drivers:
// without a shell, with limits on time and output, and so that nothing of a
// tool outlives its call.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"
)

const (
	maxOutput  = 16 << 20 // bytes that a tool may print
	maxMessage = 300      // bytes of its words that go into an error
	// waitDelay is how long a killed tool's pipes are waited for.
	waitDelay = 2 * time.Second
)

// Tool says how a tool is run.
type Tool struct {
	Env     []string // its whole environment; see Environ
	Timeout time.Duration
	Secret  string // never in an error; may be empty
	Hint    string // what to do when the tool can't be found
}

// NotStarted is the error of a tool that didn't run at all.
type NotStarted struct{ Err error }

func (e *NotStarted) Error() string { return e.Err.Error() }
func (e *NotStarted) Unwrap() error { return e.Err }

// Exit is the error of a tool that ended by itself, with an exit code other than 0.
type Exit struct {
	Program string
	Code    int
	Said    string // its words, short and in one line
}

func (e *Exit) Error() string {
	return fmt.Sprintf("%s ended with code %d: %s", e.Program, e.Code, e.Said)
}

// Run runs a program with words and returns what it printed. The error is a
// *NotStarted, an *Exit, or of another type when the tool was ended in the
// middle of its work.
func (t Tool) Run(ctx context.Context, words []string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", &NotStarted{err}
	}
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	var out, diag bounded
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = t.Env, &out, &diag
	// A process group of its own, so that what the tool started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = waitDelay
	if err := cmd.Start(); err != nil {
		return "", &NotStarted{fmt.Errorf("%s doesn't run: %w; %s", words[0], err, t.Hint)}
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s was ended after its time: %w", words[0], ctx.Err())
	case out.over:
		return "", fmt.Errorf("%s printed more than %d bytes", words[0], maxOutput)
	case errors.As(err, &exit):
		return "", &Exit{Program: words[0], Code: exit.ExitCode(), Said: t.clean(strings.TrimSpace(diag.String()) + " " + out.String())}
	case err != nil:
		return "", fmt.Errorf("%s: %w", words[0], err)
	}
	return out.String(), nil
}

// bounded keeps the first maxOutput bytes that are written to it.
type bounded struct {
	buf  bytes.Buffer
	over bool
}

func (b *bounded) String() string { return b.buf.String() }

func (b *bounded) Write(p []byte) (int, error) {
	if room := maxOutput - b.buf.Len(); len(p) > room {
		b.over = true
		b.buf.Write(p[:room])
		return 0, io.ErrShortWrite
	}
	return b.buf.Write(p)
}

// clean makes a tool's words fit for an error: one line, short, no secret.
func (t Tool) clean(s string) string {
	s = s[:min(len(s), 100*maxMessage)]
	if t.Secret != "" {
		s = strings.ReplaceAll(s, t.Secret, "***")
	}
	return Clip(s)
}

// Clip makes words of another system fit for an error: one line, short.
func Clip(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return s
}

// Environ is the environment of the manager without its own settings, in the
// language whose output is read.
func Environ(more ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PVM") && !strings.HasPrefix(v, "LC_") && !strings.HasPrefix(v, "LANG") {
			env = append(env, v)
		}
	}
	return append(append(env, "LC_ALL=C"), more...)
}
