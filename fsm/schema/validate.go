package schema

import (
	"net/netip"
	"slices"
	"strings"
)

// oneOf refuses a value that isn't in the list. An empty value passes when optional.
func oneOf(object, field, value string, optional bool, allowed ...string) error {
	if value == "" && optional || slices.Contains(allowed, value) {
		return nil
	}
	return Errorf(KindInvalid, object, "%s is %q", field, value).WithHint("it can be %s", strings.Join(allowed, ", "))
}

func between(object, field string, value, low, high int64) error {
	if value < low || value > high {
		return Errorf(KindInvalid, object, "%s is %d", field, value).WithHint("it can be %d to %d", low, high)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Limits on numbers.
const (
	maxPriority = 1000000
	maxAmount   = 1000000000 // of capacity and cost
)

var machineKinds = []string{MachinePhysical, MachineVM, MachineVMServer}

// Validate checks the row by itself, without the rows that it refers to. KindInvalid.
func (c *Category) Validate() error {
	o := "category " + c.GetPath()
	return firstError(
		CheckPath(o, c.Path),
		checkText(o, "description", c.Description, MaxText),
		between(o, "priority", int64(c.Priority), -maxPriority, maxPriority),
	)
}

// Validate checks the row by itself, see Category.Validate.
func (g *Group) Validate() error {
	o := "group " + g.GetName()
	if g.Category != "" {
		if err := CheckPath(o, g.Category); err != nil {
			return err
		}
	}
	return firstError(
		CheckGroupName(o, g.Name),
		checkText(o, "description", g.Description, MaxText),
		oneOf(o, "kind", g.Kind, true, machineKinds...),
		between(o, "priority", int64(g.Priority), -maxPriority, maxPriority),
		oneOf(o, "fencing", g.Fencing, true, FencingBMC, FencingVCenter),
		noDuplicates(o, "vlans", g.Vlans),
		noDuplicates(o, "load_balancers", g.LoadBalancers),
		noDuplicates(o, "templates", g.Templates),
		slots(o, g.Software, "run", "standby"),
		between(o, "min_healthy", int64(g.MinHealthy), 0, 100000),
		between(o, "max_replacements", int64(g.MaxReplacements), 0, 1000),
		g.Monitoring.validate(o),
		g.Performance.validate(o, g.Kind),
		checkThresholds(o, g.Thresholds),
	)
}

// Validate checks the row by itself, see Category.Validate.
func (m *Model) Validate() error {
	o := "model " + m.GetGroup() + "/" + m.GetName()
	if err := firstError(
		CheckGroupName(o, m.Group),
		CheckName(o, "the model's name", m.Name),
		checkText(o, "description", m.Description, MaxText),
		oneOf(o, "kind", m.Kind, true, machineKinds...),
		between(o, "priority", int64(m.Priority), -maxPriority, maxPriority),
		between(o, "capacity", m.Capacity, 0, maxAmount),
		between(o, "cost", m.Cost, 0, maxAmount),
		between(o, "cpus", int64(m.Cpus), 0, 4096),
		between(o, "memory_mib", m.MemoryMib, 0, 1<<30),
		checkText(o, "model_name", m.ModelName, MaxName),
		slots(o, m.Software, "run", "standby"),
		checkThresholds(o, m.Thresholds),
	); err != nil {
		return err
	}
	vm := m.vmFields()
	if len(vm) > 0 && m.Kind != "" && m.Kind != MachineVM {
		return Errorf(KindInvalid, o, "%s is for models of kind vm, this one is %s", vm[0], m.Kind)
	}
	if m.Kind != "" && m.Kind != MachineVMServer {
		if m.Capacity != 0 {
			return Errorf(KindInvalid, o, "capacity is for models of kind vm-server, this one is %s", m.Kind)
		}
		if m.Placement != nil {
			return Errorf(KindInvalid, o, "placement is for models of kind vm-server, this one is %s", m.Kind)
		}
	}
	if m.ModelName != "" && m.Kind == MachineVM {
		return Errorf(KindInvalid, o, "model_name is for models of kind physical or vm-server, this one is vm")
	}
	return m.Placement.validate(o)
}

// vmFields are the names of the fields in use that only a VM model has.
func (m *Model) vmFields() []string {
	var out []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"cost", m.Cost != 0}, {"template", m.Template != ""}, {"optimal_start", m.OptimalStart}, {"vm_server_model", m.VmServerModel != ""},
		{"register_dpm", m.RegisterDpm}, {"cpus", m.Cpus != 0}, {"memory_mib", m.MemoryMib != 0}, {"networks", len(m.Networks) > 0},
	} {
		if f.set {
			out = append(out, f.name)
		}
	}
	return out
}

