package sequence

import (
	"fmt"

	"yagura/fsm"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
)

const nameMoveResult = "verify-move"

// moveMachine takes a VM to another VM server: by migration; when that fails
// and it is asked for, by a move with its disks while it is stopped; then by
// failover; then, as the last resort, by deleting it and creating it anew.
// Each only if asked for [1.11.10, 3.2.20].
var moveMachine = &Sequence{
	Name:      fsm.SeqMoveMachine,
	Operation: "move-machine", Purpose: "Move of a VM to another VM server",
	Plan: planMove,
}

func planMove(r fsm.Reader, j *schema.Job) (*Plan, error) {
	p, m, err := machinePlan(r, j.Params[fsm.ParamMachine])
	if err != nil {
		return nil, err
	}
	to, err := machineRow(r, j.Params[fsm.ParamVMServer])
	if err != nil {
		return nil, err
	}
	byMove, byFailover, anew := j.Params[fsm.ParamMove] == "true", j.Params[fsm.ParamFailover] == "true", j.Params[fsm.ParamRecreate] == "true"
	switch {
	case m.Kind != schema.MachineVM || m.Template:
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+m.Name, "it is no VM")
	case to.Kind != schema.MachineVMServer:
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+to.Name, "it is no VM server")
	case m.VmServer == to.Name:
		return nil, schema.Errorf(schema.KindSameServer, "machine "+m.Name, "it is on VM server %s already", to.Name)
	case m.Power == schema.PowerSuspended:
		return nil, schema.Errorf(schema.KindNotStarted, "machine "+m.Name, "it is suspended").WithHint("start it first")
	}
	vm := planning.VM(r, m)
	if byMove {
		vm.Datastores, vm.LocalDisk = nil, false // they move along
	}
	if err := checkRoom(r, vm, to.Name); err != nil {
		return nil, err
	}
	p.Locks = append(p.Locks, fsm.Shared("machine", to.Name))
	args := func() map[string]string { return machineArgs(m, argServer, to.Name, argFrom, m.VmServer) }
	p.add(nameMigrate, m.Name, args())
	if byMove {
		p.add(nameCheckPower, m.Name, machineArgs(m))
		p.add(nameShutdown, m.Name, machineArgs(m))
		p.add(nameMove, m.Name, args())
	}
	if byFailover {
		srv, err := machineRow(r, m.VmServer)
		if err != nil {
			return nil, err
		}
		p.Locks = append(p.Locks, fsm.Exclusive("machine", srv.Name))
		p.add(nameCheckServer, srv.Name, machineArgs(srv))
		p.add(nameFence, srv.Name, fenceArgs(r, srv))
		p.add(nameFailover, m.Name, args())
	}
	if anew {
		if err := p.recreate(r, m, to); err != nil {
			return nil, err
		}
	}
	p.add(nameCheckPower, m.Name, machineArgs(m))
	p.add(nameStart, m.Name, machineArgs(m))
	p.add(nameMoveResult, m.Name, machineArgs(m, argServer, to.Name))
	return p, nil
}

// recreate adds the last resort: delete the VM and create it anew from its
// group's template under the same host setting.
func (p *Plan) recreate(r fsm.Reader, m, to *schema.Machine) error {
	c, err := cloneOf(r, m.Group, m.Model)
	if err != nil {
		return err
	}
	p.add(nameDeleteVM, m.Name, machineArgs(m))
	p.add(nameCreateVM, m.Name, c.args(to, fsm.GroupKey(m.Group, m.Host), ""))
	p.add(nameCollectInfo, m.Name, c.args(to, fsm.GroupKey(m.Group, m.Host), ""))
	return nil
}

// moveResult ends a move: well when one of the ways led to the VM server.
var moveResult = &Step{
	Name: nameMoveResult,
	Commit: func(tx *fsm.Tx, e *Env) error {
		m, err := machineRow(tx, e.Step.Target)
		if err != nil {
			return err
		}
		to := e.arg(argServer)
		for _, way := range []string{nameMigrate, nameMove, nameFailover, nameCreateVM} {
			if e.succeeded(way) {
				e.Job.Result = fmt.Sprintf("%s is on %s, by %s", m.Name, to, way)
				return nil
			}
		}
		why := "no way led there"
		for _, s := range e.Steps {
			if s.State == schema.StepFailed {
				why = s.Error
			}
		}
		return schema.Errorf(schema.KindJobFailed, "VM "+m.Name, "it stays on %s: %s", m.VmServer, why).
			WithHint("vmmigrateandmove tries a move with its disks; with /recreate it is deleted and created anew as the last resort")
	},
}
