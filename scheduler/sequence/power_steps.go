package sequence

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
)

// uuid is that of the machine that the step works on; a job that has made it
// knows it by its row only.
func (e *Env) uuid(m *schema.Machine) string {
	if id := e.arg(argUUID); id != "" && !e.succeeded(nameCreateVM) {
		return id
	}
	return m.Uuid
}

// powerOf reads the power of the step's machine, and when it last started: at
// its subsystem for a VM and for a VM server without a management controller,
// at that controller otherwise.
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
	var s drivers.VMServer
	if m.Kind == schema.MachineVMServer {
		if s, err = readServer(ctx, e, m.Name); err != nil {
			return "", time.Time{}, err
		}
	}
	if m.Bmc == nil && m.Kind == schema.MachineVMServer {
		return s.Power, s.BootTime, nil
	}
	p, err := e.Drivers.Power(ctx, m.Name)
	if err != nil {
		return "", time.Time{}, err
	}
	state, err := p.PowerState(ctx, m.Name)
	return state, s.BootTime, err
}

// setPower asks for the power of the step's machine. A VM server is shut down
// and rebooted by its manager, which knows what runs on it, and switched by its
// management controller, if it has one.
func setPower(ctx context.Context, e *Env, op drivers.PowerOp) (drivers.Task, error) {
	m, err := machineRow(e.Rows, e.Step.Target)
	if err != nil {
		return drivers.Task{}, err
	}
	byManager := m.Kind == schema.MachineVMServer && (m.Bmc == nil || op == drivers.OpShutdown || op == drivers.OpReboot)
	if m.Kind == schema.MachineVM || byManager {
		h, err := e.hypervisor(ctx)
		if err != nil {
			return drivers.Task{}, err
		}
		if byManager {
			return h.SetServerPower(ctx, e.Call, m.Name, op)
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
		return editMachine(tx, e.Step.Target, func(m *schema.Machine) {
			m.Power = power
			if m.Kind != schema.MachineVMServer {
				return
			}
			m.Switched = timestamppb.New(tx.Now())
			if power == schema.PowerOff {
				m.Connected = false // on purpose, so no alarm is raised for it
			}
		})
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
	// Given up, the machine is on or off; nothing else is left of it.
	Interruptible: true,
	Undo:          powerAct(drivers.PowerOff, fixed(drivers.OpPowerOff)),
	UndoCommit:    setRowPower(schema.PowerOff),
	UndoSkip:      func(*Env) string { return "the machine may stay on" },
}

// startActivated starts a VM that the job has made, or given the name and
// addresses of a host setting. It is switched off again when that is taken
// back, and not given up on its way: it would come up late.
var startActivated = &Step{
	Name: nameStart, Variant: variantActivate,
	Act:        powerAct(drivers.PowerOn, fixed(drivers.OpPowerOn)),
	Commit:     setRowPower(schema.PowerOn),
	Timeout:    5 * time.Minute,
	Undo:       powerAct(drivers.PowerOff, fixed(drivers.OpPowerOff)),
	UndoCommit: setRowPower(schema.PowerOff),
}

// skipStart knows the flows in which a start depends on what came before.
func skipStart(e *Env) string {
	switch e.Job.Sequence {
	case fsm.SeqMoveMachine:
		if was := powerBefore(e.Steps, e.Step.Target); was != schema.PowerOn {
			return "the VM was " + was + " before"
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

// startVMServer starts a VM server and waits until its manager reaches it.
var startVMServer = &Step{
	Name: nameStartServer,
	Act: &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) { return setPower(ctx, e, drivers.OpPowerOn) },
		Probe: func(ctx context.Context, e *Env) (Finding, error) {
			s, err := readServer(ctx, e, e.Step.Target)
			if err == nil && s.Connected && s.Power == drivers.PowerOn {
				return Finding{State: FoundDone}, nil
			}
			return Finding{}, err
		},
	},
	Commit: func(tx *fsm.Tx, e *Env) error {
		return editMachine(tx, e.Step.Target, func(m *schema.Machine) {
			m.Power, m.Connected, m.Switched = schema.PowerOn, true, timestamppb.New(tx.Now())
		})
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
			deletes := e.Job.Sequence == fsm.SeqDeleteVirtualMachine || e.Job.Sequence == fsm.SeqDeleteManagedVirtualMachine
			if err != nil && drivers.KindOf(err) == drivers.KindRefused && deletes {
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
	Lingers:       true,
}

func skipShutdown(e *Env) string {
	if rearranges(e) {
		return noLongerHolds(e, e.Step)
	}
	if e.Job.Sequence == fsm.SeqMoveMachine {
		if !e.failed(nameMigrate) {
			return "the VM has been migrated"
		}
		if powerBefore(e.Steps, e.Step.Target) != schema.PowerOn {
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
	if e.Job.Sequence == fsm.SeqCreateMachineToGroup {
		return enterGroup(tx, e)
	}
	if result := e.arg(argResult); result != "" {
		e.Job.Result = result
	}
	return nil
}
