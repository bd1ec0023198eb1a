package fsm

import (
	"fmt"
	"maps"

	"yagura/fsm/schema"
)

// This file queues the reconfigurations of pvmutl's commands move, replace,
// add, addspecname and delete [3.2.2 to 3.2.6], of pools and of VMs in no group.
// What can't be done is refused here with the exit code of the manual's table;
// which machine it will be is settled when the job starts (select*.go).

// maxCount bounds the machines of one command, and maxNumber what can be asked
// for: a number between the two fails by what is lacking, not by its form.
const (
	maxCount  = 1000
	maxNumber = 100_000
)

// countOf checks a number of machines: 0 stands for the default of one, and
// a machine that is named excludes a number.
func countOf(op string, count int, named string) (int, error) {
	switch {
	case count < 0 || count > maxNumber:
		return 0, tooMany(op, count)
	case count > 0 && named != "":
		return 0, schema.Errorf(schema.KindInvalid, op, "a machine is named (%s), and a number is given", named).WithHint("give one of the two")
	case count == 0:
		return 1, nil
	}
	return count, nil
}

func tooMany(op string, count int) error {
	return schema.Errorf(schema.KindInvalid, op, "the number of machines is %d", count).WithHint("it can be 1 to %d", maxCount)
}

// groupOnly resolves a path that must go down to a group.
func groupOnly(r Reader, path string) (GroupRef, error) {
	ref, err := ResolveGroup(r, path)
	if err == nil && ref.Group == "" {
		err = schema.Errorf(schema.KindGroupNotFound, "group "+ref.String(), "it is a category, a group is needed").WithHint("pvmutl list group shows the groups")
	}
	return ref, err
}

// groupParams are a path as parameters of a job.
func groupParams(ref GroupRef) map[string]string {
	return withoutEmpty(map[string]string{ParamGroup: refParam(ref), ParamModel: ref.Model})
}

// refParam is the group of a path, or its category when it names no group.
func refParam(ref GroupRef) string {
	if ref.Group != "" {
		return ref.Group
	}
	return ref.Category
}

// JobPath is the path in a job's parameter, with the model beside it: that of
// ParamGroup, or of ParamSource. KindGroupNotFound when it is there no more.
func JobPath(r Reader, j *schema.Job, param string) (GroupRef, error) {
	ref, err := ResolveGroup(r, j.Params[param])
	if err != nil || param != ParamGroup || ref.Group == "" {
		return ref, err
	}
	ref.Model = j.Params[ParamModel]
	if _, ok := Models.Get(r, GroupKey(ref.Group, ref.Model)); ref.Model != "" && !ok {
		return ref, schema.Errorf(schema.KindGroupNotFound, "model "+GroupKey(ref.Group, ref.Model), "there is no such model")
	}
	return ref, nil
}

// RequestReplace queues the replacement of the machine that runs under a host
// of a group [3.2.3]. KindGroupNotFound (no group), KindMachineNotFound (no
// machine runs under the host), KindGroupUnusable (VMs and VM servers can't be replaced),
// KindTooFewMachines (no substitute), KindNotStarted (it is being replaced).
func RequestReplace(tx *Tx, group, host string) ([]string, error) {
	if host == "" {
		return nil, schema.Errorf(schema.KindInvalid, "replace", "the host is missing")
	}
	ref, err := groupOnly(tx, group)
	if err != nil {
		return nil, err
	}
	ms, err := hostMachines(tx, ref.String(), []string{host})
	if err != nil {
		return nil, err
	}
	old := ms[0]
	if _, err := replaceable(tx, old); err != nil {
		return nil, err
	}
	if id := queuedFor(tx, SeqTakeOverMachine, old.Name); id != "" {
		return nil, schema.Errorf(schema.KindNotStarted, "host "+host, "job %s replaces machine %s already", id, old.Name).WithHint("pvmutl job show %s tells how far it is", id)
	}
	if _, _, err := PickSubstitute(tx, old, Busy(tx, "")); err != nil {
		return nil, err
	}
	return oneJob(tx, &schema.Job{
		Sequence: SeqTakeOverMachine, Params: map[string]string{ParamMachine: old.Name, ParamHost: host, ParamGroup: ref.Group},
		Targets: []string{old.Name}, Group: ref.Group, Priority: PriorityOperator,
	})
}