// validate checks that the boundaries are in order [1.3.6].
func (p *Placement) validate(o string) error {
	if p == nil {
		return nil
	}
	if err := firstError(
		between(o, "placement.low", int64(p.Low), 0, 100),
		between(o, "placement.target_low", int64(p.TargetLow), 0, 100),
		between(o, "placement.target_high", int64(p.TargetHigh), 0, 100),
		between(o, "placement.high", int64(p.High), 0, 100),
		between(o, "placement.hold_seconds", int64(p.HoldSeconds), 0, 86400),
		between(o, "placement.max_moves", int64(p.MaxMoves), 0, 10000),
		between(o, "placement.reserve_servers", int64(p.ReserveServers), 0, 100),
	); err != nil {
		return err
	}
	if p.Enabled && (p.Low > p.TargetLow || p.TargetLow > p.TargetHigh || p.TargetHigh > p.High) {
		return Errorf(KindInvalid, o, "the load boundaries are out of order").
			WithHint("give placement low <= target_low <= target_high <= high, in percent")
	}
	return nil
}

// Validate checks the row by itself, see Category.Validate.
func (h *Host) Validate() error {
	o := "host " + h.GetGroup() + "/" + h.GetName()
	if err := firstError(
		CheckGroupName(o, h.Group),
		CheckHostName(o, h.Name),
		checkText(o, "description", h.Description, MaxText),
		checkText(o, "domain", h.Domain, MaxName),
		slots(o, h.Software, "run", "standby", "run_before", "run_after", "standby_before", "standby_after"),
	); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, n := range h.Nics {
		for j, a := range n.Addresses {
			f := Errorf(KindInvalid, o, "nics[%d].addresses[%d]", i, j).Msg
			ip, err := netip.ParseAddr(a.Ip)
			if err != nil || ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() {
				return Errorf(KindInvalid, o, "%s.ip is %q, which is no host's IP address", f, a.Ip)
			}
			if ip.String() != a.Ip {
				return Errorf(KindInvalid, o, "%s.ip is %q", f, a.Ip).WithHint("write it as %s", ip)
			}
			if seen[a.Ip] {
				return Errorf(KindInvalid, o, "%s.ip %s is there twice", f, a.Ip)
			}
			seen[a.Ip] = true
			if err := between(o, f+".prefix", int64(a.Prefix), 0, int64(ip.BitLen())); err != nil {
				return err
			}
			if err := gateway(o, f, a, ip); err != nil {
				return err
			}
		}
	}
	for i, s := range h.Dns {
		if _, err := netip.ParseAddr(s); err != nil {
			return Errorf(KindInvalid, o, "dns[%d] is %q, which is no IP address", i, s)
		}
	}
	for i, v := range h.Volumes {
		if v.Name == "" {
			return Errorf(KindInvalid, o, "volumes[%d].name is empty", i)
		}
		if err := checkText(o, Errorf(KindInvalid, o, "volumes[%d].name", i).Msg, v.Name, MaxName); err != nil {
			return err
		}
		if slices.ContainsFunc(h.Volumes[:i], func(w *Volume) bool { return w.Subsystem == v.Subsystem && w.Name == v.Name }) {
			return Errorf(KindInvalid, o, "volumes has volume %s of %s twice", v.Name, v.Subsystem)
		}
	}
	return noDuplicates(o, "tags", h.Tags)
}

func gateway(o, field string, a *Address, ip netip.Addr) error {
	if a.Gateway == "" {
		return nil
	}
	gw, err := netip.ParseAddr(a.Gateway)
	if err != nil || gw.Is4() != ip.Is4() {
		return Errorf(KindInvalid, o, "%s.gateway is %q, which is no address of the same family", field, a.Gateway)
	}
	if net := netip.PrefixFrom(ip, int(a.Prefix)); a.Prefix > 0 && !net.Contains(gw) && !gw.IsLinkLocalUnicast() {
		return Errorf(KindInvalid, o, "%s.gateway %s isn't in the network %s", field, a.Gateway, net.Masked())
	}
	return nil
}

func noDuplicates(object, field string, list []string) error {
	for i, s := range list {
		if s == "" {
			return Errorf(KindInvalid, object, "%s[%d] is empty", field, i)
		}
		if err := checkText(object, field, s, MaxPath); err != nil {
			return err
		}
		if slices.Contains(list[:i], s) {
			return Errorf(KindInvalid, object, "%s has %q twice", field, s)
		}
	}
	return nil
}

// slots checks that software is registered only in the slots that this kind of object has [1.5.5].
func slots(o string, s *SoftwareSlots, allowed ...string) error {
	for _, slot := range []struct {
		name string
		list []string
	}{
		{"run", s.GetRun()}, {"standby", s.GetStandby()}, {"run_before", s.GetRunBefore()}, {"run_after", s.GetRunAfter()},
		{"standby_before", s.GetStandbyBefore()}, {"standby_after", s.GetStandbyAfter()},
	} {
		if len(slot.list) > 0 && !slices.Contains(allowed, slot.name) {
			return Errorf(KindInvalid, o, "software.%s isn't a slot of this kind of object", slot.name).
				WithHint("it has %s", strings.Join(allowed, ", "))
		}
		if err := noDuplicates(o, "software."+slot.name, slot.list); err != nil {
			return err
		}
	}
	return nil
}

// All are the names of all software in the slots.
func (s *SoftwareSlots) All() []string {
	return slices.Concat(s.GetRun(), s.GetStandby(), s.GetRunBefore(), s.GetRunAfter(), s.GetStandbyBefore(), s.GetStandbyAfter())
}
