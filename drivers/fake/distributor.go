package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"yagura/drivers"
)

// OpDistribute is the run of a scenario or script, in the ledger as
// "SOFTWARE MACHINE"; OpCancelRun is its end by force.
const (
	OpDistribute = "distribute"
	OpCancelRun  = "cancel-run"
)

// Operations of distributors that change nothing.
const (
	OpScenarios = "scenarios"
	OpFindRun   = "find-run"
	OpReadRun   = "read-run"
)

// Scenario says what a run of a scenario or script does. The zero value ends
// well at once, or after World.Delay(OpDistribute, d), and writes nothing.
type Scenario struct {
	Content time.Time                  // date of its content
	Output  func(r drivers.Run) string // what it writes; may be nil; it may use the world
	Fails   string                     // not empty: it takes effect, and ends badly with this text
	Hangs   bool                       // it never ends by itself
}

// distributor is one system that runs scenarios.
type distributor struct {
	scenarios map[string]Scenario
	ran       []drivers.Run
	lost      map[string]bool // tasks that nobody knows the end of
	hidden    map[string]bool // tasks whose manager is away
	away      bool            // that manager may have begun more
}

// AddScenario lets a system offer a scenario that ends well at once.
func (w *World) AddScenario(system, name string) { w.SetScenario(system, name, Scenario{}) }

// SetScenario lets a system offer a scenario and says what it does. Runs that
// bring a body along do what the scenario of their name does.
func (w *World) SetScenario(system, name string, s Scenario) {
	w.distributorKnob(system, func(d *distributor) { d.scenarios[name] = s })
}

// LoseRuns ends what is running without effect, and nobody learns how it ended.
func (w *World) LoseRuns(system string) {
	w.distributorKnob(system, func(d *distributor) {
		w.pending = slices.DeleteFunc(w.pending, func(t *task) bool {
			if t.system != system || t.op != OpDistribute {
				return false
			}
			d.lost[t.id] = true
			t.ended, t.err = true, t.errorf(drivers.KindUnknown, "it was lost")
			return true
		})
	})
}

// HideRuns takes the manager away that has begun all runs so far: they go on
// unseen, and nobody can tell what else it has begun. false brings it back.
func (w *World) HideRuns(system string, away bool) {
	w.distributorKnob(system, func(d *distributor) {
		clear(d.hidden)
		d.away = away
		for id, t := range w.tasks {
			if away && t.system == system && t.op == OpDistribute {
				d.hidden[id] = true
			}
		}
	})
}

// Runs are the runs that took effect, in the order of their ends.
func (w *World) Runs(system string) []drivers.Run {
	var out []drivers.Run
	w.distributorKnob(system, func(d *distributor) { out = slices.Clone(d.ran) })
	return out
}

// distributorKnob changes a system that runs scenarios; it exists from its first mention.
func (w *World) distributorKnob(system string, f func(*distributor)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	f(w.distributor(system))
}

// distributor is a system's state. The caller holds mu.
func (w *World) distributor(system string) *distributor {
	if w.distributors == nil {
		w.distributors = map[string]*distributor{}
	}
	d := w.distributors[system]
	if d == nil {
		d = &distributor{scenarios: map[string]Scenario{}, lost: map[string]bool{}, hidden: map[string]bool{}}
		w.distributors[system] = d
	}
	return d
}

// Distributor is one client's connection to a system that runs scenarios.
type Distributor struct {
	w      *World
	system string
}

var _ drivers.Distributor = (*Distributor)(nil)

// Distributor opens a client on a system that runs scenarios.
func (w *World) Distributor(system string) *Distributor { return &Distributor{w, system} }

