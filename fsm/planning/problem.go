package planning

import (
	"slices"
	"strings"
	"time"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/placement"
)

// Scope says what a problem is about.
type Scope struct {
	// Failed are VM servers proven not to run.
	Failed []string
	// Servers limits the problem to the VM servers for which it is true; nil: all.
	Servers func(*schema.Machine) bool
	// Loads are the measured loads by VM server. They count only when each VM
	// server of the problem that runs has one; nil: plan by capacity and cost.
	Loads map[string]Load
	// Model is the VM-server model (group/name) whose settings on hold time,
	// reserve and number of moves apply; empty: none do.
	Model string
	// Now is the time from which hold times are counted; zero: nothing is held.
	Now time.Time
	// Job is the job that asks: of its own moves only those under way count.
	Job string
}

// Dimensions of a problem with measured loads.
const (
	DimensionCPU    = "cpu" // MHz
	DimensionMemory = "mem" // MiB
)

// Problem is what the rows say as a placement problem: the managed VM servers
// and the VMs on them, as they will be once the moves under way have ended.
func Problem(r fsm.Reader, s Scope) *placement.Problem {
	b := &builder{r: r, s: s, p: &placement.Problem{Name: "inventory"}, known: map[string]*schema.Machine{}}
	b.models()
	b.servers()
	if b.measured = b.allMeasured(); b.measured {
		b.findSamples()
		b.p.Dimensions = []placement.Dimension{{Name: DimensionCPU, Measured: true}, {Name: DimensionMemory, Measured: true}}
	}
	b.vms()
	if b.measured {
		b.limits()
	}
	slices.SortFunc(b.p.VMs, func(x, y placement.VM) int { return strings.Compare(x.Name, y.Name) })
	return b.p
}

type builder struct {
	r        fsm.Reader
	s        Scope
	p        *placement.Problem
	known    map[string]*schema.Machine // VM servers of the problem
	measured bool
	// sampledOn is where each VM was when its load was measured.
	sampledOn map[string]string
}

func (b *builder) models() {
	for m := range fsm.Models.All(b.r) {
		if m.Kind != schema.MachineVMServer {
			continue
		}
		key := fsm.GroupKey(m.Group, m.Name)
		pl := m.Placement
		model := placement.ServerModel{Name: key}
		if pl.GetEnabled() { // else its boundaries mean nothing, and needn't be in order
			model = placement.ServerModel{Name: key, Placement: true, High: int(pl.High), TargetHigh: int(pl.TargetHigh), TargetLow: int(pl.TargetLow), Low: int(pl.Low)}
		}
		b.p.Models = append(b.p.Models, model)
		if key == b.s.Model {
			b.p.Settings.Hold, b.p.Settings.MoveBudget = Hold(pl), MaxMoves(pl)
			b.p.Settings.MinGain = minGain
			b.p.Settings.ReserveFailures = int(pl.GetReserveServers())
		}
	}
}

// Hold is how long a VM once moved, or a VM server once started or stopped, is
// left alone.
func Hold(p *schema.Placement) time.Duration {
	if s := p.GetHoldSeconds(); s > 0 {
		return time.Duration(s) * time.Second
	}
	return 5 * time.Minute
}

// minGain is what a levelling move must gain, see placement.Settings: a few
// percent of load on a handful of VM servers, or it isn't worth its migration.
const minGain = 60

// MaxMoves is how many moves one plan may have.
func MaxMoves(p *schema.Placement) int {
	if n := p.GetMaxMoves(); n > 0 {
		return int(n)
	}
	return 50
}

