// Package fsmtest gives tests a configuration database: a store that leads,
// over a log in memory that three replicas apply. At the end of the test the
// replicas' digests must be equal and their rows must match them.
package fsmtest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/fsm/seal"
)

// Replicas is how many stores apply the log.
const Replicas = 3

// Cluster is a log in memory with its replicas. The first one leads.
type Cluster struct {
	t      testing.TB
	stores []*fsm.Store

	mu      sync.Mutex // guards the rest, and is held while an entry is applied
	index   uint64
	term    uint64
	leading bool
	log     []*raft.Log
	fault   func(n int) error // asked before each entry, with its number from 1
	entries int
}

// New makes a cluster that leads in term 1, with a random cluster key.
func New(t testing.TB) *Cluster {
	t.Helper()
	return NewAt(t, time.Now)
}

// NewAt is New with a clock of the test's own, which is read while a verb runs.
func NewAt(t testing.TB, now func() time.Time) *Cluster {
	t.Helper()
	sealer, err := seal.New(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{t: t, term: 1, leading: true}
	for range Replicas {
		c.stores = append(c.stores, fsm.NewStore(fsm.Options{Sealer: sealer, Now: now}))
	}
	c.stores[0].SetProposer(c)
	t.Cleanup(func() {
		for _, s := range c.stores {
			s.Close()
		}
		c.Check()
	})
	return c
}

// Store is the store that leads.
func (c *Cluster) Store() *fsm.Store { return c.stores[0] }

// Stores are all replicas.
func (c *Cluster) Stores() []*fsm.Store { return c.stores }

// Check fails the test unless all replicas hold the same rows.
func (c *Cluster) Check() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	want := c.stores[0].View()
	for i, s := range c.stores {
		v := s.View()
		if v.Digest() != want.Digest() || v.Index() != want.Index() {
			c.t.Errorf("replica %d has %v, replica 0 has %v", i, v, want)
		}
		if err := v.Verify(); err != nil {
			c.t.Errorf("replica %d: %v", i, err)
		}
	}
}

// Do runs a verb as the test and fails the test when it fails.
func (c *Cluster) Do(verb func(*fsm.Tx) error) fsm.Result {
	c.t.Helper()
	res, err := c.Try(verb)
	if err != nil {
		c.t.Fatalf("verb failed: %v", err)
	}
	return res
}

// Try runs a verb as the test.
func (c *Cluster) Try(verb func(*fsm.Tx) error) (fsm.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return c.Store().Update(ctx, fsm.Why{User: "test", Op: "test"}, verb)
}

// NewTerm begins a new term, as an election does.
func (c *Cluster) NewTerm() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.term++
	c.leading = true
	return c.term
}

// Term is the current term.
func (c *Cluster) Term() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.term
}

// StepDown ends leadership until NewTerm.
func (c *Cluster) StepDown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leading = false
}

// Fault asks fn before each entry, with the entry's number from 1 on: an error
// is what Propose returns, and the entry isn't applied. nil takes it away.
func (c *Cluster) Fault(fn func(entry int) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault, c.entries = fn, 0
}

// Log is a copy of all entries so far.
func (c *Cluster) Log() []*raft.Log {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*raft.Log(nil), c.log...)
}

func (c *Cluster) errNotLeader() error {
	return schema.Errorf(schema.KindNoLeader, "cluster", "this manager doesn't lead; nothing was written")
}

// Leading implements fsm.Proposer.
func (c *Cluster) Leading() (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.leading {
		return 0, c.errNotLeader()
	}
	return c.term, nil
}

// Confirm implements fsm.Proposer.
func (c *Cluster) Confirm() error {
	_, err := c.Leading()
	return err
}

// Propose implements fsm.Proposer.
func (c *Cluster) Propose(data []byte) (uint64, any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.leading {
		return 0, nil, c.errNotLeader()
	}
	c.entries++
	if c.fault != nil {
		if err := c.fault(c.entries); err != nil {
			return 0, nil, err
		}
	}
	c.index++
	l := &raft.Log{Index: c.index, Term: c.term, Type: raft.LogCommand, Data: data}
	c.log = append(c.log, l)
	var resp any
	for i, s := range c.stores {
		r := s.Apply(l)
		if i == 0 {
			resp = r
		}
	}
	return c.index, resp, nil
}
