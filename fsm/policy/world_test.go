package policy_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/policy"
	"yagura/fsm/schema"
)

// world is a datacenter in rows: group db of physical machines db01 to db03,
// which run on ph01 to ph03, with ph04 in its pool and db04 free; group web of
// VMs web01 to web03 on the VM servers esx01 and esx02 of group vms, with web04 free;
// and ph09 in the common pool.
type world struct {
	*fsmtest.Cluster
	t   testing.TB
	now time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{Cluster: fsmtest.New(t), t: t, now: time.Now()}
	w.Do(func(tx *fsm.Tx) error {
		puts := []error{
			fsm.SettingsTable.Put(tx, &schema.Settings{Key: schema.SettingsKey, Cluster: "test"}),
			fsm.Categories.Put(tx, &schema.Category{Path: "shop"}),
			fsm.Policies.Put(tx, &schema.Policy{Name: "p"}),
			fsm.Subsystems.Put(tx, &schema.Subsystem{Name: "vc1", Kind: "vcenter", Address: "https://127.0.0.1"}),
		}
		group := func(name, kind string) {
			model := &schema.Model{Group: name, Name: "std", Kind: kind}
			if kind == schema.MachineVMServer {
				model.Placement = &schema.Placement{Enabled: true, High: 80, TargetHigh: 60, TargetLow: 30, Low: 20}
			}
			puts = append(puts,
				fsm.Groups.Put(tx, &schema.Group{Name: name, Category: "shop", Kind: kind, Policy: "p"}),
				fsm.Models.Put(tx, model))
		}
		run := func(m *schema.Machine, host string) {
			m.Managed, m.Power, m.Status, m.HardwareStatus = true, schema.PowerOn, schema.StatusReady, schema.HardwareNormal
			puts = append(puts, fsm.Machines.Put(tx, m))
			if host != "" {
				group := m.PoolGroups[0]
				puts = append(puts, fsm.Hosts.Put(tx, &schema.Host{Group: group, Name: host}), fsm.Activate(tx, fsm.Activation{Machine: m.Name, Group: group, Host: host}))
			}
		}
		group("db", schema.MachinePhysical)
		group("web", schema.MachineVM)
		group("vms", schema.MachineVMServer)
		for n := 1; n <= 2; n++ {
			name := fmt.Sprintf("esx%02d", n)
			run(&schema.Machine{Name: name, Kind: schema.MachineVMServer, Subsystem: "vc1", Connected: true, PoolGroups: []string{"vms"}}, name)
		}
		for n := 1; n <= 4; n++ {
			host := fmt.Sprintf("db%02d", n)
			if n == 4 {
				puts = append(puts, fsm.Hosts.Put(tx, &schema.Host{Group: "db", Name: host}))
				host = ""
			}
			run(&schema.Machine{Name: fmt.Sprintf("ph%02d", n), Kind: schema.MachinePhysical, ModelName: "R1", PoolGroups: []string{"db"}, Bmc: &schema.Bmc{Kind: "redfish", Address: "https://127.0.0.1"}}, host)
		}
		for n := 1; n <= 3; n++ {
			name := fmt.Sprintf("web%02d", n)
			run(&schema.Machine{Name: name, Kind: schema.MachineVM, Subsystem: "vc1", Connected: true, VmServer: fmt.Sprintf("esx%02d", 1+n%2), PoolGroups: []string{"web"}}, name)
		}
		puts = append(puts, fsm.Hosts.Put(tx, &schema.Host{Group: "web", Name: "web04"}))
		run(&schema.Machine{Name: "ph09", Kind: schema.MachinePhysical, ModelName: "R1", Bmc: &schema.Bmc{Kind: "redfish", Address: "https://127.0.0.1"}}, "")
		for _, err := range puts {
			if err != nil {
				return err
			}
		}
		return nil
	})
	w.machine("ph04", func(m *schema.Machine) { m.Power = schema.PowerOff })
	return w
}

// machine changes a machine's row.
func (w *world) machine(name string, change func(*schema.Machine)) {
	w.t.Helper()
	w.Do(func(tx *fsm.Tx) error {
		m, ok := fsm.Machines.Edit(tx, name)
		if !ok {
			return fmt.Errorf("no machine %s", name)
		}
		change(m)
		return fsm.Machines.Put(tx, m)
	})
}

// groupRow changes a group's row.
func (w *world) groupRow(name string, change func(*schema.Group)) {
	w.t.Helper()
	w.Do(func(tx *fsm.Tx) error {
		g, _ := fsm.Groups.Edit(tx, name)
		change(g)
		return fsm.Groups.Put(tx, g)
	})
}

// settings changes the settings.
func (w *world) settings(change func(*schema.Settings)) {
	w.t.Helper()
	w.Do(func(tx *fsm.Tx) error {
		s, _ := fsm.SettingsTable.Edit(tx, schema.SettingsKey)
		change(s)
		return fsm.SettingsTable.Put(tx, s)
	})
}

// job queues a job as automation does, and returns its id.
func (w *world) job(j *schema.Job) string {
	w.t.Helper()
	var id string
	w.Do(func(tx *fsm.Tx) error {
		var err error
		id, err = fsm.QueueJob(tx, j)
		return err
	})
	return id
}

// jobRow changes a job's row.
func (w *world) jobRow(id string, change func(*schema.Job)) {
	w.t.Helper()
	w.Do(func(tx *fsm.Tx) error {
		j, err := fsm.EditJob(tx, id)
		if err != nil {
			return err
		}
		change(j)
		return fsm.Jobs.Put(tx, j)
	})
}

// rule puts a rule for the inaccessible event into the policy.
func (w *world) rule(r *schema.PolicyRule) {
	w.t.Helper()
	r.Name, r.Notifier, r.Selector = "r", schema.NotifierESMPRO, "ESMDSVNT[0xC0000002]"
	w.Do(func(tx *fsm.Tx) error {
		return fsm.Policies.Put(tx, &schema.Policy{Name: "p", Rules: []*schema.PolicyRule{r}})
	})
}

// silent is the event that a machine doesn't answer.
func (w *world) silent(target string) *schema.Event {
	at := timestamppb.New(w.now)
	return &schema.Event{
		Id: "1", Notifier: schema.NotifierESMPRO, Source: "ESMDSVNT", EventId: "0xC0000002", Category: "machine-inaccessible", Target: target, TargetHint: target,
		Time: at, Received: at, LastTime: at, State: schema.EventNew, Count: 1,
	}
}

// decide decides on an event now.
func (w *world) decide(e *schema.Event) policy.Decision {
	return policy.Decide(policy.Gather(w.Store().View(), e, w.now, false))
}

func guard(w *world, j *schema.Job) error { return policy.Guard(w.Store().View(), j) }
