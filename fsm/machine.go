package fsm

import (
	"strings"

	"yagura/fsm/schema"
)

// Machines are all machines known, by name.
var Machines = &Table[*schema.Machine]{
	number: 5, name: "machine",
	key:   func(m *schema.Machine) string { return m.Name },
	check: (*schema.Machine).Validate,
	indexes: []Index[*schema.Machine]{
		{Name: ByUUID, Unique: true, Values: func(m *schema.Machine) []string { return []string{m.Uuid} }},
		{Name: ByMAC, Unique: true, Values: func(m *schema.Machine) []string {
			out := make([]string, 0, len(m.Nics))
			for _, n := range m.Nics {
				out = append(out, n.Mac)
			}
			return out
		}},
		{Name: ByGroup, Values: func(m *schema.Machine) []string { return []string{m.Group} }},
		{Name: ByServer, Values: func(m *schema.Machine) []string { return []string{m.VmServer} }},
		{Name: ByPool, Values: func(m *schema.Machine) []string { return m.PoolGroups }},
		{Name: ByInitiator, Unique: true, Values: func(m *schema.Machine) []string { return m.Initiators }},
		{Name: BySwitchPort, Unique: true, Values: switchPorts},
		{Name: ByBMC, Values: bmcPlaces},
		{Name: BySub, Values: func(m *schema.Machine) []string { return []string{m.Subsystem} }},
	},
}

// bmcPlaces is where a machine's power is switched. A management controller of
// several machines tells them apart by their ids there.
func bmcPlaces(m *schema.Machine) []string {
	if m.Bmc == nil || m.Bmc.Address == "" {
		return nil
	}
	return []string{m.Bmc.Kind + " " + strings.ToLower(strings.TrimRight(m.Bmc.Address, "/")) + " " + m.Bmc.System}
}

// switchPorts are the ports that a physical machine is plugged into. What a
// VM's NIC is connected to is no cable, and may be shared.
func switchPorts(m *schema.Machine) []string {
	if m.Kind != schema.MachinePhysical {
		return nil
	}
	var out []string
	for _, n := range m.Nics {
		if n.Network != "" && n.Port != "" {
			out = append(out, n.Network+" "+n.Port)
		}
	}
	return out
}

// MachineLock is the name of the object that a job locks to work on a machine.
func MachineLock(machine string) string { return "machine/" + machine }

// HeldBy is the job that holds the machine alone; empty when none does.
func HeldBy(r Reader, machine string) string {
	for l := range Locks.By(r, ByObject, MachineLock(machine)) {
		if !l.Shared {
			return l.Job
		}
	}
	return ""
}

// editMachine is Machines.Edit with an error for a machine that isn't there.
func editMachine(tx *Tx, name string) (*schema.Machine, error) {
	m, ok := Machines.Edit(tx, name)
	if !ok {
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+name, "there is no such machine").
			WithHint("collect reads the inventory of the subsystems; get machine lists what is known")
	}
	return m, nil
}
