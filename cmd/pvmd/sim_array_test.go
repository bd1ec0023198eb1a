package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"yagura/drivers/sim"
)

// TestSimArray runs the array's tool as storage-cli does.
func TestSimArray(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := sim.Start(ctx, sim.Config{StateDir: sim.DemoStateDir, BootTime: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	i := sim.Initiator("ph03")
	for _, c := range []struct {
		line string
		code int
	}{
		{"array list", 0},
		{"array list --array array1", 0},
		{"array disconnect db01-data " + sim.Initiator("ph01"), 0},
		{"array connect db01-data " + i, 0},
		{"array connect db01-data " + i, 0},
		{"array connect db01-data", 2},
		{"array connect db99-data " + i, 2},
		{"array list --array array9", 2},
		{"array list --state-dir elsewhere", 1},
		{"ctl status", 0},
		{"ctl host-down array1", 0},
		{"array list", 1},
		{"array connect db01-data " + i, 1},
		{"ctl host-up array1", 0},
		{"ctl host-down lb1", 0},
		{"ctl clear", 0},
		{"ctl fail connect", 0},
		{"array connect db02-data " + i, 1},
	} {
		if got := run(ctx, append([]string{"sim"}, strings.Fields(c.line)...)); got != c.code {
			t.Errorf("sim %s: exit code %d, want %d", c.line, got, c.code)
		}
	}
	list, err := s.ArrayList("array1")
	if err != nil || !strings.Contains(list, "connected db01-data "+i+"\n") || strings.Contains(list, "session db01-data "+i) || strings.Contains(list, "db01-data "+sim.Initiator("ph01")) {
		t.Errorf("the array has %q, %v", list, err)
	}
}
