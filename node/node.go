package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/policy"
	"yagura/node/monitor"
	"yagura/node/performance"
	"yagura/node/tlsutil"
	"yagura/node/trap"
	"yagura/rpc"
)

// Node is a running manager.
type Node struct {
	id    string
	cfg   Config
	log   *slog.Logger
	ident *tlsutil.Identity

	store     *fsm.Store
	meter     planning.Meter // measured loads: the scheduler fills it while this manager leads, the API plans by it
	stores    *stores
	raft      *raft.Raft
	layer     *streamLayer
	transport *transport
	gossip    *gossip
	server    *rpc.Server
	traps     *trap.Sink // nil when off
	probes    *monitor.Network
	monitor   *monitor.Monitor
	collector *performance.Collector
	// rules and rulesChanged belong to the sink's delivering goroutine.
	rules        *trap.Rules
	rulesChanged <-chan struct{}
	peers        *rpc.Peers
	metrics      *prometheus.Registry
	counts       policy.Counts // what became of events while this manager led
	started      time.Time

	// term is the term in which this manager leads and has passed its
	// barrier, 0 otherwise. ready is set once its cluster is usable, too.
	term     atomic.Uint64
	ready    atomic.Bool
	caughtUp atomic.Bool            // it has once had all that the leader had
	removed  atomic.Bool            // the cluster goes on without it
	why      atomic.Pointer[string] // why it isn't part of a cluster yet

	promise *promise // the membership loop's own

	joining sync.Mutex // held while the membership is changed, one change at a time

	mu      sync.Mutex // guards changed, and the steps of term and ready
	changed chan struct{}

	cancel  context.CancelFunc
	wg      sync.WaitGroup // all loops
	closing sync.Once
}

// Start starts a manager and returns as soon as it runs; whether it is part of
// a cluster yet, Ready tells. Errors are KindInvalid for a configuration that
// can't work, KindConflict when another process holds the data directory,
// KindCorrupt for damaged data. ctx bounds the start only.
func Start(ctx context.Context, cfg Config) (_ *Node, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, log: cfg.Log, changed: make(chan struct{}), metrics: prometheus.NewRegistry(), started: time.Now()}
	if n.log == nil {
		n.log = slog.Default()
	}
	if n.ident, err = tlsutil.Load(cfg.TLS); err != nil {
		return nil, configError("tls: %v", err)
	}
	if n.ident.Role != tlsutil.Manager {
		return nil, configError("tls.cert: it is no manager's certificate")
	}
	n.id = cfg.NodeID
	if n.id == "" {
		n.id = n.ident.Name
	}
	if n.id != n.ident.Name {
		return nil, configError("node_id is %q, the certificate is %q's: issue one for this manager", n.id, n.ident.Name)
	}
	n.log = n.log.With("node", n.id)
	if n.cfg.Dial == nil {
		n.cfg.Dial = new(net.Dialer).DialContext
	}
	// What was begun is undone in reverse order when a later part fails.
	var undo []func()
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()
	begun := func(f func()) { undo = append(undo, f) }

	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, configError("data_dir: %v", err)
	}
	sealer, err := cfg.sealer()
	if err != nil {
		return nil, err
	}
	gossipKey, err := readKey("gossip_key_file", cfg.GossipKeyFile, 16, 24, 32)
	if err != nil {
		return nil, err
	}
	if n.promise, err = loadPromise(cfg.DataDir); err != nil {
		return nil, err
	}
	n.store = fsm.NewStore(fsm.Options{Sealer: sealer, Log: n.log})
	begun(n.store.Close)
	if n.stores, err = openStores(cfg.DataDir, cfg.Raft.Log, raftLogger{n.log}); err != nil {
		return nil, err
	}
	begun(func() { n.stores.close() })
	fresh, err := n.stores.fresh()
	if err != nil {
		return nil, err
	}
	if n.layer, err = listenRaft(cfg.hostPort(cfg.Bind, cfg.RaftPort), cfg.hostPort(cfg.Advertise, cfg.RaftPort), n.ident, n.cfg.Dial, n.log); err != nil {
		return nil, fmt.Errorf("raft port: %w", err)
	}
	n.layer.open.Store(!fresh)
	n.transport = newTransport(n.layer, n.log)
	begun(func() { n.transport.Close() })
	if n.raft, err = raft.NewRaft(n.raftConfig(), n.store, n.stores.log, n.stores.stable, n.stores.snapshots, n.transport); err != nil {
		return nil, fmt.Errorf("raft: %w", err)
	}
	begun(func() { _ = n.raft.Shutdown().Error() })
	n.transport.answerFor(n.raft)
	n.store.SetProposer(n)
	n.peers = rpc.NewPeers(n.peerTLS(), n.cfg.Dial)
	begun(n.peers.Close)
	if n.gossip, err = startGossip(cfg.Bind, cfg.Advertise, cfg.GossipPort, gossipKey, n.meta(fresh), n.log); err != nil {
		return nil, fmt.Errorf("gossip port: %w", err)
	}
	begun(func() { n.gossip.close(false) })
	if err := n.openTraps(); err != nil {
		return nil, fmt.Errorf("snmp port: %w", err)
	}
	begun(func() { n.closeTraps() })
	n.probes = new(monitor.Network)
	n.monitor = n.newMonitor()
	n.collector = n.newCollector()
	if err := n.serveAPI(ctx); err != nil {
		return nil, err
	}
	begun(func() { n.stopAPI(context.Background()) })
	n.run()
	return n, nil
}

