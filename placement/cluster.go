package placement

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Cluster is a problem made ready for many questions: names are resolved to
// indices, VMs with equal needs share one table of the servers they may use,
// and the load of each server is summed. It is not safe for concurrent use
// while it is changed; any number of Solve calls may run side by side.
type Cluster struct {
	p         Problem
	nd        int // dimensions with the capacity number as number 0
	serverIdx map[string]int
	vmIdx     map[string]int
	racks     []int   // rack of a server, as an index
	limits    []int64 // server*nd+d; unlimited for measured dimensions
	demands   []int64 // vm*nd+d
	costed    bool    // some VM has a cost
	classes   []class
	classIdx  map[string]int
	classOf   []int          // of a VM
	groups    []group        // apart and spread rules
	groupsOf  [][]int32      // of a VM
	together  [][]int        // members of units of more than one VM
	unitOf    []int          // index into together, or -1
	matesOf   [][]mates      // together rules of a VM
	boundBy   [][]int32      // pin and forbid rules of a VM, indices into p.Rules
	held      []string       // per VM the hold rule's name, or empty
	now       state          // as the problem says it is
	vacant    []int          // places of VMs that were removed
	removed   map[string]int // places of removed VMs that rules still name
	spare     sync.Pool      // *state, for the next question
}

// unlimited is the limit of dimensions that never forbid a placement.
const unlimited = int64(1) << 62

// class is what the servers that a VM may use depend on, apart from load.
type class struct {
	allowed []bool // per server
	vm      int    // a VM of the class, for explanations
}

// mates is a together rule.
type mates struct {
	rule string
	vms  []int
}

// group is an apart or spread rule.
type group struct {
	rule string
	max  int
	rack bool // counts per rack, not per server
	vms  []int
}

// Compile checks the problem and makes it ready for questions. The problem's
// lists of names are shared with the Cluster and must not be changed afterwards.
func Compile(p *Problem) (*Cluster, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	c := &Cluster{p: *p, nd: 1 + len(p.Dimensions), classIdx: map[string]int{}, removed: map[string]int{}}
	c.p.Servers, c.p.VMs = slices.Clone(p.Servers), slices.Clone(p.VMs)
	c.serverIdx = make(map[string]int, len(p.Servers))
	c.limits = make([]int64, len(p.Servers)*c.nd)
	for i := range p.Servers {
		c.serverIdx[p.Servers[i].Name] = i
		c.setLimits(i)
	}
	c.setRacks()
	c.vmIdx = make(map[string]int, len(p.VMs))
	c.demands = make([]int64, len(p.VMs)*c.nd)
	for i := range p.VMs {
		c.vmIdx[p.VMs[i].Name] = i
		c.setDemand(i)
	}
	c.compileRules()
	c.classOf = make([]int, len(p.VMs))
	for i := range p.VMs {
		c.setClass(i)
	}
	c.now = c.initialState()
	return c, nil
}

// setRacks numbers the racks; a server without one is a rack of its own.
func (c *Cluster) setRacks() {
	idx := map[string]int{}
	c.racks = c.racks[:0]
	for i := range c.p.Servers {
		rack := "rack " + c.p.Servers[i].Rack
		if c.p.Servers[i].Rack == "" {
			rack = "server " + c.p.Servers[i].Name
		}
		if _, ok := idx[rack]; !ok {
			idx[rack] = len(idx)
		}
		c.racks = append(c.racks, idx[rack])
	}
}

func (c *Cluster) setLimits(i int) {
	s := &c.p.Servers[i]
	c.limits[i*c.nd] = s.Capacity
	for d, l := range s.Limits {
		c.limits[i*c.nd+1+d] = l.Limit
		if c.p.Dimensions[d].Measured {
			c.limits[i*c.nd+1+d] = unlimited
		}
	}
}

func (c *Cluster) setDemand(i int) {
	m := &c.p.VMs[i]
	c.demands[i*c.nd] = m.Cost
	c.costed = c.costed || m.Cost > 0
	copy(c.demands[i*c.nd+1:(i+1)*c.nd], m.Demand)
}

