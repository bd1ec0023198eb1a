package scheduler_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/schedulertest"
)

const dist = schedulertest.DistSystem

// software registers scenarios a, b, c for the run of group db, and d for none.
func software(r *schedulertest.Rig) {
	r.Cluster.Do(func(tx *fsm.Tx) error {
		for _, name := range []string{"a", "b", "c", "d"} {
			r.World.AddScenario(dist, name)
			if err := fsm.SoftwareItems.Put(tx, &schema.Software{Name: name, Kind: schema.SoftwareScenario, Subsystem: dist}); err != nil {
				return err
			}
		}
		g, _ := fsm.Groups.Edit(tx, "db")
		g.Software = &schema.SoftwareSlots{Run: []string{"a", "b", "c"}}
		return fsm.Groups.Put(tx, g)
	})
}

// has lets a machine have software already.
func has(machine string, names ...string) func(*schedulertest.Rig) {
	return func(r *schedulertest.Rig) {
		edit(r, machine, func(m *schema.Machine) {
			for _, n := range names {
				m.Distributed = append(m.Distributed, &schema.DistributedSoftware{Name: n, Slot: "group/run"})
			}
		})
	}
}

func deploy(d fsm.Deploy) func(*fsm.Tx) ([]string, error) {
	return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestDeploy(tx, d) }
}

func TestCrashEverywhereInDistribution(t *testing.T) {
	slow := func(r *schedulertest.Rig) { r.World.Delay(fake.OpDistribute, 300*time.Millisecond) }
	for name, c := range map[string]schedulertest.Case{
		"DistributeSoftwareToMachine": {
			Setup: setups(software, has("ph01", "a")), Request: deploy(fsm.Deploy{Group: "db", Host: "db01"}),
		},
		"DistributeSoftwareToMachine in full": {
			Setup: setups(software, has("ph01", "a")), Request: deploy(fsm.Deploy{Group: "db", Host: "db01", Full: true}),
		},
		"DistributeSoftwareToMachineWithScenario": {
			Setup: software, Request: deploy(fsm.Deploy{Machine: "ph04", Software: []string{"d", "a"}}),
		},
		"DistributeSoftwareToMachinesInGroup": {
			Setup: setups(software, has("ph01", "a", "b")), Request: deploy(fsm.Deploy{Group: "db"}),
		},
		"DistributeSoftwareToMachinesInGroup one after another": {
			Setup: software, Request: deploy(fsm.Deploy{Group: "db", Sequential: true, Full: true}),
		},
		"DistributeSoftwareToMachinesInGroupWithScenario": {
			Setup: software, Request: deploy(fsm.Deploy{Group: "db", Software: []string{"d"}, Only: true}),
		},
		"DistributeSoftwareToMachine that fails": {
			State: schema.JobFailed, Request: deploy(fsm.Deploy{Group: "db", Host: "db01"}),
			Setup: setups(software, func(r *schedulertest.Rig) {
				r.World.SetScenario(dist, "b", fake.Scenario{Fails: "exit code 3: no space left"})
			}),
		},
	} {
		t.Run(name+" at once", func(t *testing.T) {
			t.Parallel()
			schedulertest.CrashEverywhere(t, c)
		})
		with := c
		with.Setup = setups(c.Setup, slow)
		t.Run(name+" with tasks", func(t *testing.T) {
			t.Parallel()
			schedulertest.CrashEverywhere(t, with)
		})
	}
}

// distributed are the runs that took effect, as "SOFTWARE MACHINE".
func distributed(r *schedulertest.Rig) string {
	var out []string
	for _, e := range r.World.Ledger() {
		if e.Op == fake.OpDistribute {
			out = append(out, e.Object)
		}
	}
	return strings.Join(out, ", ")
}

// history is what a machine is known to have.
func history(r *schedulertest.Rig, machine string) string {
	out := ""
	for _, d := range r.Machine(machine).Distributed {
		out += d.Name
	}
	return out
}

func TestWhatIsDistributed(t *testing.T) {
	for _, c := range []struct {
		what            string
		had             []string
		ask             fsm.Deploy
		runs, have, say string
	}{
		{"what is missing", []string{"a"}, fsm.Deploy{Group: "db", Host: "db01"}, "b ph01, c ph01", "abc", "b, c distributed to ph01"},
		{"nothing", []string{"a", "b", "c"}, fsm.Deploy{Group: "db", Host: "db01"}, "", "abc", "nothing was distributed: everything that is registered is distributed already"},
		{"all, for the order has changed", []string{"b", "a"}, fsm.Deploy{Group: "db", Host: "db01"}, "a ph01, b ph01, c ph01", "abc", "a, b, c distributed to ph01"},
		{"all by /f", []string{"a", "b", "c"}, fsm.Deploy{Group: "db", Host: "db01", Full: true}, "a ph01, b ph01, c ph01", "abc", "a, b, c distributed to ph01"},
		{"a part by /a", []string{"a"}, fsm.Deploy{Group: "db", Host: "db01", Software: []string{"b"}}, "b ph01", "ab", "b distributed to ph01"},
		{"exactly one by /p", []string{"a"}, fsm.Deploy{Group: "db", Host: "db01", Software: []string{"d"}, Only: true}, "d ph01", "a", "d distributed to ph01"},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := schedulertest.New(t)
			software(r)
			has("ph01", c.had...)(r)
			r.World.ResetLedger()
			r.Start()
			ids := r.Queue(deploy(c.ask))
			r.MustSucceed(ids...)
			if got := distributed(r); got != c.runs {
				t.Errorf("distributed %q, want %q", got, c.runs)
			}
			if got := history(r, "ph01"); got != c.have {
				t.Errorf("it has %q, want %q", got, c.have)
			}
			if got := r.Job(ids[0]).Result; got != c.say {
				t.Errorf("the job says %q, want %q", got, c.say)
			}
		})
	}
}

