package runs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"yagura/drivers"
)

// maxAnswer bounds what a shell's answer may be, bytes.
const maxAnswer = 64 << 10

// Path is where programs are looked for on the managers.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Local is the shell of this machine. What it begins outlives this process.
type Local struct{ System string }

// Run implements Shell.
func (l Local) Run(ctx context.Context, script string) (string, int, error) {
	cmd := exec.CommandContext(ctx, "sh", "-s")
	cmd.Env = []string{"PATH=" + Path, "LANG=C.UTF-8"}
	cmd.Stdin = strings.NewReader(script)
	cmd.WaitDelay = time.Second
	out := &Bounded{Max: maxAnswer}
	cmd.Stdout = out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", 0, &drivers.Error{Kind: drivers.KindUnknown, System: l.System, Op: "run", Object: "sh", Err: ctx.Err()}
	case errors.As(err, &exit):
		return out.String(), exit.ExitCode(), nil
	case err != nil:
		return "", 0, &drivers.Error{Kind: drivers.KindRefused, System: l.System, Op: "run", Object: "sh", Err: fmt.Errorf("no shell on this manager: %w", err)}
	}
	return out.String(), 0, nil
}

// Bounded keeps the first Max bytes of what is written to it, and takes the rest.
type Bounded struct {
	bytes.Buffer
	Max int
}

// Write implements io.Writer.
func (b *Bounded) Write(p []byte) (int, error) {
	if room := b.Max - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
