package sequence

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
	"yagura/placement"
)

const (
	namePlanMigration  = "plan-migration"
	namePlanFailover   = "plan-failover"
	nameFailoverResult = "verify-vms"
)

// failoverVMServer takes all VMs off a VM server [4.2.16-18]: by migration
// while it is alive, by failover when it is dead and proven off. Each VM has a
// lane of its own, so that several are on their way at once and the trouble of
// one holds up none of the others.
var failoverVMServer = &Sequence{
	Name:      fsm.SeqFailoverVMServer,
	Operation: OpPolicyAction, Purpose: "Failover of the VMs of a VM server",
	Plan: planEmpty,
}

// evacuate takes all VMs off a live VM server by migration.
var evacuate = &Sequence{
	Name:      fsm.SeqEvacuate,
	Operation: OpPolicyAction, Purpose: "Evacuation of a VM server",
	Plan: planEmpty,
}

func planEmpty(r fsm.Reader, j *schema.Job) (*Plan, error) {
	p, srv, err := machinePlan(r, j.Params[fsm.ParamVMServer])
	if err != nil {
		return nil, err
	}
	if srv.Kind != schema.MachineVMServer {
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+srv.Name, "it is no VM server")
	}
	mode := j.Params[fsm.ParamMode]
	if !slices.Contains([]string{fsm.ModeMigrate, fsm.ModeFailover, fsm.ModeMigrateFailover}, mode) {
		return nil, schema.Errorf(schema.KindInvalid, "mode "+mode, "there is no such way to take VMs off a VM server")
	}
	vms := vmsOn(r, srv.Name)
	for _, m := range vms {
		p.Locks = append(p.Locks, fsm.Exclusive("machine", m.Name))
		p.Targets = append(p.Targets, m.Name)
	}
	p.add(nameCheckServer, srv.Name, machineArgs(srv))
	if mode != fsm.ModeFailover {
		p.add(namePlanMigration, srv.Name, nil)
		p.lanes(vms, nameMigrate)
	}
	if mode != fsm.ModeMigrate {
		p.add(nameCheckServer, srv.Name, machineArgs(srv))
		p.add(nameFence, srv.Name, fenceArgs(r, srv))
		p.add(namePlanFailover, srv.Name, nil)
		p.lanes(vms, nameFailover, nameStart)
	}
	p.add(nameFailoverResult, srv.Name, nil)
	return p, nil
}

// lanes adds steps for each VM, in its own lane.
func (p *Plan) lanes(vms []*schema.Machine, names ...string) {
	for i, m := range vms {
		for _, name := range names {
			args := machineArgs(m, argFrom, m.VmServer)
			delete(args, argServer) // the plan step names it
			p.add(name, m.Name, args).Lane = int32(i + 1)
		}
	}
}

