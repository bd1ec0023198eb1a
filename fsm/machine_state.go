package fsm

import (
	"slices"
	"strings"

	"yagura/fsm/schema"
)

// This file holds the ten state transitions of the manual's section 1.2.2 as
// guarded functions. Transition 1, a subsystem's report, is Collected; 2 is
// Manage; 3 AddToPool; 4, 5 and 10 Activate; 6 StandBy; 7 Release; 8
// RemoveFromPool; 9 Unmanage. They change the books; what has to happen to the
// machine itself is the work of the action sequence that calls them.

func wrongState(m *schema.Machine, what string) *schema.Error {
	e := schema.Errorf(schema.KindConflict, "machine "+m.Name, "it can't be %s: %s", what, describeState(m))
	return e
}

func describeState(m *schema.Machine) string {
	switch m.RunState() {
	case schema.StateRunning:
		return "it runs in group " + m.Group + " as host " + m.Host
	case schema.StatePool:
		return "it waits in the pool of " + strings.Join(m.PoolGroups, ", ")
	case schema.StateManaged:
		return "it is in the common pool"
	}
	return "it isn't managed"
}

// Manage takes a known machine under management: it stands in the common pool
// from then on [1.2.2 transition 2]. A machine that is managed stays as it is.
func Manage(tx *Tx, machine string) error {
	m, err := editMachine(tx, machine)
	if err != nil {
		return err
	}
	if m.Managed {
		return nil
	}
	if err := m.CheckManageable(); err != nil {
		return err
	}
	m.Managed = true
	return Machines.Put(tx, m)
}

// Unmanage takes a machine that is in no group and no pool out of management
// [1.2.2 transition 9]. KindConflict otherwise.
func Unmanage(tx *Tx, machine string) error {
	m, err := editMachine(tx, machine)
	if err != nil {
		return err
	}
	switch m.RunState() {
	case schema.StateKnown:
		return nil
	case schema.StateManaged:
		m.Managed, m.Maintenance = false, false
		return Machines.Put(tx, m)
	}
	return wrongState(m, "taken out of management").WithHint("take it out of its groups and pools first")
}

// AddToPool adds a managed machine to the pool of a group [1.2.2 transition 3].
// A machine may wait in several pools when their groups have equal
// specifications, also while it runs in one of them [1.1.6]. One that came from
// the common pool can't enter the pool of the group that it runs in [1.2.2 transition 10].
func AddToPool(tx *Tx, machine, group string) error {
	m, err := editMachine(tx, machine)
	if err != nil {
		return err
	}
	if slices.Contains(m.PoolGroups, group) {
		return nil
	}
	if err := joinPool(tx, m, group); err != nil {
		return err
	}
	return Machines.Put(tx, m)
}

// joinPool adds a group to the pools of a copy of a machine.
func joinPool(r Reader, m *schema.Machine, group string) error {
	switch {
	case !m.Managed:
		return wrongState(m, "put into a pool").WithHint("take it under management first")
	case slices.Contains(m.PoolGroups, group):
		return schema.Errorf(schema.KindConflict, "machine "+m.Name, "it is in the pool of group %s already", group)
	case m.Group == group:
		return wrongState(m, "put into the pool of "+group).WithHint("it came from the common pool and can only go back there; take it out of the group first")
	}
	m.PoolGroups = append(m.PoolGroups, group)
	slices.Sort(m.PoolGroups)
	return checkPools(r, m)
}

// RemoveFromPool takes a machine out of a group's pool [1.2.2 transition 8].
// It may not run in that group: StandBy or Release it first.
func RemoveFromPool(tx *Tx, machine, group string) error {
	m, err := editMachine(tx, machine)
	if err != nil {
		return err
	}
	if !slices.Contains(m.PoolGroups, group) {
		return nil
	}
	if err := leavePool(m, group); err != nil {
		return err
	}
	return Machines.Put(tx, m)
}

// leavePool takes a group off the pools of a copy of a machine.
func leavePool(m *schema.Machine, group string) error {
	i := slices.Index(m.PoolGroups, group)
	switch {
	case i < 0:
		return schema.Errorf(schema.KindConflict, "machine "+m.Name, "it isn't in the pool of group %s", group)
	case m.Group == group && m.Origin == group:
		return wrongState(m, "taken out of the pool of "+group).WithHint("take it out of the group first")
	}
	m.PoolGroups = slices.Delete(m.PoolGroups, i, i+1)
	return nil
}

