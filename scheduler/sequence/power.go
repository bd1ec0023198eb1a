package sequence

import (
	"slices"

	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
	"yagura/placement"
)

// Names of the steps that switch power.
const (
	nameStartServer = "start-vm-server"
	nameStart       = "start-machine"
	nameShutdown    = "shutdown-machine"
	nameReboot      = "reboot-machine"
	nameSuspend     = "suspend-machine"
	nameCheckPower  = "check-power"
	nameUpdate      = "update-configuration"
)

var startupMachine = &Sequence{
	Name:      fsm.SeqStartupMachine,
	Operation: "startup-machine", Purpose: "Start of a machine",
	Plan: planStartup,
}

var shutdownMachine = &Sequence{
	Name:      fsm.SeqShutdownMachine,
	Operation: "shutdown-machine", Purpose: "Shutdown of a machine",
	Plan: func(r fsm.Reader, j *schema.Job) (*Plan, error) { return planPower(r, j, nameShutdown) },
}

var rebootMachine = &Sequence{
	Name:      fsm.SeqRebootMachine,
	Operation: "reboot-machine", Purpose: "Reboot of a machine",
	Plan: func(r fsm.Reader, j *schema.Job) (*Plan, error) { return planPower(r, j, nameCheckPower, nameReboot) },
}

var suspendMachine = &Sequence{
	Name:      fsm.SeqSuspendMachine,
	Operation: "suspend-machine", Purpose: "Suspend of a machine",
	Plan: func(r fsm.Reader, j *schema.Job) (*Plan, error) {
		p, err := planPower(r, j, nameSuspend)
		if err != nil {
			return nil, err
		}
		if m, _ := fsm.Machines.Get(r, p.Targets[0]); m.Kind != schema.MachineVM {
			return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+m.Name, "only a VM can be suspended, it is of the kind %s", m.Kind)
		}
		return p, nil
	},
}

// machinePlan begins the plan of a job on one machine: the machine is its
// own, its VM server is kept from jobs that would take it away.
func machinePlan(r fsm.Reader, name string) (*Plan, *schema.Machine, error) {
	m, err := machineRow(r, name)
	if err != nil {
		return nil, nil, err
	}
	p := &Plan{Targets: []string{m.Name}, Group: m.Group, Locks: []string{fsm.Exclusive("machine", m.Name)}}
	if m.VmServer != "" {
		p.Locks = append(p.Locks, fsm.Shared("machine", m.VmServer))
	}
	return p, m, nil
}

// machineArgs are the arguments that every step on a machine has.
func machineArgs(m *schema.Machine, more ...string) map[string]string {
	args := map[string]string{argUUID: m.Uuid, argSubsystem: m.Subsystem, argWas: m.Power}
	if m.Kind == schema.MachineVM {
		args[argServer] = m.VmServer
	}
	for i := 0; i < len(more); i += 2 {
		args[more[i]] = more[i+1]
	}
	return args
}

func planPower(r fsm.Reader, j *schema.Job, names ...string) (*Plan, error) {
	p, m, err := machinePlan(r, j.Params[fsm.ParamMachine])
	if err != nil {
		return nil, err
	}
	if !slices.Contains(powered, m.Kind) || m.Template {
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+m.Name, "it has no power")
	}
	if m.Kind == schema.MachineVMServer {
		// Its VMs would be stopped [5.2.7].
		for vm := range fsm.Machines.By(r, fsm.ByServer, m.Name) {
			if vm.Power == schema.PowerOn && m.Connected {
				return nil, schema.Errorf(schema.KindNotStarted, "VM server "+m.Name, "VM %s is running on it", vm.Name).
					WithHint("move its VMs away first")
			}
		}
	}
	for _, name := range names {
		args := machineArgs(m, argForce, j.Params[fsm.ParamForce])
		if m.Kind == schema.MachinePhysical && name == nameShutdown {
			args[argVariant] = variantPhysical
			p.stop(j, m, args)
			continue
		}
		p.add(name, m.Name, args)
	}
	p.add(nameUpdate, m.Name, nil)
	return p, nil
}

// planStartup starts a VM where it is or, with optimal start, where placement
// says [1.3.7].
func planStartup(r fsm.Reader, j *schema.Job) (*Plan, error) {
	p, m, err := machinePlan(r, j.Params[fsm.ParamMachine])
	if err != nil {
		return nil, err
	}
	if m.Template {
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+m.Name, "a template can't be started")
	}
	if m.Kind == schema.MachineVMServer {
		p.add(nameStartServer, m.Name, machineArgs(m, argServer, m.Name))
	} else if m.Kind == schema.MachineVM && m.Power == schema.PowerOff {
		if err := p.optimalStart(r, m); err != nil {
			return nil, err
		}
	} else {
		args := machineArgs(m)
		if m.Kind == schema.MachinePhysical {
			args[argVariant] = variantPhysical
		}
		p.add(nameStart, m.Name, args)
	}
	p.add(nameUpdate, m.Name, nil)
	return p, nil
}

// optimalStart adds the steps that start a stopped VM.
func (p *Plan) optimalStart(r fsm.Reader, m *schema.Machine) error {
	req := placement.Request{Objective: placement.Start, VMs: []string{m.Name}}
	plan, err := solve(planning.Problem(r, only(m.VmServer)), req)
	if err == nil && len(plan.Moves) == 0 { // not where it is
		plan, err = solve(planning.Problem(r, planning.Scope{}), req)
	}
	if err != nil {
		return err
	}
	if len(plan.Moves) == 0 {
		return noServer(plan, m.Name)
	}
	for _, a := range plan.StartBefore {
		srv, err := machineRow(r, a.Server)
		if err != nil {
			return err
		}
		p.Locks = append(p.Locks, fsm.Exclusive("machine", srv.Name))
		p.add(nameStartServer, srv.Name, machineArgs(srv, argServer, srv.Name, argWhy, a.Reason))
	}
	for _, mv := range plan.Moves {
		p.Locks = append(p.Locks, fsm.Shared("machine", mv.To))
		name := nameMigrate
		switch mv.Kind {
		case placement.PowerOnVM:
			name = nameStart
		case placement.ColdMove:
			name = nameMove
		}
		p.add(name, m.Name, machineArgs(m, argServer, mv.To, argFrom, mv.From, argWhy, mv.Reason))
	}
	return nil
}
