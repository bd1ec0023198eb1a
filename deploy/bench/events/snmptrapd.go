package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"yagura/deploy/bench/peer"
	"yagura/deploy/bench/trapload"
)

// Account of the SNMPv3 notifications, and the engine that sends them.
const (
	v3User   = "bench"
	v3Auth   = "benchmark-auth"
	v3Priv   = "benchmark-priv"
	v3Engine = "80001f8804796167757261"
)

// daemon is net-snmp's snmptrapd, which logs each notification to a file.
type daemon struct {
	cmd  *exec.Cmd
	addr string
	log  string
}

func startDaemon(ctx context.Context, dir string) (*daemon, error) {
	d := &daemon{addr: "127.0.0.51:10162", log: filepath.Join(dir, "snmptrapd.log")}
	conf := filepath.Join(dir, "snmptrapd.conf")
	text := fmt.Sprintf("disableAuthorization yes\nformat2 %%V %%v\\n\ncreateUser -e 0x%s %s SHA %s AES %s\n", v3Engine, v3User, v3Auth, v3Priv)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	d.cmd = exec.Command("snmptrapd", "-f", "-C", "-c", conf, "-On", "-n", "-m", "", "-Lf", d.log, "-p", filepath.Join(dir, "snmptrapd.pid"), "udp:"+d.addr)
	d.cmd.Env = append(os.Environ(), "MIBS=", "SNMP_PERSISTENT_DIR="+dir)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("snmptrapd doesn't start (apt: snmptrapd): %w", err)
	}
	for range 100 {
		r, err := informs(ctx, []string{d.addr}, 1, time.Millisecond)
		if err != nil {
			d.stop()
			return nil, err
		}
		if r.Count > 0 {
			return d, nil
		}
		peer.Pause(ctx, 50*time.Millisecond)
	}
	d.stop()
	return nil, fmt.Errorf("snmptrapd doesn't answer on %s", d.addr)
}

func (d *daemon) stop() {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait() // its error says that it was killed
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// logged counts the notifications in the log, once it has stopped growing.
func (d *daemon) logged(ctx context.Context) (int, error) {
	last, same := -1, 0
	for same < 5 && ctx.Err() == nil {
		f, err := os.Open(d.log)
		if err != nil {
			return 0, err
		}
		n, err := countLines(f)
		f.Close()
		if err != nil {
			return 0, err
		}
		if n == last {
			same++
		} else {
			last, same = n, 0
		}
		peer.Pause(ctx, 100*time.Millisecond)
	}
	return last, ctx.Err()
}

// countLines counts the lines that tell of the trap.
func countLines(r io.Reader) (int, error) {
	n, buf, rest := 0, make([]byte, 1<<20), []byte(nil)
	for {
		k, err := r.Read(buf)
		data := append(rest, buf[:k]...)
		end := bytes.LastIndexByte(data, '\n') + 1
		n += bytes.Count(data[:end], []byte(trapload.TrapOID))
		rest = bytes.Clone(data[end:])
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}
