package drivertest

import (
	"context"
	"testing"

	"yagura/drivers"
)

// HypervisorWorld is a simulated datacenter under test. It needs four or more
// VM servers in one datacenter on one shared datastore, each with a local
// datastore too; running VMs on each of them, whose guest tools run; one
// stopped VM; one template on the shared datastore.
type HypervisorWorld struct {
	// Open returns a new client, as another manager process would have it. The
	// suite closes it.
	Open func(t *testing.T) drivers.Hypervisor
	// HostDown crashes a VM server, HostUp brings it back. Both return when the
	// manager shows it.
	HostDown, HostUp func(t *testing.T, server string)
	// Effects counts the effects of an operation (names as in the ledger of
	// drivers/fake) that took place on an object; empty strings count all.
	Effects func(t *testing.T, op, object string) int
}

// RunHypervisor runs the suite. world makes a fresh world.
func RunHypervisor(t *testing.T, world func(t *testing.T) HypervisorWorld) {
	each(t, 2*patience, []test[*hyper]{
		{"Inventory", testInventory},
		{"Loads", testLoads},
		{"NotFound", testNotFound},
		{"PowerConverges", testPowerConverges},
		{"PowerRefusals", testPowerRefusals},
		{"Restart", testRestart},
		{"GracefulShutdown", testGracefulShutdown},
		{"ExpiredCallsDoNothing", testExpired},
		{"EndedContextDoesNothing", testEndedContext},
		{"Migrate", testMigrate},
		{"MigrateRefusals", testMigrateRefusals},
		{"Move", testMove},
		{"Failover", testFailover},
		{"FailoverOfALiveServerIsRefused", testFailoverRefusals},
		{"Clone", testClone},
		{"CloneRefusals", testCloneRefusals},
		{"Destroy", testDestroy},
		{"Maintenance", testMaintenance},
		{"ServerPower", testServerPower},
		{"FollowTellsEverythingThenChanges", testFollow},
		{"FollowTellsOfADeadServer", testFollowHostDown},
		{"TaskOfAnotherClient", testTaskOfAnotherClient},
	}, func(t *testing.T, ctx context.Context) *hyper {
		s := &hyper{T: t, ctx: ctx, w: world(t)}
		s.d = s.open()
		return s
	})
}

// hyper is one running subtest.
type hyper struct {
	*testing.T
	ctx context.Context
	w   HypervisorWorld
	d   drivers.Hypervisor
}

func (s *hyper) open() drivers.Hypervisor { return opened(s.ctx, s.T, s.w.Open) }

func (s *hyper) inventory() *drivers.Inventory {
	s.Helper()
	inv, err := s.d.Inventory(s.ctx)
	if err != nil {
		s.Fatalf("inventory: %v", err)
	}
	return inv
}

// pick returns a VM that fits, from the inventory.
func (s *hyper) pick(what string, fits func(drivers.VM) bool) drivers.VM {
	s.Helper()
	for _, v := range s.inventory().VMs {
		if fits(v) {
			return v
		}
	}
	s.Fatalf("the world has no %s", what)
	return drivers.VM{}
}

func (s *hyper) running() drivers.VM {
	s.Helper()
	return s.pick("running VM", func(v drivers.VM) bool { return v.Power == drivers.PowerOn })
}

func (s *hyper) stopped() drivers.VM {
	s.Helper()
	return s.pick("stopped VM", func(v drivers.VM) bool { return v.Power == drivers.PowerOff && !v.Template })
}

func (s *hyper) template() drivers.VM {
	s.Helper()
	return s.pick("template", func(v drivers.VM) bool { return v.Template })
}

// otherServer returns a VM server that is none of these.
func (s *hyper) otherServer(not ...string) drivers.VMServer {
	s.Helper()
next:
	for _, x := range s.inventory().Servers {
		for _, n := range not {
			if x.Name == n {
				continue next
			}
		}
		if x.Connected && !x.Maintenance {
			return x
		}
	}
	s.Fatalf("the world has no VM server beside %v", not)
	return drivers.VMServer{}
}

// localStore is the VM server's own datastore.
func (s *hyper) localStore(x drivers.VMServer) string {
	s.Helper()
	for _, d := range x.Datastores {
		if !d.Shared {
			return d.Name
		}
	}
	s.Fatalf("VM server %s has no local datastore", x.Name)
	return ""
}

// done waits until a task has ended well and returns its last look.
func (s *hyper) done(task drivers.Task, err error) drivers.Task {
	s.Helper()
	last := s.end(task, err)
	if last.State != drivers.TaskDone {
		s.Fatalf("the task ended as %+v", last)
	}
	return last
}

// end waits until a task has ended.
func (s *hyper) end(task drivers.Task, err error) drivers.Task {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	if task.State != drivers.TaskRunning {
		return task
	}
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	last, err := drivers.AwaitTask(ctx, s.d, task.ID, pause)
	if err != nil {
		s.Fatalf("waiting for task %s: %v", task.ID, err)
	}
	return last
}

// fails wants a call to fail with a kind, as an answer or as its task's end.
func (s *hyper) fails(k drivers.Kind, what string, task drivers.Task, err error) {
	s.Helper()
	if err == nil {
		s.Fatalf("%s: accepted as %+v, want %s", what, task, k)
	}
	if got := drivers.KindOf(err); got != k {
		s.Fatalf("%s: %v is %s, want %s", what, err, got, k)
	}
}

func (s *hyper) refused(what string, task drivers.Task, err error) {
	s.Helper()
	s.fails(drivers.KindRefused, what, task, err)
}

func (s *hyper) vm(uuid string) drivers.VM {
	s.Helper()
	v, err := s.d.VM(s.ctx, uuid)
	if err != nil {
		s.Fatalf("VM %s: %v", uuid, err)
	}
	return v
}

// effects wants so many effects of an operation on an object.
func (s *hyper) effects(n int, op, object string) {
	s.Helper()
	if got := s.w.Effects(s.T, op, object); got != n {
		s.Fatalf("%d effects %q on %q, want %d", got, op, object, n)
	}
}

// eventually waits for a condition.
func (s *hyper) eventually(what string, cond func() bool) {
	s.Helper()
	waitFor(s.T, s.ctx, what, cond)
}

// evacuate moves all running VMs off a VM server.
func (s *hyper) evacuate(server string) {
	s.Helper()
	to := s.otherServer(server)
	for _, v := range s.inventory().VMs {
		if v.Server == server && v.Power == drivers.PowerOn {
			s.done(s.d.Relocate(s.ctx, call("evacuate "+v.Name), drivers.RelocateSpec{VM: v.UUID, Server: to.Name, Mode: drivers.RelocateMigrate}))
		}
	}
}
