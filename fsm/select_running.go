package fsm

import (
	"cmp"
	"fmt"
	"slices"

	"yagura/fsm/schema"
)

// PickForChange chooses a machine that runs in the source and stands in the
// pool of the destination [1.11.5], and what it becomes there. machine names it;
// empty: it is searched. Categories stand for the groups below them, the
// destinations and their models in descending priority. A machine that is off
// goes first, since nothing runs on it.
//
// Errors: KindTooFewMachines (no machine can be used, and why each can't),
// KindGroupUnusable (too few host settings in the destination, the named machine
// isn't in its pool, or the groups can't be used for this).
func PickForChange(r Reader, dest, source GroupRef, machine string, not func(machine string) bool) (Choice, error) {
	return newPicker(r, not).forChange(dest, source, machine)
}

func (p *picker) forChange(dest, source GroupRef, machine string) (Choice, error) {
	if err := checkChange(p.r, dest, source); err != nil {
		return Choice{}, err
	}
	sites, err := p.ready(dest, "")
	if err != nil {
		if schema.KindOf(err) == schema.KindHostSetting { // a re-purposing has an exit code of its own for this
			e := *err.(*schema.Error)
			e.Kind = schema.KindGroupUnusable
			return Choice{}, &e
		}
		return Choice{}, err
	}
	var usable []*schema.Machine
	no := &rejections{}
	pooled := false // a candidate stands in a pool of the destination
	for _, m := range runningBelow(p.r, source) {
		if machine != "" && m.Name != machine {
			continue
		}
		inPool, why := p.unchangeable(m, sites, machine != "")
		pooled = pooled || inPool
		if why != "" {
			no.add(m.Name, why)
			continue
		}
		usable = append(usable, m)
	}
	if m, ok := Machines.Get(p.r, machine); ok && len(usable)+len(no.list) == 0 {
		no.add(machine, describeState(m))
		pooled = true
	}
	sortToLeave(usable)
	for _, s := range sites {
		for _, model := range s.models {
			for _, m := range usable {
				if slices.Contains(m.PoolGroups, s.group.Name) && m.Group != s.group.Name && modelMismatch(model, m) == "" {
					return s.under(Choice{Machine: m, Model: model, Why: whyLeave(m, len(usable))}), nil
				}
			}
		}
	}
	kind := schema.KindTooFewMachines
	if machine != "" && len(no.list) > 0 && !pooled {
		kind = schema.KindGroupUnusable
	}
	return Choice{}, schema.Errorf(kind, "group "+dest.String(), "no machine of %s can run in it%s", source, no.because()).
		WithHint("a machine must run in %s and be in the pool of %s, too: pvmutl pool add %s MACHINE", source, dest, dest)
}

// unchangeable says why a running machine can't be re-purposed to one of the
// sites, and whether it is in the pool of one.
func (p *picker) unchangeable(m *schema.Machine, sites []site, named bool) (inPool bool, why string) {
	no := ""
	fits := false
	for _, s := range sites {
		if !slices.Contains(m.PoolGroups, s.group.Name) || m.Group == s.group.Name {
			continue
		}
		inPool = true
		if fittingModel(s.models, m) != nil {
			fits = true
		} else {
			no = cmp.Or(no, mismatches(s.group.Name, s.models, m))
		}
	}
	switch {
	case m.Kind == schema.MachineVM:
		return inPool, "it is a vm, and VMs can't be re-purposed"
	case !inPool:
		return false, "it isn't in the pool of the destination"
	case !fits:
		return true, no
	}
	return true, cmp.Or(p.unfit(m, named), p.loaded(m))
}

// checkChange refuses a re-purposing that no machine could ever make.
func checkChange(r Reader, dest, source GroupRef) error {
	if dest.Group != "" && dest.Group == source.Group {
		return schema.Errorf(schema.KindGroupUnusable, "group "+dest.String(), "source and destination are one group")
	}
	for _, ref := range []GroupRef{dest, source} {
		groups := GroupsBelow(r, ref)
		if len(groups) > 0 && !slices.ContainsFunc(groups, func(g *schema.Group) bool { return g.Kind != schema.MachineVM }) {
			return schema.Errorf(schema.KindGroupUnusable, "group "+ref.String(), "its machines are VMs, and VMs can't be re-purposed").
				WithHint("take the VM out of its group and add it to the other one")
		}
	}
	return nil
}

