package scheduler_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

// effects are the ledger's operations in order.
func effects(r *schedulertest.Rig) string {
	var out []string
	for _, e := range r.World.Ledger() {
		out = append(out, e.Op)
	}
	return strings.Join(out, " ")
}

// setRowPower sets the power of web01's row, whatever it is in the world.
func setRowPower(r *schedulertest.Rig, power string) {
	r.Cluster.Do(func(tx *fsm.Tx) error {
		m, _ := fsm.Machines.Edit(tx, "web01")
		m.Power = power
		return fsm.Machines.Put(tx, m)
	})
}

func TestMoveTriesOnlyWhatWasAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		ask     fsm.MigrateVM
		off     bool
		setup   func(*schedulertest.Rig)
		state   string
		effects string
		server  string
	}{
		"migrate a running VM":                  {state: schema.JobSucceeded, effects: "migrate", server: "esx02"},
		"migrate a stopped VM, which stays off": {off: true, state: schema.JobSucceeded, effects: "migrate", server: "esx02"},
		"migrate fails, nothing else asked for": {setup: localDisk, state: schema.JobFailed, server: "esx01"},
		"migrate refused, then move":            {setup: localDisk, ask: fsm.MigrateVM{Move: true}, state: schema.JobSucceeded, effects: "shutdown move power-on", server: "esx02"},
		"move of a stopped VM":                  {setup: localDisk, off: true, ask: fsm.MigrateVM{Move: true}, state: schema.JobSucceeded, effects: "move", server: "esx02"},
		"move of a running VM whose row lags behind": {
			setup: func(r *schedulertest.Rig) {
				localDisk(r)
				setRowPower(r, schema.PowerOff)
			},
			ask: fsm.MigrateVM{Move: true}, state: schema.JobSucceeded, effects: "shutdown move power-on", server: "esx02",
		},
		"move fails too: it runs again where it was": {
			setup: func(r *schedulertest.Rig) {
				localDisk(r)
				r.World.Inject(fake.Fault{Op: fake.OpMove, Mode: fake.FailTask})
			},
			ask: fsm.MigrateVM{Move: true}, state: schema.JobFailed, effects: "shutdown power-on", server: "esx01",
		},
		"the last resort": {
			setup: func(r *schedulertest.Rig) {
				localDisk(r)
				r.World.Inject(fake.Fault{Op: fake.OpMove, Mode: fake.FailTask})
			},
			ask: fsm.MigrateVM{Recreate: true}, state: schema.JobSucceeded, effects: "shutdown destroy clone power-on", server: "esx02",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := schedulertest.New(t)
			power := schema.PowerOn
			if c.off {
				power = schema.PowerOff
				r.World.SetVMState("web01", drivers.PowerOff)
				setRowPower(r, schema.PowerOff)
			}
			if c.setup != nil {
				c.setup(r)
			}
			c.ask.Group, c.ask.Host, c.ask.VMServer = "web", "web01", "esx02"
			ids, err := []string(nil), error(nil)
			_, err = r.Cluster.Try(func(tx *fsm.Tx) (err error) {
				ids, err = fsm.RequestMigrateVM(tx, c.ask)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			r.Start()
			j := r.Wait(ids[0])
			m := r.Machine("web01")
			if j.State != c.state || effects(r) != c.effects || m.VmServer != c.server || m.Power != power || m.Host != "web01" {
				t.Errorf("%s, effects %q, row %v\n%s", j.State, effects(r), m, r.Dump())
			}
			v, err := r.World.Hypervisor().VMByName(t.Context(), "web01")
			if err != nil || v.Server != c.server || string(v.Power) != power || v.UUID != m.Uuid {
				t.Errorf("in the world: %v %v", v, err)
			}
		})
	}
}

func TestJobsAreRefusedBeforeTheyChangeAnything(t *testing.T) {
	edit := func(change func(tx *fsm.Tx) error) func(*schedulertest.Rig) {
		return func(r *schedulertest.Rig) { r.Cluster.Do(change) }
	}
	for name, c := range map[string]struct {
		setup   func(*schedulertest.Rig)
		request func(*fsm.Tx) ([]string, error)
		kind    schema.Kind
	}{
		"load balancing asked for": {
			setup: edit(func(tx *fsm.Tx) error {
				g, _ := fsm.Groups.Edit(tx, "web")
				g.LoadBalancers = []string{"lb1"}
				return fsm.Groups.Put(tx, g)
			}), request: addVM("web20"), kind: schema.KindGroupUnusable,
		},
		"no room anywhere": {
			setup: edit(func(tx *fsm.Tx) error {
				m, _ := fsm.Models.Edit(tx, "web/web-vm")
				m.Cost = 1000
				return fsm.Models.Put(tx, m)
			}), request: addVM("web20"), kind: schema.KindJobFailed,
		},
		"target in maintenance": {
			setup: edit(func(tx *fsm.Tx) error {
				m, _ := fsm.Machines.Edit(tx, "esx02")
				m.VmMaintenance = true
				return fsm.Machines.Put(tx, m)
			}),
			request: func(tx *fsm.Tx) ([]string, error) {
				return fsm.RequestMigrateVM(tx, fsm.MigrateVM{Group: "web", Host: "web01", VMServer: "esx02"})
			}, kind: schema.KindNotStarted,
		},
		"VM server with running VMs": {request: power("shutdown", "vmservers", "esx01"), kind: schema.KindNotStarted},
	} {
		t.Run(name, func(t *testing.T) {
			r := schedulertest.New(t)
			if c.setup != nil {
				c.setup(r)
			}
			r.Start()
			j := r.Wait(r.Queue(c.request)[0])
			if j.State != schema.JobFailed || j.ErrorKind != string(c.kind) || effects(r) != "" || fsm.Locks.Len(r.Rows()) != 0 {
				t.Errorf("%s: %s %s, effects %q", j.State, j.ErrorKind, j.Error, effects(r))
			}
		})
	}
}

