// Package nodetest runs clusters of managers in one process: real Raft over
// real TLS and TCP on loopback, real files, real gossip, and between the
// managers a network that cuts, delays and refuses on demand.
package nodetest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yagura/fsm"
	"yagura/node"
	"yagura/node/tlsutil"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// Password is the first administrator's.
const Password = "correct horse battery"

// Bound is how long a condition may take to come true on a busy machine.
const Bound = 30 * time.Second

// starting is held while a manager starts: the gateway's library has settings
// that belong to the process, which tests that run side by side share.
var starting sync.Mutex

// hostNumber numbers the loopback addresses of this process.
var hostNumber atomic.Int32

// newHost gives a loopback address that no other test uses: the process's id
// and a number are in it.
func newHost() string {
	pid, n := os.Getpid(), hostNumber.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 32+(pid>>8)%96+int(n)/250*96, pid%256, 1+n%250)
}

// Cluster is a cluster under test.
type Cluster struct {
	T     testing.TB
	Net   *Net
	Dir   string
	Hosts []string

	edit  func(i int, c *node.Config)
	logs  *slog.Logger
	mu    sync.Mutex // guards nodes
	nodes []*node.Node
	ends  sync.WaitGroup // managers that are being killed
}

// New starts a cluster of n managers and waits until it has a leader that is
// ready. edit, when given, changes each manager's configuration before its
// start. At the end of the test all replicas that run must be equal.
func New(t testing.TB, n int, edit func(i int, c *node.Config)) *Cluster {
	t.Helper()
	c := Prepare(t, n, edit)
	for i := range n {
		c.Start(i)
	}
	c.WaitLeader()
	return c
}

// Prepare makes everything that a cluster of n managers needs, but starts none.
func Prepare(t testing.TB, n int, edit func(i int, c *node.Config)) *Cluster {
	t.Helper()
	c := &Cluster{T: t, Net: NewNet(), Dir: t.TempDir(), edit: edit, nodes: make([]*node.Node, n)}
	level := slog.LevelError
	if testing.Verbose() {
		level = slog.LevelInfo
	}
	c.logs = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	must(t, tlsutil.InitDir(c.Dir, "test"))
	must(t, os.WriteFile(filepath.Join(c.Dir, "password"), []byte(Password+"\n"), 0o600))
	for i := range n {
		c.addHost(i)
	}
	t.Cleanup(c.close)
	return c
}

func (c *Cluster) addHost(i int) {
	c.T.Helper()
	host := newHost()
	c.Hosts = append(c.Hosts, host)
	c.Net.set(func() { c.Net.hosts[host] = i })
	_, err := tlsutil.IssueInto(c.Dir, tlsutil.Request{Role: tlsutil.Manager, Name: ID(i), Hosts: []string{host}})
	must(c.T, err)
}

// Add makes room for one more manager, which joins when it is started.
func (c *Cluster) Add() int {
	c.mu.Lock()
	i := len(c.nodes)
	c.nodes = append(c.nodes, nil)
	c.mu.Unlock()
	c.addHost(i)
	return i
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ID is the id of manager i.
func ID(i int) string { return fmt.Sprintf("node%d", i+1) }

// DataDir is the data directory of manager i.
func (c *Cluster) DataDir(i int) string { return filepath.Join(c.Dir, "data-"+ID(i)) }

// Config is the configuration of manager i.
func (c *Cluster) Config(i int) node.Config {
	cfg := node.DefaultConfig()
	cfg.NodeID, cfg.DataDir, cfg.Bind = ID(i), c.DataDir(i), c.Hosts[i]
	for _, h := range c.Hosts {
		if h != cfg.Bind || len(c.Hosts) == 1 {
			cfg.Join = append(cfg.Join, h)
		}
	}
	cfg.BootstrapExpect = len(c.Hosts)
	cfg.ClusterKeyFile, cfg.GossipKeyFile = filepath.Join(c.Dir, tlsutil.ClusterKeyFile), filepath.Join(c.Dir, tlsutil.GossipKeyFile)
	cfg.TLS = tlsutil.Files{CA: filepath.Join(c.Dir, tlsutil.CAFile), Cert: filepath.Join(c.Dir, ID(i)+".pem"), Key: filepath.Join(c.Dir, ID(i)+".key")}
	cfg.Admin.PasswordFile = filepath.Join(c.Dir, "password")
	cfg.SNMP.Port = 0
	cfg.Log = c.logs
	cfg.Dial = c.Net.Dialer(i)
	if c.edit != nil {
		c.edit(i, &cfg)
	}
	return cfg
}

// Edit changes the configurations of managers that are started from now on, in
// the place of the change given to New.
func (c *Cluster) Edit(edit func(i int, cfg *node.Config)) { c.edit = edit }

// Start starts manager i.
func (c *Cluster) Start(i int) *node.Node {
	c.T.Helper()
	c.Net.Revive(i)
	starting.Lock()
	n, err := node.Start(context.Background(), c.Config(i))
	starting.Unlock()
	if err != nil {
		c.T.Fatalf("start of %s: %v", ID(i), err)
	}
	c.mu.Lock()
	c.nodes[i] = n
	c.mu.Unlock()
	return n
}

// Node is manager i, nil while it is down.
func (c *Cluster) Node(i int) *node.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[i]
}

func (c *Cluster) take(i int) *node.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[i]
	c.nodes[i] = nil
	return n
}

// Stop ends manager i in good order.
func (c *Cluster) Stop(i int) {
	c.T.Helper()
	if n := c.take(i); n != nil {
		ctx, cancel := context.WithTimeout(context.Background(), Bound)
		defer cancel()
		must(c.T, n.Shutdown(ctx))
	}
}

