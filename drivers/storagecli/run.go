package storagecli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
)

const (
	maxOutput  = 16 << 20 // bytes that a command may print
	maxMessage = 300      // bytes of its words that go into an error
	// waitDelay is how long a killed command's pipes are waited for.
	waitDelay = 2 * time.Second
)

// errStart marks a command that didn't run at all.
type errStart struct{ error }

func (e errStart) Unwrap() error { return e.error }

// errExit marks a command that ended by itself, with an exit code other than 0.
type errExit struct{ error }

func (e errExit) Unwrap() error { return e.error }

// run runs a command and returns what it printed. The token, if there is one,
// is in its environment as STORAGE_TOKEN, for a tool that keeps a journal.
func (d *Driver) run(ctx context.Context, token string, words []string) (string, error) {
	name := words[0]
	if d.bin != "" && !strings.ContainsRune(name, '/') {
		name = filepath.Join(d.bin, name)
	}
	words = append([]string{name}, words[1:]...)
	if len(d.via) > 0 {
		words = append(append([]string{}, d.via...), words...)
	}
	if err := ctx.Err(); err != nil {
		return "", errStart{err}
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	var out, diag bounded
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(slices.Clip(d.env), "STORAGE_TOKEN="+token)
	cmd.Stdout, cmd.Stderr = &out, &diag
	// A process group of its own, so that what the tool started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = waitDelay
	if err := cmd.Start(); err != nil {
		return "", errStart{fmt.Errorf("%s doesn't run: %w; set option bin to the folder of the tools", words[0], err)}
	}
	err := cmd.Wait()
	said := d.clean(strings.TrimSpace(diag.String()) + " " + out.String())
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s was ended after its time: %w", words[0], ctx.Err())
	case out.over:
		return "", fmt.Errorf("%s printed more than %d bytes", words[0], maxOutput)
	case errors.As(err, &exit):
		return "", errExit{fmt.Errorf("%s ended with code %d: %s", words[0], exit.ExitCode(), said)}
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

// clean makes a tool's words fit for an error: one line, short, no password.
func (d *Driver) clean(s string) string {
	s = s[:min(len(s), 100*maxMessage)]
	if d.cfg.Password != "" {
		s = strings.ReplaceAll(s, d.cfg.Password, "***")
	}
	return clip(s)
}

func clip(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return s
}

// environment is that of the manager without its own settings, with the
// array's credentials, in the language whose output is read.
func (c Config) environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PVM") && !strings.HasPrefix(v, "LC_") && !strings.HasPrefix(v, "LANG") {
			env = append(env, v)
		}
	}
	return append(env, "LC_ALL=C", "STORAGE_USER="+c.User, "STORAGE_PASSWORD="+c.Password)
}
