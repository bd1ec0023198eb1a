package scheduler_test

import (
	"slices"
	"strings"
	"testing"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

// byWoL makes a machine one without a management controller. The world answers
// in the place of its driver, whose off is a rule's.
func byWoL(r *schedulertest.Rig, machine string) {
	edit(r, machine, func(m *schema.Machine) { m.Bmc = &schema.Bmc{Kind: schema.BMCWoL, Address: "192.0.2.9"} })
}

func editGroup(r *schedulertest.Rig, group string, change func(*schema.Group)) {
	r.Cluster.Do(func(tx *fsm.Tx) error {
		g, _ := fsm.Groups.Edit(tx, group)
		change(g)
		return fsm.Groups.Put(tx, g)
	})
}

func editHost(r *schedulertest.Rig, key string, change func(*schema.Host)) {
	r.Cluster.Do(func(tx *fsm.Tx) error {
		h, _ := fsm.Hosts.Edit(tx, key)
		change(h)
		return fsm.Hosts.Put(tx, h)
	})
}

// A machine that Wake-on-LAN switches is never forced, and that it is silent
// doesn't let its volumes and addresses go: it must be isolated, or a person
// looks.
func TestSilenceOfAWoLMachineIsNoProof(t *testing.T) {
	t.Run("isolated", func(t *testing.T) {
		r := schedulertest.New(t)
		byWoL(r, "ph01")
		r.Start()
		id := r.Queue(replace("db01"))[0]
		r.MustSucceed(id)
		if proof := step(t, r, id, "shutdown-machine").Output["proof"]; !strings.HasPrefix(proof, "isolated: ") {
			t.Errorf("the proof is %q", proof)
		}
		if m := r.Machine("ph01"); m.Power != schema.PowerOff || m.HardwareStatus != schema.HardwareNormal || !strings.Contains(m.StatusReason, "not proven off") {
			t.Errorf("ph01: %v", m)
		}
	})
	for name, setup := range map[string]func(*schedulertest.Rig){
		"it shuts down":     func(*schedulertest.Rig) {},
		"it doesn't listen": func(r *schedulertest.Rig) { r.World.NoOS("ph01") },
		"it has failed":     failed("ph01"),
	} {
		t.Run(name, func(t *testing.T) {
			r := schedulertest.New(t)
			byWoL(r, "ph01")
			editGroup(r, "db", func(g *schema.Group) { g.Vlans = nil })
			setup(r)
			r.Start()
			id := r.Queue(replace("db01"))[0]
			j := r.Wait(id)
			if j.State != schema.JobParked || !strings.Contains(j.Parked, "Wake-on-LAN") || !strings.Contains(j.Parked, "job resume "+id+" off") {
				t.Fatalf("it is %s: %s %s", j.State, j.Parked, j.Error)
			}
			if got := ops(r); slices.Contains(got, "host-power-off") || slices.Contains(got, fake.OpDisconnect) {
				t.Errorf("effects %v", got)
			}
			r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, fsm.WordOff) })
			r.MustSucceed(id)
		})
	}
}

// The same for a VM server: its VMs don't start elsewhere on a rule's word.
func TestSilenceOfAWoLServerIsNoProof(t *testing.T) {
	r := schedulertest.New(t)
	byWoL(r, "esx02")
	r.World.HostIsolated("esx02") // its VMs run on
	r.Start()
	id := r.Queue(evacuate("esx02", true))[0]
	if j := r.Wait(id); j.State != schema.JobParked || !strings.Contains(j.Parked, "Wake-on-LAN") || r.World.Count("host-power-off", "") != 0 || r.World.Count(fake.OpRegister, "") != 0 {
		t.Fatalf("it is %s: %s\n%s", j.State, j.Parked, r.Dump())
	}
}

// mixedUp lets the controller of a machine be another one's, until it is taken back.
func mixedUp(r *schedulertest.Rig, machine string) (back func()) {
	right := r.World.Machine(machine).UUID
	r.World.ChangeHardware(machine, func(p *fake.Physical) { p.UUID = fake.UUIDOf("another") })
	return func() { r.World.ChangeHardware(machine, func(p *fake.Physical) { p.UUID = right }) }
}