// vmsOn are the VMs of a VM server: those that ran first, then by restart priority.
func vmsOn(r fsm.Reader, server string) []*schema.Machine {
	var out []*schema.Machine
	for m := range fsm.Machines.By(r, fsm.ByServer, server) {
		if m.Kind == schema.MachineVM && !m.Template && !m.Gone {
			out = append(out, m)
		}
	}
	on := func(m *schema.Machine) int {
		if m.Power == schema.PowerOn {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(a, b *schema.Machine) int {
		return cmp.Or(on(a)-on(b), cmp.Compare(planning.RestartPriority(r, b), planning.RestartPriority(r, a)), strings.Compare(a.Name, b.Name))
	})
	return out
}

// unmoved are the VMs of the job's lanes that are still on the VM server.
func unmoved(e *Env) []string {
	moved := map[string]bool{}
	var order []string
	for _, s := range e.Steps {
		if s.Lane == 0 {
			continue
		}
		if !slices.Contains(order, s.Target) {
			order = append(order, s.Target)
		}
		if (s.Name == nameMigrate || s.Name == nameFailover) && s.State == schema.StepDone {
			moved[s.Target] = true
		}
	}
	return slices.DeleteFunc(order, func(vm string) bool { return moved[vm] })
}

var planMigration = &Step{
	Name: namePlanMigration,
	Skip: func(e *Env) string {
		if s := e.earlier(nameCheckServer); s == nil || s.Output[outConnected] != "true" {
			return "its manager doesn't reach it, so nothing can be migrated"
		}
		return ""
	},
	Commit: func(tx *fsm.Tx, e *Env) error { return planLanes(tx, e, nameMigrate) },
}

var planFailover = &Step{
	Name: namePlanFailover,
	Skip: func(e *Env) string {
		if !e.succeeded(nameFence) {
			return "no failover from a VM server that isn't proven off"
		}
		return ""
	},
	Commit: func(tx *fsm.Tx, e *Env) error { return planLanes(tx, e, nameFailover) },
}

// planLanes asks placement where the VMs go and writes it into the steps of
// their lanes.
func planLanes(tx *fsm.Tx, e *Env, name string) error {
	server := e.Step.Target
	var failed []string
	if name == nameFailover {
		failed = append(failed, server)
	}
	if len(unmoved(e)) == 0 {
		return nil
	}
	p := planning.Problem(tx, planning.Scope{Failed: failed, Job: e.Job.Id})
	for i := range p.VMs {
		if was := wasOf(e, p.VMs[i].Name); was != "" && p.VMs[i].Server == server {
			p.VMs[i].Power = placement.Power(was)
		}
	}
	plan, err := solve(p, placement.Request{Objective: placement.Evacuate, Servers: []string{server}, NoServerStart: true})
	if err != nil {
		return err
	}
	to := map[string]placement.Move{}
	for _, mv := range plan.Moves {
		to[mv.VM] = mv
	}
	placed := 0
	for _, s := range e.Steps {
		if s.Lane == 0 || s.Number < e.Step.Number || (s.Name != name && s.Name != nameStart) {
			continue
		}
		s = e.Own(s)
		if mv, ok := to[s.Target]; ok {
			s.Args[argServer], s.Args[argWhy] = mv.To, mv.Reason
			if s.Name == name {
				placed++
			}
		} else {
			s.Args[argFailed] = "no VM server can take it: " + whyUnplaced(plan, s.Target)
		}
	}
	e.set("placed", fmt.Sprint(placed))
	e.set("unplaced", fmt.Sprint(len(plan.Unplaced)))
	return nil
}

// wasOf is the power that a VM of the job's lanes had before, as placement knows it.
func wasOf(e *Env, vm string) string {
	for _, s := range e.Steps {
		if s.Lane != 0 && s.Target == vm {
			switch s.Args[argWas] {
			case schema.PowerOn, schema.PowerSuspended:
				return s.Args[argWas]
			}
			return schema.PowerOff
		}
	}
	return ""
}

// failoverResult tells honestly what became of each VM: the job succeeds only
// when all are off the VM server and all that ran run again.
var failoverResult = &Step{Name: nameFailoverResult, Commit: reportVMs}

func reportVMs(tx *fsm.Tx, e *Env) error {
	left := unmoved(e)
	why := map[string]string{}
	total, restarted := 0, 0
	seen := map[string]bool{}
	for _, s := range e.Steps {
		if s.Lane == 0 {
			continue
		}
		if !seen[s.Target] {
			seen[s.Target] = true
			total++
		}
		switch {
		case s.State == schema.StepFailed && (s.Name == nameStart || slices.Contains(left, s.Target)):
			why[s.Target] = s.Error // of a VM that another way has moved the failure is history
		case s.State == schema.StepSkipped && s.Name != nameStart && slices.Contains(left, s.Target):
			why[s.Target] = s.Skipped
		case s.State == schema.StepDone && s.Name == nameStart:
			restarted++
		}
	}
	e.Job.Result = fmt.Sprintf("%d of %d VMs moved off %s", total-len(left), total, e.Step.Target)
	if restarted > 0 {
		e.Job.Result += fmt.Sprintf(", %d restarted", restarted)
	}
	var bad []string
	for _, vm := range sortedKeys(why) {
		if why[vm] == "" {
			continue
		}
		bad = append(bad, vm+": "+why[vm])
		reason := fmt.Sprintf("job %s left it: %s", e.Job.Id, why[vm])
		if err := editMachine(tx, vm, func(m *schema.Machine) { m.Status, m.StatusReason = schema.StatusAbnormal, reason }); err != nil {
			return err
		}
	}
	if len(bad) > 0 {
		return &Partial{Err: schema.Errorf(schema.KindJobFailed, "VM server "+e.Step.Target, "%s; %s", e.Job.Result, strings.Join(bad, "; ")).
			WithHint("remove the cause, then evacuate the VM server again")}
	}
	return nil
}

func sortedKeys(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
