package sequence_test

import (
	"slices"
	"testing"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/catalog"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
	"yagura/scheduler/sequence"
)

// flows are the manual's steps in the manual's order [1.11.1 to 1.11.10].
var flows = map[string][]string{
	"activate-physical-allocate": {
		"assign-host-setting", "connect-storage", "distribute-run-software", "start-machine", "register-monitoring", "collect-machine-info",
		"update-configuration", "lb-add", "vlan-add",
	},
	"activate-physical-master": {
		"assign-host-setting", "connect-storage", "start-machine", "register-monitoring", "collect-machine-info", "update-configuration", "lb-add", "vlan-add",
	},
	"remove-physical": {
		"lb-remove", "vlan-remove", "unregister-monitoring", "distribute-standby-software", "shutdown-machine", "disconnect-storage",
		"release-host-setting", "update-configuration",
	},
	"replace-physical": {
		"lb-remove", "vlan-remove", "unregister-monitoring", "distribute-standby-software", "shutdown-machine", "disconnect-storage", "swap-machine",
		"connect-storage", "distribute-run-software", "start-machine", "register-monitoring", "collect-machine-info", "update-configuration", "lb-add", "vlan-add",
	},
	"change-use-physical": {
		"lb-remove", "vlan-remove", "unregister-monitoring", "distribute-standby-software", "shutdown-machine", "disconnect-storage", "release-host-setting",
		"assign-host-setting", "connect-storage", "distribute-run-software", "start-machine", "register-monitoring", "collect-machine-info",
		"update-configuration", "lb-add", "vlan-add",
	},
	"create-virtual": {
		"assign-host-setting", "create-vm", "collect-machine-info", "update-configuration", "register-dpm", "distribute-run-software", "start-machine", "lb-add",
	},
	"activate-virtual-allocate": {"assign-host-setting", "personalize", "register-dpm", "distribute-run-software", "start-machine", "lb-add"},
	"activate-virtual-master":   {"assign-host-setting", "configure-network", "register-dpm", "start-machine", "lb-add"},
	"remove-virtual": {
		"lb-remove", "distribute-standby-software", "shutdown-machine", "release-host-setting", "unregister-dpm", "update-configuration",
	},
	"delete-virtual": {
		"lb-remove", "distribute-standby-software", "shutdown-machine", "release-host-setting", "unregister-dpm", "update-configuration", "delete-vm",
	},
}

