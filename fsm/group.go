package fsm

import "yagura/fsm/schema"

// Groups are the operation groups, by name.
var Groups = &Table[*schema.Group]{
	number: 2, name: "group",
	key:     func(g *schema.Group) string { return g.Name },
	indexes: []Index[*schema.Group]{{Name: ByCategory, Values: func(g *schema.Group) []string { return []string{g.Category} }}},
}
