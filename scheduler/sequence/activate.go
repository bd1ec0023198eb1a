package sequence

import (
	"strings"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// moveFromPoolToGroup and moveFromManagedToGroup bring a waiting machine into
// operation under a free host setting [1.11.1, 1.11.7]. Which of the two it is
// tells where the machine came from.
var (
	moveFromPoolToGroup = &Sequence{
		Name:      fsm.SeqMoveFromPoolToGroup,
		Operation: "move-to-group", Purpose: "Bringing a machine into operation in a group",
		Plan: planActivate,
	}
	moveFromManagedToGroup = &Sequence{
		Name:      fsm.SeqMoveFromManagedToGroup,
		Operation: "move-to-group", Purpose: "Bringing a machine into operation in a group",
		Plan: planActivate,
	}
)

func planActivate(r fsm.Reader, j *schema.Job) (*Plan, error) {
	ref, err := fsm.JobPath(r, j, fsm.ParamGroup)
	if err != nil {
		return nil, err
	}
	c, err := fsm.PickForGroup(r, ref, j.Params[fsm.ParamMachine], j.Params[fsm.ParamHost], fsm.Busy(r, j.Id))
	if err != nil {
		return nil, err
	}
	s, err := chosen(r, c)
	if err != nil {
		return nil, err
	}
	p := &Plan{Group: s.g.Name}
	p.lock(s)
	if c.Machine.Kind == schema.MachineVM {
		return p, p.activateVM(r, s, c)
	}
	return p, p.activate(r, j, s, c, false)
}

// chosen is what a selection has made of a machine.
func chosen(r fsm.Reader, c fsm.Choice) (side, error) {
	g, ok := fsm.Groups.Get(r, c.Host.Group)
	if !ok {
		return side{}, schema.Errorf(schema.KindGroupNotFound, "group "+c.Host.Group, "there is no such group")
	}
	return side{c.Machine, g, c.Host, c.Model.Name}, nil
}

// activate adds the steps for a physical machine or VM server [1.11.1, 1.11.2].
func (p *Plan) activate(r fsm.Reader, j *schema.Job, s side, c fsm.Choice, master bool) error {
	p.assign(s, c.Why, master)
	if !master {
		p.stopFirst(j, s)
	}
	return p.putIn(r, s, !master, s.m.Name+" runs in "+s.g.Name+" as "+s.h.Name)
}

// assign adds the step that binds a machine that exists to its host setting.
func (p *Plan) assign(s side, why string, master bool) {
	args := s.before(argVariant, variantBind, argWhy, why)
	if delete(args, argMaster); master {
		args[argMaster] = "true"
	}
	p.add(nameAssignHost, s.m.Name, args).Description = s.m.Name + " becomes " + s.key()
}

// planMasterMachine registers a physical machine as it is: nothing is
// distributed, its own settings are those of the host setting [1.5.9, 1.11.2].
func planMasterMachine(r fsm.Reader, j *schema.Job) (*Plan, error) {
	ref, err := fsm.JobPath(r, j, fsm.ParamGroup)
	if err != nil {
		return nil, err
	}
	c, err := fsm.PickMaster(r, ref, j.Params[fsm.ParamMachine], j.Params[fsm.ParamHost])
	if err != nil {
		return nil, err
	}
	s, err := chosen(r, c)
	if err != nil {
		return nil, err
	}
	p := &Plan{Group: s.g.Name}
	p.lock(s)
	return p, p.activate(r, j, s, c, true)
}

// bindHost makes a machine run under its host setting in the books. What has to
// happen to the machine follows; while it is missing the machine can be taken
// out of the group again like any other.
var bindHost = &Step{
	Name: nameAssignHost, Variant: variantBind,
	Commit: func(tx *fsm.Tx, e *Env) error {
		group, host, _ := strings.Cut(e.arg(argHost), "/")
		master := e.arg(argMaster) == "true"
		if master {
			if err := fsm.Manage(tx, e.Step.Target); err != nil {
				return err
			}
		}
		e.Job.Result = e.Step.Target + " runs in " + group + " as " + host
		if err := fsm.Activate(tx, fsm.Activation{Machine: e.Step.Target, Group: group, Host: host, Model: e.arg(argModel), Master: master}); err != nil {
			return err
		}
		return warnNICs(tx, e)
	},
	UndoCommit: func(tx *fsm.Tx, e *Env) error {
		m, ok := fsm.Machines.Get(tx, e.Step.Target)
		if !ok || fsm.GroupKey(m.Group, m.Host) != e.arg(argHost) {
			return nil // it has left already
		}
		if err := fsm.ReturnToOrigin(tx, m.Name); err != nil {
			return err
		}
		return restorePools(tx, m.Name, e.arg(argPools))
	},
}

// warnNICs warns when the machine of the step and its host setting differ in
// the number of their NICs.
func warnNICs(tx *fsm.Tx, e *Env) error {
	h, _ := fsm.Hosts.Get(tx, e.arg(argHost))
	m, ok := fsm.Machines.Get(tx, e.Step.Target)
	if !ok || len(h.GetNics()) == 0 || len(m.Nics) == len(h.Nics) {
		return nil
	}
	return logNICs(tx, e, m, h)
}
