package testbed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func newPassword() string { return rand.Text() }

// StartNode starts manager i; one that runs already is left alone.
func (b *Bed) StartNode(i int) error {
	return b.start(b.Nodes[i].ID, b.FirstUID+i, "serve", "-c", b.Config(i))
}

// StartSim starts the simulated datacenter.
func (b *Bed) StartSim() error {
	args := append([]string{"sim", "--state-dir", b.Dir, "--ca-cert", b.Path("ca.pem"), "--ca-key", b.Path("ca.key"), "--password-file", b.Path("sim.password")}, b.SimArgs...)
	return b.start("sim", 0, args...)
}

// start runs pvmd under a name: its pid goes to NAME.pid, what it prints to NAME.log.
// uid counts only when managers run as users of their own.
func (b *Bed) start(name string, uid int, args ...string) error {
	if b.Running(name) {
		return nil
	}
	log, err := os.OpenFile(b.Path(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(b.Bin, args...)
	cmd.Dir = filepath.Dir(b.Dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: b.Detach}
	if !b.Detach {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	if uid != 0 && b.FirstUID != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(b.FirstUID)}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	// A child that ends must be waited for, or its pid stays taken.
	go cmd.Wait()
	return os.WriteFile(b.Path(name+".pid"), []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o644)
}

// Pid is the pid of a process of the bed, 0 when there is none or when the
// pid is another program's by now.
func (b *Bed) Pid(name string) int {
	data, err := os.ReadFile(b.Path(name + ".pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 {
		return 0
	}
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(args), "\x00") || !strings.Contains(string(args), b.Dir) {
		return 0
	}
	return pid
}

// Running tells whether a process of the bed runs.
func (b *Bed) Running(name string) bool { return b.Pid(name) != 0 }

// Signal sends a signal to a process of the bed.
func (b *Bed) Signal(name string, sig syscall.Signal) error {
	pid := b.Pid(name)
	if pid == 0 {
		return fmt.Errorf("%s doesn't run", name)
	}
	return syscall.Kill(pid, sig)
}

// Kill ends a process of the bed with SIGKILL and waits until it is gone.
func (b *Bed) Kill(ctx context.Context, name string) error {
	if err := b.Signal(name, syscall.SIGKILL); err != nil {
		return err
	}
	return b.gone(ctx, name)
}

// gone waits until a process of the bed is gone.
func (b *Bed) gone(ctx context.Context, name string) error {
	for b.Running(name) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s still runs", name)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// StopAll ends all processes of the bed: at once by SIGTERM, and those that
// still run after a while by SIGKILL. It gives the names of those that ran.
func (b *Bed) StopAll() ([]string, error) {
	var ran []string
	var names []string
	for i := range b.Nodes {
		names = append(names, b.Nodes[i].ID)
	}
	names = append(names, "sim")
	var errs []error
	for _, n := range names {
		if b.Running(n) {
			ran = append(ran, n)
			// A paused process can't hear SIGTERM.
			errs = append(errs, b.Signal(n, syscall.SIGCONT), b.Signal(n, syscall.SIGTERM))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, n := range ran {
		if b.gone(ctx, n) != nil {
			hard, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			errs = append(errs, b.Kill(hard, n))
			cancel()
		}
	}
	for _, n := range names {
		if err := os.Remove(b.Path(n + ".pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return ran, errors.Join(errs...)
}

// LogTail is the end of a process's log, for error messages.
func (b *Bed) LogTail(name string, lines int) string {
	data, err := os.ReadFile(b.Path(name + ".log"))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}
