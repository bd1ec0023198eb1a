package drivertest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"yagura/drivers"
)

// DistributorWorld is a system that runs scenarios or scripts under test.
// Every kind of software but Missing is run for one machine.
type DistributorWorld struct {
	// Open returns a new client, as another manager process would have it. The
	// suite closes it.
	Open func(t *testing.T) drivers.Distributor
	// Well ends well: it writes "host" and PVM_HOST_NAME in one line, and
	// "local-hostname: " and the host name of the identity in another.
	Well drivers.Run
	// Bad writes "what went wrong" last and ends badly.
	Bad drivers.Run
	// Endless writes "begun" and goes on until it is ended.
	Endless drivers.Run
	// Loud writes more than 1 MiB, "the end" last, and ends well.
	Loud drivers.Run
	// Missing is software that the system doesn't have.
	Missing drivers.Run
	// Offers is the name of a scenario that the system offers; empty: this kind offers none.
	Offers string
	// Effects counts how often software has been run.
	Effects func(t *testing.T, run drivers.Run) int
	// Alive tells whether a run of Endless is still at work.
	Alive func(t *testing.T) bool
	// Pass lets d pass, by the system's clock; nil: the suite waits.
	Pass func(d time.Duration)
}

// RunDistributor runs the suite. world makes a fresh world.
func RunDistributor(t *testing.T, world func(t *testing.T) DistributorWorld) {
	each(t, 5*patience, []test[*distributor]{
		{"Scenarios", testScenarios},
		{"RunsAndTells", testRunsAndTells},
		{"OneTokenRunsOnce", testOneTokenRunsOnce},
		{"Find", testFind},
		{"BadEnd", testBadEnd},
		{"AnotherClientTakesOver", testAnotherClientTakesOver},
		{"Cancel", testCancelRun},
		{"Timeout", testRunTimeout},
		{"OutputIsBounded", testOutputIsBounded},
		{"Refusals", testRunRefusals},
		{"ExpiredCallsDoNothing", testRunExpired},
		{"EndedContextDoesNothing", testRunEndedContext},
	}, func(t *testing.T, ctx context.Context) *distributor {
		s := &distributor{T: t, ctx: ctx, w: world(t)}
		s.d = s.open()
		return s
	})
}

// distributor is one running subtest.
type distributor struct {
	*testing.T
	ctx context.Context
	w   DistributorWorld
	d   drivers.Distributor
}

func (s *distributor) open() drivers.Distributor { return opened(s.ctx, s.T, s.w.Open) }

// start starts a run and wants an id to find it again.
func (s *distributor) start(token string, run drivers.Run) drivers.Task {
	s.Helper()
	task, err := s.d.Start(s.ctx, call(token), run)
	if err != nil {
		s.Fatalf("start of %s: %v", run.Name, err)
	}
	if task.ID == "" {
		s.Fatalf("the run of %s has no id: %+v", run.Name, task)
	}
	return task
}

// end waits until a run has ended and returns its last look.
func (s *distributor) end(d drivers.Distributor, id string) drivers.Task {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 3*patience)
	defer cancel()
	last, err := drivers.AwaitTask(ctx, d, id, 10*pause)
	if err != nil {
		s.Fatalf("waiting for run %s: %v", id, err)
	}
	return last
}

func (s *distributor) task(d drivers.Distributor, id string) drivers.Task {
	s.Helper()
	task, err := d.Task(s.ctx, id)
	if err != nil {
		s.Fatalf("run %s: %v", id, err)
	}
	return task
}

func (s *distributor) effects(n int, run drivers.Run) {
	s.Helper()
	if got := s.w.Effects(s.T, run); got != n {
		s.Fatalf("%s was run %d times, want %d", run.Name, got, n)
	}
}

func (s *distributor) fails(k drivers.Kind, what string, err error) {
	s.Helper()
	if err == nil || drivers.KindOf(err) != k {
		s.Fatalf("%s: %v, want %s", what, err, k)
	}
}