// The controller of another machine is neither made to switch that one off nor
// believed about the dead one, whose ports are in no VLAN any more: the
// replacement parks, and nothing moves until the row is right.
func TestReplacementAtAnotherMachinesController(t *testing.T) {
	for name, op := range map[string]drivers.PowerOp{"that is on": drivers.OpPowerOn, "that is off": drivers.OpPowerOff} {
		t.Run(name, func(t *testing.T) {
			r := schedulertest.New(t)
			failed("ph01")(r)
			back := mixedUp(r, "ph01")
			if _, err := r.World.Power().SetPower(t.Context(), drivers.Call{}, "ph01", op); err != nil {
				t.Fatal(err)
			}
			r.World.ResetLedger()
			r.Start()
			id := r.Queue(replace("db01"))[0]
			j := r.Wait(id)
			if j.State != schema.JobParked {
				t.Fatalf("it is %s: %s\n%s", j.State, j.Error, r.Dump())
			}
			for _, want := range []string{
				"at bmc-ph01 is another machine's", "reports the system UUID " + fake.UUIDOf("another"), "known is " + fake.UUIDOf("ph01"),
				"pvmutl job resume " + id + " retry", "pvmutl job resume " + id + " off",
			} {
				if !strings.Contains(j.Parked, want) {
					t.Errorf("no %q in %q", want, j.Parked)
				}
			}
			for _, op := range ops(r) {
				if strings.HasPrefix(op, fake.HostPrefix) || op == fake.OpDisconnect || op == fake.OpConnect {
					t.Errorf("effect %s", op)
				}
			}
			if r.Machine("ph01").Host != "db01" {
				t.Error("its host setting has moved")
			}
			back()
			r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, fsm.WordRetry) })
			r.MustSucceed(id)
			if proof := step(t, r, id, "shutdown-machine").Output["proof"]; proof != "its management controller reads off" {
				t.Errorf("the proof is %q", proof)
			}
		})
	}
}

// The same for a VM server: its VMs don't start elsewhere.
func TestFailoverAtAnotherMachinesController(t *testing.T) {
	r := schedulertest.New(t)
	r.World.HostIsolated("esx02") // its VMs run on
	mixedUp(r, "esx02")
	r.Start()
	id := r.Queue(evacuate("esx02", true))[0]
	if j := r.Wait(id); j.State != schema.JobParked || !strings.Contains(j.Parked, "known is "+fake.UUIDOf("esx02")) || r.World.Count("host-power-off", "") != 0 || r.World.Count(fake.OpRegister, "") != 0 {
		t.Fatalf("it is %s: %s\n%s", j.State, j.Parked, r.Dump())
	}
}

// A shutdown that an operator asks for fails there, and changes nothing.
func TestShutdownAtAnotherMachinesController(t *testing.T) {
	r := schedulertest.New(t)
	mixedUp(r, "ph01")
	r.Start()
	for _, op := range []string{"shutdown", "poweroff"} {
		id := r.Queue(power(op, "shop/db", "db01"))[0]
		if j := r.Wait(id); j.State != schema.JobFailed || !strings.Contains(j.Error, "known is "+fake.UUIDOf("ph01")) || len(ops(r)) != 0 {
			t.Fatalf("it is %s: %s\n%s", j.State, j.Error, r.Dump())
		}
	}
}

// A substitute that Wake-on-LAN switches isn't proven off either when the job
// is taken back: the old machine gets nothing before a person has looked.
func TestRollbackFromAWoLMachine(t *testing.T) {
	r := schedulertest.New(t)
	byWoL(r, "ph03")
	r.World.Inject(fake.Fault{Op: fake.OpVLANAdd, Object: "p3 110", Mode: fake.FailTask, Times: 1})
	r.Start()
	id := r.Queue(replace("db01"))[0]
	if j := r.Wait(id); j.State != schema.JobFailed {
		t.Fatalf("it is %s", j.State)
	}
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) })
	r.Until("a person to be asked", func(*fsm.View) bool { return r.Job(id).State == schema.JobParked })
	if j := r.Job(id); !strings.Contains(j.Parked, "Wake-on-LAN") || !slices.Contains(j.ResumeWords, fsm.WordOff) {
		t.Errorf("it says %q, takes %v", j.Parked, j.ResumeWords)
	}
	if r.World.Count("host-power-off", "") != 0 || r.World.Count(fake.OpConnect, "vol-db01 "+schedulertest.InitiatorOf("ph01")) != 0 {
		t.Error(r.Dump())
	}
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, fsm.WordOff) })
	if j := r.Wait(id); j.State != schema.JobCancelled || r.Machine("ph01").Host != "db01" {
		t.Errorf("it is %s: %s\n%s", j.State, j.Error, r.Dump())
	}
}

