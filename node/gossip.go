package node

import (
	"encoding/json"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// States of a manager as it tells them by gossip.
const (
	stateNew    = "new"    // no Raft state: it may bootstrap or join
	stateMember = "member" // part of a cluster
)

// meta is what a manager tells about itself by gossip, in at most 512 bytes.
type meta struct {
	ID      string `json:"i"`
	API     string `json:"a"` // HOST:PORT of each listener
	HTTP    string `json:"h"`
	Raft    string `json:"r"`
	Version string `json:"v"`
	Feature uint32 `json:"f"`
	State   string `json:"s"`
	Expect  int    `json:"e,omitempty"` // bootstrap_expect
	Blind   bool   `json:"m,omitempty"` // it hears none of the machines that it polls
	Set     string `json:"b,omitempty"` // fingerprint of the set that it has promised to bootstrap with
}

// gossip finds the other managers. It is a hint only: what counts is Raft's
// membership and the rows.
type gossip struct {
	list    *memberlist.Memberlist
	self    atomic.Pointer[meta]
	telling sync.Mutex    // held while self is changed and told
	changed chan struct{} // a token: somebody came, went or changed
	log     *slog.Logger

	mu     sync.Mutex      // guards others
	others map[string]meta // alive, by the name in gossip
}

func startGossip(bind, advertise string, port int, key []byte, self meta, log *slog.Logger) (*gossip, error) {
	g := &gossip{changed: make(chan struct{}, 1), log: log, others: map[string]meta{}}
	g.self.Store(&self)
	c := memberlist.DefaultLANConfig()
	c.Name = self.ID
	c.BindAddr, c.BindPort = bind, port
	c.AdvertiseAddr, c.AdvertisePort = advertise, port
	c.SecretKey = key
	c.Delegate = g
	c.Events = g
	c.Conflict = g
	c.Logger = stdLogger(log)
	// A manager whose host died may come back at another address at once.
	c.DeadNodeReclaimTime = time.Second
	list, err := memberlist.Create(c)
	if err != nil {
		return nil, err
	}
	g.list = list
	return g, nil
}

// update changes what this manager tells about itself.
func (g *gossip) update(change func(*meta)) {
	g.telling.Lock()
	defer g.telling.Unlock()
	m := *g.self.Load()
	change(&m)
	if m == *g.self.Load() {
		return
	}
	g.self.Store(&m)
	if err := g.list.UpdateNode(time.Second); err != nil {
		g.log.Debug("gossip: update not confirmed", "err", err) // it goes out with the next exchange
	}
}

// alive gives all managers that gossip holds for alive, this one too, by id.
func (g *gossip) alive() []meta {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := []meta{*g.self.Load()}
	for _, m := range g.others {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b meta) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// find gives what an alive manager tells about itself.
func (g *gossip) find(id string) (meta, bool) {
	for _, m := range g.alive() {
		if m.ID == id {
			return m, true
		}
	}
	return meta{}, false
}

// join asks the managers of the list for the others. Its own addresses among them do no harm.
func (g *gossip) join(hosts []string, port int) {
	addrs := make([]string, 0, len(hosts))
	for _, h := range hosts {
		if _, _, err := net.SplitHostPort(h); err != nil {
			h = net.JoinHostPort(strings.Trim(h, "[]"), strconv.Itoa(port))
		}
		addrs = append(addrs, h)
	}
	if _, err := g.list.Join(addrs); err != nil {
		g.log.Debug("gossip: not all managers answer", "err", err)
	}
}

func (g *gossip) close(leave bool) {
	if leave {
		if err := g.list.Leave(2 * time.Second); err != nil {
			g.log.Debug("gossip: leaving", "err", err)
		}
	}
	if err := g.list.Shutdown(); err != nil {
		g.log.Debug("gossip: shutdown", "err", err)
	}
}

func decodeMeta(b []byte) (meta, bool) {
	var m meta
	if err := json.Unmarshal(b, &m); err != nil || m.ID == "" {
		return meta{}, false
	}
	return m, true
}

// note keeps what a manager tells. The list's own records may be read only
// while it calls.
func (g *gossip) note(n *memberlist.Node, alive bool) {
	m, ok := decodeMeta(n.Meta)
	g.mu.Lock()
	if alive && ok && m.ID != g.self.Load().ID {
		g.others[n.Name] = m
	} else {
		delete(g.others, n.Name)
	}
	g.mu.Unlock()
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// NodeMeta implements memberlist.Delegate.
func (g *gossip) NodeMeta(limit int) []byte {
	m := *g.self.Load()
	b, err := json.Marshal(&m)
	if err != nil || len(b) > limit {
		m.Version = "" // the only text of free length
		b, _ = json.Marshal(&m)
	}
	return b
}

// NotifyMsg implements memberlist.Delegate; no messages are sent.
func (g *gossip) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (g *gossip) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (g *gossip) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (g *gossip) MergeRemoteState([]byte, bool) {}

// NotifyJoin implements memberlist.EventDelegate.
func (g *gossip) NotifyJoin(n *memberlist.Node) { g.note(n, true) }

// NotifyLeave implements memberlist.EventDelegate.
func (g *gossip) NotifyLeave(n *memberlist.Node) { g.note(n, false) }

// NotifyUpdate implements memberlist.EventDelegate.
func (g *gossip) NotifyUpdate(n *memberlist.Node) { g.note(n, true) }

// NotifyConflict implements memberlist.ConflictDelegate.
func (g *gossip) NotifyConflict(existing, other *memberlist.Node) {
	g.log.Error("two managers have the same id: give each its own node_id and certificate",
		"node", existing.Name, "first", existing.Address(), "second", other.Address())
}
