package sequence

import (
	"context"
	"strings"
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
)

// Names of the steps that take a VM out of its group [1.11.9].
const (
	nameLBRemove          = "lb-remove"
	nameDistributeStandby = "distribute-standby-software"
	nameReleaseHost       = "release-host-setting"
	nameUnregisterDPM     = "unregister-dpm"
	nameDeleteVM          = "delete-vm"
)

var deleteVirtualMachine = &Sequence{
	Name:      fsm.SeqDeleteVirtualMachine,
	Operation: "delete-virtual-machine", Purpose: "Removing a running VM from its group and deleting it",
	Plan: func(r fsm.Reader, j *schema.Job) (*Plan, error) { return planRemove(r, j, true) },
}

var moveFromGroupToManaged = &Sequence{
	Name:      fsm.SeqMoveFromGroupToManaged,
	Operation: "move-from-group", Purpose: "Putting a running machine on standby",
	Plan: func(r fsm.Reader, j *schema.Job) (*Plan, error) { return planRemove(r, j, false) },
}

func planRemove(r fsm.Reader, j *schema.Job, destroy bool) (*Plan, error) {
	p, m, err := machinePlan(r, j.Params[fsm.ParamMachine])
	if err != nil {
		return nil, err
	}
	if m.Kind != schema.MachineVM {
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+m.Name, "it is no VM but of the kind %s", m.Kind)
	}
	g, ok := fsm.Groups.Get(r, m.Group)
	if !ok || m.Host == "" {
		return nil, schema.Errorf(schema.KindTooFewHosts, "machine "+m.Name, "it is running in no group")
	}
	key := fsm.GroupKey(m.Group, m.Host)
	h, _ := fsm.Hosts.Get(r, key)
	if err := unsupported(r, g, nil, h); err != nil {
		return nil, err
	}
	p.Locks = append(p.Locks, fsm.Exclusive("host", key))
	args := machineArgs(m, argHost, key, argModel, m.Model)
	if m.Origin != "" {
		args["origin"] = m.Origin
	}
	p.add(nameLBRemove, m.Name, args)
	p.add(nameDistributeStandby, m.Name, args)
	p.add(nameShutdown, m.Name, args)
	p.add(nameReleaseHost, m.Name, args)
	p.add(nameUnregisterDPM, m.Name, args)
	p.add(nameUpdate, m.Name, args)
	if destroy {
		p.add(nameDeleteVM, m.Name, args)
	}
	return p, nil
}

var releaseHostSetting = &Step{
	Name:   nameReleaseHost,
	Commit: func(tx *fsm.Tx, e *Env) error { return fsm.Release(tx, e.Step.Target) },
	UndoCommit: func(tx *fsm.Tx, e *Env) error {
		group, host, _ := strings.Cut(e.arg(argHost), "/")
		m, ok := fsm.Machines.Edit(tx, e.Step.Target)
		if !ok || m.Group != "" {
			return nil
		}
		if origin := e.arg("origin"); origin != "" {
			if err := fsm.AddToPool(tx, m.Name, origin); err != nil {
				return err
			}
		}
		return fsm.Activate(tx, fsm.Activation{Machine: m.Name, Group: group, Host: host, Model: e.arg(argModel)})
	},
}

// leaveGroup ends a VM's time in a group: it stands in the common pool.
func leaveGroup(_ *fsm.Tx, e *Env) error {
	e.Job.Result = e.Step.Target + " stands in the common pool"
	return nil
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