// Scenarios implements drivers.Distributor.
func (d *Distributor) Scenarios(ctx context.Context) ([]drivers.Scenario, error) {
	var out []drivers.Scenario
	err := d.w.read(ctx, d.system, OpScenarios, "", func() error {
		for name, s := range d.w.distributor(d.system).scenarios {
			out = append(out, drivers.Scenario{Name: name, Content: s.Content})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b drivers.Scenario) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Start implements drivers.Distributor.
func (d *Distributor) Start(ctx context.Context, call drivers.Call, run drivers.Run) (drivers.Task, error) {
	w := d.w
	c := change{system: d.system, op: OpDistribute, object: run.Name + " " + run.Machine, call: call}
	what := w.scenarioOf(d.system, run)
	c.check = func() (bool, string, error) {
		if what == nil {
			return false, "", c.errorf(drivers.KindNotFound, "%s offers no such scenario", d.system)
		}
		return false, "", nil
	}
	c.begun = func() *task { return w.runOf(d.system, call.Token) }
	c.apply = func() string {
		own := w.distributor(d.system)
		own.ran = append(own.ran, run)
		return ""
	}
	c.failure = func() error {
		if what.Hangs {
			return c.errorf(drivers.KindFailed, "it was ended by force after %s", run.Limit())
		}
		if what.Fails != "" {
			return c.errorf(drivers.KindFailed, "%s", what.Fails)
		}
		return nil
	}
	if what != nil && what.Hangs {
		c.takes = run.Limit()
	}
	if what != nil && what.Output != nil {
		c.output = func() string { return what.Output(run) }
	}
	if _, err := w.run(ctx, c); err != nil {
		return drivers.Task{}, err
	}
	w.mu.Lock()
	t := w.runOf(d.system, call.Token)
	look := w.lookAtRun(t)
	w.mu.Unlock()
	return t.told(look), nil
}

// scenarioOf is what a run does; nil when there is no such scenario.
func (w *World) scenarioOf(system string, run drivers.Run) *Scenario {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := run.Object
	if name == "" {
		name = run.Name
	}
	s, ok := w.distributor(system).scenarios[name]
	if !ok && run.Body == "" {
		return nil
	}
	return &s
}

// runOf is the task of a run by its token. The caller holds mu.
func (w *World) runOf(system, token string) *task {
	for _, t := range w.tasks {
		if t.system == system && t.op == OpDistribute && t.call.Token == token {
			return t
		}
	}
	return nil
}

// lookAtRun is a run as its system shows it. The caller holds mu.
func (w *World) lookAtRun(t *task) drivers.Task {
	look := t.look(w.now())
	look.ID = t.id
	return look
}

// told adds what the run has written. The caller doesn't hold mu: the writer may use the world.
func (t *task) told(look drivers.Task) drivers.Task {
	if t.output != nil {
		look.Output = drivers.Newest(t.output())
	}
	return look
}

// Find implements drivers.Distributor.
func (d *Distributor) Find(ctx context.Context, token string, run drivers.Run) (string, error) {
	var id string
	object := run.Name + " " + run.Machine
	err := d.w.read(ctx, d.system, OpFindRun, object, func() error {
		own := d.w.distributor(d.system)
		t := d.w.runOf(d.system, token)
		switch {
		case t == nil && !own.away:
			return nil
		case t == nil || own.hidden[t.id]:
			return d.nobody(drivers.KindUnreachable, OpFindRun, object)
		case own.lost[t.id]:
			return d.nobody(drivers.KindUnknown, OpFindRun, object)
		}
		id = t.id
		return nil
	})
	return id, err
}

func (d *Distributor) nobody(k drivers.Kind, op, object string) error {
	return &drivers.Error{Kind: k, System: d.system, Op: op, Object: object, Err: errors.New("the manager that ran it can't be asked")}
}

// Task implements drivers.Distributor.
func (d *Distributor) Task(ctx context.Context, id string) (drivers.Task, error) {
	var out drivers.Task
	var run *task
	err := d.w.read(ctx, d.system, OpReadRun, id, func() error {
		t, own := d.w.tasks[id], d.w.distributor(d.system)
		switch {
		case t == nil || t.system != d.system || own.lost[id]:
			out = drivers.Task{ID: id, State: drivers.TaskUnknown}
		case own.hidden[id]:
			return d.nobody(drivers.KindUnreachable, OpReadRun, id)
		default:
			run, out = t, d.w.lookAtRun(t)
		}
		return nil
	})
	if err != nil {
		return drivers.Task{}, err
	}
	if run != nil {
		out = run.told(out)
	}
	return out, nil
}

// Cancel implements drivers.Distributor.
func (d *Distributor) Cancel(ctx context.Context, call drivers.Call, id string) error {
	w := d.w
	w.mu.Lock()
	t := w.tasks[id]
	w.mu.Unlock()
	if t == nil || t.system != d.system {
		return &drivers.Error{Kind: drivers.KindNotFound, System: d.system, Op: OpCancelRun, Object: id, Err: fmt.Errorf("there is no such run")}
	}
	c := change{system: d.system, op: OpCancelRun, object: t.object, call: call, supersedes: true}
	asked := false
	c.check = func() (bool, string, error) {
		over := t.ended && !asked // asked again it is over because of this very call
		asked = true
		return over, "", nil
	}
	c.apply = func() string { return "" }
	_, err := w.run(ctx, c)
	return err
}

// Close implements drivers.Distributor. The world has no sessions to end.
func (d *Distributor) Close(context.Context) error { return nil }