// Activation binds a machine to a host of a group.
type Activation struct {
	Machine string
	Group   string
	Host    string // name of a host setting of the group that no machine uses
	Model   string // name of a model of the group; empty: the one with the highest priority
	Master  bool   // master-machine registration: nothing is distributed, it returns to the common pool [1.5.9]
}

// Activate makes a managed machine run as a host of a group [1.2.2 transitions
// 4, 5 and 10]. From the group's pool it goes back there later; from the common
// pool, or as a master machine, it goes back to the common pool. Errors:
// KindMachineNotFound, KindGroupNotFound, KindHostSetting (no such host setting,
// or in use), KindInGroup (it runs already), KindConflict (kinds differ, not
// managed, its specification isn't the model's).
func Activate(tx *Tx, a Activation) error {
	m, err := editMachine(tx, a.Machine)
	if err != nil {
		return err
	}
	if m.Group != "" {
		return schema.Errorf(schema.KindInGroup, "machine "+m.Name, "it runs in group %s as host %s already", m.Group, m.Host).
			WithHint("take it out of that group first")
	}
	if !m.Managed {
		return wrongState(m, "run in a group").WithHint("take it under management first")
	}
	g, ok := Groups.Get(tx, a.Group)
	if !ok {
		return schema.Errorf(schema.KindGroupNotFound, "group "+a.Group, "there is no such group")
	}
	model, err := activationModel(tx, m, g, a.Model)
	if err != nil {
		return err
	}
	h, ok := Hosts.Edit(tx, GroupKey(g.Name, a.Host))
	if !ok {
		return schema.Errorf(schema.KindHostSetting, "host "+g.Name+"/"+a.Host, "the group has no such host setting").
			WithHint("apply a Host document of this name")
	}
	if h.Machine != "" && h.Machine != m.Name {
		return schema.Errorf(schema.KindHostSetting, "host "+g.Name+"/"+a.Host, "machine %s runs under it already", h.Machine).
			WithHint("choose another host setting")
	}
	m.Origin = ""
	if slices.Contains(m.PoolGroups, g.Name) && !a.Master {
		m.Origin = g.Name
	}
	m.Group, m.Host, m.Model, m.Master = g.Name, h.Name, model.Name, a.Master
	if err := checkPools(tx, m); err != nil {
		return err
	}
	h.Machine = m.Name
	if err := Hosts.Put(tx, h); err != nil {
		return err
	}
	return Machines.Put(tx, m)
}

// activationModel finds the model under which a machine will run and checks
// that the machine is of that kind.
func activationModel(r Reader, m *schema.Machine, g *schema.Group, name string) (*schema.Model, error) {
	models := GroupModels(r, g.Name)
	if len(models) == 0 {
		return nil, schema.Errorf(schema.KindConflict, "group "+g.Name, "it has no model, so no machine can run in it").
			WithHint("apply a Model document %s/NAME", g.Name)
	}
	if name == "" {
		name = models[0].Name
	}
	model, ok := Models.Get(r, GroupKey(g.Name, name))
	if !ok {
		return nil, schema.Errorf(schema.KindGroupNotFound, "model "+g.Name+"/"+name, "the group has no such model")
	}
	if m.Kind != model.Kind {
		return nil, schema.Errorf(schema.KindConflict, "machine "+m.Name, "it is a %s, the models of group %s are for %s", m.Kind, g.Name, model.Kind).
			WithHint("choose a group of its kind")
	}
	if model.ModelName != "" && m.ModelName != model.ModelName {
		return nil, schema.Errorf(schema.KindConflict, "machine "+m.Name, "its model name is %q, model %s/%s is for %q", m.ModelName, g.Name, name, model.ModelName).
			WithHint("choose another model, or set the machine's model_name")
	}
	return model, nil
}

