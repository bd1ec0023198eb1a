package scheduler_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

func ops(r *schedulertest.Rig) []string {
	var out []string
	for _, e := range r.World.Ledger() {
		out = append(out, e.Op)
	}
	return out
}

func step(t *testing.T, r *schedulertest.Rig, id, name string) *schema.Step {
	t.Helper()
	for _, s := range fsm.StepsOf(r.Rows(), id) {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("job %s has no step %s", id, name)
	return nil
}

// The effects of a replacement come in the manual's order [1.11.4].
func TestReplacementInOrder(t *testing.T) {
	r := schedulertest.New(t)
	r.Start()
	id := r.Queue(replace("db01"))[0]
	r.MustSucceed(id)
	want := []string{
		"lb-drain", "lb-remove", "vlan-remove", "distribute", "host-shutdown", "disconnect", "connect", "distribute", "host-power-on", "lb-add", "vlan-add",
	}
	if got := ops(r); !slices.Equal(got, want) {
		t.Errorf("effects %v, want %v", got, want)
	}
	for _, s := range fsm.StepsOf(r.Rows(), id) {
		if s.State != schema.StepDone || s.Started == nil || s.Ended == nil {
			t.Errorf("step %d %s is %s, %v to %v", s.Number, s.Name, s.State, s.Started, s.Ended)
		}
	}
	old, sub := r.Machine("ph01"), r.Machine("ph03")
	if old.RunState() != schema.StatePool || old.Power != schema.PowerOff || old.Monitored != nil {
		t.Errorf("old machine: %v", old)
	}
	if sub.Host != "db01" || sub.Monitored == nil || sub.Replaced == nil || sub.Hardware["manufacturer"] != "fake" {
		t.Errorf("substitute: %v", sub)
	}
}

// A machine whose management controller is silent is isolated by its switch
// and its array, and counts as faulty from then on.
func TestReplacementOfADeadMachine(t *testing.T) {
	r := schedulertest.New(t)
	dead("ph01")(r)
	begun := r.Clock.Now()
	r.Start()
	id := r.Queue(replaceByPolicy("ph01", "db01"))[0]
	r.MustSucceed(id)
	if took := r.Clock.Now().Sub(begun); took > 40*time.Second {
		t.Errorf("it took %s", took)
	}
	if proof := step(t, r, id, "shutdown-machine").Output["proof"]; !strings.HasPrefix(proof, "isolated: ") || !strings.Contains(proof, "sw1 p1") {
		t.Errorf("the proof is %q", proof)
	}
	m := r.Machine("ph01")
	if m.HardwareStatus != schema.HardwareFailed || m.RunState() != schema.StatePool || m.Power != schema.PowerUnknown || !strings.Contains(m.StatusReason, "isolated") {
		t.Errorf("old machine: %v", m)
	}
	if v := r.World.Violations(); len(v) > 0 {
		t.Error(v)
	}
	// It is never chosen, until somebody has looked at it.
	if j := r.Queue(replace("db02"))[0]; r.Wait(j).State != schema.JobSucceeded || r.Machine("ph04").Host != "db02" {
		t.Errorf("the next one: %s", r.Dump())
	}
}

// Without any proof the job parks before a volume or an address moves.
func TestReplacementParksWithoutProof(t *testing.T) {
	for name, setup := range map[string]func(*schedulertest.Rig){
		"no VLAN isolates it": func(r *schedulertest.Rig) {
			r.Cluster.Do(func(tx *fsm.Tx) error {
				g, _ := fsm.Groups.Edit(tx, "db")
				g.Vlans = nil
				return fsm.Groups.Put(tx, g)
			})
		},
		"its port is in another VLAN": func(r *schedulertest.Rig) { r.World.SetPort(schedulertest.SwitchSystem, "p1", vlanOfDB, 130) },
		"a NIC without a known port": func(r *schedulertest.Rig) {
			r.Cluster.Do(func(tx *fsm.Tx) error {
				h, _ := fsm.Hosts.Edit(tx, "db/db01")
				h.Nics = append(h.Nics, &schema.HostNIC{Addresses: []*schema.Address{{Ip: "192.0.2.240", Prefix: 24}}})
				return fsm.Hosts.Put(tx, h)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := schedulertest.New(t)
			setup(r)
			dead("ph01")(r)
			r.Start()
			id := r.Queue(replace("db01"))[0]
			j := r.Wait(id)
			if j.State != schema.JobParked || !strings.Contains(j.Parked, "ph01 can't be proven off") || !strings.Contains(j.Parked, "nor isolated") ||
				!strings.Contains(j.Parked, "job resume "+id+" off") || !slices.Contains(j.ResumeWords, fsm.WordOff) {
				t.Fatalf("it is %s: %s", j.State, j.Parked)
			}
			for _, op := range []string{fake.OpConnect, fake.OpDisconnect} {
				if r.World.Count(op, "") != 0 {
					t.Errorf("%s took place", op)
				}
			}
			if r.Machine("ph01").Host != "db01" {
				t.Error("the host setting has moved")
			}
			r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, fsm.WordOff) })
			r.MustSucceed(id)
			if p := step(t, r, id, "shutdown-machine").Output["proof"]; p != "the operator's word" {
				t.Errorf("the proof is %q", p)
			}
		})
	}
}

