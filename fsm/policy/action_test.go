package policy_test

import (
	"slices"
	"strings"
	"testing"

	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/schema"
)

// show is an action in short: its sequence and the machine, VM or group, or its result.
func show(j *schema.Job) string {
	out := j.Sequence
	for _, p := range []string{fsm.ParamMachine, fsm.ParamHost, fsm.ParamGroup, fsm.ParamVM, fsm.ParamVMServer, fsm.ParamMode, fsm.ParamReplace} {
		if v := j.Params[p]; v != "" {
			out += " " + p + "=" + v
		}
	}
	return out
}

// TestEveryAction carries each of the manual's 21 actions out [4.2], and holds
// each guard and each kind of machine that it makes no sense for.
func TestEveryAction(t *testing.T) {
	off := func(names ...string) func(*world) {
		return func(w *world) {
			for _, n := range names {
				w.machine(n, func(m *schema.Machine) { m.Power = schema.PowerOff })
			}
		}
	}
	failed := func(names ...string) func(*world) {
		return func(w *world) {
			for _, n := range names {
				w.machine(n, func(m *schema.Machine) { m.HardwareStatus = schema.HardwareFailed })
			}
		}
	}
	const only = "only ph01 (host db01) of group db runs normally"
	cases := []struct {
		action, target string
		prepare        func(*world)
		want           string // the job, or the result
		says           string // in the record's detail
	}{
		{"notify", "ph01", nil, "notify", ""},
		{"set-status-normal", "ph01", nil, schema.HardwareNormal, ""},
		{"set-status-degraded", "ph01", nil, schema.HardwareDegraded, ""},
		{"set-status-failed", "ph01", nil, schema.HardwareFailed, ""},
		{"do-nothing", "ph01", nil, "done", ""},

		{"start-machine", "ph01", nil, "StartupMachine machine=ph01", ""},
		{"start-machine", "web01", nil, "StartupMachine machine=web01", ""},
		{"reboot-machine", "ph01", nil, "RebootMachine machine=ph01", ""},
		{"reboot-machine", "esx01", nil, "not-carried-out", "web02 runs on esx01"},
		{"shutdown-machine", "ph01", nil, "ShutdownMachine machine=ph01", ""},
		{"shutdown-machine", "ph01", failed("ph02", "ph03"), "not-carried-out", only},
		{"shutdown-machine", "ph03", off("ph02", "ph03"), "not-carried-out", only},
		{"shutdown-machine", "ph01", func(w *world) {
			w.job(&schema.Job{Sequence: fsm.SeqShutdownMachine, Targets: []string{"ph02"}, Group: "db"})
			w.job(&schema.Job{Sequence: fsm.SeqMoveFromGroupToPool, Group: "db", Params: map[string]string{fsm.ParamGroup: "db"}})
		}, "not-carried-out", "jobs that wait are to take 1 away"},
		{"shutdown-machine", "esx01", nil, "not-carried-out", "web02 runs on esx01"},

		{"replace-machine", "ph01", nil, "TakeOverMachine machine=ph01 host=db01 group=db replace=db01", ""},
		{"replace-machine", "ph01", func(w *world) {
			w.machine("ph04", func(m *schema.Machine) { m.HardwareStatus = schema.HardwareFailed })
		}, "not-carried-out", "ph04: its hardware is failed"},
		{"replace-machine", "ph01", func(w *world) {
			w.job(&schema.Job{Sequence: fsm.SeqTakeOverMachine, Params: map[string]string{fsm.ParamMachine: "ph01"}, Targets: []string{"ph01"}, Group: "db"})
		}, "done", "job 00001 does it already"},
		{"replace-machine", "web01", nil, "not-carried-out", "VMs can't be replaced"},
		{"replace-machine", "esx01", nil, "not-carried-out", "VM servers can't be replaced"},

		{"group-add-machine", "ph01", nil, "MoveFromPoolToGroup group=db", ""},
		{"group-add-machine", "ph01", func(w *world) {
			w.machine("ph04", func(m *schema.Machine) { m.Maintenance = true })
			w.groupRow("db", func(g *schema.Group) { g.UseCommonPool = true })
		}, "MoveFromManagedToGroup group=db", ""},
		{"group-add-machine", "ph01", func(w *world) {
			w.machine("ph04", func(m *schema.Machine) { m.Maintenance = true })
		}, "not-carried-out", "ph04: it is in maintenance"},
		{"group-create-machine", "web01", nil, "CreateMachineToGroup host=web04 group=web vm=web04", ""},
		{"group-create-machine", "web01", func(w *world) {
			w.Do(func(tx *fsm.Tx) error {
				return fsm.Machines.Put(tx, &schema.Machine{Name: "web04", Kind: schema.MachineVM, Status: schema.StatusReady})
			})
		}, "CreateMachineToGroup host=web04 group=web vm=web04_1", ""},
		{"group-create-machine", "web01", func(w *world) {
			w.job(&schema.Job{Sequence: fsm.SeqCreateMachineToGroup, Params: map[string]string{fsm.ParamHost: "web04", fsm.ParamVM: "x"}, Group: "web"})
		}, "not-carried-out", "all host settings of group web are in use"},
		{"group-create-machine", "ph01", nil, "not-carried-out", "only VMs can be created"},
		{"group-remove-machine", "ph01", failed("ph02"), "MoveFromGroupToPool machine=ph02 host=db02 group=db", ""},
		{"group-remove-machine", "ph01", func(w *world) {
			w.machine("ph01", func(m *schema.Machine) { m.Master, m.Origin, m.HardwareStatus = true, "", schema.HardwareFailed })
		}, "MoveFromGroupToManaged machine=ph01 host=db01 group=db", ""},
		{"group-remove-machine", "ph01", failed("ph02", "ph03"), "not-carried-out", only},
		{"group-delete-vm", "web01", nil, "DeleteVirtualMachine machine=web01", ""},
		{"group-delete-vm", "web01", off("web02", "web03"), "not-carried-out", "only web01"},
		{"group-delete-vm", "ph01", nil, "not-carried-out", "only VMs can be deleted"},
		{"group-start-machine", "ph01", off("ph02", "ph03"), "StartupMachine machine=ph02", ""},
		{"group-start-machine", "ph01", func(w *world) { off("ph02", "ph03")(w); failed("ph02")(w) }, "StartupMachine machine=ph03", ""},
		{"group-start-machine", "ph01", nil, "not-carried-out", "no machine of group db is off"},
		{"group-suspend-machine", "web01", nil, "SuspendMachine machine=web03", ""},
		{"group-suspend-machine", "web01", off("web02", "web03"), "not-carried-out", "only web01"},
		{"group-suspend-machine", "ph01", nil, "not-carried-out", "only VMs can be suspended"},
		{"group-shutdown-machine", "ph01", nil, "ShutdownMachine machine=ph03", ""},
		{"group-shutdown-machine", "ph01", failed("ph02"), "ShutdownMachine machine=ph02", ""},
		{"group-shutdown-machine", "ph01", failed("ph02", "ph03"), "not-carried-out", only},
		{"group-shutdown-machine", "esx01", nil, "not-carried-out", "VM web02 runs on it"},

		{"vms-move-all-migrate", "esx01", nil, "FailoverVMServer vm_server=esx01 mode=migrate", ""},
		{"vms-move-all-migrate-failover", "esx01", nil, "FailoverVMServer vm_server=esx01 mode=migrate-failover", ""},
		{"vms-move-all-failover", "esx01", nil, "FailoverVMServer vm_server=esx01 mode=failover", ""},
		{"vms-move-all-failover", "ph01", nil, "not-carried-out", "ph01 is no VM server"},
		{"vms-power-save", "esx01", nil, "PowerSaveVMServer vm_server=esx01", ""},
		{"vms-power-save", "web01", nil, "not-carried-out", "web01 is no VM server"},
		{"vms-load-balance", "esx01", nil, "LoadBalanceVMServer vm_server=esx01", ""},
		{"vms-load-balance", "ph01", nil, "not-carried-out", "ph01 is no VM server"},
	}
	var seen []string
	for _, c := range cases {
		seen = append(seen, c.action)
		w := newWorld(t)
		w.rule(&schema.PolicyRule{Actions: []string{c.action}})
		if c.prepare != nil {
			c.prepare(w)
		}
		d := w.decide(w.silent(c.target))
		if len(d.Actions) != 1 {
			t.Errorf("%s on %s: %+v", c.action, c.target, d)
			continue
		}
		a := d.Actions[0]
		got := a.Result
		switch {
		case a.Notify:
			got = "notify"
		case a.Status != "":
			got = a.Status
		case a.Job != nil:
			got = show(a.Job)
		}
		if got != c.want || !strings.Contains(a.Detail, c.says) {
			t.Errorf("%s on %s: %s (%s; %s), want %s (%s)", c.action, c.target, got, a.Detail, d.Reason, c.want, c.says)
		}
	}
	for _, slug := range catalog.ActionSlugs() {
		if !slices.Contains(seen, slug) {
			t.Errorf("no case for the action %s", slug)
		}
	}
}

