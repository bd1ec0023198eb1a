package fsm

import (
	"cmp"
	"slices"
	"strings"

	"yagura/fsm/schema"
)

// Groups are the operation groups, by name.
var Groups = &Table[*schema.Group]{
	number: 2, name: "group",
	key:     func(g *schema.Group) string { return g.Name },
	check:   (*schema.Group).Validate,
	indexes: []Index[*schema.Group]{{Name: ByCategory, Values: func(g *schema.Group) []string { return []string{g.Category} }}},
}

// GroupRef is what a path of category, group and model names. Group is empty
// for a bare category, Model unless the path goes down to one.
type GroupRef struct{ Category, Group, Model string }

// String is the path, with slashes.
func (g GroupRef) String() string {
	return strings.Trim(strings.Join([]string{g.Category, g.Group, g.Model}, "/"), "/")
}

// GroupPath is a group's path with its category, such as shop/web.
func GroupPath(g *schema.Group) string { return GroupRef{Category: g.Category, Group: g.Name}.String() }

// ResolveGroup finds what a path names: a group, with or without the category
// before it, a model of a group, or a bare category. Separators are / \ and ¥.
// Where a word could be several things, the group comes first, then the model,
// then the category. KindGroupNotFound when it names nothing.
func ResolveGroup(r Reader, path string) (GroupRef, error) {
	parts := schema.SplitPath(path)
	n := len(parts)
	if n == 0 {
		return GroupRef{}, schema.Errorf(schema.KindGroupNotFound, "group", "no group was named")
	}
	if g, ok := Groups.Get(r, parts[n-1]); ok && under(g, parts[:n-1]) {
		return GroupRef{Category: g.Category, Group: g.Name}, nil
	}
	if n > 1 {
		if g, ok := Groups.Get(r, parts[n-2]); ok && under(g, parts[:n-2]) {
			if _, ok := Models.Get(r, GroupKey(g.Name, parts[n-1])); ok {
				return GroupRef{Category: g.Category, Group: g.Name, Model: parts[n-1]}, nil
			}
		}
	}
	if c, ok := Categories.Get(r, strings.Join(parts, "/")); ok {
		return GroupRef{Category: c.Path}, nil
	}
	err := schema.Errorf(schema.KindGroupNotFound, "group "+strings.Join(parts, "/"), "there is no such group, model or category")
	if g, ok := Groups.Get(r, parts[n-1]); ok {
		return GroupRef{}, err.WithHint("a group of this name is %s", GroupPath(g))
	}
	return GroupRef{}, err.WithHint("list group shows them all")
}

// under tells whether parts are all of the path of g's category, or nothing.
func under(g *schema.Group, parts []string) bool {
	return len(parts) == 0 || strings.Join(parts, "/") == g.Category
}

// GroupsBelow are the groups that ref names: one, or all below a category and
// its categories. The one with the highest priority comes first, then by name.
func GroupsBelow(r Reader, ref GroupRef) []*schema.Group {
	if ref.Group != "" {
		if g, ok := Groups.Get(r, ref.Group); ok {
			return []*schema.Group{g}
		}
		return nil
	}
	var out []*schema.Group
	for g := range Groups.All(r) {
		if below(g.Category, ref.Category) {
			out = append(out, g)
		}
	}
	slices.SortStableFunc(out, func(a, b *schema.Group) int { return cmp.Compare(b.Priority, a.Priority) })
	return out
}

// below tells whether a category path is the other one or below it.
func below(path, top string) bool {
	return top == "" || path == top || strings.HasPrefix(path, top+"/")
}

// GroupModels are the models of a group, highest priority first, then by name.
func GroupModels(r Reader, group string) []*schema.Model {
	models := slices.Collect(Models.By(r, ByGroup, group))
	slices.SortFunc(models, func(a, b *schema.Model) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Name, b.Name))
	})
	return models
}

// GroupMachines lists the machines below a path: the running ones by host name
// (of that model alone when the path names a model), and those that wait in the
// pool by name. A pool machine that runs elsewhere can't be used and isn't listed.
func GroupMachines(r Reader, path string) (running, pool []*schema.Machine, err error) {
	ref, err := ResolveGroup(r, path)
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]bool{}
	for _, g := range GroupsBelow(r, ref) {
		for m := range Machines.By(r, ByGroup, g.Name) {
			if ref.Model == "" || m.Model == ref.Model {
				running = append(running, m)
			}
		}
		for m := range Machines.By(r, ByPool, g.Name) {
			if m.Group == "" && !seen[m.Name] {
				seen[m.Name] = true
				pool = append(pool, m)
			}
		}
	}
	slices.SortFunc(running, func(a, b *schema.Machine) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Group, b.Group))
	})
	slices.SortFunc(pool, func(a, b *schema.Machine) int { return cmp.Compare(a.Name, b.Name) })
	return running, pool, nil
}