func TestManyJobsKeepTheLimits(t *testing.T) {
	const vms = 100
	r := schedulertest.New(t)
	for i := range vms {
		r.World.AddVM(drivers.VM{Name: fmt.Sprintf("many%03d", i), Server: fmt.Sprintf("esx%02d", i%4+1), Power: drivers.PowerOn, Datastores: []string{"shared01"}})
	}
	r.Start()
	r.MustSucceed(r.Queue(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestCollect(tx, "vc1") })...)
	r.World.Delay("shutdown", 1e9)
	var mu sync.Mutex // guards most
	most := 0
	r.World.OnCall(func(op, _ string, phase fake.Phase) error {
		if op == "shutdown" && phase == fake.After {
			mu.Lock()
			defer mu.Unlock()
			most = max(most, r.World.Pending())
		}
		return nil
	})
	var ids []string
	r.Cluster.Do(func(tx *fsm.Tx) error {
		for i := range vms {
			name := fmt.Sprintf("many%03d", i)
			id, err := fsm.QueueJob(tx, &schema.Job{Sequence: fsm.SeqShutdownMachine, Params: map[string]string{fsm.ParamMachine: name}, Targets: []string{name}})
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	})
	r.MustSucceed(ids...)
	r.Stop()
	if n := r.World.Count("shutdown", ""); n != vms || len(r.World.Repeated()) > 0 {
		t.Errorf("%d shutdowns, want %d", n, vms)
	}
	if most < 2 || most > 8 {
		t.Errorf("up to %d operations at once, want 2 to 8", most)
	}
}

// Each sequence leaves an entry of the catalog for its start and its end.
func TestEventLogOfJobs(t *testing.T) {
	r := schedulertest.New(t)
	r.Start()
	r.MustSucceed(r.Queue(power("shutdown", "web", "web01"))...)
	r.MustSucceed(r.Queue(addVM("web20"))...)
	r.World.Inject(fake.Fault{Op: fake.OpMigrate, Mode: fake.FailTask})
	r.Wait(r.Queue(func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestMigrateVM(tx, fsm.MigrateVM{Group: "web", Host: "web02", VMServer: "esx02"})
	})[0])
	r.World.ClearFaults()
	r.World.Inject(fake.Fault{Op: fake.OpClone, Mode: fake.FailTask})
	r.Wait(r.Queue(addVM("web21"))[0])
	var got []string
	for _, e := range eventsOf(r.Rows(), schema.NotifierPVM) {
		got = append(got, e.EventId+" "+e.Phase+" "+e.Target)
	}
	want := []string{"2025 started web01", "2026 completed web01", "2054 started web20", "2055 completed web20", "2062 started web02", "2064 failed web02",
		"2054 started web21", "2901 failed web21", "2056 failed web21"}
	if !slices.Equal(got, want) {
		t.Errorf("entries %q, want %q", got, want)
	}
}

// Two VMs that start at once don't both get the room for one.
func TestStartsAtOnceKeepTheCapacity(t *testing.T) {
	r := schedulertest.New(t)
	r.Cluster.Do(func(tx *fsm.Tx) error {
		for _, vm := range []string{"web01", "web02"} {
			m, _ := fsm.Machines.Edit(tx, vm)
			m.Power = schema.PowerOff
			if err := fsm.Machines.Put(tx, m); err != nil {
				return err
			}
		}
		m, _ := fsm.Machines.Edit(tx, "esx01")
		m.Capacity = 20 // web03 runs there, each costs 10
		return fsm.Machines.Put(tx, m)
	})
	r.World.SetVMState("web01", drivers.PowerOff)
	r.World.SetVMState("web02", drivers.PowerOff)
	ids := r.Queue(power("poweron", "web", "web01", "web02"))
	r.Start()
	r.MustSucceed(ids...)
	first, second := r.Machine("web01"), r.Machine("web02")
	if first.Power != schema.PowerOn || second.Power != schema.PowerOn || (first.VmServer == "esx01") == (second.VmServer == "esx01") {
		t.Errorf("web01 is %s on %s, web02 %s on %s", first.Power, first.VmServer, second.Power, second.VmServer)
	}
}
