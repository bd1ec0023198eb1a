package sequence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/schema"
)

// Names of the steps that bring an existing VM into operation [1.11.7, 1.11.8].
const (
	namePersonalize      = "personalize"
	nameConfigureNetwork = "configure-network"
)

// moveMasterMachineToGroup takes an existing machine into a group as it is:
// nothing is distributed and nothing personalised [1.5.9, 1.11.2, 1.11.8].
var moveMasterMachineToGroup = &Sequence{
	Name:      fsm.SeqMoveMasterMachineToGroup,
	Operation: "move-to-group", Purpose: "Bringing a machine into operation in a group",
	Plan: func(r fsm.Reader, j *schema.Job) (*Plan, error) {
		if j.Params[fsm.ParamVM] != "" {
			return planMasterVM(r, j)
		}
		return planMasterMachine(r, j)
	},
}

// activateVM adds the steps that give an existing VM the identity of a host
// setting and bring it into operation [1.11.7].
func (p *Plan) activateVM(r fsm.Reader, s side, c fsm.Choice) error {
	p.assign(s, c.Why, false)
	if s.m.Power != schema.PowerOff {
		p.add(nameShutdown, s.m.Name, s.args()).Description = "a VM is off while its name and addresses change"
	}
	p.add(namePersonalize, s.m.Name, s.args())
	p.register(nameRegisterDPM, s)
	p.distribute(r, fsm.PhaseRun, s.m, s.h, s.model, s.g.Name)
	if s.m.Power == schema.PowerOff {
		if err := p.optimalStart(r, s.m); err != nil {
			return err
		}
	} else {
		p.add(nameStart, s.m.Name, machineArgs(s.m))
	}
	p.Steps[len(p.Steps)-1].Args[argVariant] = variantActivate
	return p.balance(r, nameLBAdd, s)
}

func planMasterVM(r fsm.Reader, j *schema.Job) (*Plan, error) {
	m, err := machineRow(r, j.Params[fsm.ParamVM])
	if err != nil {
		return nil, err
	}
	host, err := chooseHost(r, j.Params[fsm.ParamGroup], j.Params[fsm.ParamHost], m.Name)
	if err != nil {
		return nil, err
	}
	if m.Group != "" {
		return nil, schema.Errorf(schema.KindInGroup, "machine "+m.Name, "it is running in group %s as %s already", m.Group, m.Host)
	}
	g, _ := fsm.Groups.Get(r, host.Group)
	s := side{m, g, host, j.Params[fsm.ParamModel]}
	p := &Plan{Group: g.Name}
	p.lock(s)
	p.assign(s, "it was named", true)
	p.add(nameConfigureNetwork, m.Name, s.args())
	p.register(nameRegisterDPM, s)
	if m.Power == schema.PowerOff {
		if err := p.optimalStart(r, m); err != nil {
			return nil, err
		}
	} else {
		p.add(nameStart, m.Name, machineArgs(m))
	}
	return p, p.balance(r, nameLBAdd, s)
}

// personalize gives a stopped VM the host name and addresses of its host
// setting. Nothing can be read of an identity that waits for the guest's start,
// so after a lost answer it is asked for again, which takes no second effect.
var personalize = &Step{
	Name: namePersonalize,
	Act: &Act{Do: func(ctx context.Context, e *Env) (drivers.Task, error) {
		if err := giving(e); err != nil {
			return drivers.Task{}, err
		}
		h, err := e.hypervisor(ctx)
		if err != nil {
			return drivers.Task{}, err
		}
		p, ok := h.(drivers.Personalizer)
		if !ok {
			return drivers.Task{}, &drivers.Error{Kind: drivers.KindUnsupported, System: e.Step.Subsystem, Op: namePersonalize, Object: e.Step.Target,
				Err: errors.New("it can't give an existing VM another name or address: add the VM as a master machine (/a) instead")}
		}
		id, err := vmIdentity(e)
		if err != nil {
			return drivers.Task{}, err
		}
		return p.Personalize(ctx, e.Call, e.arg(argUUID), id)
	}},
	Timeout: 15 * time.Minute,
}

// configureNetwork holds the virtual NICs of a master VM against its host
// setting: its own settings must be those already [1.5.9]. A difference is told.
var configureNetwork = &Step{
	Name: nameConfigureNetwork,
	Commit: func(tx *fsm.Tx, e *Env) error {
		m, err := machineRow(tx, e.Step.Target)
		if err != nil {
			return err
		}
		h, _ := fsm.Hosts.Get(tx, e.arg(argHost))
		mo, _ := fsm.Models.Get(tx, fsm.GroupKey(m.Group, m.Model))
		for i, want := range networksOf(mo, h) {
			if i < len(m.Nics) && want != "" && m.Nics[i].Network != want {
				text := fmt.Sprintf("its NIC %d is in network %s, by host setting or model it belongs into %s: change it in %s", i+1, m.Nics[i].Network, want, m.Subsystem)
				e.set(OutNote, text)
				fsm.LogJob(e.Job, "%s: %s", m.Name, text)
			}
		}
		return nil
	},
}

// networksOf are the virtual networks of a VM's NICs: the model's, or those of
// the host setting in their place.
func networksOf(mo *schema.Model, h *schema.Host) []string {
	var out []string
	out = append(out, mo.GetNetworks()...)
	for i, n := range h.GetNics() {
		if i == len(out) {
			out = append(out, "")
		}
		if n.Network != "" {
			out[i] = n.Network
		}
	}
	return out
}