// What the switches don't show to be isolated isn't: the job parks.
func TestNotIsolated(t *testing.T) {
	for name, c := range map[string]struct {
		setup func(*schedulertest.Rig)
		why   string
	}{
		"a second NIC without a port": {func(r *schedulertest.Rig) {
			edit(r, "ph01", func(m *schema.Machine) { m.Nics = append(m.Nics, &schema.NIC{Mac: "52:54:00:00:00:aa"}) })
		}, "NIC 2"},
		"in no VLAN, like all machines of a group without one": {func(r *schedulertest.Rig) {
			editGroup(r, "db", func(g *schema.Group) { g.Vlans = nil })
			r.World.SetPort(schedulertest.SwitchSystem, "p1", 0)
		}, "no VLAN of its group"},
		"shared volume, initiators unknown": {func(r *schedulertest.Rig) {
			edit(r, "ph01", func(m *schema.Machine) { m.Initiators = nil })
			editHost(r, "db/db01", func(h *schema.Host) { h.Volumes[0].Shared = true })
		}, "vol-db01"},
	} {
		t.Run(name, func(t *testing.T) {
			r := schedulertest.New(t)
			c.setup(r)
			dead("ph01")(r)
			r.Start()
			id := r.Queue(replace("db01"))[0]
			if j := r.Wait(id); j.State != schema.JobParked || !strings.Contains(j.Parked, "nor isolated") || !strings.Contains(j.Parked, c.why) {
				t.Fatalf("it is %s: %s", j.State, j.Parked)
			}
			if r.World.Count(fake.OpConnect, "") != 0 || r.Machine("ph01").Host != "db01" {
				t.Error(r.Dump())
			}
		})
	}
}

// A volume that the host setting gets while a job works isn't cut off by it.
func TestHostSettingEditedMeanwhile(t *testing.T) {
	r := schedulertest.New(t)
	r.World.AddVolume(schedulertest.ArraySystem, "vol-new")
	r.World.SetPort(schedulertest.SwitchSystem, "p1", vlanOfDB, 130)
	dead("ph01")(r)
	r.Start()
	id := r.Queue(replace("db01"))[0]
	if j := r.Wait(id); j.State != schema.JobParked {
		t.Fatalf("it is %s", j.State)
	}
	editHost(r, "db/db01", func(h *schema.Host) {
		h.Volumes = append(h.Volumes, &schema.Volume{Subsystem: schedulertest.ArraySystem, Name: "vol-new"})
	})
	r.World.SetPort(schedulertest.SwitchSystem, "p1", 0)
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") })
	if j := r.Wait(id); j.State != schema.JobParked || !strings.Contains(j.Parked, "vol-new") {
		t.Fatalf("it is %s: %s", j.State, j.Parked)
	}
}

// A failed job goes on later, when somebody has started the old machine: it is
// fenced anew before anything of it moves.
func TestResumedJobFencesAnew(t *testing.T) {
	for name, c := range map[string]fake.Fault{
		"before the swap": {Op: fake.OpDisconnect, Object: "vol-db01 " + schedulertest.InitiatorOf("ph01"), Mode: fake.FailTask, Times: 1},
		"after the swap":  {Op: fake.OpConnect, Object: "vol-db01 " + schedulertest.InitiatorOf("ph03"), Mode: fake.FailTask, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := schedulertest.New(t)
			r.World.Inject(c)
			r.Start()
			id := r.Queue(replace("db01"))[0]
			if j := r.Wait(id); j.State != schema.JobFailed {
				t.Fatalf("it is %s", j.State)
			}
			if _, err := r.World.Power().SetPower(t.Context(), drivers.Call{}, "ph01", drivers.OpPowerOn); err != nil {
				t.Fatal(err)
			}
			edit(r, "ph01", func(m *schema.Machine) { m.Power = schema.PowerOn })
			r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") })
			r.MustSucceed(id)
			if p := r.World.Machine("ph01").Power; p != drivers.PowerOff {
				t.Errorf("ph01 is %s\n%s", p, r.Dump())
			}
			off := slices.Index(ops(r)[slices.Index(ops(r), "host-power-on"):], "host-shutdown")
			if off < 0 {
				t.Error(r.Dump())
			}
		})
	}
}

