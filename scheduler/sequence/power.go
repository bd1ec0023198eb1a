package sequence

import (
	"context"
	"errors"
	"slices"
	"time"

	"yagura/drivers"
	"yagura/fsm"
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
		p.add(name, m.Name, machineArgs(m, argForce, j.Params[fsm.ParamForce]))
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
	if m.Kind == schema.MachineVM && m.Power == schema.PowerOff {
		if err := p.optimalStart(r, m); err != nil {
			return nil, err
		}
	} else {
		p.add(nameStart, m.Name, machineArgs(m))
	}
	p.add(nameUpdate, m.Name, nil)
	return p, nil
}

// optimalStart adds the steps that start a stopped VM.
func (p *Plan) optimalStart(r fsm.Reader, m *schema.Machine) error {
	plan, err := solve(Problem(r), placement.Request{Objective: placement.Start, VMs: []string{m.Name}})
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

// uuid is that of the machine that the step works on; a job that has made it
// knows it by its row only.
func (e *Env) uuid(m *schema.Machine) string {
	if id := e.arg(argUUID); id != "" && !e.succeeded(nameCreateVM) {
		return id
	}
	return m.Uuid
}

// powerOf reads the power of the step's machine: at its subsystem for a VM, at
// its management controller otherwise.
func powerOf(ctx context.Context, e *Env) (drivers.PowerState, time.Time, error) {
	m, err := machineRow(e.Rows, e.Step.Target)
	if err != nil {
		return "", time.Time{}, err
	}
	if m.Kind == schema.MachineVM {
		h, err := e.hypervisor(ctx)
		if err != nil {
			return "", time.Time{}, err
		}
		v, err := h.VM(ctx, e.uuid(m))
		return v.Power, v.BootTime, err
	}
	p, err := e.Drivers.Power(ctx, m.Name)
	if err != nil {
		return "", time.Time{}, err
	}
	state, err := p.PowerState(ctx, m.Name)
	return state, time.Time{}, err
}

// setPower asks for the power of the step's machine.
func setPower(ctx context.Context, e *Env, op drivers.PowerOp) (drivers.Task, error) {
	m, err := machineRow(e.Rows, e.Step.Target)
	if err != nil {
		return drivers.Task{}, err
	}
	if m.Kind == schema.MachineVM {
		h, err := e.hypervisor(ctx)
		if err != nil {
			return drivers.Task{}, err
		}
		return h.SetVMPower(ctx, e.Call, e.uuid(m), op)
	}
	p, err := e.Drivers.Power(ctx, m.Name)
	if err != nil {
		return drivers.Task{}, err
	}
	return p.SetPower(ctx, e.Call, m.Name, op)
}

// powerAct is the act that brings a machine to a power state.
func powerAct(want drivers.PowerState, op func(e *Env) drivers.PowerOp) *Act {
	return &Act{
		Do:    func(ctx context.Context, e *Env) (drivers.Task, error) { return setPower(ctx, e, op(e)) },
		Probe: probePower(want),
	}
}

func probePower(want drivers.PowerState) func(context.Context, *Env) (Finding, error) {
	return func(ctx context.Context, e *Env) (Finding, error) {
		state, _, err := powerOf(ctx, e)
		if err == nil && state == want {
			return Finding{State: FoundDone}, nil
		}
		return Finding{}, err
	}
}

func setRowPower(power string) func(*fsm.Tx, *Env) error {
	return func(tx *fsm.Tx, e *Env) error {
		return editMachine(tx, e.Step.Target, func(m *schema.Machine) { m.Power = power })
	}
}

func fixed(op drivers.PowerOp) func(*Env) drivers.PowerOp {
	return func(*Env) drivers.PowerOp { return op }
}

var startMachine = &Step{
	Name:    nameStart,
	Act:     powerAct(drivers.PowerOn, fixed(drivers.OpPowerOn)),
	Skip:    skipStart,
	Commit:  setRowPower(schema.PowerOn),
	Timeout: 5 * time.Minute,
	// Only a VM that the job has made is switched off again, to be destroyed.
	Undo:       powerAct(drivers.PowerOff, fixed(drivers.OpPowerOff)),
	UndoCommit: setRowPower(schema.PowerOff),
	UndoSkip: func(e *Env) string {
		if e.Job.Sequence == fsm.SeqCreateMachineToGroup {
			return ""
		}
		return "the machine may stay on"
	},
}

// skipStart knows the flows in which a start depends on what came before.
func skipStart(e *Env) string {
	switch e.Job.Sequence {
	case fsm.SeqMoveMachine:
		if e.arg(argWas) != schema.PowerOn {
			return "the VM was " + e.arg(argWas) + " before"
		}
		if s := e.earlier(nameCheckPower); s != nil && s.Output[outPower] == schema.PowerOn {
			return "the VM is on"
		}
	case fsm.SeqFailoverVMServer, fsm.SeqEvacuate:
		if e.arg(argWas) != schema.PowerOn {
			return "the VM was " + e.arg(argWas) + " before"
		}
		if !e.succeeded(nameFailover) {
			return "the VM wasn't moved by failover"
		}
	}
	return ""
}

var startVMServer = &Step{
	Name: nameStartServer,
	Act: &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			h, err := e.hypervisor(ctx)
			if err != nil {
				return drivers.Task{}, err
			}
			return h.SetServerPower(ctx, e.Call, e.Step.Target, drivers.OpPowerOn)
		},
		Probe: func(ctx context.Context, e *Env) (Finding, error) {
			s, err := readServer(ctx, e, e.Step.Target)
			if err == nil && s.Connected && s.Power == drivers.PowerOn {
				return Finding{State: FoundDone}, nil
			}
			return Finding{}, err
		},
	},
	Commit: func(tx *fsm.Tx, e *Env) error {
		return editMachine(tx, e.Step.Target, func(m *schema.Machine) { m.Power, m.Connected = schema.PowerOn, true })
	},
	Timeout: 20 * time.Minute,
}

