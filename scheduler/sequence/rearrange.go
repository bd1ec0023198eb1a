package sequence

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
	"yagura/placement"
)

const (
	nameCheckMoves = "check-moves"
	nameRearranged = "verify-placement"

	argWave = "wave"
)

// loadBalance relieves overloaded VM servers of one model: VMs are migrated to
// less loaded ones, and a stopped one is started when those that run can't
// absorb the load [1.3.6, 4.2.20].
var loadBalance = &Sequence{
	Name:      fsm.SeqLoadBalanceVMServer,
	Operation: OpPolicyAction, Purpose: "Load balancing of VM servers",
	PlanByLoad: func(r fsm.Reader, j *schema.Job, m Measured) (*Plan, error) {
		return planRearrange(r, j, m, placement.Level)
	},
}

// powerSave gathers the VMs of one model of VM servers on fewer of them, inside
// the proper range, and shuts those down on which no VM runs any more [1.3.6, 4.2.19].
var powerSave = &Sequence{
	Name:      fsm.SeqPowerSaveVMServer,
	Operation: OpPolicyAction, Purpose: "Power saving of VM servers",
	PlanByLoad: func(r fsm.Reader, j *schema.Job, m Measured) (*Plan, error) {
		return planRearrange(r, j, m, placement.SavePower)
	},
}

// planTime bounds the search for a plan: nothing else starts meanwhile.
const planTime = 500 * time.Millisecond

// planRearrange makes a job of a plan for the VM servers of the model of the
// VM server that the event was about. The steps of one wave of moves run side
// by side; each move is verified again before it is started.
func planRearrange(r fsm.Reader, j *schema.Job, m Measured, objective placement.Objective) (*Plan, error) {
	srv, err := machineRow(r, j.Params[fsm.ParamVMServer])
	if err != nil {
		return nil, err
	}
	key := fsm.GroupKey(srv.Group, srv.Model)
	if model, ok := fsm.Models.Get(r, key); !ok || !model.Placement.GetEnabled() {
		return nil, schema.Errorf(schema.KindNotStarted, "VM server "+srv.Name, "VM placement is off for its model").WithHint("set placement.enabled and its boundaries on the model")
	}
	scope := planning.Scope{Loads: m.Loads, Model: key, Now: m.Now, Job: j.Id, Servers: func(s *schema.Machine) bool {
		return s.Model != "" && fsm.GroupKey(s.Group, s.Model) == key
	}}
	problem := planning.Problem(r, scope)
	if len(problem.Dimensions) == 0 {
		return nil, schema.Errorf(schema.KindNotStarted, "model "+key, "the load of its VM servers isn't known: not each that runs has been measured within %s", planning.Fresh).
			WithHint("the event comes again while the load lasts; look whether their subsystem answers")
	}
	ctx, cancel := context.WithTimeout(context.Background(), planTime)
	defer cancel()
	plan, err := placement.Solve(ctx, problem, placement.Request{Objective: objective})
	if err != nil {
		return nil, schema.Errorf(schema.KindInternal, "placement of "+key, "%v", err)
	}
	if err := placement.Verify(problem, plan); err != nil {
		return nil, schema.Errorf(schema.KindInternal, "placement of "+key, "the plan breaks its own rules: %v", err)
	}
	p := &Plan{Group: srv.Group, Locks: []string{fsm.Exclusive("placement", key)}}
	return p, p.rearrange(r, key, plan, problem.Settings.ReserveFailures)
}

// rearrange adds the steps of a plan.
func (p *Plan) rearrange(r fsm.Reader, key string, plan *placement.Plan, reserve int) error {
	for _, a := range plan.StartBefore {
		srv, err := p.hold(r, a.Server)
		if err != nil {
			return err
		}
		p.add(nameStartServer, srv.Name, machineArgs(srv, argServer, srv.Name, argWhy, a.Reason))
	}
	lane, wave := int32(0), 0
	for _, mv := range plan.Moves {
		vm, err := p.hold(r, mv.VM)
		if err != nil {
			return err
		}
		if mv.Wave != wave {
			wave = mv.Wave
			p.add(nameCheckMoves, key, map[string]string{argWave: fmt.Sprint(wave)})
		}
		p.Locks = append(p.Locks, fsm.Shared("machine", mv.From), fsm.Shared("machine", mv.To))
		lane++
		p.add(nameMigrate, vm.Name, machineArgs(vm, argServer, mv.To, argFrom, mv.From, argWhy, mv.Reason)).Lane = lane
	}
	if len(plan.StopAfter) > 0 {
		p.add(nameCheckMoves, key, nil)
	}
	for _, a := range plan.StopAfter {
		srv, err := p.hold(r, a.Server)
		if err != nil {
			return err
		}
		lane++
		p.add(nameShutdown, srv.Name, machineArgs(srv, argWhy, a.Reason)).Lane = lane
	}
	p.add(nameRearranged, key, map[string]string{argWhy: whyNoMore(plan, reserve)})
	return nil
}

// hold makes a machine one of the job's own.
func (p *Plan) hold(r fsm.Reader, name string) (*schema.Machine, error) {
	m, err := machineRow(r, name)
	if err == nil && !slices.Contains(p.Targets, name) {
		p.Targets = append(p.Targets, name)
		p.Locks = append(p.Locks, fsm.Exclusive("machine", name))
	}
	return m, err
}

// maxWhy bounds the reasons that a job tells for what it leaves as it is.
const maxWhy = 5

