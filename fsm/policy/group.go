package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"yagura/fsm"
	"yagura/fsm/schema"
)

// This file holds the actions on a group [4.2.9-15]: each takes one machine of
// it, chosen from the rows in the batch that decides.

// ref is the group as a path.
func (f *Facts) ref() fsm.GroupRef {
	return fsm.GroupRef{Category: f.Group.GetCategory(), Group: f.group()}
}

// busy tells of a machine whether a job works on it or is to.
func (f *Facts) busy() func(string) bool {
	busy := fsm.Busy(f.Rows, "")
	return func(machine string) bool {
		return busy(machine) || slices.ContainsFunc(f.jobs, func(j *schema.Job) bool { return slices.Contains(j.Targets, machine) })
	}
}

// groupAdd brings one more machine into operation [4.2.9]. Which one is settled
// when the job starts; what is seen now tells whether there is any.
func (f *Facts) groupAdd(a *Action) {
	choice, err := fsm.PickForGroup(f.Rows, f.ref(), "", "", f.busy())
	if err != nil {
		a.not("%v", err)
		return
	}
	sequence := fsm.SeqMoveFromPoolToGroup
	if choice.Common {
		sequence = fsm.SeqMoveFromManagedToGroup
	}
	a.Job, a.Why = f.job(sequence, fsm.PriorityRoutine, nil, map[string]string{fsm.ParamGroup: f.group()}), "as things stand: "+choice.Why
}

// groupCreate creates a VM and adds it [4.2.10].
func (f *Facts) groupCreate(a *Action) {
	if f.Group.Kind != schema.MachineVM {
		a.not("the machines of group %s are of the kind %s, and only VMs can be created", f.group(), f.Group.Kind)
		return
	}
	host := f.freeHost()
	if host == "" {
		a.not("all host settings of group %s are in use; add one: kind Host", f.group())
		return
	}
	vm := f.freeName(host)
	a.Job = f.job(fsm.SeqCreateMachineToGroup, fsm.PriorityRoutine, &schema.Machine{Name: vm}, map[string]string{fsm.ParamGroup: f.group(), fsm.ParamVM: vm, fsm.ParamHost: host})
	a.Why = "VM " + vm + " for host setting " + host
}

// freeHost is the first host setting of the group that no machine has and no job is to use.
func (f *Facts) freeHost() string {
	promised := map[string]bool{}
	for _, j := range append(fsm.LiveJobs(f.Rows), f.jobs...) {
		if j.Group == f.group() {
			promised[j.Params[fsm.ParamHost]] = true
		}
	}
	for h := range fsm.Hosts.By(f.Rows, fsm.ByGroup, f.group()) {
		if h.Machine == "" && !promised[h.Name] {
			return h.Name
		}
	}
	return ""
}

// freeName is the name of a new VM: that of its host, or with _1, _2 and so on
// behind it when a machine has that name [5.2.19].
func (f *Facts) freeName(host string) string {
	taken := map[string]bool{}
	for _, j := range append(fsm.LiveJobs(f.Rows), f.jobs...) {
		taken[j.Params[fsm.ParamVM]] = true
	}
	name := host
	for n := 1; ; n++ {
		if _, ok := fsm.Machines.Get(f.Rows, name); !ok && !taken[name] {
			return name
		}
		name = fmt.Sprintf("%s_%d", host, n)
	}
}

// groupRemove puts one machine back into the pool that it came from [4.2.11].
func (f *Facts) groupRemove(a *Action) {
	if why := f.last(); why != "" {
		a.not("%s", why)
		return
	}
	m, why, err := fsm.PickToLeave(f.Rows, f.ref(), "", f.busy())
	if err != nil {
		a.not("%v", err)
		return
	}
	sequence := fsm.SeqMoveFromGroupToManaged
	if m.Origin == m.Group && !m.Master {
		sequence = fsm.SeqMoveFromGroupToPool
	}
	a.Job, a.Why = f.job(sequence, fsm.PriorityRoutine, m, map[string]string{fsm.ParamGroup: f.group(), fsm.ParamMachine: m.Name, fsm.ParamHost: m.Host}), why
}

// groupDelete takes one VM out of the group and destroys it [4.2.12].
func (f *Facts) groupDelete(a *Action) {
	if f.Group.Kind != schema.MachineVM {
		a.not("the machines of group %s are of the kind %s, and only VMs can be deleted", f.group(), f.Group.Kind)
		return
	}
	if why := f.last(); why != "" {
		a.not("%s", why)
		return
	}
	m, why, err := fsm.PickToLeave(f.Rows, f.ref(), "", f.busy())
	if err != nil {
		a.not("%v", err)
		return
	}
	f.power(a, fsm.SeqDeleteVirtualMachine, m, why)
}

