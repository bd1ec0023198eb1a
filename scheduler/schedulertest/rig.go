// Package schedulertest runs action sequences against the simulated world: a
// rig of a configuration database with three replicas, the demo world of
// package fake, and schedulers that a test starts, kills and starts again.
package schedulertest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/planning"
	"yagura/fsm/schema"
	"yagura/scheduler"
	"yagura/scheduler/sequence"
)

// Subsystem is the name of the rig's hypervisor manager.
const Subsystem = fake.DefaultSystem

// Rig is one controller and its world.
type Rig struct {
	T       testing.TB
	Cluster *fsmtest.Cluster
	World   *fake.World
	Clock   *Clock
	// Follow lets schedulers follow the subsystems and measure loads.
	Follow bool
	// Others are further managers of VM servers, by the names of their subsystems.
	Others map[string]*fake.World
	// Unknown is a balancer's subsystem that schedulers which start from then on don't know.
	Unknown string
	// Meter is what the schedulers know of loads.
	Meter *planning.Meter
	// Notifiers sends notices; nil: they wait.
	Notifiers scheduler.Notifiers

	nodes int

	mu      sync.Mutex // guards running: Kill comes from hooks
	running *Running
}

// New makes a rig with the demo world and inventory. No scheduler runs yet.
func New(t testing.TB) *Rig {
	t.Helper()
	r := &Rig{T: t, Cluster: fsmtest.New(t), Clock: NewClock(), Meter: new(planning.Meter)}
	r.World = fake.Demo(fake.Options{Clock: r.Clock.Now})
	physicalWorld(r.World)
	r.Cluster.Do(func(tx *fsm.Tx) error { return demoRows(tx, r.World) })
	t.Cleanup(r.Stop)
	return r
}

// demoRows are the groups of the demo and what a collection finds.
func demoRows(tx *fsm.Tx, w *fake.World) error {
	inv, err := w.Hypervisor().Inventory(context.Background())
	if err != nil {
		return err
	}
	return firstError(
		fsm.SettingsTable.Put(tx, &schema.Settings{Key: schema.SettingsKey, Cluster: "test"}),
		fsm.Categories.Put(tx, &schema.Category{Path: "infra"}),
		fsm.Categories.Put(tx, &schema.Category{Path: "shop"}),
		fsm.Groups.Put(tx, &schema.Group{Name: "vmservers", Category: "infra", Kind: schema.MachineVMServer}),
		fsm.Models.Put(tx, &schema.Model{Group: "vmservers", Name: "esx", Kind: schema.MachineVMServer, Capacity: 200}),
		fsm.Groups.Put(tx, &schema.Group{Name: "web", Category: "shop", Kind: schema.MachineVM}),
		fsm.Models.Put(tx, &schema.Model{Group: "web", Name: "web-vm", Kind: schema.MachineVM, Cost: 10, Template: "tmpl-web", OptimalStart: true, VmServerModel: "vmservers/esx"}),
		fsm.SoftwareItems.Put(tx, &schema.Software{Name: "tmpl-web", Kind: schema.SoftwareTemplate, Subsystem: Subsystem}),
		fsm.Subsystems.Put(tx, &schema.Subsystem{Name: Subsystem, Kind: "vcenter", Address: "https://127.0.0.1", AutoManage: true}),
		collected(tx, inv),
		enterAll(tx, inv),
		fsm.Hosts.Put(tx, &schema.Host{Group: "web", Name: "web20", Nics: []*schema.HostNIC{{Addresses: []*schema.Address{{Ip: "192.0.2.120", Prefix: 24}}}}}),
		fsm.Hosts.Put(tx, &schema.Host{Group: "web", Name: "web21"}),
		physicalRows(tx),
	)
}

func collected(tx *fsm.Tx, inv *drivers.Inventory) error {
	problems, err := fsm.Collected(tx, Subsystem, sequence.MachinesOf(Subsystem, inv), fsm.Complete)
	if len(problems) > 0 {
		return fmt.Errorf("collection: %v", problems)
	}
	return err
}

// enterAll makes the VM servers and the web VMs run in their groups, each
// under a host setting of its own name.
func enterAll(tx *fsm.Tx, inv *drivers.Inventory) error {
	for _, s := range inv.Servers {
		if err := enter(tx, "vmservers", s.Name); err != nil {
			return err
		}
		m, _ := fsm.Machines.Edit(tx, s.Name)
		m.Bmc = &schema.Bmc{Kind: "redfish", Address: "https://bmc-" + s.Name + ".example"}
		if err := fsm.Machines.Put(tx, m); err != nil {
			return err
		}
	}
	for _, v := range inv.VMs {
		if v.Template || v.Name == "spare01" {
			continue
		}
		if err := enter(tx, "web", v.Name); err != nil {
			return err
		}
	}
	return nil
}

