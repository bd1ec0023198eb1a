package placement

import (
	"cmp"
	"fmt"
	"slices"
)

// Verify carries the plan out on paper and returns the first step that breaks
// a capacity or rule at any moment, or nil. It works on names and shares no
// code with the search, so it can be used to check it. What was broken before
// may stay broken, but no arrival may be on a server where it breaks anything.
func Verify(p *Problem, plan *Plan) error {
	w := newWorld(p)
	for _, a := range plan.StartBefore {
		s := w.servers[a.Server]
		if s == nil || s.State != ServerOff || !s.Startable {
			return invalid("start of "+a.Server, "the server isn't one that is off and may be started")
		}
		w.running[a.Server] = true
	}
	for i := 0; i < len(plan.Moves); {
		j := i
		for j < len(plan.Moves) && plan.Moves[j].Wave == plan.Moves[i].Wave {
			j++
		}
		if j < len(plan.Moves) && plan.Moves[j].Wave < plan.Moves[i].Wave {
			return invalid("move of "+plan.Moves[j].VM, "wave %d comes after wave %d", plan.Moves[j].Wave, plan.Moves[i].Wave)
		}
		if err := w.wave(plan.Moves[i:j]); err != nil {
			return err
		}
		i = j
	}
	for _, a := range plan.StopAfter {
		if w.servers[a.Server] == nil || !w.running[a.Server] {
			return invalid("stop of "+a.Server, "the server doesn't run")
		}
		for name, on := range w.on {
			if on && w.at[name] == a.Server {
				return invalid("stop of "+a.Server, "vm %q still runs there", name)
			}
		}
	}
	return nil
}

// world is where everything is while a plan is carried out.
type world struct {
	p       *Problem
	servers map[string]*Server
	vms     map[string]*VM
	running map[string]bool
	at      map[string]string // VM -> server
	leaving map[string]string // VM -> server that it leaves in this wave
	on      map[string]bool   // VM uses capacity
	used    map[string][]int64
	rulesOf map[string][]*Rule
}

func newWorld(p *Problem) *world {
	w := &world{p: p, servers: map[string]*Server{}, vms: map[string]*VM{}, running: map[string]bool{}, at: map[string]string{},
		leaving: map[string]string{}, on: map[string]bool{}, used: map[string][]int64{}, rulesOf: map[string][]*Rule{}}
	for i := range p.Servers {
		s := &p.Servers[i]
		w.servers[s.Name] = s
		w.running[s.Name] = s.State == ServerOn
		w.used[s.Name] = make([]int64, 1+len(p.Dimensions))
	}
	for i := range p.VMs {
		m := &p.VMs[i]
		w.vms[m.Name] = m
		w.on[m.Name] = m.Power == PowerOn
		if m.Server != "" {
			w.at[m.Name] = m.Server
			if w.on[m.Name] {
				w.add(m, m.Server, 1)
			}
		}
	}
	for i := range p.Rules {
		for _, name := range p.Rules[i].VMs {
			w.rulesOf[name] = append(w.rulesOf[name], &p.Rules[i])
		}
	}
	return w
}

func (w *world) add(m *VM, server string, sign int64) {
	u := w.used[server]
	u[0] += sign * m.Cost
	for d, n := range m.Demand {
		u[1+d] += sign * n
	}
}

// wave carries out moves that may run side by side: all arrive before any
// leaves.
func (w *world) wave(moves []Move) error {
	for _, mv := range moves {
		if err := w.arrive(mv); err != nil {
			err.Object = fmt.Sprintf("wave %d, %s of %s from %q to %q", mv.Wave, mv.Kind, mv.VM, mv.From, mv.To)
			return err
		}
	}
	for name, server := range w.leaving {
		if w.on[name] {
			w.add(w.vms[name], server, -1)
		}
	}
	clear(w.leaving)
	for _, mv := range moves {
		for _, r := range w.rulesOf[mv.VM] {
			if r.Kind == RuleTogether && w.parted(r, mv) {
				return invalid("wave "+fmt.Sprint(mv.Wave), "rule %q is broken at its end", r.Name)
			}
		}
	}
	return nil
}

// parted says whether mv brought its VM to a server without the others of r.
func (w *world) parted(r *Rule, mv Move) bool {
	if mv.Kind == PowerOnVM {
		return false
	}
	others := 0
	for _, name := range r.VMs {
		if name == mv.VM || w.at[name] == "" {
			continue
		}
		if others++; w.at[name] == mv.To {
			return false
		}
	}
	return others > 0
}

