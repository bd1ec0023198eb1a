package fsm

import "yagura/fsm/schema"

// Models are the machine specifications of groups, by group/name.
var Models = &Table[*schema.Model]{
	number: 3, name: "model",
	key:     func(m *schema.Model) string { return GroupKey(m.Group, m.Name) },
	check:   (*schema.Model).Validate,
	indexes: []Index[*schema.Model]{{Name: ByGroup, Values: func(m *schema.Model) []string { return []string{m.Group} }}},
}

// GroupKey is the key of an object of a group: a model or a host setting.
func GroupKey(group, name string) string {
	if group == "" || name == "" {
		return ""
	}
	return group + "/" + name
}
