package sequence

import (
	"context"
	"slices"
	"strings"

	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/placement"
)

// Problem is what the rows say as a placement problem: all managed VM servers
// and the VMs on them, as they will be once the moves under way have ended.
// failed are VM servers proven not to run.
func Problem(r fsm.Reader, failed ...string) *placement.Problem {
	p := &placement.Problem{Name: "inventory"}
	for m := range fsm.Models.All(r) {
		if m.Kind == schema.MachineVMServer {
			p.Models = append(p.Models, placement.ServerModel{Name: fsm.GroupKey(m.Group, m.Name)})
		}
	}
	for m := range fsm.Machines.All(r) {
		if m.Kind != schema.MachineVMServer || m.Gone {
			continue
		}
		s := placement.Server{
			Name: m.Name, Datacenter: m.Datacenter, State: serverState(m, failed), Maintenance: m.VmMaintenance || m.Maintenance,
			Startable: m.Managed && m.Group != "", Capacity: capacityOf(r, m), Datastores: m.SharedDatastores, Networks: m.Networks,
		}
		if m.HardwareStatus == schema.HardwareFailed {
			s.Maintenance = true // a faulty VM server takes no VM
		}
		if m.Group != "" && m.Model != "" {
			s.Model = fsm.GroupKey(m.Group, m.Model)
		}
		p.Servers = append(p.Servers, s)
	}
	known := map[string]bool{}
	for _, s := range p.Servers {
		known[s.Name] = true
	}
	arriving := arrivals(r)
	for m := range fsm.Machines.All(r) {
		if m.Kind != schema.MachineVM || m.Template || m.Gone || !known[m.VmServer] {
			continue
		}
		v := problemVM(r, m)
		if to := arriving[m.Name]; to != "" && to != v.Server && known[to] {
			// It counts on both servers until it has arrived.
			p.VMs = append(p.VMs, placement.VM{Name: m.Name + " (arriving)", Cost: v.Cost, Power: placement.PowerOn, Server: to})
		}
		p.VMs = append(p.VMs, v)
	}
	for name, to := range arriving {
		if _, ok := fsm.Machines.Get(r, name); !ok && known[to] {
			p.VMs = append(p.VMs, placement.VM{Name: name, Cost: schema.DefaultCost, Power: placement.PowerOn, Server: to})
		}
	}
	slices.SortFunc(p.VMs, func(a, b placement.VM) int { return strings.Compare(a.Name, b.Name) })
	return p
}

// problemVM is a VM as placement sees it.
func problemVM(r fsm.Reader, m *schema.Machine) placement.VM {
	v := placement.VM{
		Name: m.Name, Cost: costOf(r, m), Power: placement.Power(m.Power), Server: m.VmServer, Datacenter: m.Datacenter, Networks: m.Networks,
		Priority: int(restartPriority(r, m)),
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

func serverState(m *schema.Machine, failed []string) placement.ServerState {
	switch {
	case slices.Contains(failed, m.Name):
		return placement.ServerFailed
	case m.Connected && m.Power == schema.PowerOn:
		return placement.ServerOn
	case m.Power == schema.PowerOff && m.HardwareStatus != schema.HardwareFailed:
		return placement.ServerOff
	}
	return placement.ServerDisconnected
}

// arrivals are the VM servers to which jobs under way take VMs, by VM.
func arrivals(r fsm.Reader) map[string]string {
	out := map[string]string{}
	for _, state := range []string{schema.JobRunning, schema.JobCancelling, schema.JobParked} {
		for j := range fsm.Jobs.By(r, fsm.ByState, state) {
			for s := range fsm.Steps.By(r, fsm.ByJob, j.Id) {
				if relocates[s.Name] && !schema.StepEnded(s.State) && s.Args[argServer] != "" && s.Args[argFailed] == "" {
					out[s.Target] = s.Args[argServer]
				}
			}
		}
	}
	return out
}

// relocates are the steps that bring a VM to their VM server.
var relocates = map[string]bool{nameMigrate: true, nameMove: true, nameFailover: true, nameCreateVM: true}

func capacityOf(r fsm.Reader, m *schema.Machine) int64 {
	if m.Capacity > 0 {
		return m.Capacity
	}
	if model, ok := fsm.Models.Get(r, fsm.GroupKey(m.Group, m.Model)); ok && model.Capacity > 0 {
		return model.Capacity
	}
	return schema.DefaultCapacity
}

func costOf(r fsm.Reader, m *schema.Machine) int64 {
	if m.Cost > 0 {
		return m.Cost
	}
	if model, ok := fsm.Models.Get(r, fsm.GroupKey(m.Group, m.Model)); ok && model.Cost > 0 {
		return model.Cost
	}
	return schema.DefaultCost
}

// restartPriority orders VMs: by the priority of their category, group and model.
func restartPriority(r fsm.Reader, m *schema.Machine) int64 {
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

// solve answers a placement request over the problem.
func solve(p *placement.Problem, req placement.Request) (*placement.Plan, error) {
	plan, err := placement.Solve(context.Background(), p, req)
	if err != nil {
		return nil, schema.Errorf(schema.KindInternal, "placement", "%v", err)
	}
	return plan, nil
}

// whyUnplaced tells why a plan has no server for a VM.
func whyUnplaced(plan *placement.Plan, vm string) string {
	for _, u := range plan.Unplaced {
		if u.VM != vm {
			continue
		}
		var out []string
		for _, r := range u.Reasons {
			out = append(out, r.Sentence())
		}
		if len(out) == 0 {
			out = append(out, "there is no other VM server")
		}
		return strings.Join(out, "; ")
	}
	return "the plan doesn't name it"
}

// noServer is the error of a job whose VM finds no server.
func noServer(plan *placement.Plan, vm string) error {
	return schema.Errorf(schema.KindJobFailed, "VM "+vm, "no VM server can take it: %s", whyUnplaced(plan, vm)).
		WithHint("make room, or choose a VM server")
}

// checkRoom refuses a VM server that can't take the VM, by the rules of
// placement: named by an operator, it is checked all the same.
func checkRoom(r fsm.Reader, vm placement.VM, server string) error {
	p := Problem(r)
	p.VMs = slices.DeleteFunc(p.VMs, func(v placement.VM) bool { return v.Name == vm.Name })
	probe := vm
	probe.Server = ""
	if vm.Power != placement.PowerOn {
		probe.Cost = 0
	}
	p.VMs = append(p.VMs, probe)
	p.Rules = append(p.Rules, placement.Rule{Name: "asked for", Kind: placement.RulePin, VMs: []string{vm.Name}, Servers: []string{server}})
	plan, err := solve(p, placement.Request{Objective: placement.Create, VMs: []string{vm.Name}, NoServerStart: true})
	if err != nil {
		return err
	}
	if len(plan.Moves) > 0 {
		return nil
	}
	for _, u := range plan.Unplaced {
		for _, rej := range u.Reasons {
			if rej.Server == server {
				return schema.Errorf(schema.KindNotStarted, "VM server "+server, "it can't take %s: %s", vm.Name, rej.Sentence())
			}
		}
	}
	return schema.Errorf(schema.KindNotStarted, "VM server "+server, "it can't take %s: %s", vm.Name, whyUnplaced(plan, vm.Name))
}