func (w *world) arrive(mv Move) *Error {
	m, s := w.vms[mv.VM], w.servers[mv.To]
	switch {
	case m == nil || s == nil:
		return invalid("", "the vm or server is unknown")
	case w.leaving[mv.VM] != "":
		return invalid("", "the vm moves twice in one wave")
	case w.at[mv.VM] != mv.From:
		return invalid("", "the vm is on %q", w.at[mv.VM])
	case !w.running[mv.To] || s.Maintenance:
		return invalid("", "the server doesn't run or is in maintenance mode")
	case mv.Kind == PowerOnVM && mv.From != mv.To, mv.Kind != PowerOnVM && mv.From == mv.To:
		return invalid("", "the kind doesn't fit the servers")
	case m.Power == PowerSuspended:
		return invalid("", "the vm is suspended")
	}
	if mv.Kind == PowerOnVM {
		if !w.on[mv.VM] || !w.running[mv.From] {
			w.on[mv.VM] = true
			w.add(m, mv.To, 1)
		}
		return w.room(m, mv.To)
	}
	if err := cmp.Or(w.source(m, mv), w.static(m, s, mv.Kind)); err != nil {
		return err
	}
	if mv.From != "" {
		w.leaving[mv.VM] = mv.From
	} else {
		w.on[mv.VM] = true
	}
	w.at[mv.VM] = mv.To
	if w.on[mv.VM] {
		w.add(m, mv.To, 1)
		if err := w.room(m, mv.To); err != nil {
			return err
		}
	}
	return w.company(m, s)
}

// room checks that a VM just counted on the server overloads nothing that it
// uses.
func (w *world) room(m *VM, server string) *Error {
	s, u := w.servers[server], w.used[server]
	if m.Cost > 0 && u[0] > s.Capacity {
		return invalid("", "cost %d exceeds capacity %d", u[0], s.Capacity)
	}
	for d, n := range m.Demand {
		if n > 0 && !w.p.Dimensions[d].Measured && u[1+d] > s.Limits[d].Limit {
			return invalid("", "%s %d exceeds limit %d", w.p.Dimensions[d].Name, u[1+d], s.Limits[d].Limit)
		}
	}
	return nil
}

// source checks that the VM can leave where it is in the way of the move.
func (w *world) source(m *VM, mv Move) *Error {
	if (mv.From == "") != (mv.Kind == CreateVM) {
		return invalid("", "only a vm that is nowhere can be created")
	}
	if mv.From == "" {
		return nil
	}
	runs, on := w.running[mv.From], m.Power == PowerOn
	switch {
	case w.servers[mv.From].State == ServerDisconnected:
		return invalid("", "the source is disconnected")
	case (mv.Kind == Failover) == runs:
		return invalid("", "failover is for servers that don't run")
	case runs && (mv.Kind == HotMigrate) != on:
		return invalid("", "the vm's power is %s", m.Power)
	case m.LocalDisk && mv.Kind != ColdMove:
		return invalid("", "the vm has a local disk")
	case mv.Kind == ColdMove && !w.p.Settings.ColdMove:
		return invalid("", "moves with disks aren't allowed")
	}
	for _, r := range w.rulesOf[m.Name] {
		if r.Kind == RuleHold && runs {
			return invalid("", "rule %q holds it", r.Name)
		}
	}
	return nil
}

// static checks what depends on the VM and the server alone.
func (w *world) static(m *VM, s *Server, kind MoveKind) *Error {
	dc := m.Datacenter
	if dc == "" && m.Server != "" {
		dc = w.servers[m.Server].Datacenter
	}
	switch {
	case len(m.ServerModels) > 0 && !slices.Contains(m.ServerModels, s.Model):
		return invalid("", "model %q isn't tied", s.Model)
	case dc != "" && dc != s.Datacenter:
		return invalid("", "datacenter %q isn't %q", s.Datacenter, dc)
	}
	for _, name := range m.Datastores {
		if kind != ColdMove && !slices.Contains(s.Datastores, name) {
			return invalid("", "datastore %q isn't there", name)
		}
	}
	for _, name := range m.Networks {
		if !slices.Contains(s.Networks, name) {
			return invalid("", "network %q isn't there", name)
		}
	}
	for _, r := range w.rulesOf[m.Name] {
		if r.Kind == RulePin && !slices.Contains(r.Servers, s.Name) || r.Kind == RuleForbid && slices.Contains(r.Servers, s.Name) {
			return invalid("", "rule %q says no", r.Name)
		}
	}
	return nil
}

// company checks apart and spread rules of a VM just put on s; VMs that leave
// in this wave still count where they were, those of failed servers don't.
func (w *world) company(m *VM, s *Server) *Error {
	for _, r := range w.rulesOf[m.Name] {
		if r.Kind != RuleApart && r.Kind != RuleSpread {
			continue
		}
		near := func(server string) bool {
			o := w.servers[server]
			return o != nil && o.State != ServerFailed && (o == s || r.Kind == RuleSpread && o.Rack != "" && o.Rack == s.Rack)
		}
		n := 0
		for _, name := range r.VMs {
			if near(w.at[name]) || near(w.leaving[name]) {
				n++
			}
		}
		if n > max(r.Max, 1) {
			return invalid("", "rule %q is broken by %d VMs", r.Name, n)
		}
	}
	return nil
}
