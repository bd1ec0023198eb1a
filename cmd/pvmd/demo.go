package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yagura/deploy/testbed"
	"yagura/drivers/sim"
)

// demoTime bounds the start of the demo.
const demoTime = 60 * time.Second

// newDemoCmd starts and stops the demo: three managers on 127.0.0.11 to .13
// and the simulated datacenter on 127.0.0.21 and up.
func newDemoCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "demo", Short: "three managers and a simulated datacenter on this machine"}
	var dir string
	up := &cobra.Command{
		Use:   "up",
		Short: "start the demo; managers of a running demo that have died are started again",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bed, err := demoBed(dir)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), demoTime)
			defer cancel()
			return demoUp(ctx, bed, cmd.OutOrStdout())
		},
	}
	down := &cobra.Command{
		Use:   "down",
		Short: "stop the demo; its logs stay",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bed, err := demoBed(dir)
			if err != nil {
				return err
			}
			ran, err := bed.StopAll()
			if len(ran) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "no demo runs")
			} else {
				fmt.Fprintln(cmd.OutOrStdout(), "stopped", strings.Join(ran, ", "))
			}
			return err
		},
	}
	cmd.PersistentFlags().StringVar(&dir, "dir", sim.DemoStateDir, "directory of the demo's state")
	cmd.AddCommand(up, down)
	return cmd
}

func demoBed(dir string) (*testbed.Bed, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	bed, err := testbed.New(dir, self, 3, 11)
	if err != nil {
		return nil, err
	}
	bed.Detach = true
	return bed, nil
}

// demoUp starts what doesn't run. A demo of which nothing runs begins anew:
// the simulated datacenter keeps no state, so neither does its cluster.
func demoUp(ctx context.Context, bed *testbed.Bed, out io.Writer) error {
	fresh := !bed.Running("sim")
	for _, n := range bed.Nodes {
		fresh = fresh && !bed.Running(n.ID)
	}
	if fresh {
		if err := clearDemo(bed.Dir); err != nil {
			return err
		}
		if err := bed.Prepare(); err != nil {
			return err
		}
		if err := bed.WriteEnv(); err != nil {
			return err
		}
	}
	if err := startDemo(ctx, bed, out); err != nil {
		if fresh {
			_, stopErr := bed.StopAll()
			err = errors.Join(err, stopErr)
		}
		return fmt.Errorf("the demo didn't start: %w\nthe logs are %s/*.log; `pvmd demo down` stops what is left", err, bed.Dir)
	}
	return nil
}

func startDemo(ctx context.Context, bed *testbed.Bed, out io.Writer) error {
	if err := bed.StartSim(); err != nil {
		return err
	}
	for i := range bed.Nodes {
		if err := bed.StartNode(i); err != nil {
			return err
		}
	}
	if _, err := bed.AwaitSim(ctx); err != nil {
		return err
	}
	leader, err := bed.Leader(ctx)
	if err != nil {
		return fmt.Errorf("%w\nlast lines of node1.log:\n%s", err, bed.LogTail("node1", 5))
	}
	fmt.Fprintf(out, "three managers run; %s leads\n", bed.Nodes[leader].ID)
	// A start that was interrupted left no mark; loading again changes nothing
	// that is there.
	mark := bed.Path("loaded")
	if _, err := os.Stat(mark); errors.Is(err, fs.ErrNotExist) {
		if err := bed.LoadDemo(ctx, out); err != nil {
			return err
		}
		if err := os.WriteFile(mark, nil, 0o644); err != nil {
			return err
		}
	}
	if err := bed.Settled(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, `
Type next:
  source %[1]s/env
  bin/pvmutl node list
  bin/pvmutl list group
  bin/pvmutl get machine
  bin/pvmd sim ctl host-down esx02
  snmpinform -v2c -c public %[2]s:10162 '' 1.3.6.1.4.1.119.2.2.4.4.0.1 \
    1.3.6.1.4.1.119.2.2.4.4.100.1 s ESMDSVNT 1.3.6.1.4.1.119.2.2.4.4.100.2 s 0xC0000002 1.3.6.1.4.1.119.2.2.4.4.100.3 s esx02
  bin/pvmutl event list
  bin/pvmutl job list
A database server whose machine dies, management controller and all:
  bin/pvmd sim ctl host-down ph01 --bmc-too
  snmpinform -v2c -c public %[2]s:10162 '' 1.3.6.1.4.1.119.2.2.4.4.0.1 \
    1.3.6.1.4.1.119.2.2.4.4.100.1 s ESMDSVNT 1.3.6.1.4.1.119.2.2.4.4.100.2 s 0xC0000002 1.3.6.1.4.1.119.2.2.4.4.100.3 s db01
  bin/pvmutl list server shop/db
  bin/pvmutl job list; bin/pvmutl job show ID
Kill the leader in between: kill -9 $(cat %[1]s/%[3]s.pid). Stop it all: make demo-down
`, relative(bed.Dir), bed.Nodes[1].IP, bed.Nodes[leader].ID)
	return nil
}

// clearDemo removes an earlier demo's state, and nothing that isn't one's.
func clearDemo(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, "env")); err != nil {
			return fmt.Errorf("%s holds something that isn't a demo; nothing was deleted", dir)
		}
	}
	return os.RemoveAll(dir)
}

// relative is a path as a person in this directory would type it.
func relative(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if r, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(r, "..") {
		return r
	}
	return path
}
