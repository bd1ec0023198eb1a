package schedulertest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
)

// Case is one run of an action sequence.
type Case struct {
	// Setup prepares rows and world; may be nil.
	Setup func(r *Rig)
	// Request queues the job.
	Request func(tx *fsm.Tx) ([]string, error)
	// State is how the job ends; empty: succeeded.
	State string
	// MayRepeat allows that an effect takes place twice on one object, such as
	// a power-on of a VM that the sequence itself switches off.
	MayRepeat bool
}

// point is a moment at which a manager dies.
type point struct {
	call  bool // at a call to another system, else at a commit
	n     int  // the n-th one of the run, from 1
	after bool // once it has taken effect, before the manager learns it
}

func (p point) String() string {
	what, when := "commit", "before"
	if p.call {
		what = "call"
	}
	if p.after {
		when = "after"
	}
	return fmt.Sprintf("%s-%s-%d", when, what, p.n)
}

// CrashEverywhere runs a sequence once and counts its commits and its calls to
// other systems. Then it runs it again for each of these moments, kills the
// manager right before and right after it, and lets another manager go on. Each
// time the world, the ledger of its effects and the rows must end as in the
// first run, no effect may have taken place twice, and the replicas be equal.
func CrashEverywhere(t *testing.T, c Case) {
	t.Helper()
	if c.State == "" {
		c.State = schema.JobSucceeded
	}
	var want string
	var commits, calls int
	ok := t.Run("undisturbed", func(t *testing.T) {
		k := newKiller(t, c, point{})
		want = k.finish()
		commits, calls = k.commits, k.calls
	})
	if !ok {
		return
	}
	if commits < 1 {
		t.Fatalf("the sequence took %d commits: there is nothing to disturb", commits)
	}
	t.Logf("%d commits, %d calls", commits, calls)
	for _, call := range []bool{false, true} {
		last := commits
		if call {
			last = calls
		}
		for n := 1; n <= last; n++ {
			for _, after := range []bool{false, true} {
				p := point{call, n, after}
				t.Run(p.String(), func(t *testing.T) {
					k := newKiller(t, c, p)
					if got := k.finish(); got != want {
						t.Errorf("killed %s (%s), it ends as\n%s\nwant\n%s\n%s", p, k.where, got, want, k.rig.Dump())
					}
				})
			}
		}
	}
}

// killer runs a case and kills the manager at one point.
type killer struct {
	t    *testing.T
	c    Case
	rig  *Rig
	at   point
	jobs []string

	mu      sync.Mutex // guards all below
	on      bool       // commits and calls count
	commits int
	calls   int
	killed  bool
	where   string // what was killed
}

var errKilled = errors.New("the manager was killed")

func newKiller(t *testing.T, c Case, at point) *killer {
	t.Helper()
	k := &killer{t: t, c: c, rig: New(t), at: at}
	if c.Setup != nil {
		c.Setup(k.rig)
	}
	k.jobs = k.rig.Queue(c.Request)
	k.rig.World.ResetLedger()
	k.rig.Cluster.Store().SetProposer(k)
	k.rig.World.OnCall(k.call)
	return k
}

// finish runs the case to its end, under a second manager once the first one
// is dead, and returns how everything is then.
func (k *killer) finish() string {
	k.t.Helper()
	k.set(true)
	k.rig.Start()
	done := func(v *fsm.View) bool {
		for _, id := range k.jobs {
			j, ok := fsm.Jobs.Get(v, fsm.NumberKey(id))
			if !ok || !schema.JobEnded(j.State) {
				return false
			}
		}
		return true
	}
	k.rig.Until("the end, or death", func(v *fsm.View) bool { return k.dead() || done(v) })
	k.rig.Stop()
	k.set(false)
	if k.at.n > 0 && !k.dead() {
		k.t.Logf("the run had fewer steps this time: nobody was killed")
	}
	k.rig.Start()
	k.rig.Until("the end under the second manager", done)
	k.rig.Stop()
	k.rig.World.OnCall(nil)
	for _, id := range k.jobs {
		if j := k.rig.Job(id); j.State != k.c.State {
			k.t.Fatalf("killed %s: job %s is %s, want %s: %s\n%s", k.at, id, j.State, k.c.State, j.Error, k.rig.Dump())
		}
	}
	if again := k.rig.World.Repeated(); len(again) > 0 && !k.c.MayRepeat {
		k.t.Errorf("killed %s (%s): done twice: %v", k.at, k.where, again)
	}
	if v := k.rig.World.Violations(); len(v) > 0 {
		k.t.Errorf("killed %s (%s): %v", k.at, k.where, v)
	}
	if d := Doubles(k.rig.World.Ledger()); len(d) > 0 {
		k.t.Errorf("killed %s (%s): %v", k.at, k.where, d)
	}
	k.rig.Cluster.Check()
	return k.rig.Fingerprint()
}

