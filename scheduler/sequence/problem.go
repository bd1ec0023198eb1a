package sequence

import (
	"context"
	"slices"
	"strings"

	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
	"yagura/placement"
)

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
	p := planning.Problem(r, only(server))
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

// only limits a problem to one VM server: small and quick, whatever the size
// of the inventory.
func only(server string) planning.Scope {
	return planning.Scope{Servers: func(m *schema.Machine) bool { return m.Name == server }}
}
