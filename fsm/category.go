package fsm

import (
	"strings"

	"yagura/fsm/schema"
)

// Categories are the nodes of the hierarchy, by path.
var Categories = &Table[*schema.Category]{
	number: 1, name: "category",
	key:   func(c *schema.Category) string { return c.Path },
	check: (*schema.Category).Validate,
}

// ParentCategory is the path of the category that holds this one; empty at the top.
func ParentCategory(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return ""
	}
	return path[:i]
}

// SetArmed switches automation off (disarm) or on again, below a category or,
// when category is empty, for the whole cluster. Who and why come from
// Tx.Why. Switching off what is off already keeps its first reason.
// KindGroupNotFound when there is no such category.
func SetArmed(tx *Tx, category string, disarm bool) error {
	var d *schema.Disarm
	if disarm {
		d = &schema.Disarm{Since: timestamp(tx.Now()), By: tx.why.User, Reason: tx.why.Reason}
	}
	if category == "" {
		s, ok := SettingsTable.Edit(tx, schema.SettingsKey)
		if !ok {
			return errNoSettings
		}
		if s.Disarm != nil && disarm {
			return nil
		}
		s.Disarm = d
		return SettingsTable.Put(tx, s)
	}
	path := schema.NormalPath(category)
	c, ok := Categories.Edit(tx, path)
	if !ok {
		return schema.Errorf(schema.KindGroupNotFound, "category "+path, "there is no such category").
			WithHint("list group shows them; automation is switched by category or for the whole cluster")
	}
	if c.Disarm != nil && disarm {
		return nil
	}
	c.Disarm = d
	return Categories.Put(tx, c)
}

// ArmedState tells whether automation is on for a group: neither the cluster
// nor a category above the group is disarmed. If it is off, disarm says since
// when, by whom and why, and where is "cluster" or "category PATH". An empty
// group asks for the cluster alone.
func ArmedState(r Reader, group string) (armed bool, disarm *schema.Disarm, where string) {
	if d := Settings(r).Disarm; d != nil {
		return false, d, "cluster"
	}
	g, ok := Groups.Get(r, group)
	if !ok {
		return true, nil, ""
	}
	for path := g.Category; path != ""; path = ParentCategory(path) {
		if c, ok := Categories.Get(r, path); ok && c.Disarm != nil {
			return false, c.Disarm, "category " + path
		}
	}
	return true, nil, ""
}