// queuedFor is the job of a sequence that isn't over and is about a machine.
func queuedFor(tx *Tx, sequence, machine string) string {
	for _, j := range LiveJobs(tx) {
		if j.Sequence == sequence && j.Params[ParamMachine] == machine {
			return j.Id
		}
	}
	return ""
}

// ChangeUse asks for machines of one group in another (manual 3.2.2).
type ChangeUse struct {
	Dest, Source string // category, group, or group with model; no category while a host is named
	Host         string // host of a machine that runs in the source; empty: machines are searched
	Count        int    // so many machines; 0: one
}

// RequestChangeUse queues a job for each machine that is to be re-purposed.
// Errors: KindInvalid, KindGroupNotFound, KindGroupUnusable (too few host settings in the
// destination, the named machine isn't in its pool, groups that can't be used
// for this), KindTooFewMachines (too few candidates, or none under the host).
func RequestChangeUse(tx *Tx, c ChangeUse) ([]string, error) {
	count, err := countOf("move", c.Count, c.Host)
	if err != nil {
		return nil, err
	}
	dest, err := ResolveGroup(tx, c.Dest)
	if err != nil {
		return nil, err
	}
	source, err := ResolveGroup(tx, c.Source)
	if err != nil {
		return nil, err
	}
	named := ""
	if c.Host != "" {
		for _, ref := range []GroupRef{dest, source} {
			if ref.Group == "" {
				return nil, schema.Errorf(schema.KindGroupNotFound, "group "+ref.String(), "it is a category; with a host, a group is needed")
			}
		}
		m, err := RunningHost(tx, source.String(), c.Host)
		if err != nil {
			return nil, schema.Errorf(schema.KindTooFewMachines, "host "+c.Host, "no machine is running under it in group %s", source).
				WithHint("pvmutl get host shows which machine runs under which host")
		}
		named = m.Name
	}
	p := newPicker(tx, Busy(tx, ""))
	for n := range count {
		if n == maxCount {
			return nil, tooMany("move", count)
		}
		choice, err := p.forChange(dest, source, named)
		if err != nil {
			return nil, short(err, n, count)
		}
		p.give(choice)
	}
	params := groupParams(dest)
	params[ParamSource] = source.String()
	return queueMany(tx, count, func(int) *schema.Job {
		j := &schema.Job{Sequence: SeqChangeServerGroup, Params: withParam(params, ParamMachine, named), Group: dest.Group, Priority: PriorityOperator}
		if named != "" {
			j.Targets = []string{named}
		}
		return j
	})
}

// short makes of the error of the choice after n the error of a count that
// exceeds what is available.
func short(err error, n, count int) error {
	se, ok := err.(*schema.Error)
	if !ok || n == 0 {
		return err
	}
	e := *se
	e.Msg = fmt.Sprintf("only %d of the %d machines asked for can be had: %s", n, count, e.Msg)
	return &e
}

// AddMachine asks for pool machines in a group (manual 3.2.4, 3.2.5).
type AddMachine struct {
	Group   string // category, group, or group with model; no bare category while a machine is named
	Machine string // a machine of the pool below it; empty: chosen
	NetInfo string // host name or address of a host setting of the group; empty: chosen
	Count   int    // so many machines; 0: one
	Master  bool   // the named machine runs as it is: nothing is distributed [1.5.9]
}

