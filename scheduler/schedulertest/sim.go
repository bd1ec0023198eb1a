package schedulertest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"yagura/drivers"
	"yagura/drivers/fake"
	"yagura/fsm"
	"yagura/fsm/schema"
	"yagura/scheduler/sequence"
)

// Sim drives the controller through a random course of operations, faults,
// dying VM servers, cancellations and dying managers. The seed decides on the
// course; what runs side by side may still interleave differently. In the end
// everything is made well again, and must come to rest: all jobs over, no lock
// left, each step's effect in the ledger at most once, no VM started twice, the
// rows in step with the world, the replicas equal.
func Sim(t *testing.T, seed uint64) {
	t.Helper()
	s := &sim{t: t, r: New(t), rng: rand.New(rand.NewPCG(seed, 1)), physical: seed%2 == 1}
	s.r.Follow = true
	s.r.World.AddVolume(ArraySystem, "vol-db03")
	s.r.Cluster.Do(func(tx *fsm.Tx) error { return fsm.Hosts.Put(tx, host("db", "db03", 3)) })
	s.r.Cluster.Store().SetProposer(s)
	s.r.World.OnCall(func(op, object string, phase fake.Phase) error {
		if s.strike(200) {
			return &drivers.Error{Kind: drivers.KindUnknown, System: "test", Op: op, Object: object, Err: errKilled}
		}
		return nil
	})
	s.r.Start()
	for range 40 {
		s.act()
		s.live(s.n(30))
	}
	s.rest()
	s.check()
}

type sim struct {
	t        *testing.T
	r        *Rig
	physical bool // the course is about physical machines alone

	mu    sync.Mutex // guards the rest
	rng   *rand.Rand
	calm  bool // nobody dies any more
	dead  bool
	downs []string
}

func (s *sim) n(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

// strike kills the manager in one of so many cases, and tells whether it is dead.
func (s *sim) strike(oneIn int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.calm && !s.dead && s.rng.IntN(oneIn) == 0 {
		s.dead = true
		s.r.Kill()
	}
	return s.dead
}

// Leading implements fsm.Proposer.
func (s *sim) Leading() (uint64, error) { return s.r.Cluster.Leading() }

// Confirm implements fsm.Proposer.
func (s *sim) Confirm() error { return s.r.Cluster.Confirm() }

// Propose implements fsm.Proposer.
func (s *sim) Propose(data []byte) (uint64, any, error) {
	if s.strike(200) {
		return 0, nil, schema.Errorf(schema.KindNoLeader, "manager", "%v", errKilled)
	}
	i, resp, err := s.r.Cluster.Propose(data)
	if err == nil && s.strike(200) {
		return 0, nil, schema.Errorf(schema.KindOutcomeUnknown, "manager", "%v", errKilled)
	}
	return i, resp, err
}

// revive lets the next manager lead when the last one is dead.
func (s *sim) revive() {
	s.mu.Lock()
	dead := s.dead
	s.dead = false
	s.mu.Unlock()
	if dead {
		s.r.Start()
	}
}

// live lets some time pass.
func (s *sim) live(rounds int) {
	for range rounds {
		s.revive()
		changed := s.r.Cluster.Store().Watch()
		still := time.NewTimer(idle)
		select {
		case <-changed:
		case <-still.C:
			s.r.Clock.Next()
		}
		still.Stop()
	}
}

var (
	simOps    = []string{fake.OpVLANAdd, fake.OpVLANRemove, fake.OpLBAdd, fake.OpLBRemove, fake.OpConnect, fake.OpDisconnect, fake.OpDistribute, "host-power-on", "host-shutdown", "power-on", "shutdown", "reboot", "suspend", "migrate", "register", "clone", "destroy", fake.OpReadVM, fake.OpReadTask, fake.OpReadPower}
	simModes  = []fake.Mode{fake.FailBefore, fake.FailAfter, fake.FailTask, fake.Slow}
	simServer = []string{"esx01", "esx02", "esx03", "esx04"}
)

// act does one random thing.
func (s *sim) act() {
	host := fmt.Sprintf("web%02d", s.n(12)+1)
	server := simServer[s.n(len(simServer))]
	s.revive()
	what := s.n(18)
	if s.physical {
		what = 9 + s.n(9)
	}
	switch what {
	case 0, 1:
		op := []string{"poweron", "shutdown", "reboot", "suspend", "poweroff", "reset"}[s.n(6)]
		s.request(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestPower(tx, op, "web", []string{host}) })
	case 2, 3:
		s.request(func(tx *fsm.Tx) ([]string, error) {
			return fsm.RequestMigrateVM(tx, fsm.MigrateVM{Group: "web", Host: host, VMServer: server, Move: len(server)%2 == 0})
		})
	case 4:
		name := fmt.Sprintf("web%02d", 20+s.n(4))
		s.request(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestAddVM(tx, fsm.AddVM{Group: "web", VM: name}) })
	case 5:
		keep := s.n(2) == 0
		s.request(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestDeleteVM(tx, "web", host, keep) })
	case 6:
		failover := s.n(2) == 0
		s.request(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestEvacuate(tx, server, failover) })
	case 7:
		if len(s.downs) < 2 {
			s.downs = append(s.downs, server)
			switch s.n(4) {
			case 0:
				s.r.World.HostIsolated(server) // its VMs run on: they mustn't be started elsewhere before it is off
			case 1:
				s.r.World.HostDown(server, true)
			default:
				s.r.World.HostDown(server, false)
			}
			s.request(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestEvacuate(tx, server, true) })
		}
	case 8:
		if len(s.downs) > 0 {
			s.r.World.HostUp(s.downs[0])
			s.downs = s.downs[1:]
		}
	case 9:
		s.r.World.Inject(fake.Fault{Op: simOps[s.n(len(simOps))], Mode: simModes[s.n(len(simModes))], Delay: 3 * time.Second, Times: 1 + s.n(3)})
	case 10:
		live := fsm.LiveJobs(s.r.Rows())
		if len(live) > 0 {
			s.write(func(tx *fsm.Tx) error { return fsm.CancelJob(tx, live[s.n(len(live))].Id) })
		}
	case 11:
		s.goOn(fsm.WordRetry)
	case 12, 13:
		s.request(s.reconfiguration())
	case 14:
		s.request(func(tx *fsm.Tx) ([]string, error) {
			return fsm.RequestReplace(tx, "shop/db", fmt.Sprintf("db%02d", s.n(3)+1))
		})
	case 15:
		machine := fmt.Sprintf("ph%02d", s.n(4)+1)
		s.r.World.BMCDown(machine, s.n(2) == 0)
		s.write(func(tx *fsm.Tx) error { // as a person who has looked at it
			m, _ := fsm.Machines.Edit(tx, machine)
			m.HardwareStatus, m.Power = schema.HardwareNormal, string(s.r.World.Machine(machine).Power)
			if m.Status == schema.StatusAbnormal {
				m.Status = schema.StatusReady
			}
			return fsm.Machines.Put(tx, m)
		})
	case 16, 17:
		s.takeUpFailed()
	}
}