// PickToLeave chooses a machine that is to leave its group: the one that runs
// under host, or any below the path when host is empty. Groups of a category are
// tried in ascending priority, as for VMs [3.2.18]. Of one group's machines one
// with a fault goes first, then one that is off, and one in maintenance last.
// Errors: KindMachineNotFound (no machine runs under host), KindTooFewHosts (none
// can leave, and why not).
func PickToLeave(r Reader, ref GroupRef, host string, not func(machine string) bool) (*schema.Machine, string, error) {
	return newPicker(r, not).toLeave(ref, host)
}

func (p *picker) toLeave(ref GroupRef, host string) (*schema.Machine, string, error) {
	if host != "" {
		ms, err := hostMachines(p.r, ref.String(), []string{host})
		if err != nil {
			return nil, "", err
		}
		if why := p.loaded(ms[0]); why != "" {
			return nil, "", schema.Errorf(schema.KindTooFewHosts, "machine "+ms[0].Name, "it can't leave its group: %s", why)
		}
		return ms[0], ms[0].Name + " was named by its host " + host, nil
	}
	groups := GroupsBelow(p.r, ref)
	slices.Reverse(groups)
	no := &rejections{}
	for _, g := range groups {
		var usable []*schema.Machine
		for _, m := range runningBelow(p.r, GroupRef{Group: g.Name, Model: ref.Model}) {
			why := ""
			switch {
			case p.given["machine "+m.Name]:
				why = "it is taken by another of the machines asked for"
			case p.not(m.Name):
				why = "a job works on it"
			default:
				why = p.loaded(m)
			}
			if why != "" {
				no.add(m.Name, why)
				continue
			}
			usable = append(usable, m)
		}
		if len(usable) > 0 {
			sortToLeave(usable)
			return usable[0], whyLeave(usable[0], len(usable)), nil
		}
	}
	if len(no.list) == 0 {
		return nil, "", schema.Errorf(schema.KindTooFewHosts, "group "+ref.String(), "no machine is running in it")
	}
	return nil, "", schema.Errorf(schema.KindTooFewHosts, "group "+ref.String(), "no machine of it can leave%s", no.because())
}

// runningBelow are the machines that run below a path, by group and host.
func runningBelow(r Reader, ref GroupRef) []*schema.Machine {
	var out []*schema.Machine
	for _, g := range GroupsBelow(r, ref) {
		for m := range Machines.By(r, ByGroup, g.Name) {
			if m.Host != "" && (ref.Model == "" || m.Model == ref.Model) {
				out = append(out, m)
			}
		}
	}
	return out
}

// loaded says which VM keeps a VM server from being shut down: one that is on
// would be stopped [5.2.7]. "" for any other machine.
func (p *picker) loaded(m *schema.Machine) string {
	if m.Kind != schema.MachineVMServer {
		return ""
	}
	for vm := range Machines.By(p.r, ByServer, m.Name) {
		if vm.Power != schema.PowerOff && !vm.Gone {
			return fmt.Sprintf("VM %s runs on it", vm.Name)
		}
	}
	return ""
}

// sortToLeave puts first the machine that is missed least.
func sortToLeave(machines []*schema.Machine) {
	flag := func(b bool) int {
		if b {
			return 0
		}
		return 1
	}
	slices.SortFunc(machines, func(a, b *schema.Machine) int {
		return cmp.Or(
			cmp.Compare(flag(!a.Maintenance), flag(!b.Maintenance)),
			cmp.Compare(flag(faulty(a)), flag(faulty(b))),
			cmp.Compare(flag(a.Power != schema.PowerOn), flag(b.Power != schema.PowerOn)),
			cmp.Compare(a.Group, b.Group), cmp.Compare(a.Host, b.Host),
		)
	})
}

// faulty tells whether a machine doesn't run as it should.
func faulty(m *schema.Machine) bool {
	return m.Status == schema.StatusAbnormal || m.Gone || m.HardwareStatus == schema.HardwareDegraded || m.HardwareStatus == schema.HardwareFailed
}

func whyLeave(m *schema.Machine, usable int) string {
	s := fmt.Sprintf("%s (host %s): ", m.Name, GroupKey(m.Group, m.Host))
	switch {
	case faulty(m):
		s += "it has a fault"
	case m.Power != schema.PowerOn:
		s += "its power is " + cmp.Or(m.Power, schema.PowerUnknown)
	default:
		s += "it is on, as the others are"
	}
	if usable == 1 {
		return s + ", and it is the only one that can be used"
	}
	return s + fmt.Sprintf(", and it comes first of %d that can be used", usable)
}