// RunningHost finds the machine that runs below a path under a host name.
// KindMachineNotFound when none does.
func RunningHost(r Reader, path, host string) (*schema.Machine, error) {
	running, _, err := GroupMachines(r, path)
	if err != nil {
		return nil, err
	}
	for _, m := range running {
		if m.Host == host {
			return m, nil
		}
	}
	return nil, unknownHost(r, schema.NormalPath(path), host)
}

// unknownHost is the error of a host under which no machine of a group runs.
func unknownHost(r Reader, group, host string) error {
	err := schema.Errorf(schema.KindMachineNotFound, "host "+host, "no machine is running under it in group %s", group)
	if m, ok := Machines.Get(r, host); ok && m.Host != "" && m.Host != host {
		return err.WithHint("the machine of this name runs as host %s in group %s", m.Host, m.Group)
	}
	return err.WithHint("pvmutl get host shows which machine runs under which host")
}

// SetMaintenance switches maintenance mode, in which fault events of a machine
// trigger no action [3.2.10], for one host or, when host is empty, for all
// machines that run below the path. It returns the machines. KindGroupNotFound,
// KindMachineNotFound (no machine runs under that host), KindTooFewHosts (none runs).
func SetMaintenance(tx *Tx, on bool, path, host string) ([]string, error) {
	running, _, err := GroupMachines(tx, path)
	if err != nil {
		return nil, err
	}
	if host != "" {
		m, err := RunningHost(tx, path, host)
		if err != nil {
			return nil, err
		}
		running = []*schema.Machine{m}
	}
	if len(running) == 0 {
		return nil, schema.Errorf(schema.KindTooFewHosts, "group "+schema.NormalPath(path), "no machine runs in it").
			WithHint("pool machines can't be put into maintenance this way; apply a Machine document")
	}
	var names []string
	for _, m := range running {
		names = append(names, m.Name)
		edit, _ := Machines.Edit(tx, m.Name)
		edit.Maintenance = on
		if err := Machines.Put(tx, edit); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// PolicySetting is the policy of a group, or of one of its models.
type PolicySetting struct {
	Name   string // of the group or model
	Policy string // empty: none
	Models []PolicySetting
}

// ShowPolicy tells the policies of the groups below a path, and of their
// models. An empty path means all groups.
func ShowPolicy(r Reader, path string) ([]PolicySetting, error) {
	var ref GroupRef
	if path != "" {
		var err error
		if ref, err = ResolveGroup(r, path); err != nil {
			return nil, err
		}
	}
	var out []PolicySetting
	for _, g := range GroupsBelow(r, ref) {
		s := PolicySetting{Name: g.Name, Policy: g.Policy}
		for _, m := range GroupModels(r, g.Name) {
			if ref.Model == "" || m.Name == ref.Model {
				s.Models = append(s.Models, PolicySetting{Name: m.Name, Policy: m.Policy})
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// SetPolicy sets the policy of a group, or of a model when the path goes down
// to one; an empty name takes the policy off [3.2.24]. KindGroupNotFound,
// KindPolicyNotFound.
func SetPolicy(tx *Tx, path, policy string) error {
	ref, err := ResolveGroup(tx, path)
	if err != nil {
		return err
	}
	if ref.Group == "" {
		return schema.Errorf(schema.KindGroupNotFound, "category "+ref.Category, "a policy is set on a group, not on a category").
			WithHint("name the group")
	}
	if _, ok := Policies.Get(tx, policy); policy != "" && !ok {
		return schema.Errorf(schema.KindPolicyNotFound, "policy "+policy, "there is no such policy").WithHint("policy show lists them")
	}
	if ref.Model != "" {
		m, _ := Models.Edit(tx, GroupKey(ref.Group, ref.Model))
		m.Policy = policy
		return Models.Put(tx, m)
	}
	g, _ := Groups.Edit(tx, ref.Group)
	g.Policy = policy
	return Groups.Put(tx, g)
}