// reconfiguration is a random one of the physical machines and of the spare VM.
func (s *sim) reconfiguration() func(tx *fsm.Tx) ([]string, error) {
	host, machine, in := fmt.Sprintf("db%02d", s.n(3)+1), fmt.Sprintf("ph%02d", s.n(4)+1), s.n(2) == 0
	switch s.n(6) {
	case 0:
		return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestAddMachine(tx, fsm.AddMachine{Group: "shop/db"}) }
	case 1:
		return func(tx *fsm.Tx) ([]string, error) {
			return fsm.RequestRemoveMachine(tx, fsm.RemoveMachine{Group: "shop/db", Host: host})
		}
	case 2:
		return func(tx *fsm.Tx) ([]string, error) {
			return fsm.RequestChangeUse(tx, fsm.ChangeUse{Dest: "shop/batch", Source: "shop/db"})
		}
	case 3:
		return func(tx *fsm.Tx) ([]string, error) {
			return fsm.RequestChangeUse(tx, fsm.ChangeUse{Dest: "shop/db", Source: "shop/batch"})
		}
	case 4:
		return func(tx *fsm.Tx) ([]string, error) { return fsm.RequestPool(tx, "db", machine, in) }
	}
	return func(tx *fsm.Tx) ([]string, error) {
		return fsm.RequestAddMachine(tx, fsm.AddMachine{Group: "shop/db", Machine: machine, Master: true})
	}
}

// takeUpFailed lets a failed job go on, or takes it back.
func (s *sim) takeUpFailed() {
	var failed []string
	for j := range fsm.Jobs.All(s.r.Rows()) {
		if j.State == schema.JobFailed && j.Started != nil {
			failed = append(failed, j.Id)
		}
	}
	if len(failed) == 0 {
		return
	}
	id, back := failed[s.n(len(failed))], s.n(2) == 0
	s.write(func(tx *fsm.Tx) error {
		if back {
			return fsm.RollbackJob(tx, id)
		}
		return fsm.ResumeJob(tx, id, "")
	})
}

// request asks for jobs; what the rules refuse is refused.
func (s *sim) request(verb func(tx *fsm.Tx) ([]string, error)) {
	s.write(func(tx *fsm.Tx) error {
		_, err := verb(tx)
		return err
	})
}

func (s *sim) write(verb func(tx *fsm.Tx) error) {
	if _, err := s.r.Cluster.Try(verb); schema.KindOf(err) == schema.KindInternal {
		s.t.Errorf("a request led to %v", err)
	}
}

