package sequence

import (
	"yagura/fsm"
	"yagura/fsm/schema"
)

const nameSelect = "select-machine"

// changeServerGroup takes a machine out of one group and brings it into
// operation in another, in whose pool it stands [1.11.5].
var changeServerGroup = &Sequence{
	Name:      fsm.SeqChangeServerGroup,
	Operation: "change-server-group", Purpose: "Re-purposing of a machine",
	Plan: planChangeUse,
}

func planChangeUse(r fsm.Reader, j *schema.Job) (*Plan, error) {
	dest, err := fsm.JobPath(r, j, fsm.ParamGroup)
	if err != nil {
		return nil, err
	}
	source, err := fsm.JobPath(r, j, fsm.ParamSource)
	if err != nil {
		return nil, err
	}
	c, err := fsm.PickForChange(r, dest, source, j.Params[fsm.ParamMachine], fsm.Busy(r, j.Id))
	if err != nil {
		return nil, err
	}
	from, err := sideOf(r, c.Machine)
	if err != nil {
		return nil, err
	}
	to, err := chosen(r, c)
	if err != nil {
		return nil, err
	}
	p := &Plan{Group: to.g.Name}
	p.lock(from)
	p.lock(to)
	if j.Params[fsm.ParamMachine] == "" {
		// It is selected in this batch, since two jobs mustn't select the same one.
		p.add(nameSelect, c.Machine.Name, map[string]string{argWhy: c.Why}).Description = c.Why
	}
	if err := p.takeOut(r, j, from); err != nil {
		return nil, err
	}
	p.release(from, c.Why)
	p.assign(to, c.Why, false)
	return p, p.putIn(r, to, true, c.Machine.Name+" runs in "+to.g.Name+" as "+to.h.Name)
}

var selectMachine = &Step{Name: nameSelect, Commit: func(_ *fsm.Tx, e *Env) error {
	e.set("selected", e.Step.Target)
	return nil
}}
