package fsm

import "yagura/fsm/schema"

// Hosts are the host settings of groups, by group/name.
var Hosts = &Table[*schema.Host]{
	number: 4, name: "host",
	key:   func(h *schema.Host) string { return GroupKey(h.Group, h.Name) },
	check: (*schema.Host).Validate,
	indexes: []Index[*schema.Host]{
		{Name: ByGroup, Values: func(h *schema.Host) []string { return []string{h.Group} }},
		{Name: ByName, Values: func(h *schema.Host) []string { return []string{h.Name} }},
		{Name: ByMachine, Unique: true, Values: func(h *schema.Host) []string { return []string{h.Machine} }},
		{Name: ByAddress, Unique: true, Values: func(h *schema.Host) []string {
			var out []string
			for _, n := range h.Nics {
				for _, a := range n.Addresses {
					out = append(out, a.Ip)
				}
			}
			return out
		}},
		{Name: ByVolume, Values: func(h *schema.Host) []string {
			var out []string
			for _, v := range h.Volumes {
				out = append(out, v.Subsystem+"/"+v.Name)
			}
			return out
		}},
	},
}
