package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
	"yagura/placement"
	"yagura/rpc/api"
)

// planTimeout bounds the search for one answer: the best plan so far is given then.
const planTimeout = 2 * time.Second

// placementService answers what-if questions. It reads rows and measured loads
// and writes nothing.
type placementService struct {
	api.UnimplementedPlacementServer
	s *Server
}

// question is a request to the optimizer over the rows of one view.
type question struct {
	v       *fsm.View
	scope   planning.Scope
	title   string // of the scope
	problem *placement.Problem
	req     placement.Request
}

// Plan answers one question. Measured loads are known to the leader only, so
// another manager's stale answer goes by capacity and cost.
func (p placementService) Plan(ctx context.Context, req *api.PlacementRequest) (*api.PlacementPlan, error) {
	q := &question{v: p.s.view(ctx), req: placement.Request{
		Objective: placement.Objective(req.Objective), VMs: req.Vms, Servers: req.VmServers, NoServerStart: req.NoServerStart,
	}}
	var err error
	switch q.req.Objective {
	case placement.Create, placement.Room:
		err = q.newVMs(req.Group)
	case placement.Start, placement.Evacuate:
		q.everywhere()
	case placement.Level, placement.SavePower, placement.CheckFailures:
		err = q.vmServers(req.Group, p.loads(), p.s.cfg.Now())
	default:
		err = schema.Errorf(schema.KindInvalid, "objective "+req.Objective, "there is no such objective").
			WithHint("start, create, evacuate, level, save-power, check-failures, room")
	}
	if err != nil {
		return nil, err
	}
	plan, err := q.solve(ctx)
	if err != nil {
		return nil, err
	}
	return api.PlanMessage(q.problem, plan, q.title)
}

func (p placementService) loads() map[string]planning.Load { return p.s.cfg.Meter.Loads(p.s.cfg.Now()) }

// solve asks the optimizer.
func (q *question) solve(ctx context.Context) (*placement.Plan, error) {
	ctx, cancel := context.WithTimeout(ctx, planTimeout)
	defer cancel()
	plan, err := placement.Solve(ctx, q.problem, q.req)
	if err != nil {
		return nil, unanswered(err)
	}
	return plan, nil
}

// unanswered is the error of a question that the optimizer refuses.
func unanswered(err error) error {
	var p *placement.Error
	if errors.As(err, &p) && p.Kind == placement.KindNotFound {
		return schema.Errorf(schema.KindMachineNotFound, "placement", "%v", err).WithHint("it must be a managed VM or VM server; pvmutl get machine lists them")
	}
	return schema.Errorf(schema.KindInvalid, "placement", "%v", err)
}

// everywhere makes the problem of all VM servers.
func (q *question) everywhere() {
	q.title = "all VM servers"
	q.problem = planning.Problem(q.v, q.scope)
}

// newVMs adds the VMs of the request that don't exist yet, as those of a VM group.
func (q *question) newVMs(group string) error {
	q.everywhere()
	if len(q.req.VMs) == 0 {
		q.req.VMs = []string{"new VM"}
	}
	if q.req.Objective == placement.Room && group == "" {
		return nil // more of a VM that exists
	}
	ref, err := fsm.ResolveGroup(q.v, group)
	if err != nil {
		return err
	}
	model := modelOf(q.v, ref)
	if model == nil || model.Kind != schema.MachineVM {
		return schema.Errorf(schema.KindGroupNotFound, "group "+group, "it has no model for VMs").WithHint("name a VM group or one of its models: --group shop/web")
	}
	for _, name := range q.req.VMs {
		if _, ok := fsm.Machines.Get(q.v, name); ok {
			return schema.Errorf(schema.KindExists, "machine "+name, "a machine of this name exists already")
		}
		vm := placement.VM{Name: name, Cost: max(model.Cost, 0), Power: placement.PowerOff, Networks: slices.Compact(slices.Sorted(slices.Values(model.Networks)))}
		if vm.Cost == 0 {
			vm.Cost = schema.DefaultCost
		}
		if model.VmServerModel != "" {
			vm.ServerModels = []string{model.VmServerModel}
		}
		q.problem.VMs = append(q.problem.VMs, vm)
	}
	return nil
}