var shutdownStep = &Step{
	Name: nameShutdown,
	Act: &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			if e.arg(argForce) == "true" {
				return setPower(ctx, e, drivers.OpPowerOff)
			}
			task, err := setPower(ctx, e, drivers.OpShutdown)
			if err != nil && drivers.KindOf(err) == drivers.KindRefused && e.Job.Sequence == fsm.SeqDeleteVirtualMachine {
				// Its guest can't be asked, and nothing of it will be kept.
				return setPower(ctx, e, drivers.OpPowerOff)
			}
			return task, err
		},
		Probe: probePower(drivers.PowerOff),
	},
	Undo:       powerAct(drivers.PowerOn, fixed(drivers.OpPowerOn)),
	UndoCommit: setRowPower(schema.PowerOn),
	UndoSkip: func(e *Env) string {
		if e.arg(argWas) == schema.PowerOn {
			return ""
		}
		return "the machine was " + e.arg(argWas) + " before"
	},
	Skip:          skipShutdown,
	Commit:        setRowPower(schema.PowerOff),
	Timeout:       5 * time.Minute,
	Interruptible: true,
}

func skipShutdown(e *Env) string {
	if e.Job.Sequence == fsm.SeqMoveMachine {
		if !e.failed(nameMigrate) {
			return "the VM has been migrated"
		}
		if e.arg(argWas) != schema.PowerOn {
			return "the VM is not on"
		}
	}
	return ""
}

var suspendStep = &Step{
	Name:       nameSuspend,
	Act:        powerAct(drivers.PowerSuspended, fixed(drivers.OpSuspend)),
	Undo:       powerAct(drivers.PowerOn, fixed(drivers.OpPowerOn)),
	UndoCommit: setRowPower(schema.PowerOn),
	Commit:     setRowPower(schema.PowerSuspended),
	Timeout:    10 * time.Minute,
}

var checkPower = &Step{
	Name: nameCheckPower,
	Act: &Act{Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
		state, boot, err := powerOf(ctx, e)
		if err != nil {
			return drivers.Task{}, err
		}
		e.set(outPower, string(state))
		if !boot.IsZero() {
			e.set(outBoot, boot.UTC().Format(time.RFC3339Nano))
		}
		return drivers.Done(""), nil
	}},
	Commit: func(tx *fsm.Tx, e *Env) error {
		return editMachine(tx, e.Step.Target, func(m *schema.Machine) { m.Power = e.Out[outPower] })
	},
	Timeout:  time.Minute,
	ReadOnly: true,
}

var rebootStep = &Step{
	Name: nameReboot,
	Act: &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			op := drivers.OpReboot
			if e.arg(argForce) == "true" {
				op = drivers.OpReset
			}
			return setPower(ctx, e, op)
		},
		Probe: func(ctx context.Context, e *Env) (Finding, error) {
			state, boot, err := powerOf(ctx, e)
			if err != nil {
				return Finding{}, err
			}
			before := ""
			if s := e.earlier(nameCheckPower); s != nil {
				before = s.Output[outBoot]
			}
			if before == "" || boot.IsZero() {
				// The manager keeps no start time: its answer is all the proof there is.
				if !e.Answered {
					return Finding{}, &drivers.Error{Kind: drivers.KindUnknown, System: e.Step.Subsystem, Op: e.Step.Name, Object: e.Step.Target,
						Err: errors.New("nothing there tells whether it was restarted")}
				}
				if state == drivers.PowerOn {
					return Finding{State: FoundDone}, nil
				}
				return Finding{}, nil
			}
			if state == drivers.PowerOn && boot.UTC().Format(time.RFC3339Nano) != before {
				return Finding{State: FoundDone}, nil
			}
			return Finding{}, nil
		},
	},
	Commit:        setRowPower(schema.PowerOn),
	Timeout:       10 * time.Minute,
	Settle:        2 * time.Minute,
	Interruptible: true,
}

// updateConfiguration is the last step of most flows: the rows tell the new
// state, and the statuses follow when the job ends.
var updateConfiguration = &Step{
	Name:   nameUpdate,
	Commit: updateRows,
}

func updateRows(tx *fsm.Tx, e *Env) error {
	switch e.Job.Sequence {
	case fsm.SeqMoveFromGroupToManaged:
		return leaveGroup(tx, e)
	case fsm.SeqCreateMachineToGroup, fsm.SeqMoveMasterMachineToGroup:
		return enterGroup(tx, e)
	}
	return nil
}
