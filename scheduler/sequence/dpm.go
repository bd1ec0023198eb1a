package sequence

import (
	"yagura/fsm"
	"yagura/fsm/schema"
)

// The manual's deployment manager keeps a register of the machines that it can
// distribute to. Our distributors keep none: they reach a machine by its
// address. So to register a VM is to give it the address under which its
// operating system is reached, and to refuse one that has none [1.11.6]. It
// counts also while no host setting tells the address.
const (
	nameRegisterDPM   = "register-dpm"
	nameUnregisterDPM = "unregister-dpm"

	noDPM = "the group has no DPM registration"
)

// register adds the row for the registration of a VM, or its end.
func (p *Plan) register(name string, s side) {
	if !s.g.RegisterDpm {
		p.leaveOut(name, s.m.Name, noDPM)
		return
	}
	p.add(name, s.m.Name, s.args(argAddress, firstAddress(s.h)))
}

var registerDPM = &Step{
	Name: nameRegisterDPM,
	Commit: func(tx *fsm.Tx, e *Env) error {
		address := e.arg(argAddress)
		if address == "" {
			return schema.Errorf(schema.KindHostSetting, "host "+e.arg(argHost), "it has no address, so nothing can be distributed to %s", e.Step.Target).
				WithHint("give its first NIC an address, then: pvmutl job resume %s", e.Job.Id)
		}
		e.set(argAddress, address)
		return register(tx, e)
	},
	UndoCommit: unregister,
}

var unregisterDPM = &Step{
	Name:       nameUnregisterDPM,
	Commit:     unregister,
	UndoCommit: register,
}

// register keeps an address that was set by hand.
func register(tx *fsm.Tx, e *Env) error {
	return editMachine(tx, e.Step.Target, func(m *schema.Machine) {
		if m.Address == "" {
			m.Address = e.arg(argAddress)
		}
	})
}

func unregister(tx *fsm.Tx, e *Env) error {
	return editMachine(tx, e.Step.Target, func(m *schema.Machine) {
		if m.Address == e.arg(argAddress) {
			m.Address = ""
		}
	})
}