// unbind takes m off its host. Nobody polls a machine that isn't in operation.
func unbind(tx *Tx, m *schema.Machine) error {
	if h, ok := Hosts.Edit(tx, GroupKey(m.Group, m.Host)); ok && h.Machine == m.Name {
		h.Machine = ""
		if err := Hosts.Put(tx, h); err != nil {
			return err
		}
	}
	m.Group, m.Host, m.Model, m.Origin, m.Master = "", "", "", "", false
	m.Monitored, m.Unreachable, m.Crossed, m.Replaced = nil, nil, nil, nil
	return nil
}

// StandBy puts a running machine into the pool of its group [1.2.2 transition
// 6]. KindConflict for one that came from the common pool or is a master
// machine: it may only be released [1.2.2 transition 10].
func StandBy(tx *Tx, machine string) error {
	m, err := editMachine(tx, machine)
	if err != nil {
		return err
	}
	if m.Group == "" {
		return wrongState(m, "put on standby")
	}
	if m.Origin != m.Group {
		return wrongState(m, "put on standby").WithHint("it came from the common pool and can only go back there")
	}
	if !slices.Contains(m.PoolGroups, m.Group) {
		m.PoolGroups = append(m.PoolGroups, m.Group)
		slices.Sort(m.PoolGroups)
	}
	if err := unbind(tx, m); err != nil {
		return err
	}
	return Machines.Put(tx, m)
}

// Release takes a running machine out of its group and out of that group's
// pool [1.2.2 transition 7]: it stands in the common pool then, unless it is in
// the pool of another group. The host setting stays and is free again.
func Release(tx *Tx, machine string) error {
	m, err := editMachine(tx, machine)
	if err != nil {
		return err
	}
	if m.Group == "" {
		return wrongState(m, "released")
	}
	m.PoolGroups = slices.DeleteFunc(m.PoolGroups, func(g string) bool { return g == m.Group })
	if err := unbind(tx, m); err != nil {
		return err
	}
	return Machines.Put(tx, m)
}

// DeleteMachine ends a machine that exists no more, such as a VM that a job
// has destroyed: its binding, and its row. One that isn't there is no error.
func DeleteMachine(tx *Tx, machine string) error {
	m, ok := Machines.Edit(tx, machine)
	if !ok {
		return nil
	}
	if m.Group != "" {
		if err := unbind(tx, m); err != nil {
			return err
		}
	}
	return Machines.Delete(tx, machine)
}

// checkPools holds the rule of shared pools: all groups that a machine may run
// in have models of its kind, and where one names a hardware model, all that
// name one name the same, and the machine is of it [1.1.6].
func checkPools(r Reader, m *schema.Machine) error {
	names := m.PoolGroups
	if m.Group != "" && !slices.Contains(names, m.Group) {
		names = append(slices.Clone(names), m.Group)
	}
	var first string // group that was first to name a hardware model
	var want []string
	for _, name := range names {
		g, ok := Groups.Get(r, name)
		if !ok {
			return schema.Errorf(schema.KindGroupNotFound, "machine "+m.Name, "there is no group %q for its pool", name)
		}
		if g.Kind != "" && g.Kind != m.Kind {
			return schema.Errorf(schema.KindConflict, "machine "+m.Name, "it is of kind %s, group %s is for kind %s", m.Kind, name, g.Kind).
				WithHint("choose a pool of its kind")
		}
		have := modelNames(r, name)
		if len(have) == 0 {
			continue
		}
		if m.ModelName != "" && !slices.Contains(have, m.ModelName) {
			return schema.Errorf(schema.KindConflict, "machine "+m.Name, "its model name is %q, group %s is for %s", m.ModelName, name, strings.Join(have, ", ")).
				WithHint("a pool takes machines of the group's specification only")
		}
		if first == "" {
			first, want = name, have
		} else if !slices.Equal(have, want) {
			return schema.Errorf(schema.KindConflict, "machine "+m.Name, "groups %s and %s are for different machines (%s; %s)",
				first, name, strings.Join(want, ", "), strings.Join(have, ", ")).
				WithHint("only groups of equal specifications can share a pool machine")
		}
	}
	return nil
}

// modelNames are the hardware models that a group's models name, sorted.
func modelNames(r Reader, group string) []string {
	var out []string
	for m := range Models.By(r, ByGroup, group) {
		if m.ModelName != "" {
			out = append(out, m.ModelName)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