func enter(tx *fsm.Tx, group, name string) error {
	return firstError(
		fsm.Hosts.Put(tx, &schema.Host{Group: group, Name: name}),
		fsm.Activate(tx, fsm.Activation{Machine: name, Group: group, Host: name}),
	)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// clients are one manager's connections to the world, and to other worlds.
type clients struct {
	w       *fake.World
	rows    *fsm.Store
	others  map[string]*fake.World
	unknown string // balancer's subsystem that is gone
}

var _ sequence.Drivers = clients{}

func (c clients) Hypervisor(_ context.Context, subsystem string) (drivers.Hypervisor, error) {
	if w := c.others[subsystem]; w != nil {
		return w.Hypervisor(), nil
	}
	if subsystem != Subsystem {
		return nil, &drivers.Error{Kind: drivers.KindNotFound, System: subsystem, Op: "connect", Object: subsystem, Err: fmt.Errorf("no such subsystem")}
	}
	return c.w.Hypervisor(), nil
}

func (c clients) Power(context.Context, string) (drivers.Power, error) {
	rows := c.rows.View()
	return c.w.PowerOf(func(machine string) string {
		m, _ := fsm.Machines.Get(rows, machine)
		return m.GetUuid()
	}), nil
}

func (c clients) Hardware(context.Context, string) (drivers.Hardware, error) {
	return c.w.Hardware(), nil
}

func (c clients) Switch(_ context.Context, subsystem string) (drivers.Switch, error) {
	return only[drivers.Switch](SwitchSystem, subsystem, c.w.Switch(subsystem))
}

func (c clients) Balancer(_ context.Context, subsystem string) (drivers.Balancer, error) {
	if subsystem == c.unknown {
		return nil, &drivers.Error{Kind: drivers.KindNotFound, System: subsystem, Op: "connect", Object: subsystem, Err: fmt.Errorf("no such subsystem")}
	}
	return only[drivers.Balancer](BalancerSystem, subsystem, c.w.Balancer(subsystem))
}

func (c clients) Storage(_ context.Context, subsystem string) (drivers.Storage, error) {
	return only[drivers.Storage](ArraySystem, subsystem, c.w.Array(subsystem))
}

func (c clients) Distributor(_ context.Context, subsystem string) (drivers.Distributor, error) {
	return only[drivers.Distributor](DistSystem, subsystem, c.w.Distributor(subsystem))
}

// only gives the driver of a subsystem that is of its kind.
func only[T any](has, subsystem string, driver T) (T, error) {
	if subsystem != has {
		var none T
		return none, &drivers.Error{Kind: drivers.KindUnsupported, System: subsystem, Op: "connect", Object: subsystem, Err: fmt.Errorf("it is of another kind")}
	}
	return driver, nil
}

// Running is one scheduler in one term.
type Running struct {
	Node   string
	cancel context.CancelFunc
	ended  chan struct{}
}

// Start lets a manager, a new one each time, lead in a new term.
func (r *Rig) Start() *Running {
	r.T.Helper()
	r.Stop()
	r.nodes++
	run := &Running{Node: fmt.Sprintf("node%d", r.nodes), ended: make(chan struct{})}
	var ctx context.Context
	ctx, run.cancel = context.WithCancel(context.Background())
	term := r.Cluster.NewTerm()
	s := scheduler.New(scheduler.Config{
		Store: r.Cluster.Store(), Drivers: clients{r.World, r.Cluster.Store(), r.Others, r.Unknown}, Notifiers: r.Notifiers, Node: run.Node, Clock: r.Clock, NoFollow: !r.Follow, Meter: r.Meter,
		Log: slog.New(slog.NewTextHandler(testWriter{r.T}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	r.exchange(run)
	go func() { // Stop waits for it
		defer close(run.ended)
		if err := s.Run(ctx, term); err != nil {
			r.T.Errorf("scheduler: %v", err)
		}
	}()
	return run
}

// exchange puts another scheduler in the place of the running one, which it returns.
func (r *Rig) exchange(run *Running) *Running {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.running
	r.running = run
	return old
}

// Stop ends the running scheduler and waits for it.
func (r *Rig) Stop() {
	if run := r.exchange(nil); run != nil {
		run.Resume()
	}
}

// Pause lets the running scheduler lose its leadership without noticing, as a
// process that is stopped does, and returns it; Resume ends it.
func (r *Rig) Pause() *Running { return r.exchange(nil) }

// Resume lets a paused scheduler notice what it has missed, and waits for its end.
func (run *Running) Resume() {
	run.cancel()
	<-run.ended
}

// Kill ends the running scheduler's leadership at once, without waiting: it is
// for hooks, which run inside of its calls.
func (r *Rig) Kill() {
	r.Cluster.StepDown()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running != nil {
		r.running.cancel()
	}
}

// Queue runs a request verb and returns the ids of its jobs.
func (r *Rig) Queue(request func(tx *fsm.Tx) ([]string, error)) []string {
	r.T.Helper()
	var ids []string
	r.Cluster.Do(func(tx *fsm.Tx) error {
		var err error
		ids, err = request(tx)
		return err
	})
	return ids
}

// Rows is the current state.
func (r *Rig) Rows() *fsm.View { return r.Cluster.Store().View() }

// Job is a job's row.
func (r *Rig) Job(id string) *schema.Job {
	r.T.Helper()
	j, err := fsm.JobRow(r.Rows(), id)
	if err != nil {
		r.T.Fatal(err)
	}
	return j
}

// Machine is a machine's row; nil when there is none.
func (r *Rig) Machine(name string) *schema.Machine {
	m, _ := fsm.Machines.Get(r.Rows(), name)
	return m
}

// Until waits until cond holds over the rows, moving the clock on when nothing
// happens. The test fails when it takes too long.
func (r *Rig) Until(what string, cond func(v *fsm.View) bool) {
	r.T.Helper()
	if !r.until(cond) {
		r.T.Fatalf("waited in vain for %s\n%s", what, r.Dump())
	}
}

// idle is the real time without any change of rows after which the clock
// moves on, and patience the bound of all waiting.
const (
	idle     = time.Millisecond
	patience = 20 * time.Second
)

func (r *Rig) until(cond func(v *fsm.View) bool) bool {
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		changed := r.Cluster.Store().Watch()
		if cond(r.Rows()) {
			return true
		}
		still := time.NewTimer(idle)
		select {
		case <-changed:
		case <-still.C:
			r.Clock.Next()
		case <-end.C:
			still.Stop()
			return false
		}
		still.Stop()
	}
}

// Wait waits until a job has ended or is parked, and returns it.
func (r *Rig) Wait(id string) *schema.Job {
	r.T.Helper()
	r.Until("the end of job "+id, func(v *fsm.View) bool {
		j, ok := fsm.Jobs.Get(v, fsm.NumberKey(id))
		return ok && (schema.JobEnded(j.State) || j.State == schema.JobParked)
	})
	return r.Job(id)
}

// MustSucceed waits for jobs and fails the test unless they succeed.
func (r *Rig) MustSucceed(ids ...string) {
	r.T.Helper()
	for _, id := range ids {
		if j := r.Wait(id); j.State != schema.JobSucceeded {
			r.T.Fatalf("job %s is %s: %s %s\n%s", id, j.State, j.Error, j.Parked, r.Dump())
		}
	}
}

// Dump is jobs, steps and ledger as text, for failures.
func (r *Rig) Dump() string {
	v := r.Rows()
	out := ""
	for j := range fsm.Jobs.All(v) {
		out += fmt.Sprintf("job %s %s %s %d%% by %s term %d waiting=%q parked=%q error=%q result=%q\n", j.Id, j.Sequence, j.State, j.Progress, j.Manager, j.Term, j.Waiting, j.Parked, j.Error, j.Result)
		for _, l := range j.Log {
			out += "    " + l + "\n"
		}
		for _, s := range fsm.StepsOf(v, j.Id) {
			out += fmt.Sprintf("  %2d.%d %-22s %-8s %-8s try %d by %s %s%s%s undo=%s%s\n", s.Number, s.Lane, s.Name, s.Target, s.State, s.Attempt, s.Manager, s.Error, s.Skipped, s.Handle, s.UndoState, s.UndoError)
		}
	}
	for _, e := range r.World.Ledger() {
		out += fmt.Sprintf("ledger %s %s %s %s\n", e.System, e.Op, e.Object, e.Result)
	}
	return out
}

// testWriter sends a log to the test. An error in it is a defect: what goes
// wrong outside is a warning.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("level=ERROR")) {
		w.t.Errorf("%s", p)
	} else {
		w.t.Logf("%s", p)
	}
	return len(p), nil
}