const vlanOfDB = 110

// A session that the array can't cut keeps the volume from moving.
func TestAHeldSessionKeepsTheVolume(t *testing.T) {
	r := schedulertest.New(t)
	dead("ph01")(r)
	r.World.Array(schedulertest.ArraySystem).HoldSession("vol-db01", schedulertest.InitiatorOf("ph01"), true)
	r.Start()
	id := r.Queue(replace("db01"))[0]
	if j := r.Wait(id); j.State != schema.JobFailed || !strings.Contains(j.Error, "disconnect-storage") || r.Machine("ph01").Host != "db01" {
		t.Fatalf("it is %s: %s\n%s", j.State, j.Error, r.Dump())
	}
	r.World.Array(schedulertest.ArraySystem).HoldSession("vol-db01", schedulertest.InitiatorOf("ph01"), false)
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") })
	r.MustSucceed(id)
	if v := r.World.Violations(); len(v) > 0 {
		t.Error(v)
	}
}

// An event is acted upon only while its host still runs on the machine that it
// was about.
func TestReplacementComesTooLate(t *testing.T) {
	r := schedulertest.New(t)
	r.Start()
	r.MustSucceed(r.Queue(replace("db01"))...)
	r.World.ResetLedger()
	id := r.Queue(replaceByPolicy("ph01", "db01"))[0]
	if j := r.Wait(id); j.State != schema.JobFailed || j.ErrorKind != string(schema.KindConflict) || len(r.World.Ledger()) != 0 {
		t.Fatalf("it is %s: %s\n%s", j.State, j.Error, r.Dump())
	}
}

// A failed job that goes on after another one has settled the matter touches
// nothing.
func TestResumedTooLate(t *testing.T) {
	r := schedulertest.New(t)
	r.World.Inject(fake.Fault{Op: "host-power-on", Object: "ph03", Mode: fake.FailTask, Times: 1})
	r.Start()
	first := r.Queue(replace("db01"))[0]
	if j := r.Wait(first); j.State != schema.JobFailed {
		t.Fatalf("it is %s", j.State)
	}
	edit(r, "ph03", func(m *schema.Machine) { m.Power = schema.PowerOff })
	r.MustSucceed(r.Queue(replace("db01"))...)
	if r.Machine("ph04").Host != "db01" && r.Machine("ph01").Host != "db01" {
		t.Fatal(r.Dump())
	}
	r.World.ResetLedger()
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, first, "") })
	if j := r.Wait(first); j.State != schema.JobFailed || !strings.Contains(j.Error, "isn't the host setting of ph03 any more") || len(r.World.Ledger()) != 0 {
		t.Fatalf("it is %s: %s\n%s", j.State, j.Error, r.Dump())
	}
	// Nor does taking it back.
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, first) })
	if j := r.Wait(first); j.State != schema.JobFailed || r.World.Count(fake.OpDisconnect, "") != 0 {
		t.Fatalf("it is %s: %s\n%s", j.State, j.Error, r.Dump())
	}
}

