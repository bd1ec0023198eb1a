package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"yagura/drivers/sim"
)

// TestSimCtl runs the control commands as an operator types them.
func TestSimCtl(t *testing.T) {
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
	for _, c := range []struct {
		line string
		code int
	}{
		{"host-down esx02", 0},
		{"host-down esx03 --bmc-too", 0},
		{"host-up esx03", 0},
		{"delay register 2s", 0},
		{"delay relocate 1500ms", 0},
		{"fail clone --times 2", 0},
		{"load esx01 80", 0},
		{"load web01 80%", 0},
		{"alarm web01 heartbeat green red", 0},
		{"alarm esx01 connection green gray", 0},
		{"status", 0},
		{"status -o json", 0},
		{"clear", 0},
		{"host-down esx99", 2},
		{"host-down", 2},
		{"delay teleport 2s", 2},
		{"delay clone soon", 2},
		{"fail clone --times -1", 2},
		{"fail clone --often", 2},
		{"load web01 lots", 2},
		{"status -o xml", 2},
		{"alarm web01 heartbeat green", 2},
		{"alarm web01 heartbeat green blue", 2},
		{"alarm web01 heartbeat red red", 2},
		{"alarm web01 connection green red", 2},
		{"alarm web99 heartbeat green red", 2},
		{"load web01 101", 2},
		{"status --state-dir elsewhere", 1},
	} {
		if got := run(ctx, append([]string{"sim", "ctl"}, strings.Fields(c.line)...)); got != c.code {
			t.Errorf("sim ctl %s: exit code %d, want %d", c.line, got, c.code)
		}
	}
}

// TestSimServes runs the simulator itself until it is interrupted.
func TestSimServes(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	serving, interrupt := context.WithCancel(ctx)
	code := make(chan int, 1)
	go func() {
		code <- run(serving, []string{"sim", "--state-dir", dir, "--address", "127.0.0.1:0", "--control", "127.0.0.1:0", "--bmc-port", "0", "--switch-address", "127.0.0.1:0"})
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(dir + "/sim.json"); err == nil {
			break
		}
		select {
		case got := <-code:
			t.Fatalf("ended with %d", got)
		case <-ctx.Done():
			t.Fatal("it never answered")
		case <-tick.C:
		}
	}
	if got := run(ctx, []string{"sim", "ctl", "--state-dir", dir, "status"}); got != 0 {
		t.Errorf("status: exit code %d", got)
	}
	interrupt()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d after an interrupt", got)
	}
	for _, bad := range []string{"--address 0.0.0.0:1", "--world none.yaml", "--ca-cert x.pem"} {
		args := append([]string{"sim", "--state-dir", dir}, strings.Fields(bad)...)
		if got := run(ctx, args); got != 2 {
			t.Errorf("sim %s: exit code %d, want 2", bad, got)
		}
	}
}
