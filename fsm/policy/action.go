package policy

import (
	"fmt"

	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// actions is THE list of the policy actions [4.2] beside those on the machine's
// status: what each makes of the facts.
var actions = map[string]func(f *Facts, a *Action){
	"notify":     func(_ *Facts, a *Action) { a.Notify = true },
	"do-nothing": func(_ *Facts, a *Action) { a.Result = ResultDone },

	"set-status-normal":   func(_ *Facts, a *Action) { a.Status = schema.HardwareNormal },
	"set-status-degraded": func(_ *Facts, a *Action) { a.Status = schema.HardwareDegraded },
	"set-status-failed":   func(_ *Facts, a *Action) { a.Status = schema.HardwareFailed },

	"start-machine":    func(f *Facts, a *Action) { f.power(a, fsm.SeqStartupMachine, f.Machine, "") },
	"reboot-machine":   (*Facts).reboot,
	"shutdown-machine": (*Facts).shutdown,
	"replace-machine":  (*Facts).replace,

	"group-add-machine":      (*Facts).groupAdd,
	"group-create-machine":   (*Facts).groupCreate,
	"group-remove-machine":   (*Facts).groupRemove,
	"group-delete-vm":        (*Facts).groupDelete,
	"group-start-machine":    (*Facts).groupStart,
	"group-suspend-machine":  (*Facts).groupSuspend,
	"group-shutdown-machine": (*Facts).groupShutdown,

	"vms-move-all-migrate":          func(f *Facts, a *Action) { f.moveAll(a, fsm.ModeMigrate) },
	"vms-move-all-migrate-failover": func(f *Facts, a *Action) { f.moveAll(a, fsm.ModeMigrateFailover) },
	"vms-move-all-failover":         func(f *Facts, a *Action) { f.moveAll(a, fsm.ModeFailover) },
	"vms-power-save":                func(f *Facts, a *Action) { f.rearrange(a, fsm.SeqPowerSaveVMServer) },
	"vms-load-balance":              func(f *Facts, a *Action) { f.rearrange(a, fsm.SeqLoadBalanceVMServer) },
}

// action says how one action is to be carried out.
func (f *Facts) action(slug string) Action {
	a := Action{Slug: slug}
	do, ok := actions[slug]
	switch {
	case !ok:
		a.not("this version doesn't know it")
	case f.Pool && acts(slug):
		a.not("%s waits in the pool of group %s: nothing runs on it", f.Machine.Name, f.group())
	default:
		do(f, &a)
	}
	return a
}

// acts tells whether an action does something with a machine, rather than note it.
func acts(slug string) bool {
	known, _ := catalog.ActionBySlug(slug)
	return known.Group != "notify" && known.Group != "machine-setting" && known.Group != "none"
}

// not says why an action isn't carried out.
func (a *Action) not(format string, args ...any) {
	a.Result, a.Detail = ResultNotCarried, fmt.Sprintf(format, args...)
}

// job is a job of the sequence on a machine of the group.
func (f *Facts) job(sequence string, priority int32, m *schema.Machine, params map[string]string) *schema.Job {
	j := &schema.Job{Sequence: sequence, Params: params, Group: f.group(), Priority: priority}
	if m != nil {
		j.Targets = []string{m.Name}
	}
	return j
}

// power is a power operation on a machine; why tells how it was chosen.
func (f *Facts) power(a *Action, sequence string, m *schema.Machine, why string) {
	if id := f.doing(sequence, m.Name); id != "" {
		a.Result, a.Detail = ResultDone, "job "+id+" does it already"
		return
	}
	a.Job, a.Why = f.job(sequence, fsm.PriorityRoutine, m, map[string]string{fsm.ParamMachine: m.Name}), why
}

// doing is the job of automation that does the same to a machine already.
func (f *Facts) doing(sequence, machine string) string {
	for _, j := range f.Running {
		if j.Sequence == sequence && j.Params[fsm.ParamMachine] == machine {
			return j.Id
		}
	}
	return ""
}

// reboot [4.2.6].
func (f *Facts) reboot(a *Action) {
	if vm := f.loaded(f.Machine); vm != "" {
		a.not("VM %s runs on %s and would be stopped", vm, f.Machine.Name)
		return
	}
	f.power(a, fsm.SeqRebootMachine, f.Machine, "")
}

// shutdown [4.2.7].
func (f *Facts) shutdown(a *Action) {
	if vm := f.loaded(f.Machine); vm != "" {
		a.not("VM %s runs on %s and would be stopped", vm, f.Machine.Name)
	} else if why := f.last(); why != "" {
		a.not("%s", why)
	} else {
		f.power(a, fsm.SeqShutdownMachine, f.Machine, "")
	}
}

// replace exchanges the target for a pool machine [4.2.8].
func (f *Facts) replace(a *Action) {
	m := f.Machine
	switch {
	case m.Kind == schema.MachineVM:
		a.not("%s is a VM, and VMs can't be replaced: move it to another VM server, or restart it", m.Name)
		return
	case m.Kind == schema.MachineVMServer:
		a.not("%s is a VM server, and VM servers can't be replaced: move its VMs away (vms-move-all-migrate-failover)", m.Name)
		return
	case m.Host == "":
		a.not("%s runs under no host setting", m.Name)
		return
	case f.ReplacedBy != "":
		a.Result, a.Detail = ResultDone, "job "+f.ReplacedBy+" does it already"
		return
	}
	_, why, err := fsm.PickSubstitute(f.Rows, m, fsm.Busy(f.Rows, ""))
	if err != nil {
		a.not("%v; then: pvmutl replace %s %s", err, f.group(), m.Host)
		return
	}
	a.Job, a.Why = f.job(fsm.SeqTakeOverMachine, fsm.PriorityRecovery, m, map[string]string{
		fsm.ParamMachine: m.Name, fsm.ParamHost: m.Host, fsm.ParamGroup: f.group(), fsm.ParamReplace: m.Host,
	}), "as things stand by: "+why
}

// moveAll is an action on all VMs of a VM server [4.2.16-18].
func (f *Facts) moveAll(a *Action, mode string) {
	switch m := f.Machine; {
	case m.Kind != schema.MachineVMServer:
		a.not("%s is no VM server", m.Name)
	case f.MovedBy != "":
		a.Result, a.Detail = ResultDone, "job "+f.MovedBy+" does it already"
	default:
		a.Job = f.job(fsm.SeqFailoverVMServer, fsm.PriorityRecovery, m, map[string]string{fsm.ParamVMServer: m.Name, fsm.ParamMode: mode})
	}
}

// rearrange is an action on all VM servers of a model [4.2.19, 4.2.20].
func (f *Facts) rearrange(a *Action, sequence string) {
	switch m := f.Machine; {
	case m.Kind != schema.MachineVMServer:
		a.not("%s is no VM server", m.Name)
	case !f.Placement:
		a.not("VM placement is off for the model of %s", m.Name)
	case f.MovedBy != "":
		a.not("job %s takes the VMs off %s", f.MovedBy, m.Name)
	case f.PlacedBy != "":
		a.Result, a.Detail = ResultDone, "job "+f.PlacedBy+" rearranges the VMs of its model already"
	default:
		a.Job = f.job(sequence, fsm.PriorityRoutine, m, map[string]string{fsm.ParamVMServer: m.Name})
	}
}