// groupStart starts one machine that is bound to a host and off [4.2.13].
func (f *Facts) groupStart(a *Action) {
	busy := f.busy()
	f.one(a, fsm.SeqStartupMachine, "off and can be started", func(m *schema.Machine) string {
		switch {
		case m.Power != schema.PowerOff:
			return "its power is " + cmp.Or(m.Power, schema.PowerUnknown)
		case m.Gone:
			return "its subsystem doesn't report it any more"
		}
		return f.unfit(m, busy)
	})
}

// groupSuspend suspends one machine [4.2.14].
func (f *Facts) groupSuspend(a *Action) {
	if f.Group.Kind != schema.MachineVM {
		a.not("the machines of group %s are of the kind %s, and only VMs can be suspended", f.group(), f.Group.Kind)
		return
	}
	f.groupStop(a, fsm.SeqSuspendMachine)
}

// groupShutdown shuts one machine down [4.2.15].
func (f *Facts) groupShutdown(a *Action) { f.groupStop(a, fsm.SeqShutdownMachine) }

func (f *Facts) groupStop(a *Action, sequence string) {
	if why := f.last(); why != "" {
		a.not("%s", why)
		return
	}
	busy := f.busy()
	f.one(a, sequence, "on and can be stopped", func(m *schema.Machine) string {
		switch {
		case m.Power == schema.PowerOff || m.Power == schema.PowerSuspended:
			return "its power is " + m.Power
		case m.Maintenance:
			return "it is in maintenance mode"
		case busy(m.Name):
			return "a job works on it"
		}
		if vm := f.loaded(m); vm != "" {
			return "VM " + vm + " runs on it"
		}
		return ""
	})
}

// unfit says why a machine isn't to be started, or "".
func (f *Facts) unfit(m *schema.Machine, busy func(string) bool) string {
	switch {
	case m.HardwareStatus == schema.HardwareFailed:
		return "its hardware has failed"
	case m.Status == schema.StatusAbnormal:
		return "its status is abnormal"
	case m.Maintenance:
		return "it is in maintenance mode"
	case busy(m.Name):
		return "a job works on it"
	}
	return ""
}

// one is a power operation on one machine of the group for which nothing
// speaks against: to start, the best one; to stop, the one that is missed least.
func (f *Facts) one(a *Action, sequence, what string, not func(*schema.Machine) string) {
	var can []*schema.Machine
	var why []string
	for _, m := range f.bound() {
		if no := not(m); no != "" {
			why = append(why, m.Name+": "+no)
			continue
		}
		can = append(can, m)
	}
	if len(can) == 0 {
		a.not("no machine of group %s is %s (%s)", f.group(), what, cmp.Or(names(why, len(why)), "none runs in it"))
		return
	}
	slices.SortStableFunc(can, func(x, y *schema.Machine) int {
		c := cmp.Or(cmp.Compare(fault(x), fault(y)), cmp.Compare(x.Host, y.Host))
		if sequence != fsm.SeqStartupMachine {
			return -c
		}
		return c
	})
	f.power(a, sequence, can[0], fmt.Sprintf("%s (host %s) comes first of %d that are %s", can[0].Name, can[0].Host, len(can), what))
}

// fault orders machines by their faults.
func fault(m *schema.Machine) int {
	switch m.HardwareStatus {
	case schema.HardwareFailed:
		return 2
	case schema.HardwareDegraded:
		return 1
	}
	return 0
}

// bound are the machines that are bound to a host of the group, by host.
func (f *Facts) bound() []*schema.Machine {
	var out []*schema.Machine
	for m := range fsm.Machines.By(f.Rows, fsm.ByGroup, f.group()) {
		if m.Host != "" {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *schema.Machine) int { return strings.Compare(a.Host, b.Host) })
	return out
}

// normal are the machines of the group that run normally, and that no job takes away.
func (f *Facts) normal() []*schema.Machine {
	return slices.DeleteFunc(f.bound(), func(m *schema.Machine) bool { return !f.runs(m) })
}

// runs tells whether a machine runs normally: on, without a known fault, and
// no job takes it away. The power of a physical machine may not be known.
func (f *Facts) runs(m *schema.Machine) bool {
	status := m.HardwareStatus
	if m.Name == f.Machine.GetName() {
		status = cmp.Or(f.status, status)
	}
	switch {
	case m.Gone || m.Maintenance || m.Status == schema.StatusAbnormal || f.leaving()[m.Name],
		status == schema.HardwareFailed || status == schema.HardwareDegraded,
		m.Kind != schema.MachinePhysical && m.Subsystem != "" && !m.Connected:
		return false
	}
	return m.Power == schema.PowerOn || m.Kind == schema.MachinePhysical && m.Power != schema.PowerOff && m.Power != schema.PowerSuspended
}