func TestFlowsFollowTheManual(t *testing.T) {
	r := schedulertest.New(t)
	r.Cluster.Do(func(tx *fsm.Tx) error {
		if err := fsm.Hosts.Put(tx, &schema.Host{Group: "db", Name: "db03", Nics: []*schema.HostNIC{{Addresses: []*schema.Address{{Ip: "192.0.2.203", Prefix: 24}}}}}); err != nil {
			return err
		}
		m, _ := fsm.Machines.Edit(tx, "spare01")
		m.Managed, m.PoolGroups = true, []string{"web"}
		return fsm.Machines.Put(tx, m)
	})
	for _, c := range []struct {
		sequence string
		params   map[string]string
		want     []string
	}{
		{fsm.SeqTakeOverMachine, map[string]string{fsm.ParamMachine: "ph01", fsm.ParamHost: "db01", fsm.ParamGroup: "db"}, flows["replace-physical"]},
		{fsm.SeqChangeServerGroup, map[string]string{fsm.ParamGroup: "batch", fsm.ParamSource: "db", fsm.ParamMachine: "ph02"}, flows["change-use-physical"]},
		{fsm.SeqChangeServerGroup, map[string]string{fsm.ParamGroup: "batch", fsm.ParamSource: "db"}, append([]string{"select-machine"}, flows["change-use-physical"]...)},
		{fsm.SeqMoveFromPoolToGroup, map[string]string{fsm.ParamGroup: "db"}, flows["activate-physical-allocate"]},
		{fsm.SeqMoveFromManagedToGroup, map[string]string{fsm.ParamGroup: "db"}, flows["activate-physical-allocate"]},
		{fsm.SeqMoveMasterMachineToGroup, map[string]string{fsm.ParamGroup: "db", fsm.ParamMachine: "ph04", fsm.ParamMaster: "true"}, flows["activate-physical-master"]},
		{fsm.SeqMoveFromGroupToPool, map[string]string{fsm.ParamGroup: "db", fsm.ParamHost: "db01", fsm.ParamMachine: "ph01"}, flows["remove-physical"]},
		{fsm.SeqMoveFromGroupToManaged, map[string]string{fsm.ParamGroup: "db"}, flows["remove-physical"]},
		{fsm.SeqMoveFromPoolToGroup, map[string]string{fsm.ParamGroup: "web"}, flows["activate-virtual-allocate"]},
		{fsm.SeqMoveFromPoolToGroup, map[string]string{fsm.ParamGroup: "web", fsm.ParamHost: "web21"}, flows["activate-virtual-allocate"]},
		{fsm.SeqMoveMasterMachineToGroup, map[string]string{fsm.ParamGroup: "web", fsm.ParamVM: "spare01"}, flows["activate-virtual-master"]},
		{fsm.SeqMoveFromGroupToPool, map[string]string{fsm.ParamMachine: "web01"}, flows["remove-virtual"]},
		{fsm.SeqMoveFromGroupToManaged, map[string]string{fsm.ParamMachine: "web01"}, flows["remove-virtual"]},
		{fsm.SeqDeleteVirtualMachine, map[string]string{fsm.ParamMachine: "web01"}, flows["delete-virtual"]},
		{fsm.SeqCreateMachineToGroup, map[string]string{fsm.ParamGroup: "web", fsm.ParamVM: "web20"}, flows["create-virtual"]},
		{fsm.SeqMoveMachine, map[string]string{fsm.ParamMachine: "web01", fsm.ParamVMServer: "esx02"}, []string{
			"migrate", "check-power", "start-machine", "verify-move"}},
		{fsm.SeqMoveMachine, map[string]string{fsm.ParamMachine: "web01", fsm.ParamVMServer: "esx02", fsm.ParamMove: "true"}, []string{
			"migrate", "check-power", "shutdown-machine", "move", "check-power", "start-machine", "verify-move"}},
		{fsm.SeqMoveMachine, map[string]string{fsm.ParamMachine: "web01", fsm.ParamVMServer: "esx02", fsm.ParamMove: "true", fsm.ParamFailover: "true"}, []string{
			"migrate", "check-power", "shutdown-machine", "move", "check-vm-server", "fence-vm-server", "failover", "check-power", "start-machine", "verify-move"}},
		{fsm.SeqMoveFromManagedToPool, map[string]string{fsm.ParamGroup: "db", fsm.ParamMachine: "ph04"}, []string{"update-configuration"}},
		{fsm.SeqMoveFromPoolToManaged, map[string]string{fsm.ParamGroup: "db", fsm.ParamMachine: "ph03"}, []string{"update-configuration"}},
		{fsm.SeqDeleteManagedVirtualMachine, map[string]string{fsm.ParamMachine: "spare01"}, []string{"shutdown-machine", "delete-vm"}},
	} {
		seq, err := sequence.Find(c.sequence)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := seq.Plan(r.Rows(), &schema.Job{Id: "00001", Sequence: c.sequence, Params: c.params})
		if err != nil {
			t.Errorf("%s %v: %v", c.sequence, c.params, err)
			continue
		}
		var got []string
		for i, s := range plan.Steps {
			got = append(got, s.Name)
			if s.Number != int32(i+1) || s.State != schema.StepPending || s.Target == "" {
				t.Errorf("%s: step %v", c.sequence, s)
			}
			if _, err := sequence.StepOf(s); err != nil {
				t.Errorf("%s: %v", c.sequence, err)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s %v has the steps %v, want %v", c.sequence, c.params, got, c.want)
		}
		if !slices.Contains(plan.Locks, fsm.Exclusive("machine", plan.Targets[0])) {
			t.Errorf("%s doesn't lock %s: %v", c.sequence, plan.Targets[0], plan.Locks)
		}
	}
}

// All 23 action sequences of the manual can be carried out [2.3].
func TestAllSequences(t *testing.T) {
	for _, name := range []string{
		fsm.SeqChangeServerGroup, fsm.SeqCreateMachineToGroup, fsm.SeqDeleteManagedVirtualMachine, fsm.SeqDeleteVirtualMachine,
		fsm.SeqDistributeSoftwareToMachine, fsm.SeqDistributeSoftwareToMachinesInGroup, fsm.SeqDistributeSoftwareToGroupWithScenario,
		fsm.SeqDistributeSoftwareToMachineWithScenario, fsm.SeqFailoverVMServer, fsm.SeqLoadBalanceVMServer, fsm.SeqMoveFromGroupToManaged,
		fsm.SeqMoveFromGroupToPool, fsm.SeqMoveFromManagedToGroup, fsm.SeqMoveFromManagedToPool, fsm.SeqMoveFromPoolToGroup, fsm.SeqMoveFromPoolToManaged,
		fsm.SeqMoveMachine, fsm.SeqMoveMasterMachineToGroup, fsm.SeqRebootMachine, fsm.SeqShutdownMachine, fsm.SeqStartupMachine, fsm.SeqSuspendMachine,
		fsm.SeqTakeOverMachine,
	} {
		if _, err := sequence.Find(name); err != nil {
			t.Error(err)
		}
	}
}

func TestEverySequenceHasItsEntries(t *testing.T) {
	for _, name := range sequence.Names() {
		s, err := sequence.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Operation == "" {
			continue // housekeeping
		}
		for _, phase := range []string{sequence.PhaseStarted, sequence.PhaseCompleted, sequence.PhaseFailed, sequence.PhaseCancelled} {
			if _, ok := catalog.LogEntry(s.Operation, phase); !ok || s.Purpose == "" {
				t.Errorf("%s has no entry for %s %s", name, s.Operation, phase)
			}
		}
	}
}

func TestTokensDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, job := range []string{"00001", "00011", "00002"} {
		for step := range int32(20) {
			for attempt := range int32(4) {
				for _, undo := range []bool{false, true} {
					token := sequence.Token(job, step, attempt, undo)
					if seen[token] || token != sequence.Token(job, step, attempt, undo) {
						t.Fatalf("token %s of job %s, step %d, attempt %d", token, job, step, attempt)
					}
					seen[token] = true
				}
			}
		}
	}
}

