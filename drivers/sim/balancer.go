package sim

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// BalancerSpec describes a load balancer that speaks the runtime API of HAProxy.
type BalancerSpec struct {
	Name  string     `yaml:"name"`
	Pools []PoolSpec `yaml:"pools"`
}

// PoolSpec describes a pool (backend) and the servers that it has at the start.
type PoolSpec struct {
	Name    string           `yaml:"name"`
	Servers []PoolServerSpec `yaml:"servers"`
}

// PoolServerSpec describes a server of a pool's configuration.
type PoolServerSpec struct {
	Name    string `yaml:"name"`
	Address string `yaml:"address"`
	Port    int    `yaml:"port"`
}

// checkBalancers checks the balancers of a world.
func (w *World) checkBalancers(claim func(kind, name string) error) error {
	for _, spec := range w.Balancers {
		if _, err := expandName("balancer", spec.Name, 1); err != nil {
			return err
		}
		if err := claim("balancer", spec.Name); err != nil {
			return err
		}
		if len(spec.Pools) == 0 {
			return fmt.Errorf("balancer %q: it has no pools", spec.Name)
		}
		seen := map[string]bool{}
		for _, p := range spec.Pools {
			if err := checkWord(p.Name, seen, p.Name); err != nil {
				return fmt.Errorf("balancer %q: pool: %w", spec.Name, err)
			}
			for _, s := range p.Servers {
				if err := checkWord(s.Name, seen, p.Name+"/"+s.Name); err != nil {
					return fmt.Errorf("balancer %q: pool %q: server: %w", spec.Name, p.Name, err)
				}
				if _, err := netip.ParseAddr(s.Address); err != nil || s.Port < 1 || s.Port > 65535 {
					return fmt.Errorf("balancer %q: server %s/%s: %s port %d is no address", spec.Name, p.Name, s.Name, s.Address, s.Port)
				}
			}
		}
	}
	return nil
}

// checkWord checks a name that commands have as one word, and that it is new under key.
func checkWord(name string, seen map[string]bool, key string) error {
	if _, err := expandName("it", name, 1); err != nil || !isWord(name) {
		return fmt.Errorf("%q can't be a name", name)
	}
	if seen[key] {
		return fmt.Errorf("%q is there twice", name)
	}
	seen[key] = true
	return nil
}

func isWord(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.' && r != ':' {
			return false
		}
	}
	return s != ""
}

// Modes of a server, as "set server ... state" has them.
const (
	lbReady = "ready"
	lbDrain = "drain"
	lbMaint = "maint"
)

// lbServer is a server of a pool.
type lbServer struct {
	name, address string
	port, id      int
	checked       bool // has a health check
	mode          string
	connections   int
}

// lbPool is a pool with its servers, in the order of their arrival.
type lbPool struct {
	name    string
	servers []*lbServer
}

func (p *lbPool) server(name string) *lbServer {
	if i := slices.IndexFunc(p.servers, func(s *lbServer) bool { return s.name == name }); i >= 0 {
		return p.servers[i]
	}
	return nil
}

// balancer is a load balancer and its stats socket.
type balancer struct {
	sim   *Sim
	name  string
	ln    net.Listener
	slots chan struct{} // held by connections in work

	mu    sync.Mutex // guards what follows
	pools []*lbPool
	mute  bool // connections end without an answer
}

// maxCallers bounds the connections in work; further ones wait.
const maxCallers = 64

func (s *Sim) startBalancers() error {
	for i, spec := range s.world.Balancers {
		addr, err := switchAddress(s.cfg.BalancerAddr, i)
		if err != nil {
			return err
		}
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("balancer %s: listen on %s: %w", spec.Name, addr, err)
		}
		b := &balancer{sim: s, name: spec.Name, ln: ln, slots: make(chan struct{}, maxCallers)}
		for _, p := range spec.Pools {
			pool := &lbPool{name: p.Name}
			for n, x := range p.Servers {
				pool.servers = append(pool.servers, &lbServer{name: x.Name, address: x.Address, port: x.Port, id: n + 1, mode: lbReady})
			}
			b.pools = append(b.pools, pool)
		}
		s.balancers = append(s.balancers, b)
		s.spawn(b.serve)
	}
	return nil
}

func (b *balancer) address() string { return b.ln.Addr().String() }

// close ends serve.
func (b *balancer) close() error { return b.ln.Close() }

// silence makes the balancer stop answering, or answer again.
func (b *balancer) silence(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mute = on
}

func (b *balancer) pool(name string) *lbPool {
	if i := slices.IndexFunc(b.pools, func(p *lbPool) bool { return p.name == name }); i >= 0 {
		return b.pools[i]
	}
	return nil
}

// BalancerAddr is HOST:PORT of a balancer's stats socket, or empty if there is no such balancer.
func (s *Sim) BalancerAddr(name string) string { return s.Endpoints().Balancers[name] }

// SetConnections sets how many connections a server of a pool has.
func (s *Sim) SetConnections(balancer, pool, server string, n int) error {
	for _, b := range s.balancers {
		if b.name != balancer {
			continue
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if p := b.pool(pool); p != nil && p.server(server) != nil {
			p.server(server).connections = n
			return nil
		}
	}
	return &UsageError{Msg: fmt.Sprintf("balancer %s has no server %s/%s", balancer, pool, server)}
}

// BalancerStatus is the truth about a balancer.
type BalancerStatus struct {
	Name    string             `json:"name"`
	Address string             `json:"address"` // HOST:PORT of its stats socket
	Answers bool               `json:"answers"`
	Servers []PoolServerStatus `json:"servers"`
}

// PoolServerStatus is a server of a pool.
type PoolServerStatus struct {
	Pool        string `json:"pool"`
	Name        string `json:"name"`
	Address     string `json:"address"` // HOST:PORT
	Mode        string `json:"mode"`    // ready | drain | maint
	Connections int    `json:"connections"`
}

func (b *balancer) status() BalancerStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	st := BalancerStatus{Name: b.name, Address: b.address(), Answers: !b.mute, Servers: []PoolServerStatus{}}
	for _, p := range b.pools {
		for _, s := range p.servers {
			st.Servers = append(st.Servers, PoolServerStatus{
				Pool: p.name, Name: s.name, Address: net.JoinHostPort(s.address, fmt.Sprint(s.port)), Mode: s.mode, Connections: s.connections,
			})
		}
	}
	return st
}

// errMute ends a connection without an answer.
var errMute = errors.New("the balancer doesn't answer")