// meta is what gossip tells about this manager at first.
func (n *Node) meta(fresh bool) meta {
	m := meta{
		ID: n.id, API: n.apiAddress(), HTTP: n.cfg.hostPort(n.cfg.Advertise, n.cfg.HTTPPort), Raft: string(n.layer.addr),
		Version: n.cfg.Version, Feature: fsm.MaxFeature, State: stateMember, Expect: n.cfg.BootstrapExpect,
	}
	if fresh {
		m.State = stateNew
		if n.promise != nil {
			m.Set = n.promise.fingerprint()
		}
	}
	return m
}

func (n *Node) apiAddress() string { return n.cfg.hostPort(n.cfg.Advertise, n.cfg.APIPort) }

// peerTLS is what this manager calls others with.
func (n *Node) peerTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{n.ident.Certificate}, RootCAs: n.ident.Pool}
}

// serveAPI opens the API's listeners.
func (n *Node) serveAPI(ctx context.Context) (err error) {
	if err := n.registerMetrics(); err != nil {
		return err
	}
	n.server, err = rpc.NewServer(rpc.Config{
		Store: n.store, Meter: &n.meter, Cluster: n, Entries: n.entries(), TestTrap: n.testTrap, Log: n.log, Metrics: n.metrics, Peers: n.peers, Counts: &n.counts,
		TLS: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{n.ident.Certificate}, ClientCAs: n.ident.Pool},
	})
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	for _, l := range []struct {
		name  string
		port  int
		serve func(net.Listener) error
	}{{"api port", n.cfg.APIPort, n.server.ServeGRPC}, {"http port", n.cfg.HTTPPort, n.server.ServeHTTP}} {
		ln, err := lc.Listen(ctx, "tcp", n.cfg.hostPort(n.cfg.Bind, l.port))
		if err != nil {
			n.stopAPI(ctx)
			return fmt.Errorf("%s: %w", l.name, err)
		}
		n.wg.Go(func() {
			if err := l.serve(ln); err != nil {
				n.log.Error("listener has ended", "listener", l.name, "err", err)
			}
		})
	}
	return nil
}

func (n *Node) stopAPI(ctx context.Context) {
	n.server.Shutdown(ctx)
}

// run starts the loops that make a manager.
func (n *Node) run() {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	observations := make(chan raft.Observation, 64)
	observer := raft.NewObserver(observations, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	n.raft.RegisterObserver(observer)
	n.wg.Go(func() {
		defer n.raft.DeregisterObserver(observer)
		for {
			select {
			case <-observations:
				n.notify()
			case <-ctx.Done():
				return
			}
		}
	})
	n.wg.Go(func() { n.leadLoop(ctx) })
	n.wg.Go(func() { n.watchLeader(ctx) })
	n.wg.Go(func() { n.membershipLoop(ctx) })
	n.wg.Go(func() { n.monitorLoop(ctx) })
	n.wg.Go(func() { n.collector.Run(ctx) })
	if n.traps != nil {
		n.wg.Go(func() { n.trapLoop(ctx) })
		n.wg.Go(func() { n.forwardLoop(ctx) })
		n.wg.Go(func() { n.trapConfigLoop(ctx) })
	}
}

// notify tells those who wait on LeaderChanged.
func (n *Node) notify() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.changed)
	n.changed = make(chan struct{})
}

// Store is the manager's copy of the configuration database.
func (n *Node) Store() *fsm.Store { return n.store }

// Shutdown ends the manager: it hands over leadership, ends the calls in
// flight, and closes everything. It stays a member of its cluster, which counts
// it as a manager that is down, unless leave_on_stop is set. When ctx ends
// first, it goes on without waiting for calls. A second call waits for the first.
func (n *Node) Shutdown(ctx context.Context) error {
	if n.cfg.LeaveOnStop {
		err := n.LeaveCluster(ctx)
		if err == nil {
			return nil
		}
		n.log.Error("can't leave the cluster; stopping as a member", "err", err)
	}
	var err error
	n.closing.Do(func() {
		if n.raft.State() == raft.Leader {
			if _, terr := n.Transfer(ctx, ""); terr != nil {
				n.log.Info("no leadership transfer", "err", terr)
			}
		}
		err = n.stop(ctx, false)
	})
	return err
}

// LeaveCluster takes the manager out of its cluster for good and ends it. Its
// data are kept beside as DATA/raft.left; started again, it joins anew. When
// the others can't be told, it stays as it is.
func (n *Node) LeaveCluster(ctx context.Context) error {
	if err := n.leave(ctx); err != nil {
		return err
	}
	var err error
	n.closing.Do(func() { err = n.stop(ctx, true) })
	return err
}

// stop ends all parts, those that take work first.
func (n *Node) stop(ctx context.Context, left bool) error {
	err := n.closeTraps()
	n.server.Shutdown(ctx)
	n.cancel()
	n.gossip.close(ctx.Err() == nil)
	n.wg.Wait()
	// Raft answers the store's last write before it ends.
	n.store.Close()
	err = errors.Join(err, n.raft.Shutdown().Error(), n.transport.Close())
	n.peers.Close()
	err = errors.Join(err, n.stores.close())
	if left {
		old := raftDir(n.cfg.DataDir) + ".left"
		err = errors.Join(err, os.RemoveAll(old), os.Rename(raftDir(n.cfg.DataDir), old), removeIfThere(promiseFile(n.cfg.DataDir)))
	}
	return err
}

func removeIfThere(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Term is Raft's current term as this manager knows it.
func (n *Node) Term() uint64 { return n.raft.CurrentTerm() }
