package node

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"
)

// promise is the set of managers that this one has agreed to make a cluster
// with. It is written to disk before it is told to anybody and never changed,
// so two sets of bootstrap_expect managers that share one can't both come
// about, whoever sees whom and whoever restarts.
type promise struct {
	Servers []promiseServer `json:"servers"`
}

type promiseServer struct {
	ID      string `json:"id"`
	Address string `json:"address"` // Raft
}

func promiseFile(dataDir string) string { return filepath.Join(dataDir, "bootstrap.json") }

// fingerprint tells two sets apart.
func (p *promise) fingerprint() string {
	var b strings.Builder
	for _, s := range p.Servers {
		fmt.Fprintf(&b, "%s=%s\n", s.ID, s.Address)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:12])
}

func (p *promise) configuration() raft.Configuration {
	var c raft.Configuration
	for _, s := range p.Servers {
		c.Servers = append(c.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Address)})
	}
	return c
}

func loadPromise(dataDir string) (*promise, error) {
	data, err := os.ReadFile(promiseFile(dataDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := new(promise)
	if err := json.Unmarshal(data, p); err != nil {
		return nil, configError("%s is damaged (%v): remove it if no cluster has come about yet", promiseFile(dataDir), err)
	}
	return p, nil
}

func (p *promise) save(dataDir string) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return writeFileDurably(promiseFile(dataDir), data)
}

// writeFileDurably replaces a file: after a crash it has the old or the new text.
func writeFileDurably(name string, data []byte) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// tryBootstrap takes one step towards a new cluster. The managers see each
// other by gossip; once exactly bootstrap_expect new ones are there, each
// promises that set, and once all of the set have promised the same, each
// writes the same first entry. Nothing else than this manager's own promise
// makes it vote, so it doesn't matter who is first.
func (n *Node) tryBootstrap(alive []meta) error {
	var set []meta
	for _, m := range alive {
		if m.State != stateNew || m.Expect == 0 {
			continue
		}
		if m.Expect != n.cfg.BootstrapExpect {
			return fmt.Errorf("manager %s has bootstrap_expect %d, this one %d: give all of them the same", m.ID, m.Expect, n.cfg.BootstrapExpect)
		}
		set = append(set, m)
	}
	if n.promise == nil {
		if len(set) > n.cfg.BootstrapExpect {
			return fmt.Errorf("%d new managers are there, bootstrap_expect is %d: which of them make the cluster? Start the others later, without bootstrap_expect",
				len(set), n.cfg.BootstrapExpect)
		}
		if len(set) < n.cfg.BootstrapExpect {
			return fmt.Errorf("waiting for managers: %d of %d are there", len(set), n.cfg.BootstrapExpect)
		}
		p := &promise{}
		for _, m := range set {
			p.Servers = append(p.Servers, promiseServer{m.ID, m.Raft})
		}
		if err := p.save(n.cfg.DataDir); err != nil {
			return fmt.Errorf("bootstrap promise: %w", err)
		}
		n.promise = p
		n.gossip.update(func(m *meta) { m.Set = p.fingerprint() })
	}
	want := n.promise.fingerprint()
	for _, s := range n.promise.Servers {
		i := indexOfMeta(set, s.ID)
		if i < 0 {
			return fmt.Errorf("waiting for manager %s, with which the new cluster begins (if it is gone for good, remove %s here and on the others)",
				s.ID, promiseFile(n.cfg.DataDir))
		}
		if set[i].Set != want {
			if set[i].Set == "" {
				return fmt.Errorf("waiting for manager %s to agree", s.ID)
			}
			return fmt.Errorf("manager %s has agreed to begin with other managers: remove %s on all of them", s.ID, promiseFile(n.cfg.DataDir))
		}
	}
	n.layer.open.Store(true)
	// An entry of a manager that was quicker may have come already.
	if err := n.raft.BootstrapCluster(n.promise.configuration()).Error(); err != nil && !errors.Is(err, raft.ErrCantBootstrap) {
		return err
	}
	n.log.Info("new cluster", "managers", len(n.promise.Servers))
	return nil
}

func indexOfMeta(ms []meta, id string) int {
	for i, m := range ms {
		if m.ID == id {
			return i
		}
	}
	return -1
}
