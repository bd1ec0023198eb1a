package command

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	ctx := context.Background()
	tool := Tool{Env: Environ("X=y"), Timeout: time.Minute, Secret: "s3cret", Hint: "look elsewhere"}
	if out, err := tool.Run(ctx, []string{"sh", "-c", `echo "$X $0"; echo noise >&2`, "a b"}); err != nil || out != "y a b\n" {
		t.Errorf("%q, %v", out, err)
	}
	var exit *Exit
	_, err := tool.Run(ctx, []string{"sh", "-c", "echo no; echo s3cret >&2; exit 7"})
	if !errors.As(err, &exit) || exit.Code != 7 || exit.Said != "*** no" {
		t.Errorf("exit: %v", err)
	}
	_, err = tool.Run(ctx, []string{"sh", "-c", "yes word | head -n 10000 >&2; exit 1"})
	if err == nil || len(err.Error()) > 2*maxMessage || strings.Contains(err.Error(), "\n") {
		t.Errorf("many words: %v", err)
	}
	var never *NotStarted
	if _, err := tool.Run(ctx, []string{"/no/such/tool"}); !errors.As(err, &never) || !strings.Contains(err.Error(), "look elsewhere") {
		t.Errorf("no tool: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := tool.Run(ended, []string{"true"}); !errors.As(err, &never) {
		t.Errorf("ended context: %v", err)
	}
}

func TestLimits(t *testing.T) {
	ctx := context.Background()
	tool := Tool{Env: Environ(), Timeout: 50 * time.Millisecond}
	begin := time.Now()
	// The shell's child holds the pipe: it ends too, or Run would wait for it.
	_, err := tool.Run(ctx, []string{"sh", "-c", "sleep 1000 & wait"})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > waitDelay {
		t.Errorf("a tool that hangs: %v after %s", err, time.Since(begin))
	}
	tool.Timeout = time.Minute
	if _, err := tool.Run(ctx, []string{"yes"}); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a tool that floods: %v", err)
	}
}

func TestEnvironHasNoSettingsOfTheManager(t *testing.T) {
	t.Setenv("PVMD_SECRET", "x")
	t.Setenv("LANG", "ja_JP.UTF-8")
	t.Setenv("TOOL_SETTING", "kept")
	env := Environ()
	if slices.Contains(env, "PVMD_SECRET=x") || slices.Contains(env, "LANG=ja_JP.UTF-8") || !slices.Contains(env, "TOOL_SETTING=kept") || !slices.Contains(env, "LC_ALL=C") {
		t.Errorf("%v", env)
	}
}
