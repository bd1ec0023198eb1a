package placement

import (
	"fmt"
	"slices"
)

// SetServer adds a server or replaces the one of the same name. Its VMs stay.
// An error leaves the cluster as it was.
func (c *Cluster) SetServer(s Server) error {
	if err := c.checker().oneServer(&s); err != nil {
		return err
	}
	i, known := c.serverIdx[s.Name]
	if !known {
		c.addServer(s)
		return nil
	}
	was := &c.p.Servers[i]
	moved := was.Rack != s.Rack || was.Datacenter != s.Datacenter || was.State != s.State && (c.p.Settings.ColdMove || was.State == ServerFailed || s.State == ServerFailed)
	c.p.Servers[i] = s
	for d := range c.nd {
		c.now.free[i*c.nd+d] -= c.limits[i*c.nd+d]
	}
	c.setLimits(i)
	for d := range c.nd {
		c.now.free[i*c.nd+d] += c.limits[i*c.nd+d]
	}
	c.now.target[i] = s.State == ServerOn && !s.Maintenance
	if moved { // the groups' counts and the classes of its VMs may change
		c.setRacks()
		c.classes, c.classIdx = nil, map[string]int{}
		for v := range c.p.VMs {
			c.setClass(v)
		}
		c.now = c.initialState()
	}
	c.allowOn(i)
	return nil
}

func (c *Cluster) addServer(s Server) {
	i := len(c.p.Servers)
	c.p.Servers = append(c.p.Servers, s)
	c.serverIdx[s.Name] = i
	c.limits = append(c.limits, make([]int64, c.nd)...)
	c.setLimits(i)
	c.setRacks()
	for k := range c.classes {
		c.classes[k].allowed = append(c.classes[k].allowed, false)
	}
	c.allowOn(i)
	c.now = c.initialState()
}

// allowOn finds out anew which classes of VMs may use server i.
func (c *Cluster) allowOn(i int) {
	for k := range c.classes {
		rule, _ := c.staticRule(c.classes[k].vm, i)
		c.classes[k].allowed[i] = rule == ""
	}
}

// SetVM adds a VM or replaces the one of the same name, which may be on another
// server then. Rules that name it stay. An error leaves the cluster as it was.
func (c *Cluster) SetVM(m VM) error {
	if err := c.checker().oneVM(&m); err != nil {
		return err
	}
	i, known := c.vmIdx[m.Name]
	if !known {
		i = c.addVM(m.Name)
	} else if c.now.host[i] >= 0 {
		c.now.take(i)
	}
	c.disown(i)
	c.p.VMs[i] = m
	c.setDemand(i)
	c.setClass(i)
	c.now.active[i] = m.Power == PowerOn
	if m.Server != "" {
		c.now.put(i, c.serverIdx[m.Server])
	}
	return nil
}

// disown lets the classes that are explained by VM i, which is about to change,
// be explained by another.
func (c *Cluster) disown(i int) {
	for k := range c.classes {
		if c.classes[k].vm == i {
			c.reclass(k, i)
		}
	}
}

// reclass lets class k stand on another VM than i, or forgets it.
func (c *Cluster) reclass(k, i int) {
	for v, of := range c.classOf {
		if of == k && v != i {
			c.classes[k].vm = v
			return
		}
	}
	for key, at := range c.classIdx {
		if at == k {
			delete(c.classIdx, key)
		}
	}
}

func (c *Cluster) addVM(name string) int {
	i := len(c.p.VMs)
	if at, ok := c.removed[name]; ok {
		i = at
		delete(c.removed, name)
	} else if n := len(c.vacant); n > 0 {
		i, c.vacant = c.vacant[n-1], c.vacant[:n-1]
	} else {
		c.p.VMs = append(c.p.VMs, VM{})
		c.demands = append(c.demands, make([]int64, c.nd)...)
		c.groupsOf = append(c.groupsOf, nil)
		c.boundBy = append(c.boundBy, nil)
		c.held = append(c.held, "")
		c.unitOf = append(c.unitOf, -1)
		c.matesOf = append(c.matesOf, nil)
		c.classOf = append(c.classOf, -1)
		c.now.host = append(c.now.host, -1)
		c.now.active = append(c.now.active, false)
	}
	c.vmIdx[name] = i
	return i
}