// What a machine says of itself and what the rows say must agree: a
// contradiction is told and not merged.
func TestContradictingHardware(t *testing.T) {
	r := schedulertest.New(t)
	r.World.ChangeHardware("ph03", func(p *fake.Physical) { p.NICs[0].MAC = "52:54:00:00:00:02" }) // ph02's
	r.Start()
	id := r.Queue(replace("db01"))[0]
	r.MustSucceed(id)
	m := r.Machine("ph03")
	if m.Status != schema.StatusAbnormal || !strings.Contains(m.StatusReason, "registered for machine ph02 already") || m.Hardware != nil {
		t.Errorf("ph03: %v", m)
	}
	if log := strings.Join(r.Job(id).Log, "\n"); !strings.Contains(log, "registered for machine ph02") {
		t.Errorf("the job's log: %s", log)
	}
}

// A pool machine whose controller is another one's isn't used once a collection
// has shown it: what switched it off would switch off the other. It can be used
// again when a collection agrees.
func TestCollectedContradiction(t *testing.T) {
	r := schedulertest.New(t)
	mac := r.Machine("ph03").Nics[0].Mac
	collect := func() {
		t.Helper()
		r.MustSucceed(r.Queue(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestCollect(tx, "") })...)
	}
	r.World.ChangeHardware("ph03", func(p *fake.Physical) { p.NICs[0].MAC = r.Machine("ph02").Nics[0].Mac })
	r.Start()
	collect()
	if m := r.Machine("ph03"); m.Status != schema.StatusAbnormal || !strings.Contains(m.StatusReason, "registered for machine ph02 already") {
		t.Errorf("ph03: %v", m)
	}
	if j := r.Wait(r.Queue(replace("db01"))[0]); slices.Contains(j.Targets, "ph03") {
		t.Errorf("ph03 takes the place: %v", j)
	}
	r.World.ChangeHardware("ph03", func(p *fake.Physical) { p.NICs[0].MAC = mac })
	collect()
	if m := r.Machine("ph03"); m.Status != schema.StatusReady || m.StatusReason != "" {
		t.Errorf("ph03: %v", m)
	}
}

// A substitute of another specification runs as the model that it is of, with
// that model's software.
func TestReplacementByAnotherModel(t *testing.T) {
	r := schedulertest.New(t)
	r.World.AddScenario(schedulertest.DistSystem, "for-big")
	r.Cluster.Do(func(tx *fsm.Tx) error {
		for _, m := range []*schema.Model{
			{Group: "db", Name: "server", Kind: schema.MachinePhysical, ModelName: "fake"},
			{Group: "db", Name: "big", Kind: schema.MachinePhysical, ModelName: "big", Software: &schema.SoftwareSlots{Run: []string{"for-big"}}},
		} {
			if err := fsm.Models.Put(tx, m); err != nil {
				return err
			}
		}
		return fsm.SoftwareItems.Put(tx, &schema.Software{Name: "for-big", Kind: schema.SoftwareScenario, Subsystem: schedulertest.DistSystem})
	})
	edit(r, "ph03", func(m *schema.Machine) { m.ModelName = "big" })
	r.Start()
	r.MustSucceed(r.Queue(replace("db01"))...)
	if m := r.Machine("ph03"); m.Model != "big" || r.World.Count(fake.OpDistribute, "for-big ph03") != 1 {
		t.Errorf("ph03: %v\n%s", m, r.Dump())
	}
}

