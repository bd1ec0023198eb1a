package storagecli

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"yagura/drivers/internal/command"
)

// run runs a command and returns what it printed. The token, if there is one,
// is in its environment as STORAGE_TOKEN, for a tool that keeps a journal.
func (d *Driver) run(ctx context.Context, token string, words []string) (string, error) {
	words = slices.Clone(words)
	if d.bin != "" && !strings.ContainsRune(words[0], '/') {
		words[0] = filepath.Join(d.bin, words[0])
	}
	tool := d.tool
	tool.Env = append(slices.Clip(tool.Env), "STORAGE_TOKEN="+token)
	return tool.Run(ctx, append(slices.Clone(d.via), words...))
}

// makeTool says how the family's tools are run.
func (c Config) makeTool(s *settings) command.Tool {
	return command.Tool{
		Env: command.Environ("STORAGE_USER="+c.User, "STORAGE_PASSWORD="+c.Password), Timeout: s.timeout,
		Secret: c.Password, Hint: "set option bin to the folder of the tools",
	}
}
