package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Etcd is three etcd members on loopback with their default settings.
type Etcd struct {
	dir   string
	Procs []*exec.Cmd
	ips   []string
}

func StartEtcd(ctx context.Context, dir string) (*Etcd, error) {
	e := &Etcd{dir: dir}
	var peers []string
	for i := range 3 {
		ip := fmt.Sprintf("127.0.0.%d", 61+i)
		e.ips = append(e.ips, ip)
		peers = append(peers, fmt.Sprintf("m%d=http://%s:2380", i, ip))
	}
	for i := range 3 {
		if err := e.startMember(i, "new", strings.Join(peers, ",")); err != nil {
			e.Stop()
			return nil, err
		}
	}
	if _, err := e.Leader(ctx); err != nil {
		e.Stop()
		return nil, err
	}
	return e, nil
}

func (e *Etcd) startMember(i int, state, peers string) error {
	ip := e.ips[i]
	logf, err := os.Create(filepath.Join(e.dir, fmt.Sprintf("etcd%d.log", i)))
	if err != nil {
		return err
	}
	defer logf.Close()
	c := exec.Command("etcd", "--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(e.dir, fmt.Sprintf("etcd%d", i)),
		"--listen-client-urls", "http://"+ip+":2379", "--advertise-client-urls", "http://"+ip+":2379",
		"--listen-peer-urls", "http://"+ip+":2380", "--initial-advertise-peer-urls", "http://"+ip+":2380",
		"--initial-cluster", peers, "--initial-cluster-state", state, "--logger", "zap", "--log-outputs", "stderr")
	c.Stdout, c.Stderr = logf, logf
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		return fmt.Errorf("etcd doesn't start (apt: etcd-server): %w", err)
	}
	if i < len(e.Procs) {
		e.Procs[i] = c
	} else {
		e.Procs = append(e.Procs, c)
	}
	return nil
}

// Restart starts a member again on its data.
func (e *Etcd) Restart(i int) error {
	var peers []string
	for j, ip := range e.ips {
		peers = append(peers, fmt.Sprintf("m%d=http://%s:2380", j, ip))
	}
	return e.startMember(i, "existing", strings.Join(peers, ","))
}

func (e *Etcd) Client(members ...int) (*clientv3.Client, error) {
	var eps []string
	for _, i := range members {
		eps = append(eps, "http://"+e.ips[i]+":2379")
	}
	return clientv3.New(clientv3.Config{Endpoints: eps, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
}

// Leader finds the member that leads.
func (e *Etcd) Leader(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		for i := range e.ips {
			c, err := e.Client(i)
			if err != nil {
				return 0, err
			}
			one, stop := context.WithTimeout(ctx, time.Second)
			st, err := c.Status(one, "http://"+e.ips[i]+":2379")
			stop()
			c.Close()
			if err == nil && st.Leader != 0 && st.Leader == st.Header.MemberId {
				return i, nil
			}
		}
		Pause(ctx, 50*time.Millisecond)
	}
	return 0, errors.New("etcd has no leader within 30 s")
}

func (e *Etcd) Signal(i int, sig syscall.Signal) error { return e.Procs[i].Process.Signal(sig) }

func (e *Etcd) Kill(i int) error {
	if err := e.Signal(i, syscall.SIGKILL); err != nil {
		return err
	}
	e.Procs[i].Wait() // its error says that it was killed
	return nil
}

func (e *Etcd) Stop() {
	for i, c := range e.Procs {
		if c.ProcessState == nil {
			e.Kill(i)
		}
	}
}

// EtcdPut writes one value of 200 bytes under one of 1,000 keys.
func EtcdPut(c *clientv3.Client) Write {
	val := strings.Repeat("v", 200)
	return func(ctx context.Context, n int) error {
		_, err := c.Put(ctx, fmt.Sprintf("bench/%03d", n%1000), val)
		return err
	}
}