// modelOf is the model that a reference names, or the first of its group.
func modelOf(r fsm.Reader, ref fsm.GroupRef) *schema.Model {
	if ref.Group == "" {
		return nil
	}
	if ref.Model != "" {
		m, _ := fsm.Models.Get(r, fsm.GroupKey(ref.Group, ref.Model))
		return m
	}
	if all := fsm.GroupModels(r, ref.Group); len(all) > 0 {
		return all[0]
	}
	return nil
}

// vmServers makes the problem of the VM servers below a category, group or
// model; all when none is named. When they are all of one model its settings
// apply, as in the jobs of the same kind.
func (q *question) vmServers(group string, loads map[string]planning.Load, now time.Time) error {
	q.title = "all VM servers"
	q.scope.Now, q.scope.Loads = now, loads
	below := func(*schema.Machine) bool { return true }
	if group != "" {
		ref, err := fsm.ResolveGroup(q.v, group)
		if err != nil {
			return err
		}
		groups := map[string]bool{}
		for _, g := range fsm.GroupsBelow(q.v, ref) {
			groups[g.Name] = true
		}
		q.title = "VM servers of " + group
		below = func(m *schema.Machine) bool { return groups[m.Group] && (ref.Model == "" || ref.Model == m.Model) }
	}
	models, count := map[string]bool{}, 0
	for m := range fsm.Machines.All(q.v) {
		if m.Kind != schema.MachineVMServer || m.Gone || !below(m) {
			continue
		}
		count++
		if m.Model != "" {
			models[fsm.GroupKey(m.Group, m.Model)] = true
		}
	}
	if count == 0 {
		return schema.Errorf(schema.KindTooFewMachines, q.title, "there are none").WithHint("pvmutl get machine lists the machines")
	}
	for key := range models {
		if len(models) == 1 {
			q.scope.Model = key
		}
	}
	q.scope.Servers = below
	q.problem = planning.Problem(q.v, q.scope)
	return nil
}

// Explain tells why a VM or a VM server is as it is.
func (p placementService) Explain(ctx context.Context, req *api.NameRequest) (*api.Explanation, error) {
	v := p.s.view(ctx)
	m := fsm.FindMachine(v, req.Name)
	switch {
	case m == nil:
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+req.Name, "there is no such machine").WithHint("pvmutl get machine lists them")
	case m.Kind == schema.MachineVM && !m.Template:
		return explainVM(v, m)
	case m.Kind == schema.MachineVMServer:
		return p.explainServer(ctx, v, m)
	}
	return nil, schema.Errorf(schema.KindInvalid, "machine "+m.Name, "it is neither a VM nor a VM server, so it is placed nowhere")
}

func explainVM(v *fsm.View, m *schema.Machine) (*api.Explanation, error) {
	q := &question{v: v}
	q.everywhere()
	c, err := placement.Compile(q.problem)
	if err != nil {
		return nil, unanswered(err)
	}
	why, err := c.ExplainVM(m.Name)
	if err != nil {
		return nil, unanswered(err)
	}
	e := &api.Explanation{Name: m.Name, Kind: schema.MachineVM, Facts: vmFacts(v, m)}
	if why.Held != nil {
		e.Facts = append(e.Facts, "It goes nowhere: "+why.Held.Sentence()+".")
	}
	for _, f := range why.Fits {
		e.Choices = append(e.Choices, &api.PlacementChoice{VmServer: f.Server, Possible: true, Stopped: f.Stopped, Free: f.Free})
	}
	for _, r := range why.Others {
		e.Choices = append(e.Choices, &api.PlacementChoice{VmServer: r.Server, Why: r.Sentence()})
	}
	return e, nil
}

// vmFacts tells in sentences what decides where a VM may be.
func vmFacts(v *fsm.View, m *schema.Machine) []string {
	vm := planning.VM(v, m)
	facts := []string{fmt.Sprintf("It is on %s, %s, and costs %d of its VM server's capacity while it is on.", orNone(m.VmServer), m.Power, vm.Cost)}
	if m.Moved != nil {
		facts = append(facts, fmt.Sprintf("A job took it there at %s.%s", m.Moved.AsTime().Format(time.RFC3339), lastMove(v, m.Name)))
	}
	if len(vm.ServerModels) > 0 {
		facts = append(facts, "Its model ties it to the VM servers of the model "+vm.ServerModels[0]+".")
	} else {
		facts = append(facts, "Its model ties it to no VM-server model, so all VM servers of datacenter "+orNone(m.Datacenter)+" are candidates.")
	}
	if vm.OptimalStart {
		facts = append(facts, "Optimal start is on: it may be moved to be started.")
	} else {
		facts = append(facts, "Optimal start is off: it starts on its VM server or not at all.")
	}
	if vm.LocalDisk {
		facts = append(facts, "A disk of it is on a datastore that other VM servers don't reach, so it can't be migrated.")
	}
	return facts
}