// What a manager says of a machine that it doesn't reach is a guess: what ran
// stays known as running, so that it is started again elsewhere.
func TestMergeKeepsWhatIsLastKnown(t *testing.T) {
	r := schedulertest.New(t)
	r.World.HostDown("esx02", false)
	inv, err := r.World.Hypervisor().Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range inv.VMs {
		if inv.VMs[i].Server == "esx02" {
			inv.VMs[i].Power = drivers.PowerOff // as a manager may guess
		}
	}
	merge := func() {
		r.Cluster.Do(func(tx *fsm.Tx) error {
			problems, err := sequence.Merge(tx, schedulertest.Subsystem, sequence.MachinesOf(schedulertest.Subsystem, inv), fsm.Complete)
			if len(problems) > 0 {
				t.Error(problems)
			}
			return err
		})
	}
	merge()
	merge()
	if m := r.Machine("web04"); m.Power != schema.PowerOn || m.Connected {
		t.Errorf("web04: %v", m)
	}
	if m := r.Machine("esx02"); m.Power != schema.PowerUnknown || m.Connected {
		t.Errorf("esx02: %v", m)
	}
	alarms := 0
	for e := range fsm.Events.All(r.Rows()) {
		if e.Notifier == schema.NotifierVMware && e.Target == "esx02" {
			alarms += int(e.Count)
		}
	}
	if alarms != 1 {
		t.Errorf("%d alarms, want 1: only a change is one", alarms)
	}
}