// A replacement isn't taken back when the old machine has another task by now:
// the one that works stays as it is, and the job can still go on.
func TestRollbackWhenTheOldMachineIsInUse(t *testing.T) {
	r := schedulertest.New(t)
	r.World.Inject(fake.Fault{Op: fake.OpVLANAdd, Object: "p3 110", Mode: fake.FailTask, Times: 1})
	r.Start()
	id := r.Queue(replace("db01"))[0]
	if j := r.Wait(id); j.State != schema.JobFailed {
		t.Fatalf("it is %s", j.State)
	}
	edit(r, "ph01", func(m *schema.Machine) { m.Status = schema.StatusReady })
	r.MustSucceed(r.Queue(replace("db02"))...)
	if r.Machine("ph01").Host != "db02" {
		t.Fatal(r.Dump())
	}
	_, err := r.Cluster.Try(func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) })
	if schema.KindOf(err) != schema.KindConflict || !strings.Contains(err.Error(), "ph01 runs as host db/db02") {
		t.Fatalf("rollback: %v", err)
	}
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") })
	r.MustSucceed(id)
	if r.Machine("ph03").Host != "db01" || r.Machine("ph01").Host != "db02" || r.World.Machine("ph01").Power != drivers.PowerOn {
		t.Error(r.Dump())
	}
	sound(t, r)
}

// The same when the old machine gets its task while the rollback waits.
func TestRollbackThatComesTooLate(t *testing.T) {
	r := schedulertest.New(t)
	freeHost(r)
	r.World.Inject(fake.Fault{Op: fake.OpVLANAdd, Object: "p3 110", Mode: fake.FailTask, Times: 1})
	r.Start()
	id := r.Queue(replace("db01"))[0]
	r.Wait(id)
	r.Stop()
	r.World.ResetLedger()
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) })
	edit(r, "ph01", func(m *schema.Machine) { m.Status = schema.StatusReady })
	r.Cluster.Do(func(tx *fsm.Tx) error {
		return fsm.Activate(tx, fsm.Activation{Machine: "ph01", Group: "db", Host: "db03"})
	})
	r.Start()
	if j := r.Wait(id); j.State != schema.JobFailed || !strings.Contains(j.Error, "ph01 runs as host db/db03") || len(r.World.Ledger()) != 0 || !fsm.Resumable(j) {
		t.Errorf("it is %s: %s\n%s", j.State, j.Error, r.Dump())
	}
	if m := r.Machine("ph01"); m.Status != schema.StatusReady {
		t.Errorf("ph01: %v", m)
	}
	if n := fsm.Locks.Len(r.Rows()); n != 0 {
		t.Errorf("%d locks are left", n)
	}
}

// A word that was given about a step is none about what is taken back when the
// job is cancelled right after it.
func TestCancelRightAfterAWord(t *testing.T) {
	r := schedulertest.New(t)
	editGroup(r, "db", func(g *schema.Group) { g.Monitoring = nil })
	edit(r, "ph01", func(m *schema.Machine) { m.Nics = append(m.Nics, &schema.NIC{Mac: "52:54:00:00:00:aa"}) }) // no port is known
	dead("ph01")(r)
	before := essence(r)
	r.Start()
	id := r.Queue(replace("db01"))[0]
	if j := r.Wait(id); j.State != schema.JobParked {
		t.Fatalf("it is %s", j.State)
	}
	r.Cluster.Do(func(tx *fsm.Tx) error {
		if err := fsm.ResumeJob(tx, id, fsm.WordOff); err != nil {
			return err
		}
		return fsm.CancelJob(tx, id)
	})
	r.Until("the end", func(*fsm.View) bool { return r.Job(id).State == schema.JobCancelled })
	if d := difference(essence(r), before); d != "" {
		t.Errorf("it isn't as before:\n%s\n%s", d, r.Dump())
	}
}

// A manager that takes over while the balancer's subsystem is gone from the
// rows doesn't take its node for removed.
func TestASubsystemThatIsGone(t *testing.T) {
	r := schedulertest.New(t)
	busyNode(r)
	r.Start()
	id := r.Queue(replace("db01"))[0]
	r.Until("the drain", func(v *fsm.View) bool {
		return stepState(v, id, "lb-remove") == schema.StepStarted && r.World.Count("lb-drain", "") == 1
	})
	r.Stop()
	r.Unknown = schedulertest.BalancerSystem
	r.Start()
	if j := r.Wait(id); j.State != schema.JobFailed || !strings.Contains(j.Error, "lb-remove") {
		t.Fatalf("it is %s: %s\n%s", j.State, j.Error, r.Dump())
	}
	r.Stop()
	r.Unknown = ""
	r.Start()
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") })
	r.MustSucceed(id)
	if r.World.Count("lb-remove", "db/db01") != 1 {
		t.Error(r.Dump())
	}
}

