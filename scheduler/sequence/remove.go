package sequence

import (
	"context"
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
)

// Names of the steps that take a machine out of its group [1.11.3, 1.11.9].
const (
	nameReleaseHost = "release-host-setting"
	nameDeleteVM    = "delete-vm"
)

var deleteVirtualMachine = &Sequence{
	Name:      fsm.SeqDeleteVirtualMachine,
	Operation: "delete-virtual-machine", Purpose: "Removing a running VM from its group and deleting it",
	Plan: func(r fsm.Reader, j *schema.Job) (*Plan, error) {
		m, err := machineRow(r, j.Params[fsm.ParamMachine])
		if err != nil {
			return nil, err
		}
		return planRemoveVM(r, j, m, "", true)
	},
}

// deleteManagedVirtualMachine destroys a VM that is in no group.
var deleteManagedVirtualMachine = &Sequence{
	Name:      fsm.SeqDeleteManagedVirtualMachine,
	Operation: "delete-virtual-machine", Purpose: "Deleting a managed VM",
	Plan: func(r fsm.Reader, j *schema.Job) (*Plan, error) {
		p, m, err := machinePlan(r, j.Params[fsm.ParamMachine])
		if err != nil {
			return nil, err
		}
		switch {
		case m.Kind != schema.MachineVM || m.Template:
			return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+m.Name, "it is no VM")
		case m.Group != "":
			return nil, schema.Errorf(schema.KindInGroup, "machine "+m.Name, "it is running in group %s as host %s", m.Group, m.Host)
		}
		if m.Power == schema.PowerOff {
			p.leaveOut(nameShutdown, m.Name, "the VM is off")
		} else {
			p.add(nameShutdown, m.Name, machineArgs(m))
		}
		p.add(nameDeleteVM, m.Name, machineArgs(m))
		return p, nil
	},
}

// planRemoveVM takes a VM out of its group, and destroys it if asked to.
func planRemoveVM(r fsm.Reader, j *schema.Job, m *schema.Machine, why string, destroy bool) (*Plan, error) {
	if m.Kind != schema.MachineVM {
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+m.Name, "it is no VM but of the kind %s", m.Kind)
	}
	s, err := sideOf(r, m)
	if err != nil {
		return nil, err
	}
	p := &Plan{Group: m.Group}
	p.lock(s)
	if err := p.balance(r, nameLBRemove, s); err != nil {
		return nil, err
	}
	p.distribute(r, fsm.PhaseStandby, m, s.h, s.model, s.g.Name)
	p.add(nameShutdown, m.Name, s.args(argForce, j.Params[fsm.ParamForce]))
	p.release(s, why)
	p.register(nameUnregisterDPM, s)
	result := m.Name + " stands in " + returnsTo(m)
	if destroy {
		result = ""
	}
	p.add(nameUpdate, m.Name, s.args(argResult, result))
	if destroy {
		p.add(nameDeleteVM, m.Name, s.args())
	}
	return p, nil
}

var deleteVM = &Step{
	Name: nameDeleteVM,
	Act: &Act{
		Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
			h, err := e.hypervisor(ctx)
			if err != nil {
				return drivers.Task{}, err
			}
			return h.Destroy(ctx, e.Call, e.arg(argUUID))
		},
		Probe: func(ctx context.Context, e *Env) (Finding, error) {
			h, err := e.hypervisor(ctx)
			if err != nil {
				return Finding{}, err
			}
			_, err = h.VM(ctx, e.arg(argUUID))
			if err != nil && drivers.KindOf(err) == drivers.KindNotFound {
				return Finding{State: FoundDone}, nil
			}
			return Finding{}, err
		},
	},
	Skip: func(e *Env) string {
		if e.Job.Sequence == fsm.SeqMoveMachine && (e.succeeded(nameMigrate) || e.succeeded(nameMove) || e.succeeded(nameFailover)) {
			return "the VM has been moved"
		}
		return ""
	},
	Commit: func(tx *fsm.Tx, e *Env) error {
		if e.Job.Sequence == fsm.SeqMoveMachine {
			return nil // its row waits for the new VM
		}
		e.Job.Result = e.Step.Target + " is deleted"
		return fsm.DeleteMachine(tx, e.Step.Target)
	},
	Timeout: time.Hour,
}
