package sequence

import (
	"slices"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// moveFromManagedToPool and moveFromPoolToManaged change in whose pool a
// machine waits [1.2.2 transitions 3 and 8]. Nothing happens to the machine.
var (
	moveFromManagedToPool = &Sequence{Name: fsm.SeqMoveFromManagedToPool, Plan: planPool}
	moveFromPoolToManaged = &Sequence{Name: fsm.SeqMoveFromPoolToManaged, Plan: planPool}
)

const argGroup = "group"

func planPool(r fsm.Reader, j *schema.Job) (*Plan, error) {
	p, m, err := machinePlan(r, j.Params[fsm.ParamMachine])
	if err != nil {
		return nil, err
	}
	p.Group = j.Params[fsm.ParamGroup]
	p.add(nameUpdate, m.Name, map[string]string{argVariant: variantPool, argGroup: p.Group})
	return p, nil
}

const variantPool = "pool"

// changePool takes a machine into a pool, or out of it.
var changePool = &Step{
	Name: nameUpdate, Variant: variantPool,
	Commit: func(tx *fsm.Tx, e *Env) error {
		return setPool(tx, e, e.Job.Sequence == fsm.SeqMoveFromManagedToPool)
	},
	UndoCommit: func(tx *fsm.Tx, e *Env) error {
		return setPool(tx, e, e.Job.Sequence != fsm.SeqMoveFromManagedToPool)
	},
}

func setPool(tx *fsm.Tx, e *Env, in bool) error {
	m, err := machineRow(tx, e.Step.Target)
	group := e.arg(argGroup)
	if err != nil {
		return err
	}
	switch is := slices.Contains(m.PoolGroups, group); {
	case is == in:
		e.Job.Result = m.Name + " is as it was"
		return nil
	case in:
		e.Job.Result = m.Name + " is in the pool of " + group
		return fsm.AddToPool(tx, m.Name, group)
	}
	e.Job.Result = m.Name + " has left the pool of " + group
	return fsm.RemoveFromPool(tx, m.Name, group)
}
