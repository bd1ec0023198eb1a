package placement

import (
	"cmp"
	"fmt"
)

// Validate checks the form of the problem: names are unique and known,
// quantities are in range, rules don't contradict themselves. The error tells
// the first thing wrong. Servers that carry more than their capacity are
// valid: that is a state to be repaired, not a mistake of the problem.
func (p *Problem) Validate() error {
	v := validator{p: p, models: map[string]bool{}, servers: make(map[string]bool, len(p.Servers)), vms: make(map[string]bool, len(p.VMs))}
	v.isServer = func(name string) bool { return v.servers[name] }
	for _, check := range []func() *Error{v.dimensions, v.settings, v.modelList, v.serverList, v.vmList, v.ruleList} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

type validator struct {
	p        *Problem
	models   map[string]bool
	servers  map[string]bool
	vms      map[string]bool
	isServer func(name string) bool
}

func quantity(object, what string, n, least int64) *Error {
	if n < least || n > MaxQuantity {
		return invalid(object, "%s %d is out of range %d to %d", what, n, least, MaxQuantity)
	}
	return nil
}

func (v *validator) dimensions() *Error {
	seen := map[string]bool{}
	for _, d := range v.p.Dimensions {
		object := fmt.Sprintf("dimension %q", d.Name)
		switch {
		case d.Name == "" || !plainWord(d.Name):
			return invalid(object, "the name must be one word of letters, digits, - and _")
		case reservedKeys[d.Name]:
			return invalid(object, "the name has a meaning of its own in the text format; choose another")
		case seen[d.Name]:
			return invalid(object, "named twice")
		}
		seen[d.Name] = true
	}
	return nil
}

func (v *validator) settings() *Error {
	s := v.p.Settings
	switch {
	case s.ReserveFailures < 0 || s.ReserveFailures > len(v.p.Servers):
		return invalid("settings", "reserve-failures %d is out of range 0 to the number of servers %d", s.ReserveFailures, len(v.p.Servers))
	case s.MoveBudget < 0:
		return invalid("settings", "move-budget %d is negative", s.MoveBudget)
	case s.Hold < 0:
		return invalid("settings", "hold %v is negative", s.Hold)
	case s.MinGain < 0:
		return invalid("settings", "min-gain %d is negative", s.MinGain)
	}
	return nil
}

func (v *validator) modelList() *Error {
	for i, m := range v.p.Models {
		if err := named("model", i, m.Name, v.models); err != nil {
			return err
		}
		if m.Low < 0 || m.Low > m.TargetLow || m.TargetLow > m.TargetHigh || m.TargetHigh > m.High {
			return invalid(fmt.Sprintf("model %q", m.Name), "boundaries must rise: low %d, target %d..%d, high %d", m.Low, m.TargetLow, m.TargetHigh, m.High)
		}
	}
	return nil
}

// named notes the name of the i-th object of a kind, which has to have one of its own.
func named(kind string, i int, name string, seen map[string]bool) *Error {
	switch {
	case name == "":
		return invalid(kind, "number %d has no name", i+1)
	case seen[name]:
		return invalid(fmt.Sprintf("%s %q", kind, name), "named twice")
	}
	seen[name] = true
	return nil
}

func (v *validator) serverList() *Error {
	for i := range v.p.Servers {
		s := &v.p.Servers[i]
		if err := cmp.Or(named("server", i, s.Name, v.servers), v.server(s)); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) server(s *Server) *Error {
	object := fmt.Sprintf("server %q", s.Name)
	switch s.State {
	case ServerOn, ServerOff, ServerDisconnected, ServerFailed:
	default:
		return invalid(object, "state %q is none of on, off, disconnected, failed", s.State)
	}
	if s.Model != "" && len(v.models) > 0 && !v.models[s.Model] {
		return invalid(object, "model %q is unknown", s.Model)
	}
	if len(s.Limits) != len(v.p.Dimensions) {
		return invalid(object, "has %d limits for %d dimensions", len(s.Limits), len(v.p.Dimensions))
	}
	if s.StartTime < 0 || s.SinceChange < 0 {
		return invalid(object, "has a negative time")
	}
	if err := cmp.Or(quantity(object, "capacity", s.Capacity, 1), quantity(object, "start cost", s.StartCost, 0)); err != nil {
		return err
	}
	for d, l := range s.Limits {
		name := v.p.Dimensions[d].Name
		if err := cmp.Or(quantity(object, name+" limit", l.Limit, 1), quantity(object, name+" own use", l.Own, 0), quantity(object, name+" size", l.Size, 0)); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) vmList() *Error {
	for i := range v.p.VMs {
		m := &v.p.VMs[i]
		if err := cmp.Or(named("vm", i, m.Name, v.vms), v.vm(m)); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) vm(m *VM) *Error {
	object := fmt.Sprintf("vm %q", m.Name)
	switch m.Power {
	case PowerOn, PowerOff, PowerSuspended:
	default:
		return invalid(object, "power %q is none of on, off, suspended", m.Power)
	}
	if m.Server != "" && !v.isServer(m.Server) {
		return invalid(object, "is on server %q, which is unknown", m.Server)
	}
	if m.Server == "" && m.Power == PowerSuspended {
		return invalid(object, "is suspended, but on no server")
	}
	if len(m.Demand) != len(v.p.Dimensions) {
		return invalid(object, "has %d demands for %d dimensions", len(m.Demand), len(v.p.Dimensions))
	}
	if m.SinceMove < 0 {
		return invalid(object, "has a negative time since its move")
	}
	for _, name := range m.ServerModels {
		if len(v.models) > 0 && !v.models[name] {
			return invalid(object, "is tied to model %q, which is unknown", name)
		}
	}
	if err := cmp.Or(quantity(object, "cost", m.Cost, 0), quantity(object, "move cost", m.MoveCost, 0)); err != nil {
		return err
	}
	for d, n := range m.Demand {
		if err := quantity(object, v.p.Dimensions[d].Name, n, 0); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) ruleList() *Error {
	seen := map[string]bool{}
	pins := map[string]*Rule{}
	for i := range v.p.Rules {
		r := &v.p.Rules[i]
		object := fmt.Sprintf("rule %q", r.Name)
		if err := cmp.Or(named("rule", i, r.Name, seen), v.rule(object, r)); err != nil {
			return err
		}
		if r.Kind == RulePin {
			for _, name := range r.VMs {
				if o := pins[name]; o != nil && !overlap(o.Servers, r.Servers) {
					return invalid(object, "pins vm %q to servers of which rule %q allows none", name, o.Name)
				}
				pins[name] = r
			}
		}
	}
	return v.contradictions()
}

func (v *validator) rule(object string, r *Rule) *Error {
	if len(r.VMs) == 0 {
		return invalid(object, "names no vm")
	}
	if dup := repeated(r.VMs); dup != "" {
		return invalid(object, "names vm %q twice", dup)
	}
	for _, name := range r.VMs {
		if !v.vms[name] {
			return invalid(object, "vm %q is unknown", name)
		}
	}
	for _, name := range r.Servers {
		if !v.servers[name] {
			return invalid(object, "server %q is unknown", name)
		}
	}
	switch r.Kind {
	case RuleApart, RuleSpread:
		if r.Max < 0 {
			return invalid(object, "max %d is negative", r.Max)
		}
	case RuleTogether, RuleHold:
	case RulePin, RuleForbid:
		if len(r.Servers) == 0 {
			return invalid(object, "names no server")
		}
	default:
		return invalid(object, "kind %q is none of apart, together, spread, pin, forbid, hold", r.Kind)
	}
	if r.Max != 0 && r.Kind != RuleApart && r.Kind != RuleSpread {
		return invalid(object, "max has no meaning for kind %s", r.Kind)
	}
	if len(r.Servers) > 0 && r.Kind != RulePin && r.Kind != RuleForbid {
		return invalid(object, "servers have no meaning for kind %s", r.Kind)
	}
	return nil
}

// contradictions finds VMs that one rule holds together while another keeps
// them apart.
func (v *validator) contradictions() *Error {
	group := map[string]int{} // VM -> smallest rule index of its together set
	parent := make([]int, len(v.p.Rules))
	for i := range parent {
		parent[i] = i
	}
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	for i := range v.p.Rules {
		if v.p.Rules[i].Kind != RuleTogether {
			continue
		}
		for _, name := range v.p.Rules[i].VMs {
			if g, ok := group[name]; ok {
				parent[find(i)] = find(g)
			} else {
				group[name] = i
			}
		}
	}
	for i := range v.p.Rules {
		r := &v.p.Rules[i]
		if r.Kind != RuleApart && r.Kind != RuleSpread {
			continue
		}
		count := map[int]int{}
		for _, name := range r.VMs {
			g, ok := group[name]
			if !ok {
				continue
			}
			if count[find(g)]++; count[find(g)] > max(r.Max, 1) {
				return invalid(fmt.Sprintf("rule %q", r.Name), "keeps vm %q apart from a vm that rule %q keeps together with it", name, v.p.Rules[find(g)].Name)
			}
		}
	}
	return nil
}

func overlap(a, b []string) bool {
	in := make(map[string]bool, len(a))
	for _, s := range a {
		in[s] = true
	}
	for _, s := range b {
		if in[s] {
			return true
		}
	}
	return false
}

func repeated(names []string) string {
	seen := make(map[string]bool, len(names))
	for _, s := range names {
		if seen[s] {
			return s
		}
		seen[s] = true
	}
	return ""
}

func plainWord(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return false
		}
	}
	return s != ""
}
