package fsm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"yagura/fsm/schema"
)

// PickSubstitute chooses the machine that replaces one that runs in a group:
// of the group's pool, else of the common pool when the conditions for that
// hold [1.10.2, 1.11.4]. It must be one of the old machine's model or of another
// model of the group, those of the highest priority first. not tells of machines
// that other jobs work on. KindGroupUnusable: old is in no group, or its kind
// can't be replaced. KindTooFewMachines: none can be used, and why each can't.
func PickSubstitute(r Reader, old *schema.Machine, not func(machine string) bool) (*schema.Machine, string, error) {
	g, err := replaceable(r, old)
	if err != nil {
		return nil, "", err
	}
	p := newPicker(r, not)
	models := substituteModels(r, old)
	no := &rejections{}
	c, ok := p.fromPool(g, models, "", no)
	if !ok {
		c, ok = p.fromCommonPool(g, models, no)
	}
	if !ok {
		return nil, "", schema.Errorf(schema.KindTooFewMachines, "group "+GroupPath(g), "no machine can take the place of %s (host %s)%s", old.Name, old.Host, no.because()).
			WithHint("%s", poolHint(g))
	}
	return c.Machine, c.Why, nil
}

// replaceable finds the group of a machine that can be replaced: a physical
// one [3.2.3]; VMs and VM servers can't [5.2.19].
func replaceable(r Reader, old *schema.Machine) (*schema.Group, error) {
	g, ok := Groups.Get(r, old.Group)
	switch {
	case !ok:
		return nil, schema.Errorf(schema.KindGroupUnusable, "machine "+old.Name, "it can't be replaced: %s", describeState(old))
	case old.Kind != schema.MachinePhysical:
		return nil, schema.Errorf(schema.KindGroupUnusable, "machine "+old.Name, "it is a %s; only a physical machine can be replaced", old.Kind).
			WithHint("%s", notReplaced(old.Kind))
	}
	return g, nil
}

func notReplaced(kind string) string {
	if kind == schema.MachineVM {
		return "move the VM to another VM server"
	}
	return "move its VMs to other VM servers"
}

// substituteModels are the models that a substitute may be of: the old machine's
// first, since it takes over its settings, then the others of the group.
func substituteModels(r Reader, old *schema.Machine) []*schema.Model {
	models := GroupModels(r, old.Group)
	slices.SortStableFunc(models, func(a, b *schema.Model) int {
		own := func(m *schema.Model) int {
			if m.Name == old.Model {
				return 0
			}
			return 1
		}
		return cmp.Compare(own(a), own(b))
	})
	return models
}

func poolHint(g *schema.Group) string {
	if g.UseCommonPool {
		return "put a machine into the group's pool (pvmutl pool add " + GroupPath(g) + " MACHINE) or into the common pool, or set one that is repaired to hardware_status normal"
	}
	return "put a machine into the group's pool (pvmutl pool add " + GroupPath(g) + " MACHINE), set one that is repaired to hardware_status normal, or let the group use the common pool (use_common_pool)"
}

// PickForGroup chooses what a machine of a pool is to become in a group: below
// a category the groups, and in each its models, are tried in descending
// priority [3.2.4]. All group pools come before the common pool, which serves
// only a group whose own pool has no usable machine [1.10.2]. machine names a
// machine of one of these pools; a machine of the common pool can't be named.
// netinfo is the name or an address of the host setting, empty: any. not tells
// of machines that other jobs work on; a job on a named machine is waited for.
//
// Errors: KindMachineNotFound (no such machine), KindInGroup (it runs), KindHostSetting (none
// is free), KindGroupUnusable (no model), KindTooFewMachines (none can be used, and why each can't).
func PickForGroup(r Reader, ref GroupRef, machine, netinfo string, not func(machine string) bool) (Choice, error) {
	return newPicker(r, not).forGroup(ref, machine, netinfo)
}

func (p *picker) forGroup(ref GroupRef, machine, netinfo string) (Choice, error) {
	if machine != "" {
		if err := p.nameable(ref, machine); err != nil {
			return Choice{}, err
		}
	}
	groups, err := p.ready(ref, netinfo)
	if err != nil {
		return Choice{}, err
	}
	no := &rejections{}
	for _, g := range groups {
		if c, ok := p.fromPool(g.group, g.models, machine, no); ok {
			return g.under(c), nil
		}
	}
	for _, g := range groups {
		if machine != "" {
			break
		}
		if c, ok := p.fromCommonPool(g.group, g.models, no); ok {
			return g.under(c), nil
		}
	}
	e := schema.Errorf(schema.KindTooFewMachines, "group "+ref.String(), "no machine can be put into operation in it%s", no.because())
	if machine != "" {
		return Choice{}, e.WithHint("name another machine of its pool, or none")
	}
	return Choice{}, e.WithHint("%s", poolHint(groups[0].group))
}