// RequestAddMachine queues a job for each machine that is to run in a group.
// Errors: KindInvalid, KindGroupNotFound, KindHostSetting (too few host settings, none of that
// name or address, or it is in use), KindTooFewMachines (too few in the pool, or
// the named one isn't in it), KindMachineNotFound, KindInGroup (it runs already).
func RequestAddMachine(tx *Tx, a AddMachine) ([]string, error) {
	count, err := countOf("add", a.Count, a.Machine)
	if err != nil {
		return nil, err
	}
	if a.NetInfo != "" && count > 1 {
		return nil, schema.Errorf(schema.KindInvalid, "add", "%d machines can't run under one host setting (%s)", count, a.NetInfo)
	}
	ref, err := ResolveGroup(tx, a.Group)
	if err != nil {
		return nil, err
	}
	if a.Machine != "" && ref.Group == "" {
		return nil, schema.Errorf(schema.KindGroupNotFound, "group "+ref.String(), "it is a category; with a machine, a group is needed")
	}
	if a.Master {
		return requestMaster(tx, a, ref)
	}
	p := newPicker(tx, Busy(tx, ""))
	choices := make([]Choice, count)
	for n := range count {
		if n == maxCount {
			return nil, tooMany("add", count)
		}
		if choices[n], err = p.forGroup(ref, a.Machine, a.NetInfo); err != nil {
			return nil, short(err, n, count)
		}
		p.give(choices[n])
	}
	params := withParam(withParam(groupParams(ref), ParamHost, a.NetInfo), ParamMachine, a.Machine)
	return queueMany(tx, count, func(n int) *schema.Job {
		j := &schema.Job{Sequence: SeqMoveFromPoolToGroup, Params: maps.Clone(params), Group: ref.Group, Priority: PriorityOperator}
		if choices[n].Common {
			j.Sequence = SeqMoveFromManagedToGroup
		}
		if a.Machine != "" {
			j.Targets = []string{a.Machine}
		}
		return j
	})
}

// requestMaster queues the registration of a master machine.
func requestMaster(tx *Tx, a AddMachine, ref GroupRef) ([]string, error) {
	if a.Machine == "" {
		return nil, schema.Errorf(schema.KindInvalid, "add", "a master machine must be named").WithHint("its own settings must be those of the host setting, so none can be chosen")
	}
	if g, _ := Groups.Get(tx, ref.Group); g.GetKind() == schema.MachineVM {
		return RequestAddVM(tx, AddVM{Group: ref.String(), VM: a.Machine, NetInfo: a.NetInfo, Existing: true})
	}
	if _, err := PickMaster(tx, ref, a.Machine, a.NetInfo); err != nil {
		return nil, err
	}
	params := withParam(withParam(groupParams(ref), ParamHost, a.NetInfo), ParamMachine, a.Machine)
	params[ParamMaster] = "true"
	return oneJob(tx, &schema.Job{Sequence: SeqMoveMasterMachineToGroup, Params: params, Targets: []string{a.Machine}, Group: ref.Group, Priority: PriorityOperator})
}

// RemoveMachine asks for running machines to leave their group (manual 3.2.6).
type RemoveMachine struct {
	Group string // category, group, or group with model; no bare category while a host is named
	Host  string // host of the machine; empty: chosen
	Count int    // so many machines; 0: one
}