// Kill ends manager i as kill -9 does, as far as the others can see, and
// returns at once. What is left of it goes in the background, unable to reach
// anybody; wait for that with Gone before a new Start.
func (c *Cluster) Kill(i int) {
	n := c.take(i)
	if n == nil {
		return
	}
	c.Net.Kill(i)
	c.ends.Go(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := n.Shutdown(ctx); err != nil {
			c.logs.Info("killed manager's end", "node", ID(i), "err", err)
		}
	})
}

// Leave takes manager i out of the cluster for good.
func (c *Cluster) Leave(i int) error {
	ctx, cancel := context.WithTimeout(context.Background(), Bound)
	defer cancel()
	err := c.Node(i).LeaveCluster(ctx)
	if err == nil {
		c.take(i)
	}
	return err
}

// WaitWatched waits until the others hold a connection to manager i's process,
// by which they notice its end.
func (c *Cluster) WaitWatched(i int) {
	c.T.Helper()
	others := len(c.Running()) - 1
	c.Wait("connections to "+ID(i)+"'s process", func() bool { return c.Node(i).Watchers() >= others })
}

// Gone waits until killed managers have let go of their files and ports.
func (c *Cluster) Gone() { c.ends.Wait() }

// Wipe removes the data of manager i, which is down.
func (c *Cluster) Wipe(i int) {
	c.T.Helper()
	c.Gone()
	must(c.T, os.RemoveAll(c.DataDir(i)))
}

// Running are the indexes of the managers that run.
func (c *Cluster) Running() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []int
	for i, n := range c.nodes {
		if n != nil {
			out = append(out, i)
		}
	}
	return out
}

// Leader is the manager that leads and is ready, -1 when there is none.
func (c *Cluster) Leader() int {
	for _, i := range c.Running() {
		if n := c.Node(i); n != nil && n.Leader().Self {
			return i
		}
	}
	return -1
}

// WaitLeader waits for a leader that is ready.
func (c *Cluster) WaitLeader() int {
	c.T.Helper()
	leader := -1
	c.Wait("a leader", func() bool {
		leader = c.Leader()
		return leader >= 0
	})
	return leader
}

// WaitReady waits until all running managers are ready.
func (c *Cluster) WaitReady() {
	c.T.Helper()
	for _, i := range c.Running() {
		why := ""
		c.Wait(ID(i)+" to be ready", func() (ok bool) {
			if n := c.Node(i); n != nil {
				ok, why = n.Ready()
			}
			return ok
		})
		_ = why
	}
}

// Wait waits for a condition.
func (c *Cluster) Wait(what string, cond func() bool) {
	c.T.Helper()
	Wait(c.T, what, cond)
}

// Wait waits for a condition and fails the test when it takes longer than Bound.
func Wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(Bound)
	defer end.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("waited %s in vain for %s", Bound, what)
		}
	}
}

// Update runs a verb on the leader, again while there is none.
func (c *Cluster) Update(op string, verb func(*fsm.Tx) error) fsm.Result {
	c.T.Helper()
	var res fsm.Result
	c.Wait("write "+op, func() bool {
		i := c.Leader()
		if i < 0 {
			return false
		}
		n := c.Node(i)
		if n == nil {
			return false
		}
		ctx, cancel := context.WithTimeout(context.Background(), Bound)
		defer cancel()
		var err error
		res, err = n.Store().Update(ctx, fsm.Why{User: "test", Op: op, Request: ""}, verb)
		return err == nil
	})
	return res
}

// Client gives a client of the API as the first administrator, by certificate.
// It knows all managers; that of index first is asked first.
func (c *Cluster) Client(first int) *client.Client {
	c.T.Helper()
	name := c.Config(first).Admin.User
	files := tlsutil.Files{CA: filepath.Join(c.Dir, tlsutil.CAFile), Cert: filepath.Join(c.Dir, name+".pem"), Key: filepath.Join(c.Dir, name+".key")}
	if _, err := os.Stat(files.Cert); err != nil {
		_, err := tlsutil.IssueInto(c.Dir, tlsutil.Request{Role: tlsutil.User, Name: name})
		must(c.T, err)
	}
	var servers []string
	for i := range c.Hosts {
		servers = append(servers, c.Hosts[(first+i)%len(c.Hosts)])
	}
	cl, err := client.Dial(client.Options{Servers: servers, CA: files.CA, Cert: files.Cert, Key: files.Key, Consistency: api.Linear})
	must(c.T, err)
	c.T.Cleanup(cl.Close)
	return cl
}

// Check waits until all running managers hold the same state, and verifies it.
func (c *Cluster) Check() {
	c.T.Helper()
	running := c.Running()
	if len(running) == 0 {
		return
	}
	c.Wait("equal replicas", func() bool {
		first := c.Node(running[0]).Store().View()
		for _, i := range running[1:] {
			if v := c.Node(i).Store().View(); v.Index() != first.Index() || v.Digest() != first.Digest() {
				return false
			}
		}
		return true
	})
	for _, i := range running {
		must(c.T, c.Node(i).Store().View().Verify())
	}
}

// close ends the cluster: heals the network, compares the replicas, stops all.
func (c *Cluster) close() {
	c.Net.Heal()
	if !c.T.Failed() {
		c.Check()
	}
	for _, i := range c.Running() {
		n := c.take(i)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		c.ends.Go(func() { _ = n.Shutdown(ctx) })
	}
	c.Gone()
}