func (b *builder) servers() {
	templates := map[string]bool{}
	for m := range fsm.Machines.All(b.r) {
		if m.Template && !m.Gone {
			templates[m.VmServer] = true
		}
	}
	for m := range fsm.Machines.All(b.r) {
		if m.Kind != schema.MachineVMServer || m.Gone || b.s.Servers != nil && !b.s.Servers(m) {
			continue
		}
		b.known[m.Name] = m
		state := b.state(m)
		s := placement.Server{
			Name: m.Name, Datacenter: m.Datacenter, State: state, Maintenance: m.VmMaintenance || m.Maintenance,
			// One that runs may be stopped only if it can be started again.
			Startable: m.Managed && m.Group != "" && (m.Bmc != nil || state == placement.ServerOff),
			Capacity:  Capacity(b.r, m), Datastores: m.SharedDatastores, Networks: m.Networks,
		}
		if m.HardwareStatus == schema.HardwareFailed {
			s.Maintenance = true // a faulty VM server takes no VM
		}
		// New VMs are made from its templates, which nobody reaches while it is off.
		s.KeepOn = s.Maintenance || templates[m.Name]
		if m.Group != "" && m.Model != "" {
			s.Model = fsm.GroupKey(m.Group, m.Model)
		}
		// Load that comes back is no reason to wait: the hold time is for stopping.
		if !b.s.Now.IsZero() && m.Switched != nil && state == placement.ServerOn {
			s.SinceChange = since(b.s.Now, m.Switched.AsTime())
		}
		b.p.Servers = append(b.p.Servers, s)
	}
	if n := len(b.p.Servers); b.p.Settings.ReserveFailures > n {
		b.p.Settings.ReserveFailures = n
	}
}

// since is the time since t, never 0, which stands for not known.
func since(now, t time.Time) time.Duration { return max(now.Sub(t), time.Nanosecond) }

func (b *builder) state(m *schema.Machine) placement.ServerState {
	switch {
	case slices.Contains(b.s.Failed, m.Name):
		return placement.ServerFailed
	case m.Connected && m.Power == schema.PowerOn:
		return placement.ServerOn
	case m.Power == schema.PowerOff && m.HardwareStatus != schema.HardwareFailed:
		return placement.ServerOff
	}
	return placement.ServerDisconnected
}

func (b *builder) vms() {
	arriving, starting := arrivals(b.r, b.s.Job), starting(b.r, b.s.Job)
	seen := map[string]bool{}
	for m := range fsm.Machines.All(b.r) {
		if m.Kind != schema.MachineVM || m.Template || m.Gone || b.known[m.VmServer] == nil {
			continue
		}
		v := VM(b.r, m)
		seen[m.Name] = true
		if starting[m.Name] && v.Power == placement.PowerOff {
			v.Power = placement.PowerOn
		}
		if !b.s.Now.IsZero() && m.Moved != nil {
			v.SinceMove = since(b.s.Now, m.Moved.AsTime())
		}
		cpu, mem := b.loadOf(m.Name)
		b.add(v, cpu, mem)
		if to := arriving[m.Name]; to != "" && to != v.Server && b.known[to] != nil {
			b.arriving(m.Name+" (arriving)", to, v.Cost, cpu, mem) // it counts on both servers until it has arrived
		}
	}
	for name, to := range arriving {
		if b.known[to] == nil || seen[name] {
			continue
		}
		cost := int64(schema.DefaultCost)
		if m, ok := fsm.Machines.Get(b.r, name); ok {
			cost = Cost(b.r, m)
		}
		b.arriving(name+" (arriving)", to, cost, 0, 0)
	}
}

// loadOf is the load of a VM, wherever it was measured: it may have been moved since.
func (b *builder) loadOf(vm string) (cpu, mem int64) {
	if !b.measured {
		return 0, 0
	}
	l := b.s.Loads[b.sampledOn[vm]]
	return l.VMCPUMHz[vm], l.VMemMiB[vm]
}

func (b *builder) add(v placement.VM, cpu, mem int64) {
	if b.measured {
		v.Demand = []int64{cpu, mem}
	}
	b.p.VMs = append(b.p.VMs, v)
}

// arriving adds a VM that a job takes to a server: it is left where it goes.
func (b *builder) arriving(name, to string, cost, cpu, mem int64) {
	b.add(placement.VM{Name: name, Cost: cost, Power: placement.PowerOn, Server: to}, cpu, mem)
	b.p.Rules = append(b.p.Rules, placement.Rule{Name: "under way: " + name, Kind: placement.RuleHold, VMs: []string{name}})
}

func (b *builder) allMeasured() bool {
	if b.s.Loads == nil {
		return false
	}
	for _, s := range b.p.Servers {
		if l, ok := b.s.Loads[s.Name]; s.State == placement.ServerOn && (!ok || l.CPUTotal <= 0 || l.MemTotal <= 0) {
			return false
		}
	}
	return true
}

func (b *builder) findSamples() {
	b.sampledOn = map[string]string{}
	newest := map[string]time.Time{}
	for server, l := range b.s.Loads {
		for vm := range l.VMCPUMHz {
			if at, ok := newest[vm]; !ok || l.Time.After(at) || l.Time.Equal(at) && server < b.sampledOn[vm] {
				b.sampledOn[vm], newest[vm] = server, l.Time
			}
		}
	}
}