func (s *distributor) gone() {
	s.Helper()
	if s.w.Alive != nil {
		waitFor(s.T, s.ctx, "the end of what was ended by force", func() bool { return !s.w.Alive(s.T) })
	}
}

func testScenarios(s *distributor) {
	list, err := s.d.Scenarios(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	if s.w.Offers == "" {
		if len(list) > 0 {
			s.Fatalf("it offers %v, want nothing", list)
		}
		return
	}
	if !slices.ContainsFunc(list, func(x drivers.Scenario) bool { return x.Name == s.w.Offers }) {
		s.Fatalf("it offers %v, want %s among them", list, s.w.Offers)
	}
}

func testRunsAndTells(s *distributor) {
	last := s.end(s.d, s.start("1", s.w.Well).ID)
	if last.State != drivers.TaskDone || last.Err != nil {
		s.Fatalf("it ended as %+v", last)
	}
	for _, want := range []string{"host " + s.w.Well.Vars["PVM_HOST_NAME"], "local-hostname: " + s.w.Well.Identity.Hostname} {
		if !strings.Contains(last.Output, want) {
			s.Fatalf("its output has no %q in it: %s", want, last.Output)
		}
	}
	s.effects(1, s.w.Well)
}

func testOneTokenRunsOnce(s *distributor) {
	first := s.start("1", s.w.Well)
	s.end(s.d, first.ID)
	other := s.open()
	for _, d := range []drivers.Distributor{s.d, other} {
		again, err := d.Start(s.ctx, call("1"), s.w.Well)
		if err != nil || again.ID != first.ID || again.State != drivers.TaskDone {
			s.Fatalf("asked for again by the same token it is %+v, %v; want run %s, done", again, err, first.ID)
		}
	}
	s.effects(1, s.w.Well)
	s.end(s.d, s.start("2", s.w.Well).ID)
	s.effects(2, s.w.Well)
}

func testFind(s *distributor) {
	if id, err := s.d.Find(s.ctx, "1", s.w.Well); id != "" || err != nil {
		s.Fatalf("a run that never was is found as %q, %v", id, err)
	}
	task := s.start("1", s.w.Well)
	s.end(s.d, task.ID)
	other := s.open()
	if id, err := other.Find(s.ctx, "1", s.w.Well); id != task.ID || err != nil {
		s.Fatalf("run %s is found as %q, %v", task.ID, id, err)
	}
	if id, err := other.Find(s.ctx, "2", s.w.Well); id != "" || err != nil {
		s.Fatalf("the run of another token is found as %q, %v", id, err)
	}
	if unknown := s.task(s.d, "0"+task.ID); unknown.State != drivers.TaskUnknown {
		s.Fatalf("a run that never was is %+v", unknown)
	}
}

func testBadEnd(s *distributor) {
	last := s.end(s.d, s.start("1", s.w.Bad).ID)
	if last.State != drivers.TaskFailed {
		s.Fatalf("it ended as %+v", last)
	}
	s.fails(drivers.KindFailed, "a run that ends badly", last.Err)
	if !strings.Contains(last.Err.Error(), "what went wrong") {
		s.Fatalf("the error doesn't say what went wrong: %v", last.Err)
	}
	again, err := s.d.Start(s.ctx, call("1"), s.w.Bad)
	if err != nil || again.State != drivers.TaskFailed {
		s.Fatalf("asked for again by the same token it is %+v, %v", again, err)
	}
	s.effects(1, s.w.Bad)
}

// endless starts a run that doesn't end, and waits until it is at work.
func (s *distributor) endless(token string) drivers.Task {
	s.Helper()
	task := s.start(token, s.w.Endless)
	waitFor(s.T, s.ctx, "its output while it runs", func() bool {
		look := s.task(s.d, task.ID)
		if look.State != drivers.TaskRunning {
			s.Fatalf("it ended as %+v", look)
		}
		return strings.Contains(look.Output, "begun")
	})
	return task
}

func testAnotherClientTakesOver(s *distributor) {
	first := s.w.Open(s.T)
	task, err := first.Start(s.ctx, call("1"), s.w.Endless)
	if err != nil {
		s.Fatal(err)
	}
	if err := first.Close(s.ctx); err != nil {
		s.Fatal(err)
	}
	if id, err := s.d.Find(s.ctx, "1", s.w.Endless); id != task.ID || err != nil {
		s.Fatalf("run %s is found as %q, %v", task.ID, id, err)
	}
	waitFor(s.T, s.ctx, "its output", func() bool { return strings.Contains(s.task(s.d, task.ID).Output, "begun") })
	again, err := s.d.Start(s.ctx, call("1"), s.w.Endless)
	if err != nil || again.ID != task.ID || again.State != drivers.TaskRunning {
		s.Fatalf("asked for again by the same token it is %+v, %v", again, err)
	}
	if err := s.d.Cancel(s.ctx, call("c"), task.ID); err != nil {
		s.Fatal(err)
	}
	s.end(s.d, task.ID)
	s.gone()
}

func testCancelRun(s *distributor) {
	task := s.endless("1")
	for range 2 {
		if err := s.d.Cancel(s.ctx, call("c"), task.ID); err != nil {
			s.Fatal(err)
		}
	}
	if last := s.end(s.d, task.ID); last.State != drivers.TaskFailed {
		s.Fatalf("ended by force it is %+v", last)
	}
	s.gone()
	well := s.start("2", s.w.Well)
	s.end(s.d, well.ID)
	if err := s.d.Cancel(s.ctx, call("c"), well.ID); err != nil {
		s.Fatal(err)
	}
	if last := s.task(s.d, well.ID); last.State != drivers.TaskDone {
		s.Fatalf("what had ended is %+v after a cancel", last)
	}
	s.fails(drivers.KindNotFound, "the cancel of a run that never was", s.d.Cancel(s.ctx, call("c"), "0"+well.ID))
}

func testRunTimeout(s *distributor) {
	run := s.w.Endless
	run.Timeout = 2 * time.Second
	task := s.start("1", run)
	if s.w.Pass != nil {
		s.w.Pass(run.Timeout + time.Second)
	}
	last := s.end(s.d, task.ID)
	if last.State != drivers.TaskFailed {
		s.Fatalf("it ended as %+v", last)
	}
	s.fails(drivers.KindFailed, "a run that takes too long", last.Err)
	if !strings.Contains(last.Err.Error(), "2s") {
		s.Fatalf("the error doesn't say how long it had: %v", last.Err)
	}
	s.gone()
}

func testOutputIsBounded(s *distributor) {
	last := s.end(s.d, s.start("1", s.w.Loud).ID)
	if last.State != drivers.TaskDone || len(last.Output) > drivers.MaxOutput || !strings.Contains(last.Output, "the end") {
		s.Fatalf("it ended as %s with %d bytes of output: %v", last.State, len(last.Output), last.Err)
	}
}

func testRunRefusals(s *distributor) {
	_, err := s.d.Start(s.ctx, call("1"), s.w.Missing)
	s.fails(drivers.KindNotFound, "a run of what isn't there", err)
	if id, err := s.d.Find(s.ctx, "1", s.w.Missing); id != "" || err != nil {
		s.Fatalf("it is found as %q, %v", id, err)
	}
}

func testRunExpired(s *distributor) {
	_, err := s.d.Start(s.ctx, late("1"), s.w.Well)
	s.fails(drivers.KindExpired, "a start after the deadline", err)
	task := s.endless("2")
	s.fails(drivers.KindExpired, "a cancel after the deadline", s.d.Cancel(s.ctx, late("3"), task.ID))
	if now := s.task(s.d, task.ID); now.State != drivers.TaskRunning {
		s.Fatalf("it is %+v", now)
	}
	if err := s.d.Cancel(s.ctx, call("4"), task.ID); err != nil {
		s.Fatal(err)
	}
	s.end(s.d, task.ID)
	s.effects(0, s.w.Well)
}

func testRunEndedContext(s *distributor) {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	_, err := s.d.Start(ctx, call("1"), s.w.Well)
	s.fails(drivers.KindUnreachable, "a start without a context", err)
	s.effects(0, s.w.Well)
}