// One machine that fails ends neither the others nor what follows for them;
// one after another, the first failure ends it.
func TestDistributionToAGroupThatFails(t *testing.T) {
	for _, sequential := range []bool{false, true} {
		r := schedulertest.New(t)
		software(r)
		r.World.Inject(fake.Fault{Op: fake.OpDistribute, Object: "b ph01", Mode: fake.FailTask})
		r.Start()
		j := r.Wait(r.Queue(deploy(fsm.Deploy{Group: "db", Sequential: sequential}))[0])
		want, has := "abc", "a"
		if sequential {
			want = ""
		}
		if j.State != schema.JobFailed || !strings.Contains(j.Error, "ph01") || strings.Contains(j.Error, "ph02") {
			t.Errorf("sequential %v: the job is %s: %s", sequential, j.State, j.Error)
		}
		if got, got2 := history(r, "ph01"), history(r, "ph02"); got != has || got2 != want {
			t.Errorf("sequential %v: they have %q and %q, want %q and %q", sequential, got, got2, has, want)
		}
		if m := r.Machine("ph02"); !sequential && m.Status != schema.StatusReady {
			t.Errorf("ph02 is %s: %s", m.Status, m.StatusReason)
		}
	}
}

// What a script writes is in the job while it runs and afterwards.
func TestOutputOfAScript(t *testing.T) {
	r := schedulertest.New(t)
	software(r)
	r.World.SetScenario(dist, "d", fake.Scenario{Output: func(drivers.Run) string {
		return strings.Repeat("a line of output\n", 1000) + fmt.Sprintf("now %s\n", r.World.Now())
	}, Fails: "exit code 1"})
	r.World.Delay(fake.OpDistribute, time.Minute)
	r.Start()
	id := r.Queue(deploy(fsm.Deploy{Machine: "ph04", Software: []string{"d"}}))[0]
	tails := map[string]bool{}
	r.Until("the end", func(v *fsm.View) bool {
		for _, s := range fsm.StepsOf(v, id) {
			if s.Tail != "" {
				tails[s.Tail] = true
			}
		}
		j, _ := fsm.Jobs.Get(v, fsm.NumberKey(id))
		return schema.JobEnded(j.State)
	})
	if len(tails) < 3 || len(tails) > 40 {
		t.Errorf("its output was told %d times in a minute", len(tails))
	}
	for tail := range tails {
		if len(tail) > drivers.MaxOutput || !strings.Contains(tail, "now ") {
			t.Errorf("%d bytes of output: %.40q...", len(tail), tail)
		}
	}
	if j := r.Job(id); j.State != schema.JobFailed || !strings.Contains(j.Error, "exit code 1") {
		t.Errorf("the job is %s: %s", j.State, j.Error)
	}
}

// Cancelling the job ends the script.
func TestCancelOfAScript(t *testing.T) {
	r := schedulertest.New(t)
	software(r)
	r.World.SetScenario(dist, "d", fake.Scenario{Hangs: true})
	r.Start()
	id := r.Queue(deploy(fsm.Deploy{Machine: "ph04", Software: []string{"a", "d"}}))[0]
	r.Until("the script", func(v *fsm.View) bool {
		s := fsm.StepsOf(v, id)
		return len(s) > 1 && s[1].State == schema.StepHandled
	})
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.CancelJob(tx, id) })
	if j := r.Wait(id); j.State != schema.JobCancelled {
		t.Errorf("the job is %s: %s", j.State, j.Error)
	}
	if r.World.Count(fake.OpCancelRun, "d ph04") != 1 || r.World.Pending() != 0 {
		t.Errorf("the script goes on\n%s", r.Dump())
	}
}

// lose queues the run of d, and loses it with the manager that began it.
func lose(t *testing.T, repeatable bool) (*schedulertest.Rig, string) {
	t.Helper()
	r := schedulertest.New(t)
	software(r)
	r.Cluster.Do(func(tx *fsm.Tx) error {
		s, _ := fsm.SoftwareItems.Edit(tx, "d")
		s.Repeatable = repeatable
		return fsm.SoftwareItems.Put(tx, s)
	})
	r.World.Delay(fake.OpDistribute, time.Hour)
	r.Start()
	id := r.Queue(deploy(fsm.Deploy{Machine: "ph04", Software: []string{"d"}}))[0]
	r.Until("the script", func(v *fsm.View) bool {
		s := fsm.StepsOf(v, id)
		return len(s) > 0 && s[0].State == schema.StepHandled
	})
	r.Stop()
	r.World.LoseRuns(dist)
	r.World.Delay(fake.OpDistribute, 0)
	r.Start()
	return r, id
}

