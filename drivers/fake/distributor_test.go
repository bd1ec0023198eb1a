package fake_test

import (
	"strings"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/fake"
)

func TestDistributorConformance(t *testing.T) {
	drivertest.RunDistributor(t, func(t *testing.T) drivertest.DistributorWorld {
		w := fake.New(fake.Options{})
		told := func(text string) func(drivers.Run) string { return func(drivers.Run) string { return text } }
		w.SetScenario("dpm", "well", fake.Scenario{Output: func(r drivers.Run) string {
			return "host " + r.Vars["PVM_HOST_NAME"] + "\nlocal-hostname: " + r.Identity.Hostname + "\n"
		}})
		w.SetScenario("dpm", "bad", fake.Scenario{Output: told("what went wrong\n"), Fails: "what went wrong"})
		w.SetScenario("dpm", "endless", fake.Scenario{Output: told("begun\n"), Hangs: true})
		w.SetScenario("dpm", "loud", fake.Scenario{Output: told(strings.Repeat("a line of output\n", 1<<16) + "the end\n")})
		run := func(name string) drivers.Run {
			return drivers.Run{Name: name, Machine: "ph01", Vars: map[string]string{"PVM_HOST_NAME": "db01"}, Identity: drivers.Identity{Hostname: "db01"}}
		}
		return drivertest.DistributorWorld{
			Open: func(*testing.T) drivers.Distributor { return w.Distributor("dpm") },
			Well: run("well"), Bad: run("bad"), Endless: run("endless"), Loud: run("loud"), Missing: run("missing"), Offers: "well",
			Effects: func(_ *testing.T, r drivers.Run) int { return w.Count(fake.OpDistribute, r.Name+" "+r.Machine) },
			Pass:    w.Advance,
		}
	})
}

func TestRunsThatNobodyCanTellOf(t *testing.T) {
	w := fake.New(fake.Options{})
	w.AddScenario("dpm", "install")
	w.Delay(fake.OpDistribute, time.Hour)
	d, run := w.Distributor("dpm"), drivers.Run{Name: "install", Machine: "ph01"}
	call := func(token string) drivers.Call {
		return drivers.Call{Token: token, Deadline: w.Now().Add(time.Minute)}
	}
	hidden, err := d.Start(t.Context(), call("1"), run)
	if err != nil {
		t.Fatal(err)
	}
	w.HideRuns("dpm", true)
	for _, token := range []string{"1", "2"} {
		if _, err := d.Find(t.Context(), token, run); drivers.KindOf(err) != drivers.KindUnreachable {
			t.Errorf("run %s of a manager that is away: %v", token, err)
		}
	}
	if _, err := d.Task(t.Context(), hidden.ID); drivers.KindOf(err) != drivers.KindUnreachable {
		t.Errorf("the run of a manager that is away: %v", err)
	}
	w.HideRuns("dpm", false)
	w.Advance(2 * time.Hour)
	if now, err := d.Task(t.Context(), hidden.ID); err != nil || now.State != drivers.TaskDone {
		t.Errorf("it went on unseen and is %+v, %v", now, err)
	}
	lost, err := d.Start(t.Context(), call("3"), run)
	if err != nil {
		t.Fatal(err)
	}
	w.LoseRuns("dpm")
	if now, err := d.Task(t.Context(), lost.ID); err != nil || now.State != drivers.TaskUnknown {
		t.Errorf("what was lost is %+v, %v", now, err)
	}
	if _, err := d.Find(t.Context(), "3", run); drivers.KindOf(err) != drivers.KindUnknown {
		t.Errorf("what was lost is found: %v", err)
	}
	if n := w.Count(fake.OpDistribute, "install ph01"); n != 1 || len(w.Runs("dpm")) != 1 {
		t.Errorf("%d effects, want that of the first run", n)
	}
}

// What a run writes may depend on the world: the world isn't locked meanwhile.
func TestOutputMayUseTheWorld(t *testing.T) {
	w := fake.New(fake.Options{})
	w.SetScenario("d", "s", fake.Scenario{Output: func(drivers.Run) string { return w.Now().String() }})
	ctx := t.Context()
	task, err := w.Distributor("d").Start(ctx, drivers.Call{Token: "t"}, drivers.Run{Name: "s", Machine: "m"})
	if err != nil || task.Output == "" {
		t.Fatalf("%+v, %v", task, err)
	}
	if task, err = w.Distributor("d").Task(ctx, task.ID); err != nil || task.Output == "" {
		t.Errorf("%+v, %v", task, err)
	}
}