func (c *Cluster) compileRules() {
	n := len(c.p.VMs)
	c.groupsOf = make([][]int32, n)
	c.boundBy = make([][]int32, n)
	c.held = make([]string, n)
	c.matesOf = make([][]mates, n)
	c.unitOf = make([]int, n)
	for i := range c.unitOf {
		c.unitOf[i] = -1
	}
	var sets [][]int
	for i := range c.p.Rules {
		r := &c.p.Rules[i]
		switch r.Kind {
		case RuleApart, RuleSpread:
			g := group{rule: r.Name, max: max(r.Max, 1), rack: r.Kind == RuleSpread, vms: c.vmIndices(r.VMs)}
			for _, v := range g.vms {
				c.groupsOf[v] = append(c.groupsOf[v], int32(len(c.groups)))
			}
			c.groups = append(c.groups, g)
		case RulePin, RuleForbid:
			for _, v := range c.vmIndices(r.VMs) {
				c.boundBy[v] = append(c.boundBy[v], int32(i))
			}
		case RuleTogether:
			set := c.vmIndices(r.VMs)
			for _, v := range set {
				c.matesOf[v] = append(c.matesOf[v], mates{rule: r.Name, vms: set})
			}
			sets = append(sets, set)
		case RuleHold:
			for _, v := range c.vmIndices(r.VMs) {
				c.held[v] = r.Name
			}
		}
	}
	c.joinUnits(sets)
}

// joinUnits merges together rules that share VMs.
func (c *Cluster) joinUnits(sets [][]int) {
	for _, set := range sets {
		u := len(c.together)
		c.together = append(c.together, nil)
		for _, v := range set {
			if old := c.unitOf[v]; old >= 0 && old != u {
				for _, w := range c.together[old] {
					c.unitOf[w] = u
				}
				c.together[u] = append(c.together[u], c.together[old]...)
				c.together[old] = nil
			} else if old < 0 {
				c.unitOf[v] = u
				c.together[u] = append(c.together[u], v)
			}
		}
		slices.Sort(c.together[u])
	}
}

func (c *Cluster) vmIndices(names []string) []int {
	out := make([]int, len(names))
	for i, s := range names {
		out[i] = c.vmIdx[s]
	}
	return out
}

// setClass finds or makes the class of a VM.
func (c *Cluster) setClass(i int) {
	m := &c.p.VMs[i]
	var b strings.Builder
	part := func(names ...string) {
		for _, s := range names {
			fmt.Fprintf(&b, "%q", s)
		}
		b.WriteByte(';')
	}
	part(m.ServerModels...)
	part(c.datacenterOf(m))
	part(m.Networks...)
	if c.needsDatastores(m) {
		part(m.Datastores...)
	}
	for _, r := range c.boundBy[i] {
		part(c.p.Rules[r].Name)
	}
	key := b.String()
	k, ok := c.classIdx[key]
	if !ok {
		k = len(c.classes)
		c.classIdx[key] = k
		allowed := make([]bool, len(c.p.Servers))
		for s := range allowed {
			rule, _ := c.staticRule(i, s)
			allowed[s] = rule == ""
		}
		c.classes = append(c.classes, class{allowed: allowed, vm: i})
	}
	c.classOf[i] = k
}

// datacenterOf returns the datacenter that the VM can't leave (manual 5.2.19).
func (c *Cluster) datacenterOf(m *VM) string {
	if m.Datacenter == "" && m.Server != "" {
		return c.p.Servers[c.serverIdx[m.Server]].Datacenter
	}
	return m.Datacenter
}

// needsDatastores says whether the VM can only go where its datastores are: it
// can, unless it may be moved together with its disks.
func (c *Cluster) needsDatastores(m *VM) bool {
	return !(c.p.Settings.ColdMove && m.Power == PowerOff && m.Server != "" && c.p.Servers[c.serverIdx[m.Server]].State == ServerOn)
}

// staticRule returns the first rule that keeps VM v off server s whatever the
// load, and what it is about.
func (c *Cluster) staticRule(v, s int) (RuleName, string) {
	m, srv := &c.p.VMs[v], &c.p.Servers[s]
	if len(m.ServerModels) > 0 && !slices.Contains(m.ServerModels, srv.Model) {
		return NoModel, srv.Model
	}
	if dc := c.datacenterOf(m); dc != "" && dc != srv.Datacenter {
		return NoDatacenter, srv.Datacenter
	}
	if c.needsDatastores(m) {
		for _, name := range m.Datastores {
			if !slices.Contains(srv.Datastores, name) {
				return NoDatastore, name
			}
		}
	}
	for _, name := range m.Networks {
		if !slices.Contains(srv.Networks, name) {
			return NoNetwork, name
		}
	}
	for _, r := range c.boundBy[v] {
		rule := &c.p.Rules[r]
		if in := slices.Contains(rule.Servers, srv.Name); in != (rule.Kind == RulePin) {
			if rule.Kind == RulePin {
				return NoPin, rule.Name
			}
			return NoForbid, rule.Name
		}
	}
	return "", ""
}

func (c *Cluster) demand(v int) []int64 { return c.demands[v*c.nd : (v+1)*c.nd] }

func (c *Cluster) vmName(v int) string { return c.p.VMs[v].Name }

func (c *Cluster) serverName(s int) string { return c.p.Servers[s].Name }