// A rule's actions see what those before them do: the status that a machine
// gets, and the machines that jobs are to take.
func TestActionsInOrder(t *testing.T) {
	w := newWorld(t)
	w.rule(&schema.PolicyRule{Actions: []string{"set-status-failed", "group-shutdown-machine", "replace-machine"}})
	d := w.decide(w.silent("ph01"))
	if got := show(d.Actions[1].Job); got != "ShutdownMachine machine=ph03" {
		t.Errorf("%s", got)
	}
	if a, b := d.Actions[1].Job, d.Actions[2].Job; a.Priority != b.Priority || a.Priority != fsm.PriorityRecovery {
		t.Errorf("priorities %d and %d: the jobs of one event must have the same", a.Priority, b.Priority)
	}
	// ph01 has failed and ph03 is to be shut down: only ph02 is left.
	w.rule(&schema.PolicyRule{Actions: []string{"set-status-failed", "group-shutdown-machine", "group-shutdown-machine", "shutdown-machine"}})
	d = w.decide(w.silent("ph01"))
	if d.Actions[1].Job == nil || d.Actions[2].Job != nil || d.Actions[3].Job != nil || !strings.Contains(d.Actions[3].Detail, "only ph02") {
		t.Errorf("%+v", d.Actions)
	}
}

// A job of automation is held against the guard once more when it starts.
func TestGuardAtTheStart(t *testing.T) {
	w := newWorld(t)
	id := w.job(&schema.Job{Sequence: fsm.SeqShutdownMachine, Params: map[string]string{fsm.ParamMachine: "ph01"}, Targets: []string{"ph01"}, Group: "db", Event: "1"})
	check := func(want schema.Kind) {
		t.Helper()
		j, err := fsm.JobRow(w.Store().View(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got := schema.KindOf(guard(w, j)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	check("")
	for _, m := range []string{"ph02", "ph03"} {
		w.machine(m, func(m *schema.Machine) { m.HardwareStatus = schema.HardwareFailed })
	}
	check(schema.KindNotStarted)
	w.jobRow(id, func(j *schema.Job) { j.Event = "" }) // an operator's
	check("")
}
