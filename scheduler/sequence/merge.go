package sequence

import (
	"yagura/fsm"
	"yagura/fsm/schema"
)

// Merge takes what a subsystem reports into the rows, see fsm.Collected, and
// raises an event for each VM server whose connection has changed.
func Merge(tx *fsm.Tx, subsystem string, machines []*schema.Machine, extent fsm.Extent) ([]string, error) {
	for _, m := range machines {
		old, ok := fsm.Machines.One(tx, fsm.ByUUID, m.Uuid)
		if !ok {
			continue
		}
		if !m.Connected {
			lastKnown(m, old)
		}
		if m.Kind == schema.MachineVMServer && old.Kind == schema.MachineVMServer && old.Connected != m.Connected && !old.Gone {
			if err := raiseConnection(tx, old.Name, m.Connected); err != nil {
				return nil, err
			}
		}
	}
	return fsm.Collected(tx, subsystem, machines, extent)
}

// lastKnown keeps the power of a machine that its manager doesn't reach: what
// the manager says then is a guess, and what ran is to run again elsewhere.
func lastKnown(m, old *schema.Machine) {
	switch {
	case m.Kind == schema.MachineVM:
		m.Power = old.Power
	case old.Power == schema.PowerOff:
		m.Power = schema.PowerOff // fenced, or switched off
	default:
		m.Power = schema.PowerUnknown
	}
}

// disconnected notes that the manager of a VM server doesn't reach it.
func disconnected(tx *fsm.Tx, m *schema.Machine) error {
	if !m.Connected {
		return nil
	}
	m.Connected = false
	return raiseConnection(tx, m.Name, false)
}

// raiseConnection raises the event of the alarm on a VM server's connection
// [4.1.4], unless its manager's own events have told it already.
func raiseConnection(tx *fsm.Tx, server string, connected bool) error {
	colour := fsm.ColourRed
	if connected {
		colour = fsm.ColourGreen
	}
	return fsm.RaiseConnection(tx, &schema.Event{Target: server}, colour)
}