// site is a group in which a machine can be put into operation.
type site struct {
	group  *schema.Group
	models []*schema.Model
	host   *schema.Host
}

func (s site) under(c Choice) Choice {
	c.Host = s.host
	c.Why += fmt.Sprintf("; it becomes host %s of model %s", GroupKey(s.host.Group, s.host.Name), c.Model.Name)
	return c
}

// ready finds the groups below a path that have a model and a free host
// setting, highest priority first.
func (p *picker) ready(ref GroupRef, netinfo string) ([]site, error) {
	groups := GroupsBelow(p.r, ref)
	if len(groups) == 0 {
		return nil, schema.Errorf(schema.KindGroupNotFound, "category "+ref.String(), "there is no group below it")
	}
	var out []site
	no := &rejections{}
	hosts := false // a group lacks nothing but a host setting
	for _, g := range groups {
		models := modelsOf(p.r, g.Name, ref.Model)
		if len(models) == 0 {
			no.add("group "+g.Name, "it has no model")
			continue
		}
		h, taken := p.free(g.Name, netinfo)
		if h == nil {
			hosts = true
			no.add("group "+g.Name, noHost(netinfo, taken))
			continue
		}
		out = append(out, site{g, models, h})
	}
	switch {
	case len(out) > 0:
		return out, nil
	case hosts:
		e := schema.Errorf(schema.KindHostSetting, "group "+ref.String(), "no host setting of it can be used (%s)", no)
		if netinfo != "" {
			return nil, e.WithHint("name a host setting that is free, by its name or one of its addresses; pvmutl get host lists them")
		}
		return nil, e.WithHint("add one: kind Host")
	}
	return nil, schema.Errorf(schema.KindGroupUnusable, "group "+ref.String(), "no machine can run in it (%s)", no).WithHint("add a model: kind Model")
}

func noHost(netinfo string, taken *rejections) string {
	switch {
	case len(taken.list) > 0 && netinfo != "":
		return "host setting " + taken.String()
	case len(taken.list) > 0:
		return "all of its host settings are in use: " + taken.String()
	case netinfo != "":
		return fmt.Sprintf("no host setting has the name or address %s", netinfo)
	}
	return "it has no host settings"
}

// nameable refuses a machine that isn't waiting in a pool below a path.
func (p *picker) nameable(ref GroupRef, name string) error {
	m, ok := Machines.Get(p.r, name)
	o := "machine " + name
	if !ok {
		return schema.Errorf(schema.KindMachineNotFound, o, "there is no such machine").WithHint("pvmutl list server %s shows the machines of the pool", ref)
	}
	if m.Group != "" {
		return schema.Errorf(schema.KindInGroup, o, "it is running in group %s as host %s already", m.Group, m.Host)
	}
	for _, g := range GroupsBelow(p.r, ref) {
		if slices.Contains(m.PoolGroups, g.Name) {
			return nil
		}
	}
	return schema.Errorf(schema.KindTooFewMachines, o, "it isn't in the pool of %s: %s", ref, describeState(m)).
		WithHint("put it into the pool first; a machine of the common pool can't be named")
}

// fromPool chooses a machine of a group's pool. Of its models the first in
// the list that a usable machine is of goes first.
func (p *picker) fromPool(g *schema.Group, models []*schema.Model, named string, no *rejections) (Choice, bool) {
	var usable []*schema.Machine
	for m := range Machines.By(p.r, ByPool, g.Name) {
		if named != "" && m.Name != named {
			continue
		}
		if why := p.unusable(m, named != ""); why != "" {
			no.add(m.Name, why)
			continue
		}
		if fittingModel(models, m) == nil {
			no.add(m.Name, mismatches(g.Name, models, m))
			continue
		}
		usable = append(usable, m)
	}
	return p.best(usable, models, fmt.Sprintf("the pool of group %s", g.Name))
}

// best is the best of the usable machines under the first model that one of
// them is of.
func (p *picker) best(usable []*schema.Machine, models []*schema.Model, where string) (Choice, bool) {
	rank(usable)
	for _, model := range models {
		for _, m := range usable {
			if modelMismatch(model, m) == "" {
				return Choice{Machine: m, Model: model, Why: whyChosen(m, where, len(usable))}, true
			}
		}
	}
	return Choice{}, false
}

func whyChosen(m *schema.Machine, where string, usable int) string {
	s := fmt.Sprintf("%s of %s: its hardware is %s", m.Name, where, cmp.Or(m.HardwareStatus, schema.HardwareUnknown))
	if usable == 1 {
		return s + ", and it is the only one that can be used"
	}
	return s + fmt.Sprintf(", and it comes first of %d that can be used", usable)
}

