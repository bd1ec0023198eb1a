package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yagura/node"
)

const (
	// shutdownTime bounds a manager's orderly end.
	shutdownTime = 15 * time.Second
	// Collecting garbage took a third of a busy manager's processor time at
	// Go's default of 100 percent. Most of the heap is rows that stay, so it
	// may grow further before a collection, up to the limit; above that the
	// collector works as hard as it must. GOGC and GOMEMLIMIT still count.
	gcPercent   = 400
	memoryLimit = 180 << 20
)

// newServeCmd runs a manager. Every key of the file is a flag, too
// (raft.heartbeat_timeout is --raft-heartbeat-timeout), and a variable
// (PVMD_RAFT_HEARTBEAT_TIMEOUT). A flag wins over a variable, and a variable
// over the file.
func newServeCmd() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "run a manager",
		Long: `Run a manager with the settings of a configuration file. Each flag is a key of
the file as well (--raft-log: the key log below raft) and a variable
(PVMD_RAFT_LOG); a flag wins over a variable, and a variable over the file.`,
		Example: "  pvmd serve -c /etc/yagura/pvmd.yaml\n  PVMD_LOG_LEVEL=debug pvmd serve -c pvmd.yaml --bind 192.0.2.11",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file (YAML)")
	keys := configKeys(reflect.TypeFor[node.Config](), "")
	for _, k := range keys {
		cmd.Flags().String(flagName(k), "", keyHelp(k))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg := node.DefaultConfig()
		if file != "" {
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := cfg.ParseConfig(data); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		for _, k := range keys {
			if v, ok := os.LookupEnv(envName(k)); ok {
				if err := cfg.Set(k, v); err != nil {
					return fmt.Errorf("%s: %w", envName(k), err)
				}
			}
		}
		for _, k := range keys {
			if f := cmd.Flags().Lookup(flagName(k)); f.Changed {
				if err := cfg.Set(k, f.Value.String()); err != nil {
					return fmt.Errorf("--%s: %w", f.Name, err)
				}
			}
		}
		return serve(cmd.Context(), cfg)
	}
	return cmd
}

// tuneMemory sets the collector unless the environment does.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}

func serve(ctx context.Context, cfg node.Config) error {
	tuneMemory()
	level, err := node.ParseLevel(cfg.LogLevel)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	slog.SetDefault(log)
	cfg.Log, cfg.Version = log, version
	n, err := node.Start(ctx, cfg)
	if err != nil {
		return err
	}
	<-ctx.Done()
	log.Info("stopping on a signal")
	end, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	return n.Shutdown(end)
}

// configKeys lists the keys of the configuration file that hold one value or
// a list of texts, from the yaml tags of its type.
func configKeys(t reflect.Type, prefix string) []string {
	var keys []string
	for f := range fields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if tag == "" || tag == "-" {
			continue
		}
		switch {
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, configKeys(f.Type, prefix+tag+".")...)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() != reflect.String:
			// A list of records, such as SNMPv3 users, belongs in the file.
		default:
			keys = append(keys, prefix+tag)
		}
	}
	return keys
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

var separators = strings.NewReplacer(".", "-", "_", "-")

func flagName(key string) string { return separators.Replace(key) }

func envName(key string) string {
	return "PVMD_" + strings.ToUpper(strings.ReplaceAll(flagName(key), "-", "_"))
}
