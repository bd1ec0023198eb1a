package fsm

import "yagura/fsm/schema"

// ReturnToOrigin takes a running machine out of its group, back to where it
// came from: to the group's pool, or to the common pool when it came from there
// or is a master machine [1.11.3]. It stays in the pools of other groups. Its
// status stays, too: a fault isn't gone because the machine rests.
func ReturnToOrigin(tx *Tx, machine string) error {
	m, err := editMachine(tx, machine)
	if err != nil {
		return err
	}
	if m.Group != "" && m.Origin == m.Group {
		return StandBy(tx, machine)
	}
	return Release(tx, machine)
}

// SubstituteModel is the model that a machine becomes in the place of a running
// one: the old machine's if it is of it, else the group's first that it is of.
// KindConflict when it is of none.
func SubstituteModel(r Reader, old, new *schema.Machine) (*schema.Model, error) {
	models := substituteModels(r, old)
	if model := fittingModel(models, new); model != nil {
		return model, nil
	}
	return nil, schema.Errorf(schema.KindConflict, "machine "+new.Name, "it can't take the place of %s: %s", old.Name, mismatches(old.Group, models, new))
}

// TakeOver lets a waiting machine take the place of a running one in one batch
// [1.11.4]: the host setting passes from old to new, and old returns to where it
// came from and keeps its status. model is the model that new becomes; empty: that
// of SubstituteModel. Called with the two exchanged and the old model it undoes itself. KindMachineNotFound,
// KindGroupUnusable (old can't be replaced), KindInGroup (new runs somewhere),
// KindConflict (new isn't managed, or not of the model).
func TakeOver(tx *Tx, old, new, model string) error {
	o, err := editMachine(tx, old)
	if err != nil {
		return err
	}
	if old == new {
		return schema.Errorf(schema.KindInvalid, "machine "+old, "it can't take its own place")
	}
	g, err := replaceable(tx, o)
	if err != nil {
		return err
	}
	n, err := editMachine(tx, new)
	if err != nil {
		return err
	}
	if model == "" {
		m, err := SubstituteModel(tx, o, n)
		if err != nil {
			return err
		}
		model = m.Name
	}
	if err := ReturnToOrigin(tx, old); err != nil {
		return err
	}
	if err := Activate(tx, Activation{Machine: new, Group: g.Name, Host: o.Host, Model: model}); err != nil {
		return err
	}
	if n, err = editMachine(tx, new); err != nil {
		return err
	}
	n.Replaced = timestamp(tx.Now())
	return Machines.Put(tx, n)
}