// A run that nobody can tell of is not repeated, unless its software may be.
func TestALostScriptIsNotRepeated(t *testing.T) {
	r, id := lose(t, true)
	r.MustSucceed(id)
	if got := distributed(r); got != "d ph04" {
		t.Errorf("distributed %q", got)
	}
	for word, want := range map[string]struct{ state, runs string }{
		fsm.WordDone: {schema.JobSucceeded, ""}, fsm.WordAgain: {schema.JobSucceeded, "d ph04"}, fsm.WordFailed: {schema.JobFailed, ""},
	} {
		r, id := lose(t, false)
		j := r.Wait(id)
		if j.State != schema.JobParked || !strings.Contains(j.Parked, "again") || !strings.Contains(j.Parked, "software d") {
			t.Fatalf("the job is %s: %s", j.State, j.Parked)
		}
		r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, id, word) })
		if j := r.Wait(id); j.State != want.state || distributed(r) != want.runs {
			t.Errorf("after %q the job is %s (%s) and %q was run", word, j.State, j.Error, distributed(r))
		}
	}
}

// unanswered lets a machine be silent until it is on.
func unanswered(r *schedulertest.Rig, object string) {
	r.World.Inject(fake.Fault{Op: fake.OpDistribute, Object: object, Mode: fake.FailBefore, Times: 2})
}

// The flows distribute before they start a machine: one that is off is switched
// on for it, and off again when the job is taken back.
func TestAMachineIsSwitchedOnForItsSoftware(t *testing.T) {
	r := schedulertest.New(t)
	unanswered(r, "db-run ph03")
	r.Start()
	r.MustSucceed(r.Queue(replace("db01"))...)
	if n := r.World.Count("host-power-on", "ph03"); n != 1 || distributed(r) != "db-standby ph01, db-run ph03" {
		t.Errorf("switched on %d times, distributed %q\n%s", n, distributed(r), r.Dump())
	}

	r = schedulertest.New(t)
	unanswered(r, "db-run ph03")
	r.World.SetScenario(dist, "db-run", fake.Scenario{Hangs: true})
	r.Start()
	id := r.Queue(replace("db01"))[0]
	r.Until("the software", func(v *fsm.View) bool {
		for _, s := range fsm.StepsOf(v, id) {
			if s.Name == "distribute-run-software" && s.State == schema.StepHandled {
				return true
			}
		}
		return false
	})
	r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.CancelJob(tx, id) })
	if j := r.Wait(id); j.State != schema.JobCancelled {
		t.Errorf("the job is %s: %s\n%s", j.State, j.Error, r.Dump())
	}
	if p := r.World.Machine("ph03"); p.Power != drivers.PowerOff || r.World.Count(fake.OpCancelRun, "db-run ph03") != 1 {
		t.Errorf("ph03 is %s\n%s", p.Power, r.Dump())
	}
	if v := r.World.Violations(); len(v) > 0 {
		t.Error(v)
	}
}

// The replacement of a machine that doesn't answer its standby software goes on.
func TestReplacementOfAMachineThatIsSilent(t *testing.T) {
	r := schedulertest.New(t)
	r.World.Inject(fake.Fault{Op: fake.OpDistribute, Object: "db-standby ph01", Mode: fake.FailBefore})
	r.Start()
	begun := r.Clock.Now()
	r.MustSucceed(r.Queue(replace("db01"))...)
	if took := r.Clock.Now().Sub(begun); distributed(r) != "db-run ph03" || took > time.Minute {
		t.Errorf("distributed %q after %s\n%s", distributed(r), took, r.Dump())
	}
}

// A run goes on while the manager that holds it is away, and is followed again
// once that is back.
func TestAScriptOfAManagerThatIsAway(t *testing.T) {
	r := schedulertest.New(t)
	software(r)
	r.World.Delay(fake.OpDistribute, 5*time.Minute)
	r.Start()
	id := r.Queue(deploy(fsm.Deploy{Machine: "ph04", Software: []string{"d"}}))[0]
	r.Until("the script", func(v *fsm.View) bool {
		s := fsm.StepsOf(v, id)
		return len(s) > 0 && s[0].State == schema.StepHandled
	})
	r.Stop()
	r.World.HideRuns(dist, true)
	r.Start()
	r.Until("the job to say what it waits for", func(v *fsm.View) bool {
		j, _ := fsm.Jobs.Get(v, fsm.NumberKey(id))
		return strings.Contains(j.Waiting, "can't be asked")
	})
	r.World.HideRuns(dist, false)
	r.MustSucceed(id)
	if got := distributed(r); got != "d ph04" {
		t.Errorf("distributed %q", got)
	}
}
