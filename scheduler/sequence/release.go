package sequence

import (
	"strings"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// moveFromGroupToPool and moveFromGroupToManaged take a machine out of
// operation [1.11.3, 1.11.9]: back to where it came from, whichever of the two it is.
var (
	moveFromGroupToPool = &Sequence{
		Name:      fsm.SeqMoveFromGroupToPool,
		Operation: "move-from-group", Purpose: "Putting a running machine on standby",
		Plan: planLeave,
	}
	moveFromGroupToManaged = &Sequence{
		Name:      fsm.SeqMoveFromGroupToManaged,
		Operation: "move-from-group", Purpose: "Putting a running machine on standby",
		Plan: planLeave,
	}
)

func planLeave(r fsm.Reader, j *schema.Job) (*Plan, error) {
	m, why, err := leaving(r, j)
	if err != nil {
		return nil, err
	}
	if m.Kind == schema.MachineVM {
		return planRemoveVM(r, j, m, why, false)
	}
	s, err := sideOf(r, m)
	if err != nil {
		return nil, err
	}
	p := &Plan{Group: m.Group}
	p.lock(s)
	if err := p.takeOut(r, j, s); err != nil {
		return nil, err
	}
	p.release(s, why)
	p.add(nameUpdate, m.Name, s.args(argResult, m.Name+" stands in "+returnsTo(m)))
	return p, nil
}

// leaving is the machine that leaves its group: the named one, if it still runs
// there, or the one that is missed least.
func leaving(r fsm.Reader, j *schema.Job) (*schema.Machine, string, error) {
	if j.Params[fsm.ParamMachine] != "" {
		m, err := stillRuns(r, j)
		return m, "it was named", err
	}
	ref, err := fsm.JobPath(r, j, fsm.ParamGroup)
	if err != nil {
		return nil, "", err
	}
	return fsm.PickToLeave(r, ref, j.Params[fsm.ParamHost], fsm.Busy(r, j.Id))
}

// release adds the step that gives the host setting back.
func (p *Plan) release(s side, why string) {
	p.add(nameReleaseHost, s.m.Name, s.before(argWhy, why)).Description = s.key() + " becomes free"
}

// returnsTo names the place that a running machine goes back to.
func returnsTo(m *schema.Machine) string {
	if m.Origin != "" && m.Origin == m.Group {
		return "the pool of " + m.Group
	}
	var others []string
	for _, g := range m.PoolGroups {
		if g != m.Group {
			others = append(others, g)
		}
	}
	if len(others) > 0 {
		return "the pool of " + strings.Join(others, ", ")
	}
	return "the common pool"
}

var releaseHostSetting = &Step{
	Name: nameReleaseHost,
	Commit: func(tx *fsm.Tx, e *Env) error {
		m, err := machineRow(tx, e.Step.Target)
		if err != nil {
			return err
		}
		if fsm.GroupKey(m.Group, m.Host) != e.arg(argHost) {
			return schema.Errorf(schema.KindConflict, "machine "+m.Name, "it doesn't run as host %s any more", e.arg(argHost))
		}
		return fsm.ReturnToOrigin(tx, m.Name)
	},
	UndoCommit: func(tx *fsm.Tx, e *Env) error {
		group, host, _ := strings.Cut(e.arg(argHost), "/")
		m, ok := fsm.Machines.Get(tx, e.Step.Target)
		if !ok || m.Group != "" {
			return nil
		}
		if err := restorePools(tx, m.Name, e.arg(argPools)); err != nil {
			return err
		}
		return fsm.Activate(tx, fsm.Activation{Machine: m.Name, Group: group, Host: host, Model: e.arg(argModel), Master: e.arg(argMaster) == "true"})
	},
}
