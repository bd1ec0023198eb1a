package fsm

import "yagura/fsm/schema"

// Managers are the manager nodes of the cluster, by id.
var Managers = &Table[*schema.Manager]{
	number: 16, name: "manager",
	key: func(m *schema.Manager) string { return m.Id },
}