// A physical machine that doesn't listen is forced off once its time is over.
func TestPhysicalPower(t *testing.T) {
	r := schedulertest.New(t)
	r.World.NoOS("ph01")
	r.Start()
	begun := r.Clock.Now()
	r.MustSucceed(r.Queue(power("shutdown", "db", "db01"))...)
	if took := r.Clock.Now().Sub(begun); r.World.Count("host-power-off", "ph01") != 1 || r.Machine("ph01").Power != schema.PowerOff || took < 3*time.Minute || took > 4*time.Minute {
		t.Errorf("after %s: %s", took, r.Dump())
	}
	r.MustSucceed(r.Queue(power("poweron", "db", "db01"))...)
	if r.World.Count("host-power-on", "ph01") != 1 || r.Machine("ph01").Power != schema.PowerOn {
		t.Error(r.Dump())
	}
	r.MustSucceed(r.Queue(power("shutdown", "db", "db02"))...)
	if r.World.Count("host-shutdown", "ph02") != 1 || r.World.Count("host-power-off", "ph02") != 0 {
		t.Error(r.Dump())
	}
}

// A node's connections get their time, and no more.
func TestDrain(t *testing.T) {
	r := schedulertest.New(t)
	r.World.Balancer(schedulertest.BalancerSystem).SetConnections("db", "db01", 3)
	begun := r.Clock.Now()
	r.Start()
	id := r.Queue(replace("db01"))[0]
	r.Until("the node to drain", func(*fsm.View) bool { return r.World.Count(fake.OpLBDrain, "db/db01") == 1 })
	if r.World.Count(fake.OpLBRemove, "") != 0 {
		t.Error("it was removed with open connections")
	}
	r.MustSucceed(id)
	if took := r.Clock.Now().Sub(begun); took < 30*time.Second || took > 50*time.Second {
		t.Errorf("it took %s, the connections have 30 s", took)
	}
}

// What can't be done is refused before anything is moved.
func TestRefusedBeforeItBegins(t *testing.T) {
	for name, c := range map[string]struct {
		setup   func(*schedulertest.Rig)
		request func(*fsm.Tx) ([]string, error)
		text    string
	}{
		"no initiators": {
			setup: func(r *schedulertest.Rig) { edit(r, "ph03", func(m *schema.Machine) { m.Initiators = nil }) }, request: replace("db01"), text: "set the machine's initiators",
		},
		"no switch port": {
			setup: func(r *schedulertest.Rig) { edit(r, "ph03", func(m *schema.Machine) { m.Nics[0].Port = "" }) }, request: replace("db01"), text: "set network (the switch) and port",
		},
		"VLAN for a NIC that isn't there": {
			setup: func(r *schedulertest.Rig) {
				r.Cluster.Do(func(tx *fsm.Tx) error {
					g, _ := fsm.Groups.Edit(tx, "db")
					g.Vlans = []string{"db", "batch:2"}
					return fsm.Groups.Put(tx, g)
				})
			}, request: replace("db01"), text: "its NIC 2",
		},
		"node without an address": {
			setup: func(r *schedulertest.Rig) {
				r.Cluster.Do(func(tx *fsm.Tx) error {
					h, _ := fsm.Hosts.Edit(tx, "db/db01")
					h.Nics = nil
					return fsm.Hosts.Put(tx, h)
				})
			}, request: replace("db01"), text: "give its first NIC an address",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := schedulertest.New(t)
			c.setup(r)
			r.Start()
			j := r.Wait(r.Queue(c.request)[0])
			if j.State != schema.JobFailed || !strings.Contains(j.Error, c.text) || len(r.World.Ledger()) != 0 || fsm.Locks.Len(r.Rows()) != 0 {
				t.Errorf("%s: %s\n%s", j.State, j.Error, r.Dump())
			}
		})
	}
}

