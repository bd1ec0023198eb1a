package drivertest

import (
	"context"
	"errors"
	"sync"

	"yagura/drivers"
)

// followed is what a follower was told.
type followed struct {
	mu      sync.Mutex // guards what follows
	vms     map[string]drivers.VM
	servers map[string]drivers.VMServer
	synced  int
	early   bool // a change came with Synced before everything was told
}

func (f *followed) take(c drivers.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case c.Synced:
		f.synced++
		f.early = len(f.vms) == 0 || len(f.servers) == 0
	case c.VM != nil:
		f.vms[c.VM.UUID] = *c.VM
	case c.Server != nil:
		f.servers[c.Server.Name] = *c.Server
	default:
		delete(f.vms, c.Gone)
		delete(f.servers, c.Gone)
	}
}

func (f *followed) look(fn func() bool) func() bool {
	return func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return fn()
	}
}

// follow starts a follower, which ends with the subtest, and waits until it
// has been told everything.
func (s *hyper) follow() *followed {
	s.Helper()
	f := &followed{vms: map[string]drivers.VM{}, servers: map[string]drivers.VMServer{}}
	ctx, cancel := context.WithCancel(s.ctx)
	d := s.open()
	ended := make(chan error, 1)
	go func() { ended <- d.Follow(ctx, f.take) }()
	s.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			s.Errorf("the follower ended with %v", err)
		}
	})
	s.eventually("everything to be told", f.look(func() bool { return f.synced == 1 }))
	return f
}

func testFollow(s *hyper) {
	inv := s.inventory()
	f := s.follow()
	if f.early {
		s.Fatal("synced was told before everything else")
	}
	s.eventually("the follower to know what the inventory knows", f.look(func() bool {
		return len(f.vms) == len(inv.VMs) && len(f.servers) == len(inv.Servers)
	}))
	v := s.running()
	f.mu.Lock()
	told := f.vms[v.UUID]
	f.mu.Unlock()
	if told.Name != v.Name || told.Server != v.Server || told.Power != drivers.PowerOn || told.Datacenter != v.Datacenter || !told.Connected {
		s.Fatalf("told %+v, the inventory has %+v", told, v)
	}

	to := s.otherServer(v.Server)
	s.power(v.UUID, drivers.OpPowerOff, "1")
	s.eventually("the power-off to be told", f.look(func() bool { return f.vms[v.UUID].Power == drivers.PowerOff }))
	s.done(s.d.Relocate(s.ctx, call("2"), drivers.RelocateSpec{VM: v.UUID, Server: to.Name, Mode: drivers.RelocateMigrate}))
	s.eventually("the migration to be told", f.look(func() bool { return f.vms[v.UUID].Server == to.Name }))
	made := s.done(s.d.Clone(s.ctx, call("3"), drivers.CloneSpec{Template: s.template().Name, Name: "new", Server: to.Name})).Result
	s.eventually("the clone to be told", f.look(func() bool { return f.vms[made].Name == "new" }))
	s.done(s.d.Destroy(s.ctx, call("4"), made))
	s.eventually("its end to be told", f.look(func() bool { _, ok := f.vms[made]; return !ok }))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.synced != 1 {
		s.Fatalf("synced was told %d times", f.synced)
	}
}

func testFollowHostDown(s *hyper) {
	v := s.running()
	f := s.follow()
	s.w.HostDown(s.T, v.Server)
	s.eventually("the dead server and its VMs to be told", f.look(func() bool {
		return !f.servers[v.Server].Connected && !f.vms[v.UUID].Connected
	}))
	to := s.otherServer(v.Server)
	s.done(s.d.Relocate(s.ctx, call("1"), drivers.RelocateSpec{VM: v.UUID, Server: to.Name, Mode: drivers.RelocateFailover}))
	s.eventually("the failover to be told", f.look(func() bool {
		return f.vms[v.UUID].Server == to.Name && f.vms[v.UUID].Connected
	}))
	s.w.HostUp(s.T, v.Server)
	s.eventually("the server's return to be told", f.look(func() bool { return f.servers[v.Server].Connected }))
}