func (k *killer) set(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.on = on
}

func (k *killer) dead() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.killed
}

// reach counts a commit or call, and kills the manager if it is the one. It
// tells whether the manager is dead.
func (k *killer) reach(call, after bool, where string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.on {
		return false
	}
	if k.killed {
		return true
	}
	count := &k.commits
	if call {
		count = &k.calls
	}
	if !after {
		*count++
	}
	if k.at.n == *count && k.at.call == call && k.at.after == after {
		k.killed, k.where = true, where
		k.rig.Kill()
	}
	return k.killed
}

// call is the world's hook.
func (k *killer) call(op, object string, phase fake.Phase) error {
	if k.reach(true, phase == fake.After, op+" "+object) {
		return &drivers.Error{Kind: drivers.KindUnknown, System: "test", Op: op, Object: object, Err: errKilled}
	}
	return nil
}

// Leading implements fsm.Proposer.
func (k *killer) Leading() (uint64, error) { return k.rig.Cluster.Leading() }

// Confirm implements fsm.Proposer.
func (k *killer) Confirm() error { return k.rig.Cluster.Confirm() }

// Propose implements fsm.Proposer.
func (k *killer) Propose(data []byte) (uint64, any, error) {
	if k.reach(false, false, "commit") {
		return 0, nil, schema.Errorf(schema.KindNoLeader, "manager", "%v", errKilled)
	}
	index, resp, err := k.rig.Cluster.Propose(data)
	if err == nil && k.reach(false, true, "commit") {
		return 0, nil, schema.Errorf(schema.KindOutcomeUnknown, "manager", "%v", errKilled)
	}
	return index, resp, err
}

// Fingerprint is the world, its ledger and the rows that matter, as text
// without times and without who did it.
func (r *Rig) Fingerprint() string {
	r.T.Helper()
	var out []string
	inv, err := r.World.Hypervisor().Inventory(r.T.Context())
	if err != nil {
		r.T.Fatal(err)
	}
	for _, v := range inv.VMs {
		out = append(out, fmt.Sprintf("world: VM %s on %s %s %v %s", v.Name, v.Server, v.Power, v.Datastores, v.UUID))
	}
	for _, s := range inv.Servers {
		out = append(out, fmt.Sprintf("world: VM server %s connected %v power %s", s.Name, s.Connected, s.Power))
	}
	out = append(out, r.physicalState()...)
	for _, e := range r.World.Ledger() {
		out = append(out, fmt.Sprintf("ledger: %s %s %s %s", e.System, e.Op, e.Object, e.Result))
	}
	v := r.Rows()
	for m := range fsm.Machines.All(v) {
		m = proto.Clone(m).(*schema.Machine)
		m.Collected, m.Moved, m.Switched, m.Replaced = nil, nil, nil, nil
		if m.Monitored != nil {
			m.Monitored = &timestamppb.Timestamp{} // that it is
		}
		for _, d := range m.Distributed {
			d.Time = nil
		}
		out = append(out, "machine: "+text(m))
	}
	for h := range fsm.Hosts.All(v) {
		out = append(out, "host: "+h.Group+"/"+h.Name+" "+h.Machine)
	}
	for l := range fsm.Locks.All(v) {
		out = append(out, "lock: "+l.Object+" "+l.Job)
	}
	for j := range fsm.Jobs.All(v) {
		out = append(out, fmt.Sprintf("job: %s %s %d%% %s %s", j.Id, j.State, j.Progress, j.Error, j.Result))
		for _, s := range fsm.StepsOf(v, j.Id) {
			out = append(out, fmt.Sprintf("step: %s/%02d %s %s %s %s %s", j.Id, s.Number, s.Name, s.Target, s.State, s.Skipped, s.UndoState))
		}
	}
	for e := range fsm.Events.All(v) {
		out = append(out, fmt.Sprintf("event: %s %s %s %s", e.EventId, e.Phase, e.Target, e.Text))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func text(m proto.Message) string {
	b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(b), " ", "") // protojson varies its spaces on purpose
}
