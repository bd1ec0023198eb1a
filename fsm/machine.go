package fsm

import "yagura/fsm/schema"

// Machines are all machines known, by name.
var Machines = &Table[*schema.Machine]{
	number: 5, name: "machine",
	key: func(m *schema.Machine) string { return m.Name },
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
		{Name: BySub, Values: func(m *schema.Machine) []string { return []string{m.Subsystem} }},
	},
}
