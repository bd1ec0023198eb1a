package fake

import (
	"context"
	"slices"
	"sort"
	"strings"

	"yagura/drivers"
)

// Operations on a balancer; the object of the effects is "POOL/MEMBER".
const (
	OpLBAdd       = "lb-add"
	OpLBDrain     = "lb-drain"
	OpLBRemove    = "lb-remove"
	OpReadPools   = "read-pools"
	OpReadMembers = "read-members" // of a pool
)

// balancer is the pools of a balancer, each with its nodes, both by name.
type balancer map[string]map[string]*drivers.MemberState

// AddPool makes a pool of a balancer, with nodes that are ready.
func (w *World) AddPool(system, pool string, members ...drivers.Member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.balancers[system] == nil {
		w.balancers[system] = balancer{}
	}
	p := map[string]*drivers.MemberState{}
	for _, m := range members {
		p[m.Name] = &drivers.MemberState{Member: m, Mode: drivers.MemberReady, Up: true}
	}
	w.balancers[system][pool] = p
	w.notify()
}

// Balancer is one client's connection to a balancer.
type Balancer struct {
	w      *World
	system string
}

var _ drivers.Balancer = (*Balancer)(nil)

// Balancer opens a client on a balancer; AddPool made it.
func (w *World) Balancer(system string) *Balancer { return &Balancer{w, system} }

// SetConnections sets how many connections a node has. It is a knob: it leaves
// no trace, and panics when there is no such node. Connections stay until it is
// called again or the node is removed.
func (b *Balancer) SetConnections(pool, member string, n int) {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.w.settle()
	m := b.w.balancers[b.system][pool][member]
	if m == nil {
		panic("fake: no node " + pool + "/" + member)
	}
	m.Connections = n
	b.w.notify()
}

// Pools implements drivers.Balancer.
func (b *Balancer) Pools(ctx context.Context) ([]string, error) {
	var names []string
	err := b.w.read(ctx, b.system, OpReadPools, b.system, func() error {
		names = nil
		for name := range b.w.balancers[b.system] {
			names = append(names, name)
		}
		sort.Strings(names)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

// Members implements drivers.Balancer.
func (b *Balancer) Members(ctx context.Context, pool string) ([]drivers.MemberState, error) {
	var all []drivers.MemberState
	err := b.w.read(ctx, b.system, OpReadMembers, pool, func() error {
		p := b.w.balancers[b.system][pool]
		if p == nil {
			return (&change{system: b.system, op: OpReadMembers, object: pool}).errorf(drivers.KindNotFound, "no such pool")
		}
		for _, m := range p {
			all = append(all, *m)
		}
		slices.SortFunc(all, func(a, b drivers.MemberState) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// AddMember implements drivers.Balancer.
func (b *Balancer) AddMember(ctx context.Context, call drivers.Call, pool string, m drivers.Member) (drivers.Task, error) {
	return b.run(ctx, call, OpLBAdd, pool, m.Name, func(c *change, p map[string]*drivers.MemberState) (bool, error) {
		if err := m.Check(); err != nil {
			return false, c.errorf(drivers.KindRefused, "%w", err)
		}
		old := p[m.Name]
		if old != nil && !old.Same(m) {
			return false, c.errorf(drivers.KindRefused, "a node of this name has the address %s port %d", old.Address, old.Port)
		}
		return old != nil && old.Mode == drivers.MemberReady, nil
	}, func(p map[string]*drivers.MemberState) {
		if p[m.Name] == nil {
			p[m.Name] = &drivers.MemberState{Member: m, Up: true}
		}
		p[m.Name].Mode = drivers.MemberReady
	})
}

// DrainMember implements drivers.Balancer.
func (b *Balancer) DrainMember(ctx context.Context, call drivers.Call, pool, member string) (drivers.Task, error) {
	return b.run(ctx, call, OpLBDrain, pool, member, func(_ *change, p map[string]*drivers.MemberState) (bool, error) {
		return p[member] == nil || p[member].Mode != drivers.MemberReady, nil
	}, func(p map[string]*drivers.MemberState) { p[member].Mode = drivers.MemberDraining })
}

// RemoveMember implements drivers.Balancer.
func (b *Balancer) RemoveMember(ctx context.Context, call drivers.Call, pool, member string) (drivers.Task, error) {
	return b.run(ctx, call, OpLBRemove, pool, member, func(_ *change, p map[string]*drivers.MemberState) (bool, error) {
		return p[member] == nil, nil
	}, func(p map[string]*drivers.MemberState) { delete(p, member) })
}

// run brings a change of a pool about.
func (b *Balancer) run(
	ctx context.Context, call drivers.Call, op, pool, member string,
	there func(*change, map[string]*drivers.MemberState) (bool, error), apply func(map[string]*drivers.MemberState),
) (drivers.Task, error) {
	w := b.w
	c := change{system: b.system, op: op, object: pool + "/" + member, call: call}
	c.check = func() (bool, string, error) {
		p := w.balancers[b.system][pool]
		if p == nil {
			return false, "", c.errorf(drivers.KindNotFound, "no such pool")
		}
		if err := drivers.CheckName("the node", member); err != nil {
			return false, "", c.errorf(drivers.KindRefused, "%w", err)
		}
		is, err := there(&c, p)
		return is, "", err
	}
	c.apply = func() string {
		apply(w.balancers[b.system][pool])
		return ""
	}
	t, err := w.run(ctx, c)
	t.ID = "" // a balancer has no tasks to ask about: Members tells
	return t, err
}

// Close implements drivers.Balancer.
func (b *Balancer) Close(context.Context) error { return nil }