// limits says what each server offers: what was measured, or for one that is
// off what its row tells.
func (b *builder) limits() {
	vms := map[string][2]int64{} // what the VMs of the problem used where they were measured
	for i := range b.p.VMs {
		name := b.p.VMs[i].Name
		if on := b.sampledOn[name]; on != "" {
			cpu, mem := b.loadOf(name)
			vms[on] = [2]int64{vms[on][0] + cpu, vms[on][1] + mem}
		}
	}
	for i := range b.p.Servers {
		s := &b.p.Servers[i]
		l, m := b.s.Loads[s.Name], b.known[s.Name]
		if s.State != placement.ServerOn || l.CPUTotal <= 0 || l.MemTotal <= 0 {
			l = Load{CPUTotal: m.CpuMhz, MemTotal: m.MemoryMib}
		}
		u := vms[s.Name]
		// Limit is all that there is, and what is full load.
		s.Limits = []placement.Limit{limit(l.CPUTotal, l.CPUMHz-u[0]), limit(l.MemTotal, l.MemMiB-u[1])}
	}
}

func limit(total, own int64) placement.Limit {
	total = max(total, 1)
	return placement.Limit{Limit: total, Own: min(max(own, 0), total), Size: total}
}

// VM is a VM as placement sees it, without its measured load.
func VM(r fsm.Reader, m *schema.Machine) placement.VM {
	v := placement.VM{
		Name: m.Name, Cost: Cost(r, m), Power: placement.Power(m.Power), Server: m.VmServer, Datacenter: m.Datacenter, Networks: m.Networks,
		Priority: int(RestartPriority(r, m)),
	}
	if v.Power != placement.PowerOn && v.Power != placement.PowerSuspended {
		v.Power = placement.PowerOff
	}
	if srv, ok := fsm.Machines.Get(r, m.VmServer); ok {
		for _, d := range m.Datastores {
			if slices.Contains(srv.SharedDatastores, d) {
				v.Datastores = append(v.Datastores, d)
			} else {
				v.LocalDisk = true
			}
		}
	}
	if model, ok := fsm.Models.Get(r, fsm.GroupKey(m.Group, m.Model)); ok {
		v.OptimalStart = model.OptimalStart
		if model.VmServerModel != "" {
			v.ServerModels = []string{model.VmServerModel}
		}
	}
	return v
}

// Capacity of a VM server: its own, its model's, or the default [1.3.5].
func Capacity(r fsm.Reader, m *schema.Machine) int64 {
	if m.Capacity > 0 {
		return m.Capacity
	}
	if model, ok := fsm.Models.Get(r, fsm.GroupKey(m.Group, m.Model)); ok && model.Capacity > 0 {
		return model.Capacity
	}
	return schema.DefaultCapacity
}

// Cost is what a VM that is on takes of a capacity: its own, its model's, or the
// default [1.3.5].
func Cost(r fsm.Reader, m *schema.Machine) int64 {
	if m.Cost > 0 {
		return m.Cost
	}
	if model, ok := fsm.Models.Get(r, fsm.GroupKey(m.Group, m.Model)); ok && model.Cost > 0 {
		return model.Cost
	}
	return schema.DefaultCost
}

// Room is the capacity of a VM server, and the cost of the VMs on it that are on.
func Room(r fsm.Reader, server *schema.Machine) (capacity, used int64) {
	for vm := range fsm.Machines.By(r, fsm.ByServer, server.Name) {
		if vm.Kind == schema.MachineVM && vm.Power == schema.PowerOn {
			used += Cost(r, vm)
		}
	}
	return Capacity(r, server), used
}

// RestartPriority orders VMs: by the priority of their category, group and model.
func RestartPriority(r fsm.Reader, m *schema.Machine) int64 {
	g, ok := fsm.Groups.Get(r, m.Group)
	if !ok {
		return -1 // a VM of no group comes after those of groups
	}
	var category, model int64
	if c, ok := fsm.Categories.Get(r, g.Category); ok {
		category = int64(c.Priority)
	}
	if mo, ok := fsm.Models.Get(r, fsm.GroupKey(m.Group, m.Model)); ok {
		model = int64(mo.Priority)
	}
	return category*1_000_000 + int64(g.Priority)*1_000 + model
}
