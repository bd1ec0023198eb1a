package vcenter

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"yagura/drivers"
	"yagura/drivers/sim"
)

func TestFollowerLeavesNothingAtVCenter(t *testing.T) {
	s := startSim(t, sim.Config{})
	x := newTap(t, s)
	d := open(t, x.config(t, s))
	ctx, cancel := context.WithCancel(context.Background())
	err := d.Follow(ctx, func(c drivers.Change) {
		if c.Synced {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("follow ended with %v", err)
	}
	for _, pair := range [][2]string{{"CreatePropertyCollector", "DestroyPropertyCollector"}, {"CreateContainerView", "DestroyView"}} {
		if made, gone := x.seen(pair[0]), x.seen(pair[1]); made != 1 || gone != 1 {
			t.Errorf("%s %d times, %s %d times", pair[0], made, pair[1], gone)
		}
	}
}

func TestFollowEndsWhenContactBreaks(t *testing.T) {
	s := startSim(t, sim.Config{})
	x := newTap(t, s)
	d := open(t, x.config(t, s))
	x.on("WaitForUpdatesEx", cut)
	err := d.Follow(context.Background(), func(drivers.Change) {})
	wantKind(t, err, drivers.KindUnreachable)
}

// Two followers, and a wait in which nothing happens.
func TestFollowersDoNotDisturbEachOther(t *testing.T) {
	s := startSim(t, sim.Config{})
	x := newTap(t, s)
	d := open(t, x.config(t, s))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	told := make(chan string, 1000)
	ended := make(chan error, 2)
	for _, name := range []string{"a", "b"} {
		go func() {
			ended <- d.Follow(ctx, func(c drivers.Change) {
				if c.Synced || (c.VM != nil && c.VM.Name == "web01" && c.VM.Power == drivers.PowerOff) {
					told <- name
				}
			})
		}()
	}
	both := func() {
		t.Helper()
		seen := map[string]bool{}
		for len(seen) < 2 {
			select {
			case name := <-told:
				seen[name] = true
			case <-ctx.Done():
				t.Fatal("a follower was not told")
			}
		}
	}
	both()
	before := x.seen("WaitForUpdatesEx")
	for x.seen("WaitForUpdatesEx") < before+3 && ctx.Err() == nil {
		// Each wait is bounded by Config.Wait and followed by another.
		<-time.After(10 * time.Millisecond)
	}
	v := mustVM(t, d, "web01")
	if _, err := d.SetVMPower(ctx, drivers.Call{}, v.UUID, drivers.OpPowerOff); err != nil {
		t.Fatal(err)
	}
	both()
	cancel()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("a follower ended with %v", err)
		}
	}
}

// A real vCenter tells of an inner part of a property when only that changed.
func TestInnerChangesAreReadAgain(t *testing.T) {
	vm := ref{Type: "VirtualMachine", Value: "vm-1"}
	f := &follower{all: newCatalog()}
	f.all.of(vm)
	b := newBatch()
	f.take(types.ObjectUpdate{Kind: types.ObjectUpdateKindModify, Obj: vm, ChangeSet: []types.PropertyChange{
		{Name: "config.hardware.device[4000].connectable", Val: nil},
		{Name: "name", Val: "web01"},
	}}, b)
	if !b.partial[vm] || f.all.vms[vm].name != "web01" {
		t.Fatalf("%+v", b)
	}
	b = newBatch()
	f.take(types.ObjectUpdate{Kind: types.ObjectUpdateKindModify, Obj: vm, ChangeSet: []types.PropertyChange{{Name: "name"}}}, b)
	if len(b.partial) != 0 || f.all.vms[vm].name != "" {
		t.Fatalf("an unset property left %+v, %+v", b, f.all.vms[vm])
	}
	f.take(types.ObjectUpdate{Kind: types.ObjectUpdateKindLeave, Obj: vm}, b)
	f.take(types.ObjectUpdate{Kind: types.ObjectUpdateKindModify, Obj: vm, ChangeSet: []types.PropertyChange{{Name: "name", Val: "x"}}}, b)
	if f.all.has(vm) {
		t.Fatal("a straggler brought an object back that had left")
	}
}

// A VM whose record was made anew has another object and the same UUID.
func TestRegisteredAnewIsNotGone(t *testing.T) {
	old, anew := ref{Type: "VirtualMachine", Value: "vm-1"}, ref{Type: "VirtualMachine", Value: "vm-2"}
	var gone []string
	f := &follower{
		all: newCatalog(), vms: map[ref]drivers.VM{old: {UUID: "u1"}}, synced: true,
		fn: func(c drivers.Change) { gone = append(gone, c.Gone) },
	}
	entry(f.all.vms, anew).uuid = "u1"
	f.tellGone(old)
	if len(gone) != 0 {
		t.Fatalf("gone %v", gone)
	}
	f.vms[anew] = drivers.VM{UUID: "u1"}
	delete(f.all.vms, anew)
	f.tellGone(anew)
	if len(gone) != 1 || gone[0] != "u1" {
		t.Fatalf("gone %v", gone)
	}
}