func mismatches(group string, models []*schema.Model, m *schema.Machine) string {
	var out []string
	for _, model := range models {
		out = append(out, modelMismatch(model, m))
	}
	if len(out) == 0 {
		return "group " + group + " has no model"
	}
	return strings.Join(out, ", ")
}

// fromCommonPool chooses a machine of the common pool for a group whose own pool
// has no usable one. The conditions are those of [1.10.2]:
//
//   - The group permits the common pool.
//   - The group pool has no usable machine: the caller has looked.
//   - Where machines run already, it has the same model name as they. The manual
//     says "in the group" once, and "in the model" when it allows a machine
//     without a model name only for a model that no machine runs under. Since
//     the models of a group are there for machines that differ [1.1.3], the
//     comparison is with the machines that run under the same model. VMs have no
//     model name, so for them this condition says nothing.
//   - It is registered with the deployment manager of the software to be
//     distributed. Our distributors keep no register of machines: they reach
//     any machine by its address. So there is no row that could say no, and every machine
//     meets this condition.
func (p *picker) fromCommonPool(g *schema.Group, models []*schema.Model, no *rejections) (Choice, bool) {
	if !g.UseCommonPool {
		no.add("the common pool", "group "+g.Name+" doesn't permit its use")
		return Choice{}, false
	}
	running := map[string][]string{} // model: model names of the machines that run under it
	for m := range Machines.By(p.r, ByGroup, g.Name) {
		running[m.Model] = append(running[m.Model], m.ModelName)
	}
	var usable []*schema.Machine
	fits := map[string]*schema.Model{}
	for m := range Machines.All(p.r) {
		if m.RunState() != schema.StateManaged || m.Kind != g.Kind {
			continue
		}
		if why := p.unusable(m, false); why != "" {
			no.add(m.Name, why)
			continue
		}
		var why []string
		for _, model := range models {
			w := cmp.Or(modelMismatch(model, m), strange(model, m, running[model.Name]))
			if w == "" {
				fits[m.Name] = model
				break
			}
			why = append(why, w)
		}
		if fits[m.Name] == nil {
			no.add(m.Name, strings.Join(why, ", "))
			continue
		}
		usable = append(usable, m)
	}
	rank(usable)
	for _, model := range models {
		for _, m := range usable {
			if fits[m.Name] == model {
				return Choice{Machine: m, Model: model, Common: true, Why: whyChosen(m, "the common pool", len(usable))}, true
			}
		}
	}
	return Choice{}, false
}

// strange says why a machine of the common pool can't run under a model beside
// those that run there already, by their model names.
func strange(model *schema.Model, m *schema.Machine, running []string) string {
	if m.Kind == schema.MachineVM || len(running) == 0 || m.ModelName != "" && slices.Contains(running, m.ModelName) {
		return ""
	}
	names := slices.Compact(slices.Sorted(slices.Values(running)))
	for i, n := range names {
		names[i] = quoteOrNone(n)
	}
	return fmt.Sprintf("its model name is %s, that of the machines that run under model %s is %s", quoteOrNone(m.ModelName), model.Name, strings.Join(names, ", "))
}

// PickMaster chooses what a named machine becomes when it is registered as a
// master machine [1.5.9]: one that is managed and runs nowhere, with its own
// settings already those of the host setting. Errors as of PickForGroup.
func PickMaster(r Reader, ref GroupRef, machine, netinfo string) (Choice, error) {
	p := newPicker(r, nil)
	m, ok := Machines.Get(r, machine)
	o := "machine " + machine
	switch {
	case !ok:
		return Choice{}, schema.Errorf(schema.KindMachineNotFound, o, "there is no such machine")
	case m.Group != "":
		return Choice{}, schema.Errorf(schema.KindInGroup, o, "it is running in group %s as host %s already", m.Group, m.Host)
	}
	if why := p.unusable(m, true); why != "" {
		return Choice{}, schema.Errorf(schema.KindTooFewMachines, o, "it can't be put into operation: %s", why)
	}
	sites, err := p.ready(ref, netinfo)
	if err != nil {
		return Choice{}, err
	}
	no := &rejections{}
	for _, s := range sites {
		if model := fittingModel(s.models, m); model != nil {
			return s.under(Choice{Machine: m, Model: model, Common: true, Why: m.Name + " was named as a master machine"}), nil
		}
		no.add("group "+s.group.Name, mismatches(s.group.Name, s.models, m))
	}
	return Choice{}, schema.Errorf(schema.KindTooFewMachines, o, "it can't run in %s (%s)", ref, no)
}