// A hundred groups lose a machine at once, and share pools: each is replaced,
// no machine is chosen twice, no lock is left.
func TestHundredReplacements(t *testing.T) {
	const groups = 100
	r := schedulertest.New(t)
	many(r, groups)
	r.Start()
	var ids []string
	r.Cluster.Do(func(tx *fsm.Tx) error {
		for i := range groups {
			id, err := fsm.RequestReplace(tx, fmt.Sprintf("many%03d", i), fmt.Sprintf("h%03d", i))
			if err != nil {
				return err
			}
			ids = append(ids, id...)
		}
		return nil
	})
	r.MustSucceed(ids...)
	runs := map[string]string{}
	for m := range fsm.Machines.All(r.Rows()) {
		if m.Host != "" && strings.HasPrefix(m.Group, "many") {
			key := m.Group + "/" + m.Host
			if runs[key] != "" || !strings.HasPrefix(m.Name, "sub") || m.Power != schema.PowerOn {
				t.Errorf("%s runs on %s and %s", key, runs[key], m.Name)
			}
			runs[key] = m.Name
		}
	}
	if len(runs) != groups {
		t.Errorf("%d hosts run", len(runs))
	}
	if n := fsm.Locks.Len(r.Rows()); n != 0 {
		t.Errorf("%d locks are left", n)
	}
	if bad := r.World.Repeated(); len(bad) > 0 {
		t.Errorf("done twice: %v", bad)
	}
	if v := r.World.Violations(); len(v) > 0 {
		t.Error(v)
	}
	r.Cluster.Check()
}

// many makes groups of one host each; a machine of the pool belongs to the
// pools of four groups.
func many(r *schedulertest.Rig, groups int) {
	r.Cluster.Do(func(tx *fsm.Tx) error {
		put := func(name string, n int, power drivers.PowerState, pools ...string) error {
			mac := fmt.Sprintf("52:54:01:%02x:%02x:%02x", len(name), n/256, n%256)
			r.World.AddPhysical(name, fake.Physical{Power: power, NICs: []drivers.NIC{{MAC: mac}}})
			return fsm.Machines.Put(tx, &schema.Machine{
				Name: name, Uuid: fake.UUIDOf(name), Kind: schema.MachinePhysical, Managed: true, Power: string(power), HardwareStatus: schema.HardwareNormal,
				Status: schema.StatusReady, ModelName: "fake", Nics: []*schema.NIC{{Mac: mac}}, Initiators: []string{schedulertest.InitiatorOf(name)},
				Bmc: &schema.Bmc{Kind: "redfish", Address: "https://bmc-" + name + ".example"}, PoolGroups: pools,
			})
		}
		for i := range groups {
			g, h, m := fmt.Sprintf("many%03d", i), fmt.Sprintf("h%03d", i), fmt.Sprintf("old%03d", i)
			volume := "vol-" + h
			r.World.AddVolume(schedulertest.ArraySystem, volume)
			r.World.Array(schedulertest.ArraySystem).Attach(volume, schedulertest.InitiatorOf(m))
			for _, err := range []error{
				fsm.Groups.Put(tx, &schema.Group{Name: g, Category: "shop", Kind: schema.MachinePhysical}),
				fsm.Models.Put(tx, &schema.Model{Group: g, Name: "m", Kind: schema.MachinePhysical}),
				fsm.Hosts.Put(tx, &schema.Host{Group: g, Name: h, Volumes: []*schema.Volume{{Subsystem: schedulertest.ArraySystem, Name: volume}}}),
				put(m, i, drivers.PowerOn, g),
				fsm.Activate(tx, fsm.Activation{Machine: m, Group: g, Host: h}),
			} {
				if err != nil {
					return err
				}
			}
		}
		for i := range groups {
			var pools []string
			for n := range 4 {
				pools = append(pools, fmt.Sprintf("many%03d", i/4*4+n))
			}
			if err := put(fmt.Sprintf("sub%04d", i), i, drivers.PowerOff, pools...); err != nil {
				return err
			}
		}
		return nil
	})
	r.World.ResetLedger()
}
