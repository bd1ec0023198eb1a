// Package testbed runs a cluster of real pvmd processes on loopback, with a
// simulated datacenter beside it: for the demo, the benchmarks and the soak
// campaigns. All of its state lies in one directory; processes are known by
// the pid files in it and ended by nothing else.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"yagura/node/tlsutil"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

// Bed is a cluster in a directory.
type Bed struct {
	Dir   string // absolute
	Bin   string // path of pvmd
	Nodes []Node
	// Detach lets processes outlive this one, as the demo needs it. Otherwise
	// they are killed when this process dies.
	Detach bool
	// Extra lines for every manager's configuration file.
	Extra string
	// SimArgs are further arguments of `pvmd sim`.
	SimArgs []string
	// FirstUID, when not 0, runs manager i as user FirstUID+i, so that a packet
	// filter can tell the managers of one host apart. It takes root.
	FirstUID int
}

// Node is a manager of the bed.
type Node struct {
	ID, IP string
}

// API is the address of the manager's gRPC API.
func (n Node) API() string { return n.IP + ":26102" }

// Trap is the address of the manager's trap sink.
func (n Node) Trap() string { return n.IP + ":10162" }

// AdminUser is the bed's administrator.
const AdminUser = "admin"

// New describes a bed of n managers on 127.0.0.first and the addresses after it.
func New(dir, bin string, n, first int) (*Bed, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	bin, err = filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	b := &Bed{Dir: dir, Bin: bin}
	for i := range n {
		b.Nodes = append(b.Nodes, Node{ID: fmt.Sprintf("node%d", i+1), IP: fmt.Sprintf("127.0.0.%d", first+i)})
	}
	return b, nil
}

// Path is a file of the bed.
func (b *Bed) Path(name string) string { return filepath.Join(b.Dir, name) }

// Config is the configuration file of manager i.
func (b *Bed) Config(i int) string { return b.Path(b.Nodes[i].ID + ".yaml") }

// Prepare makes certificates, keys, passwords and configuration files in an empty directory.
func (b *Bed) Prepare() error {
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return err
	}
	if err := tlsutil.InitDir(b.Dir, "Yagura demo"); err != nil {
		return err
	}
	for _, n := range b.Nodes {
		if _, err := tlsutil.IssueInto(b.Dir, tlsutil.Request{Role: tlsutil.Manager, Name: n.ID, Hosts: []string{n.IP, n.ID}}); err != nil {
			return err
		}
	}
	if _, err := tlsutil.IssueInto(b.Dir, tlsutil.Request{Role: tlsutil.User, Name: AdminUser}); err != nil {
		return err
	}
	for _, f := range []string{"admin.password", "sim.password"} {
		if err := os.WriteFile(b.Path(f), []byte(newPassword()+"\n"), 0o600); err != nil {
			return err
		}
	}
	for i := range b.Nodes {
		if err := os.WriteFile(b.Config(i), []byte(b.config(i)), 0o600); err != nil {
			return err
		}
		if err := b.own(i); err != nil {
			return err
		}
	}
	return nil
}

// own gives a manager that runs as a user of its own what it must read and write.
func (b *Bed) own(i int) error {
	if b.FirstUID == 0 {
		return nil
	}
	uid, id := b.FirstUID+i, b.Nodes[i].ID
	if err := os.MkdirAll(b.Path(id), 0o700); err != nil {
		return err
	}
	for _, f := range []string{id, id + ".key", id + ".yaml"} {
		if err := os.Chown(b.Path(f), uid, b.FirstUID); err != nil {
			return err
		}
	}
	for _, f := range []string{tlsutil.ClusterKeyFile, tlsutil.GossipKeyFile, "admin.password"} {
		if err := os.Chown(b.Path(f), 0, b.FirstUID); err != nil {
			return err
		}
		if err := os.Chmod(b.Path(f), 0o640); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bed) config(i int) string {
	n := b.Nodes[i]
	ips := make([]string, 0, len(b.Nodes))
	for _, m := range b.Nodes {
		ips = append(ips, m.IP)
	}
	return fmt.Sprintf(`node_id: %s
data_dir: %s
bind: %s
join: [%s]
bootstrap_expect: %d
cluster_key_file: %s
gossip_key_file: %s
tls:
  ca: %s
  cert: %s
  key: %s
admin:
  user: %s
  password_file: %s
snmp:
  port: 10162
%s`, n.ID, b.Path(n.ID), n.IP, strings.Join(ips, ", "), len(b.Nodes), b.Path(tlsutil.ClusterKeyFile), b.Path(tlsutil.GossipKeyFile),
		b.Path(tlsutil.CAFile), b.Path(n.ID+".pem"), b.Path(n.ID+".key"), AdminUser, b.Path("admin.password"), b.Extra)
}

// Client talks to the given managers, or to all of them, as the administrator.
func (b *Bed) Client(nodes ...int) (*client.Client, error) {
	var servers []string
	for i, n := range b.Nodes {
		if len(nodes) == 0 {
			servers = append(servers, n.API())
		}
		for _, want := range nodes {
			if want == i {
				servers = append(servers, n.API())
			}
		}
	}
	return client.Dial(client.Options{
		Servers: servers, CA: b.Path(tlsutil.CAFile), Cert: b.Path(AdminUser + ".pem"), Key: b.Path(AdminUser + ".key"),
	})
}

// Leader finds the manager that leads and is ready, and waits for one until ctx ends.
func (b *Bed) Leader(ctx context.Context) (int, error) {
	c, err := b.Client()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var last error
	for {
		one, cancel := context.WithTimeout(ctx, 2*time.Second)
		reply, err := api.NewClusterClient(c).ListNodes(one, &api.Empty{})
		cancel()
		if last = err; err == nil {
			for _, n := range reply.Nodes {
				if n.Role != "leader" {
					continue
				}
				for i := range b.Nodes {
					if b.Nodes[i].ID == n.Id {
						return i, nil
					}
				}
			}
		}
		select {
		case <-ctx.Done():
			return 0, errors.Join(errors.New("the managers have no leader"), last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Settled waits until all managers are ready and hold the same state, or ctx ends.
func (b *Bed) Settled(ctx context.Context) error {
	c, err := b.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		reply, err := api.NewClusterClient(c).ListNodes(ctx, &api.Empty{})
		why := err
		if err == nil {
			why = b.unsettled(reply.Nodes)
		}
		if why == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(errors.New("the managers don't settle"), why)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// unsettled says which manager isn't ready, or differs from the others.
func (b *Bed) unsettled(nodes []*api.Node) error {
	if len(nodes) != len(b.Nodes) {
		return fmt.Errorf("the cluster has %d managers, not %d", len(nodes), len(b.Nodes))
	}
	for _, n := range nodes {
		switch first := nodes[0]; {
		case !n.Ready:
			return fmt.Errorf("%s isn't ready", n.Id)
		case n.AppliedIndex != first.AppliedIndex:
			return fmt.Errorf("%s has applied index %d, %s %d", n.Id, n.AppliedIndex, first.Id, first.AppliedIndex)
		case n.Digest != first.Digest:
			return fmt.Errorf("%s and %s differ at index %d", n.Id, first.Id, n.AppliedIndex)
		}
	}
	return nil
}