// whyNoMore tells why a plan does no more than it does.
func whyNoMore(plan *placement.Plan, reserve int) string {
	var out, needed []string
	more := 0
	for _, r := range plan.Rejections {
		switch {
		case r.Rule == placement.NotNeeded:
			needed = append(needed, r.Server)
		case len(out) == maxWhy:
			more++
		default:
			out = append(out, r.Sentence())
		}
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	if n := len(needed); n > 0 {
		why := fmt.Sprintf("the VMs need those that stay on: %s", strings.Join(needed[:min(n, maxWhy)], ", "))
		if n > maxWhy {
			why += fmt.Sprintf(" and %d more", n-maxWhy)
		}
		if reserve > 0 {
			why += fmt.Sprintf("; with the loss of %d of them all VMs still find room", reserve)
		}
		out = append(out, why)
	}
	if len(out) == 0 && len(plan.Moves) == 0 {
		out = append(out, "no move gains more than it costs")
	}
	return strings.Join(out, "; ")
}

// rearranges tells whether the job carries out a plan for many VM servers.
func rearranges(e *Env) bool {
	return e.Job.Sequence == fsm.SeqLoadBalanceVMServer || e.Job.Sequence == fsm.SeqPowerSaveVMServer
}

// checkMoves stands between two waves: it begins once the moves before it have
// ended, and gives up those after it that don't hold any more.
var checkMoves = &Step{
	Name: nameCheckMoves,
	Commit: func(_ *fsm.Tx, e *Env) error {
		kept, given := 0, 0
		for _, s := range e.Steps[e.Step.Number:] {
			if s.Lane == 0 {
				break
			}
			if why := noLongerHolds(e, s); why != "" {
				e.Own(s).Args[argFailed] = why
				given++
			} else {
				kept++
			}
		}
		e.set("kept", fmt.Sprint(kept))
		e.set("given_up", fmt.Sprint(given))
		return nil
	},
}

// noLongerHolds says why a step of the plan can't be carried out as things are now, or "".
func noLongerHolds(e *Env, s *schema.Step) string {
	if why := s.Args[argFailed]; why != "" {
		return why
	}
	if s.Name == nameShutdown {
		return notEmpty(e.Rows, s.Target)
	}
	vm, ok := fsm.Machines.Get(e.Rows, s.Target)
	switch {
	case !ok || vm.Gone:
		return s.Target + " is gone"
	case vm.VmServer != s.Args[argFrom]:
		return fmt.Sprintf("%s is on %s now, the plan took it from %s", vm.Name, vm.VmServer, s.Args[argFrom])
	case vm.Power != s.Args[argWas]:
		return fmt.Sprintf("%s was %s when the plan was made and is %s now", vm.Name, s.Args[argWas], vm.Power)
	}
	for _, name := range []string{s.Args[argFrom], s.Args[argServer]} {
		srv, ok := fsm.Machines.Get(e.Rows, name)
		if !ok || srv.Gone || !srv.Connected || srv.Power != schema.PowerOn {
			return name + " doesn't answer or isn't on"
		}
	}
	return noRoom(e, s, vm)
}

// noRoom says why a VM has no place on the VM server of its step any more.
func noRoom(e *Env, s *schema.Step, vm *schema.Machine) string {
	to, _ := fsm.Machines.Get(e.Rows, s.Args[argServer])
	if to.Maintenance || to.VmMaintenance || to.HardwareStatus == schema.HardwareFailed {
		return to.Name + " takes no VM: it is in maintenance mode or faulty"
	}
	capacity, used := planning.Room(e.Rows, to)
	for _, other := range e.Steps {
		underWay := other.State == schema.StepStarted || other.State == schema.StepHandled
		if underWay && other.Name == nameMigrate && other.Args[argServer] == to.Name && other.Target != vm.Name {
			if m, ok := fsm.Machines.Get(e.Rows, other.Target); ok && m.VmServer != to.Name {
				used += planning.Cost(e.Rows, m)
			}
		}
	}
	if cost := planning.Cost(e.Rows, vm); used+cost > capacity {
		return fmt.Sprintf("%s has %d of its capacity free now, %s costs %d", to.Name, capacity-used, vm.Name, cost)
	}
	return ""
}

// notEmpty says which VM runs on a VM server, or "".
func notEmpty(r fsm.Reader, server string) string {
	for vm := range fsm.Machines.By(r, fsm.ByServer, server) {
		if vm.Kind == schema.MachineVM && vm.Power == schema.PowerOn {
			return fmt.Sprintf("VM %s runs on it", vm.Name)
		}
	}
	return ""
}

// rearranged tells what became of the plan. The job fails when a step of it
// has; what didn't hold any more when its turn came is told, too.
var rearranged = &Step{
	Name: nameRearranged,
	Commit: func(_ *fsm.Tx, e *Env) error {
		var did, left, bad []string
		for _, s := range e.Steps {
			what := map[string]string{
				nameMigrate:     s.Target + " to " + s.Args[argServer],
				nameStartServer: s.Target + " started",
				nameShutdown:    s.Target + " shut down",
			}[s.Name]
			switch {
			case what == "":
			case s.State == schema.StepDone:
				did = append(did, what)
			case s.State == schema.StepFailed:
				bad = append(bad, what+": "+s.Error)
			default:
				left = append(left, what+": "+s.Skipped)
			}
		}
		parts := []string{"nothing was to be done"}
		if len(did)+len(left)+len(bad) > 0 {
			parts = []string{strings.Join(did, ", ")}
			if len(did) == 0 {
				parts[0] = "nothing was done"
			}
		}
		if len(left) > 0 {
			parts = append(parts, "given up: "+strings.Join(left, ", "))
		}
		if why := e.arg(argWhy); why != "" {
			parts = append(parts, why)
		}
		e.Job.Result = strings.Join(parts, "; ")
		if len(bad) > 0 {
			return &Partial{Err: schema.Errorf(schema.KindJobFailed, "placement of "+e.Step.Target, "%s; failed: %s", e.Job.Result, strings.Join(bad, "; "))}
		}
		return nil
	},
}