// goOn gives an answer to parked jobs: proof of being off only for what is off.
func (s *sim) goOn(word string) {
	for j := range fsm.Jobs.By(s.r.Rows(), fsm.ByState, schema.JobParked) {
		w := word
		if slices.Contains(j.ResumeWords, fsm.WordOff) && s.off(j) {
			w = fsm.WordOff
		}
		s.write(func(tx *fsm.Tx) error { return fsm.ResumeJob(tx, j.Id, w) })
	}
}

// off tells whether the machine that a job is to prove off is off by the
// world's word, not by a manager's.
func (s *sim) off(j *schema.Job) bool {
	for _, st := range fsm.StepsOf(s.r.Rows(), j.Id) {
		if !schema.StepEnded(st.State) {
			m := s.r.Machine(st.Target)
			return m != nil && m.Kind != schema.MachineVM && s.r.World.Machine(st.Target).Power == drivers.PowerOff
		}
	}
	return false
}

// rest makes everything well and waits until nothing moves any more.
func (s *sim) rest() {
	s.mu.Lock()
	s.calm = true
	s.mu.Unlock()
	s.r.World.ClearFaults()
	for _, server := range s.downs {
		s.r.World.HostUp(server)
	}
	s.downs = nil
	for n := range 4 {
		s.r.World.BMCDown(fmt.Sprintf("ph%02d", n+1), false)
	}
	s.revive()
	rounds := 0
	s.r.Until("all to come to rest", func(v *fsm.View) bool {
		parked := slices.Collect(fsm.Jobs.By(v, fsm.ByState, schema.JobParked))
		if len(parked) > 0 {
			word := fsm.WordRetry
			if rounds++; rounds > 20 {
				word = fsm.WordFailed
			}
			s.goOn(word)
		}
		return len(fsm.LiveJobs(v)) == 0
	})
	s.request(func(tx *fsm.Tx) ([]string, error) { return fsm.RequestCollect(tx, Subsystem) })
	s.r.Until("the last collection", func(v *fsm.View) bool { return len(fsm.LiveJobs(v)) == 0 })
	s.r.Stop()
	s.r.World.OnCall(nil)
}

// check holds what must be true after any course.
func (s *sim) check() {
	v := s.r.Rows()
	if n := fsm.Locks.Len(v); n > 0 {
		s.t.Errorf("%d locks are left", n)
	}
	for _, x := range append(s.r.World.Violations(), Doubles(s.r.World.Ledger())...) {
		s.t.Error(x)
	}
	of := map[string]string{} // token -> step
	for j := range fsm.Jobs.All(v) {
		for _, st := range fsm.StepsOf(v, j.Id) {
			if !schema.StepEnded(st.State) {
				s.t.Errorf("job %s is %s, its step %d is %s", j.Id, j.State, st.Number, st.State)
			}
			for n := int32(1); n <= max(st.Attempt, st.UndoAttempt); n++ {
				of[sequence.Token(j.Id, st.Number, n, false)] = fmt.Sprintf("job %s step %d (%s %s)", j.Id, st.Number, st.Name, st.Target)
				of[sequence.Token(j.Id, st.Number, n, true)] = fmt.Sprintf("undoing of job %s step %d (%s %s)", j.Id, st.Number, st.Name, st.Target)
			}
		}
	}
	seen := map[string]fake.Effect{}
	for _, e := range s.r.World.Ledger() {
		step := of[e.Token]
		if step != "" {
			step += " " + e.Op // a step may have two effects, one after the other
		}
		if step == "" {
			s.t.Errorf("no step has brought about %v", e)
		} else if first, ok := seen[step]; ok {
			s.t.Errorf("%s took effect twice: %v and %v", step, first, e)
		}
		seen[step] = e
	}
	for m := range fsm.Machines.All(v) {
		if m.Status == schema.StatusInUse {
			s.t.Errorf("%s is in use by nobody: %s", m.Name, m.StatusReason)
		}
		if h, ok := fsm.Hosts.Get(v, fsm.GroupKey(m.Group, m.Host)); m.Group != "" && (!ok || h.Machine != m.Name) {
			s.t.Errorf("%s and its host setting %s/%s disagree", m.Name, m.Group, m.Host)
		}
	}
	inv, err := s.r.World.Hypervisor().Inventory(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, vm := range inv.VMs {
		if m := s.r.Machine(vm.Name); m == nil || m.VmServer != vm.Server || m.Power != string(vm.Power) || m.Uuid != vm.UUID {
			s.t.Errorf("the row %v and the world %v disagree", m, vm)
		}
	}
	s.r.Cluster.Check()
	if s.t.Failed() {
		s.t.Log(s.r.Dump())
	}
}
