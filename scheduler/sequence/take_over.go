package sequence

import (
	"strings"

	"yagura/fsm"
	"yagura/fsm/schema"
)

const (
	nameSwap = fsm.StepSwap

	argOld      = fsm.ArgOld  // machine that is replaced
	argOldModel = "old_model" // what it ran as
)

// takeOverMachine replaces a running physical machine with one of the pool,
// which takes over its host setting and all that hangs on it [1.11.4].
var takeOverMachine = &Sequence{
	Name:      fsm.SeqTakeOverMachine,
	Operation: "take-over-machine", Purpose: "Exchange of a running machine with a standby machine",
	Plan: planTakeOver,
}

func planTakeOver(r fsm.Reader, j *schema.Job) (*Plan, error) {
	old, err := stillRuns(r, j)
	if err != nil {
		return nil, err
	}
	from, err := sideOf(r, old)
	if err != nil {
		return nil, err
	}
	sub, why, err := fsm.PickSubstitute(r, old, fsm.Busy(r, j.Id))
	if err != nil {
		return nil, err
	}
	model, err := fsm.SubstituteModel(r, old, sub)
	if err != nil {
		return nil, err
	}
	to := side{sub, from.g, from.h, model.Name} // its model's software is distributed, too
	p := &Plan{Group: old.Group}
	p.lock(from)
	p.lock(to)
	if err := p.takeOut(r, j, from); err != nil {
		return nil, err
	}
	p.add(nameSwap, sub.Name, to.before(argOld, old.Name, argOldModel, from.model, argWhy, why, "old_"+argMaster, from.before()[argMaster], "old_"+argPools, strings.Join(old.PoolGroups, ","))).
		Description = sub.Name + " becomes " + from.key() + " in the place of " + old.Name
	p.stopFirst(j, to)
	return p, p.putIn(r, to, true, sub.Name+" runs as "+from.key()+" in the place of "+old.Name)
}

// stillRuns is the machine of the job, if it still runs where the request saw
// it: an event is acted upon later than it was told, and a person may have come
// before.
func stillRuns(r fsm.Reader, j *schema.Job) (*schema.Machine, error) {
	m, err := machineRow(r, j.Params[fsm.ParamMachine])
	if err != nil {
		return nil, err
	}
	for _, host := range []string{j.Params[fsm.ParamHost], j.Params[fsm.ParamReplace]} {
		if host != "" && m.Host != host || m.Group == "" || j.Params[fsm.ParamGroup] != "" && m.Group != j.Params[fsm.ParamGroup] {
			return nil, schema.Errorf(schema.KindConflict, "machine "+m.Name, "it doesn't run as host %s of group %s any more, so there is nothing to do to it", host, j.Params[fsm.ParamGroup]).
				WithHint("pvmutl get host shows which machine runs under which host")
		}
	}
	return m, nil
}

// takeOut adds the first half of a replacement or re-purposing, and of a
// removal: the steps that take a physical machine out of operation, up to its
// volumes. A faulty one is forced off.
func (p *Plan) takeOut(r fsm.Reader, j *schema.Job, s side) error {
	if err := p.balance(r, nameLBRemove, s); err != nil {
		return err
	}
	if err := p.wire(r, nameVLANRemove, s); err != nil {
		return err
	}
	p.monitor(nameUnregisterMonitoring, s)
	args := s.args(argForce, j.Params[fsm.ParamForce])
	p.distribute(r, fsm.PhaseStandby, s.m, s.h, s.model, s.g.Name)
	if j.Sequence == fsm.SeqTakeOverMachine {
		p.dontWaitFor(s.m.Name)
	}
	if s.m.HardwareStatus == schema.HardwareFailed {
		args[argForce], args[argFaulty] = "true", "its hardware has failed"
	}
	if s.m.Kind == schema.MachinePhysical {
		args[argVariant] = variantFence
	}
	p.stop(j, s.m, args)
	return p.store(nameDisconnect, s)
}

// stopFirst adds the stop of a machine that waited without being off: it must
// start with what it gets, and not go on with what it had. One whose power
// nobody knows is taken for off, as a waiting machine should be.
func (p *Plan) stopFirst(j *schema.Job, s side) {
	if s.m.Kind == schema.MachinePhysical && s.m.Power == schema.PowerOn {
		p.stop(j, s.m, s.args(argVariant, variantPhysical)).Description = "it waited without being off"
	}
}

// putIn adds the second half: the steps that bring a machine into operation
// that has its host setting by now.
func (p *Plan) putIn(r fsm.Reader, s side, distribute bool, result string) error {
	if err := p.store(nameConnect, s); err != nil {
		return err
	}
	if distribute {
		p.distribute(r, fsm.PhaseRun, s.m, s.h, s.model, s.g.Name)
	}
	args := s.args()
	if s.m.Kind == schema.MachinePhysical {
		args[argVariant] = variantPhysical
	}
	p.add(nameStart, s.m.Name, args)
	p.monitor(nameRegisterMonitoring, s)
	switch {
	case s.m.Kind != schema.MachinePhysical:
		p.leaveOut(nameCollectInfo, s.m.Name, "its manager tells what it is")
	case s.m.Bmc == nil:
		p.leaveOut(nameCollectInfo, s.m.Name, "it has no management controller that could tell what it is")
	default:
		p.add(nameCollectInfo, s.m.Name, s.args(argVariant, variantPhysical))
	}
	p.add(nameUpdate, s.m.Name, s.args(argResult, result))
	if err := p.balance(r, nameLBAdd, s); err != nil {
		return err
	}
	return p.wire(r, nameVLANAdd, s)
}

// swapMachine lets the substitute take over in one batch.
var swapMachine = &Step{
	Name: nameSwap,
	Commit: func(tx *fsm.Tx, e *Env) error {
		old, err := machineRow(tx, e.arg(argOld))
		if err != nil {
			return err
		}
		if fsm.GroupKey(old.Group, old.Host) != e.arg(argHost) {
			return schema.Errorf(schema.KindConflict, "machine "+old.Name, "it doesn't run as host %s any more", e.arg(argHost))
		}
		if err := fsm.TakeOver(tx, old.Name, e.Step.Target, e.arg(argModel)); err != nil {
			return err
		}
		return warnNICs(tx, e)
	},
	UndoCommit: func(tx *fsm.Tx, e *Env) error {
		new, err := machineRow(tx, e.Step.Target)
		if err != nil {
			return err
		}
		if fsm.GroupKey(new.Group, new.Host) != e.arg(argHost) {
			return schema.Errorf(schema.KindConflict, "machine "+new.Name, "it doesn't run as host %s any more", e.arg(argHost))
		}
		if err := fsm.TakeOver(tx, new.Name, e.arg(argOld), e.arg(argOldModel)); err != nil {
			return err
		}
		if err := restorePools(tx, new.Name, e.arg(argPools)); err != nil {
			return err
		}
		return editMachine(tx, e.arg(argOld), func(m *schema.Machine) {
			m.PoolGroups, m.Replaced = splitNames(e.arg("old_"+argPools)), nil
			if m.Master = e.arg("old_"+argMaster) == "true"; m.Master {
				m.Origin = ""
			}
		})
	},
}

// restorePools gives a machine the pools back that it was in before the job.
func restorePools(tx *fsm.Tx, machine, pools string) error {
	return editMachine(tx, machine, func(m *schema.Machine) { m.PoolGroups = splitNames(pools) })
}

func splitNames(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}