// A replacement whose substitute got another task meanwhile doesn't go on: it
// would stop the old machine for nothing.
func TestResumedWithoutItsSubstitute(t *testing.T) {
	begin := func(t *testing.T) (*schedulertest.Rig, string) {
		r := schedulertest.New(t)
		freeHost(r)
		r.World.Inject(fake.Fault{Op: fake.OpDisconnect, Object: "vol-db01 " + schedulertest.InitiatorOf("ph01"), Mode: fake.FailTask, Times: 1})
		r.Start()
		id := r.Queue(replace("db01"))[0]
		if j := r.Wait(id); j.State != schema.JobFailed {
			t.Fatalf("it is %s", j.State)
		}
		if _, err := r.World.Power().SetPower(t.Context(), drivers.Call{}, "ph01", drivers.OpPowerOn); err != nil { // by hand
			t.Fatal(err)
		}
		r.Stop()
		r.World.ResetLedger()
		return r, id
	}
	take := func(r *schedulertest.Rig) {
		edit(r, "ph03", func(m *schema.Machine) { m.Status = schema.StatusReady })
		r.Cluster.Do(func(tx *fsm.Tx) error {
			return fsm.Activate(tx, fsm.Activation{Machine: "ph03", Group: "db", Host: "db03"})
		})
	}
	t.Run("asked for", func(t *testing.T) {
		r, id := begin(t)
		take(r)
		_, err := r.Cluster.Try(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") })
		if schema.KindOf(err) != schema.KindConflict || !strings.Contains(err.Error(), "ph03 runs as host db/db03") {
			t.Errorf("resume: %v", err)
		}
	})
	t.Run("begun", func(t *testing.T) {
		r, id := begin(t)
		r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") })
		take(r)
		r.Start()
		if j := r.Wait(id); j.State != schema.JobFailed || !strings.Contains(j.Error, "ph03 runs as host db/db03") || len(r.World.Ledger()) != 0 {
			t.Fatalf("it is %s: %s\n%s", j.State, j.Error, r.Dump())
		}
		r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.RollbackJob(tx, id) })
		r.Until("the rollback", func(*fsm.View) bool { return r.Job(id).State == schema.JobCancelled })
		if r.World.Machine("ph01").Power != drivers.PowerOn || r.Machine("ph03").Host != "db03" {
			t.Error(r.Dump())
		}
	})
}

// What was opened again to be carried out once more is taken back all the same
// when the job is cancelled before it gets there.
func TestCancelRightAfterAResume(t *testing.T) {
	r := schedulertest.New(t)
	before := essence(r)
	r.World.Inject(fake.Fault{Op: fake.OpConnect, Object: "vol-db01 " + schedulertest.InitiatorOf("ph03"), Mode: fake.FailTask, Times: 1})
	r.Start()
	id := r.Queue(replace("db01"))[0]
	if j := r.Wait(id); j.State != schema.JobFailed {
		t.Fatalf("it is %s", j.State)
	}
	r.Cluster.Do(func(tx *fsm.Tx) error {
		if err := fsm.ResumeJob(tx, id, ""); err != nil {
			return err
		}
		return fsm.CancelJob(tx, id)
	})
	r.Until("the end", func(*fsm.View) bool { return r.Job(id).State == schema.JobCancelled })
	if d := difference(essence(r), before); d != "" {
		t.Errorf("it isn't as before:\n%s\n%s", d, r.Dump())
	}
	sound(t, r)
}

// A failure that the flow has gone past isn't where the job goes on: the
// substitute has taken over since.
func TestResumedBehindAToleratedFailure(t *testing.T) {
	r := schedulertest.New(t)
	r.World.Inject(fake.Fault{Op: fake.OpDistribute, Object: "db-standby ph01", Mode: fake.FailTask, Times: 1})
	r.World.Inject(fake.Fault{Op: fake.OpConnect, Object: "vol-db01 " + schedulertest.InitiatorOf("ph03"), Mode: fake.FailTask, Times: 1})
	r.Start()
	id := r.Queue(replace("db01"))[0]
	if j := r.Wait(id); j.State != schema.JobFailed {
		t.Fatalf("it is %s", j.State)
	}
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, "") })
	r.MustSucceed(id)
	sound(t, r)
}