// RemoveVM takes a VM out of the cluster. Rules that name it stay, for the
// others.
func (c *Cluster) RemoveVM(name string) error {
	i, ok := c.vmIdx[name]
	if !ok {
		return &Error{Kind: KindNotFound, Object: fmt.Sprintf("vm %q", name), Msg: "is not in the problem"}
	}
	if c.now.host[i] >= 0 {
		c.now.take(i)
	}
	c.disown(i)
	c.classOf[i] = -1
	c.now.active[i] = false
	delete(c.vmIdx, name)
	ruled := len(c.groupsOf[i]) > 0 || len(c.boundBy[i]) > 0 || c.unitOf[i] >= 0 || c.held[i] != ""
	c.p.VMs[i] = VM{Name: name, Power: PowerOff, Demand: c.p.VMs[i].Demand}
	if !ruled { // the place can be used for another VM
		c.vacant = append(c.vacant, i)
	} else {
		c.removed[name] = i
	}
	return nil
}

// Apply takes a plan as carried out: servers started and stopped, VMs moved.
func (c *Cluster) Apply(plan *Plan) error {
	for _, a := range plan.StartBefore {
		if err := c.setState(a.Server, ServerOn); err != nil {
			return err
		}
	}
	for _, mv := range plan.Moves {
		i, ok := c.vmIdx[mv.VM]
		if !ok {
			return &Error{Kind: KindNotFound, Object: fmt.Sprintf("vm %q", mv.VM), Msg: "is not in the problem"}
		}
		m := c.p.VMs[i]
		m.Server = mv.To
		if mv.Kind == PowerOnVM || mv.Kind == CreateVM {
			m.Power = PowerOn
		}
		if err := c.SetVM(m); err != nil {
			return err
		}
	}
	for _, a := range plan.StopAfter {
		if err := c.setState(a.Server, ServerOff); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) setState(server string, state ServerState) error {
	i, ok := c.serverIdx[server]
	if !ok {
		return &Error{Kind: KindNotFound, Object: fmt.Sprintf("server %q", server), Msg: "is not in the problem"}
	}
	s := c.p.Servers[i]
	s.State = state
	return c.SetServer(s)
}

// Problem returns the problem as it is now. It is a copy that shares names and
// lists with the cluster: read it, don't change it.
func (c *Cluster) Problem() *Problem {
	p := c.p
	p.Servers = slices.Clone(c.p.Servers)
	p.VMs = make([]VM, 0, len(c.vmIdx))
	for i := range c.p.VMs {
		if at, ok := c.vmIdx[c.p.VMs[i].Name]; ok && at == i {
			p.VMs = append(p.VMs, c.p.VMs[i])
		}
	}
	p.Rules = make([]Rule, 0, len(c.p.Rules))
	for _, r := range c.p.Rules {
		r.VMs = slices.DeleteFunc(slices.Clone(r.VMs), func(name string) bool { _, ok := c.vmIdx[name]; return !ok })
		if len(r.VMs) > 0 {
			p.Rules = append(p.Rules, r)
		}
	}
	return &p
}

// checker is a validator that knows the cluster's names.
func (c *Cluster) checker() *validator {
	v := &validator{p: &c.p, models: map[string]bool{}, isServer: func(name string) bool { _, ok := c.serverIdx[name]; return ok }}
	for _, m := range c.p.Models {
		v.models[m.Name] = true
	}
	return v
}

func (v *validator) oneServer(s *Server) error {
	if s.Name == "" {
		return invalid("server", "has no name")
	}
	if err := v.server(s); err != nil {
		return err
	}
	return nil
}

func (v *validator) oneVM(m *VM) error {
	if m.Name == "" {
		return invalid("vm", "has no name")
	}
	if err := v.vm(m); err != nil {
		return err
	}
	return nil
}