// RequestRemoveMachine queues a job for each machine that is to leave its
// group: for the pool that it came from, or for the common pool.
// Errors: KindInvalid, KindGroupNotFound, KindMachineNotFound (no machine runs under the host),
// KindTooFewHosts (fewer run than are to leave).
func RequestRemoveMachine(tx *Tx, a RemoveMachine) ([]string, error) {
	count, err := countOf("delete", a.Count, a.Host)
	if err != nil {
		return nil, err
	}
	ref, err := ResolveGroup(tx, a.Group)
	if err != nil {
		return nil, err
	}
	if a.Host != "" && ref.Group == "" {
		return nil, schema.Errorf(schema.KindGroupNotFound, "group "+ref.String(), "it is a category; with a host, a group is needed")
	}
	p := newPicker(tx, Busy(tx, ""))
	chosen := make([]*schema.Machine, count)
	for n := range count {
		if n == maxCount {
			return nil, tooMany("delete", count)
		}
		if chosen[n], _, err = p.toLeave(ref, a.Host); err != nil {
			return nil, short(err, n, count)
		}
		p.give(Choice{Machine: chosen[n]})
	}
	params := withParam(groupParams(ref), ParamHost, a.Host)
	return queueMany(tx, count, func(n int) *schema.Job {
		j := &schema.Job{Sequence: SeqMoveFromGroupToManaged, Params: maps.Clone(params), Group: ref.Group, Priority: PriorityOperator}
		if chosen[n].Origin == chosen[n].Group {
			j.Sequence = SeqMoveFromGroupToPool
		}
		if a.Host != "" {
			j.Params[ParamMachine] = chosen[n].Name
			j.Targets = []string{chosen[n].Name}
		}
		return j
	})
}

// RequestPool queues that a machine is put into the pool of a group, or taken
// out of it into the common pool [1.2.2 transitions 3 and 8]. KindGroupNotFound,
// KindMachineNotFound, KindConflict (its state or the pool forbids it).
func RequestPool(tx *Tx, group, machine string, add bool) ([]string, error) {
	ref, err := groupOnly(tx, group)
	if err != nil {
		return nil, err
	}
	m, ok := Machines.Edit(tx, machine)
	if !ok {
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+machine, "there is no such machine").WithHint("pvmutl get machine lists them")
	}
	sequence := SeqMoveFromPoolToManaged
	if add {
		sequence = SeqMoveFromManagedToPool
		err = joinPool(tx, m, ref.Group)
	} else {
		err = leavePool(m, ref.Group)
	}
	if err != nil {
		return nil, err
	}
	return oneJob(tx, &schema.Job{
		Sequence: sequence, Params: map[string]string{ParamGroup: ref.Group, ParamMachine: machine}, Targets: []string{machine}, Group: ref.Group, Priority: PriorityOperator,
	})
}

// RequestDestroyVM queues the end of a managed VM that is in no group and in no
// pool. KindMachineNotFound (no such VM), KindInGroup (it runs in a group),
// KindConflict (it isn't managed, or waits in a pool).
func RequestDestroyVM(tx *Tx, vm string) ([]string, error) {
	m, ok := Machines.Get(tx, vm)
	if !ok {
		return nil, schema.Errorf(schema.KindMachineNotFound, "machine "+vm, "there is no such VM").WithHint("pvmutl get machine lists them")
	}
	if err := vmOnly(m); err != nil {
		return nil, err
	}
	switch m.RunState() {
	case schema.StateRunning:
		return nil, schema.Errorf(schema.KindInGroup, "machine "+vm, "it is running in group %s as host %s", m.Group, m.Host).WithHint("pvmutl vmdelete deletes a VM of a group")
	case schema.StateManaged:
	default:
		return nil, wrongState(m, "deleted").WithHint("only a managed VM that is in no group and no pool can be")
	}
	return oneJob(tx, &schema.Job{
		Sequence: SeqDeleteManagedVirtualMachine, Params: map[string]string{ParamMachine: vm}, Targets: []string{vm}, Priority: PriorityOperator,
	})
}

// queueMany queues a job for each machine of a count.
func queueMany(tx *Tx, count int, job func(n int) *schema.Job) ([]string, error) {
	var jobs []string
	for n := range count {
		ids, err := oneJob(tx, job(n))
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, ids...)
	}
	return jobs, nil
}

// withParam is a copy of a job's parameters with one more, unless that is empty.
func withParam(params map[string]string, name, value string) map[string]string {
	out := maps.Clone(params)
	if value != "" {
		out[name] = value
	}
	return out
}