// lastMove is the reason of the last move of a VM that jobs which are kept tell of.
func lastMove(r fsm.Reader, vm string) string {
	for j := range fsm.Jobs.Backward(r) {
		if !slices.Contains(j.Targets, vm) {
			continue
		}
		for s := range fsm.Steps.By(r, fsm.ByJob, j.Id) {
			if s.Target == vm && s.State == schema.StepDone && s.Args["why"] != "" {
				return fmt.Sprintf(" Job %s (%s): %s.", j.Id, j.Sequence, s.Args["why"])
			}
		}
	}
	return ""
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func (p placementService) explainServer(ctx context.Context, v *fsm.View, m *schema.Machine) (*api.Explanation, error) {
	e := &api.Explanation{Name: m.Name, Kind: schema.MachineVMServer}
	group := m.Group
	if m.Model != "" {
		group += "/" + m.Model
	}
	save := &question{v: v, req: placement.Request{Objective: placement.SavePower}}
	if err := save.vmServers(group, p.loads(), p.s.cfg.Now()); err != nil {
		return nil, err
	}
	saving, err := save.solve(ctx)
	if err != nil {
		return nil, err
	}
	now, err := api.PlanMessage(save.problem, &placement.Plan{}, "")
	if err != nil {
		return nil, unanswered(err)
	}
	for _, l := range now.VmServers {
		if l.VmServer == m.Name {
			e.Load = l
		}
	}
	e.Facts = serverFacts(v, m, save.problem, saving)
	empty := &question{v: v, req: placement.Request{Objective: placement.Evacuate, Servers: []string{m.Name}, NoServerStart: true}}
	empty.everywhere()
	plan, err := empty.solve(ctx)
	if err != nil {
		return nil, err
	}
	msg, err := api.PlanMessage(empty.problem, plan, "")
	if err != nil {
		return nil, unanswered(err)
	}
	e.Moves, e.Unplaced = msg.Moves, msg.Unplaced
	return e, nil
}

// serverFacts tells in sentences how a VM server stands to VM placement.
func serverFacts(v *fsm.View, m *schema.Machine, problem *placement.Problem, saving *placement.Plan) []string {
	var facts []string
	if mo, ok := fsm.Models.Get(v, fsm.GroupKey(m.Group, m.Model)); ok && mo.Placement.GetEnabled() {
		pl := mo.Placement
		facts = append(facts, fmt.Sprintf("VM placement is on for its model: high load above %d %%, target %d to %d %%, low load below %d %%; hold time %s.",
			pl.High, pl.TargetLow, pl.TargetHigh, pl.Low, planning.Hold(pl)))
	} else {
		facts = append(facts, "VM placement is off for its model, so neither its load nor power saving moves VMs.")
	}
	if len(problem.Dimensions) == 0 {
		facts = append(facts, "Its load isn't measured now: capacity and cost stand for it.")
	}
	if m.Maintenance || m.VmMaintenance {
		facts = append(facts, "It is in maintenance mode and takes no VM.")
	}
	for vm := range fsm.Machines.By(v, fsm.ByServer, m.Name) {
		if vm.Template && !vm.Gone {
			facts = append(facts, fmt.Sprintf("It holds the template %s, from which no VM could be made while it is off, so it is kept on.", vm.Name))
		}
	}
	if m.Switched != nil {
		facts = append(facts, fmt.Sprintf("A job switched it %s at %s.", m.Power, m.Switched.AsTime().Format(time.RFC3339)))
	}
	for _, a := range saving.StopAfter {
		if a.Server == m.Name {
			facts = append(facts, "Power saving would gather its VMs elsewhere and shut it down.")
		}
	}
	for _, r := range saving.Rejections {
		if r.Server == m.Name && r.VM == "" {
			facts = append(facts, "Power saving would leave it on: "+r.Sentence()+".")
		}
	}
	return facts
}