// leaving are the machines that jobs of sequences which take a machine away work on.
func (f *Facts) leaving() map[string]bool {
	if f.leave == nil {
		f.leave = map[string]bool{}
		for _, j := range fsm.LiveJobs(f.Rows) {
			f.leaves(j)
		}
	}
	for _, j := range f.jobs {
		f.leaves(j)
	}
	return f.leave
}

func (f *Facts) leaves(j *schema.Job) {
	if !takesAway(j) {
		return
	}
	for _, m := range j.Targets {
		f.leave[m] = true
	}
}

// takesAway tells whether a job stops a machine of the group or takes it out of it.
func takesAway(j *schema.Job) bool {
	switch j.Sequence {
	case fsm.SeqShutdownMachine, fsm.SeqSuspendMachine, fsm.SeqRebootMachine, fsm.SeqTakeOverMachine, fsm.SeqChangeServerGroup, fsm.SeqMoveFromGroupToPool,
		fsm.SeqMoveFromGroupToManaged, fsm.SeqDeleteVirtualMachine:
		return true
	}
	return false
}

// last holds the manual's guard: nothing is stopped or taken away when only
// one machine of the group runs normally [4.2.7, 4.2.11, 4.2.12, 4.2.14, 4.2.15].
func (f *Facts) last() string {
	left, unnamed := f.normal(), f.unnamed()
	switch {
	case len(left) == 0:
		return fmt.Sprintf("no machine of group %s runs normally", f.group())
	case len(left) == 1:
		return fmt.Sprintf("only %s (host %s) of group %s runs normally", left[0].Name, left[0].Host, f.group())
	case len(left) <= unnamed+1:
		return fmt.Sprintf("%d machines of group %s run normally, and jobs that wait are to take %d away", len(left), f.group(), unnamed)
	}
	return ""
}

// Guard holds a job of automation against the rows once more when it is to
// begin: it may have waited. KindCancelled when automation has been switched off
// for its group meanwhile; KindNotStarted when it would stop or take away a
// machine and only one runs normally by now.
func Guard(r fsm.Reader, j *schema.Job) error {
	if j.Event == "" {
		return nil
	}
	if armed, d, where := fsm.ArmedState(r, j.Group); !armed {
		return schema.Errorf(schema.KindCancelled, "job "+j.Id, "%s disarmed the %s at %s (%s), before it began", d.By, where, clock(d.Since.AsTime()), d.Reason).
			WithHint("look at event %s, and start the job by hand if it is still needed", j.Event)
	}
	if !takesAway(j) || j.Sequence == fsm.SeqTakeOverMachine || j.Sequence == fsm.SeqRebootMachine {
		return nil
	}
	g, ok := fsm.Groups.Get(r, j.Group)
	if !ok {
		return nil
	}
	f := Facts{Rows: r, Group: g, leave: map[string]bool{}}
	for _, other := range fsm.LiveJobs(r) {
		if other.Id != j.Id {
			f.leaves(other)
		}
	}
	if why := f.last(); why != "" {
		return schema.Errorf(schema.KindNotStarted, "job "+j.Id, "%s, so automation takes none away", why).WithHint("start it by hand if it is meant to be")
	}
	return nil
}

// unnamed counts the jobs that are to take away a machine of the group which
// will be chosen when they start.
func (f *Facts) unnamed() int {
	n := 0
	for _, j := range fsm.LiveJobs(f.Rows) {
		if takesAway(j) && len(j.Targets) == 0 && (j.Group == f.group() && j.Params[fsm.ParamSource] == "" || f.names(j.Params[fsm.ParamSource])) {
			n++
		}
	}
	return n
}

// names tells whether a path names the group.
func (f *Facts) names(path string) bool {
	ref, err := fsm.ResolveGroup(f.Rows, path)
	return path != "" && err == nil && ref.Group == f.group()
}

// loaded is a VM that runs on a VM server and would be stopped with it, or "".
// One whose VMs an earlier action moves away is empty by then, or its job says
// that it isn't.
func (f *Facts) loaded(m *schema.Machine) string {
	emptied := func(j *schema.Job) bool {
		return j.Sequence == fsm.SeqFailoverVMServer && j.Params[fsm.ParamVMServer] == m.Name
	}
	if m.Kind != schema.MachineVMServer || !m.Connected || slices.ContainsFunc(f.jobs, emptied) {
		return ""
	}
	for vm := range fsm.Machines.By(f.Rows, fsm.ByServer, m.Name) {
		if vm.Power == schema.PowerOn {
			return vm.Name
		}
	}
	return ""
}
