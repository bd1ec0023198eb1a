package fsm

import "yagura/fsm/schema"

// Categories are the nodes of the hierarchy, by path.
var Categories = &Table[*schema.Category]{
	number: 1, name: "category",
	key: func(c *schema.Category) string { return c.Path },
}
