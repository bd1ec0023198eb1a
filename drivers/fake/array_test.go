package fake_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/fake"
)

// storageWorld has two machines that are off, a volume of its own for each, and a shared one.
func storageWorld() *fake.World {
	w := fake.New(fake.Options{})
	w.AddPhysical("ph01", fake.Physical{Initiators: []string{"iqn.old", "iqn.old2"}})
	w.AddPhysical("ph03", fake.Physical{Initiators: []string{"iqn.new"}})
	w.AddVolume("array1", "db01-data")
	w.AddVolume("array1", "db02-data")
	w.AddSharedVolume("array1", "quorum")
	return w
}

func powerOn(t *testing.T, w *fake.World, machine string) {
	t.Helper()
	if _, err := w.Power().SetPower(context.Background(), drivers.Call{}, machine, drivers.OpPowerOn); err != nil {
		t.Fatal(err)
	}
}

func TestStorageConformance(t *testing.T) {
	drivertest.RunStorage(t, func(t *testing.T) drivertest.StorageWorld {
		w := storageWorld()
		return drivertest.StorageWorld{
			Open:    func(*testing.T) drivers.Storage { return w.Array("array1") },
			Volumes: [2]string{"db01-data", "db02-data"},
			Old:     []string{"iqn.old"}, New: []string{"iqn.new"},
			Session: func(t *testing.T, _, _ string) { powerOn(t, w, "ph01") },
			Silence: func(*testing.T) { w.SystemDown("array1", true) },
			Effects: func(_ *testing.T, op, object string) int {
				n := 0
				for _, e := range w.Ledger() {
					if e.System == "array1" && (op == "" || e.Op == op) && (object == "" || e.Object == object) {
						n++
					}
				}
				return n
			},
		}
	})
}

func TestSessionThatNothingEnds(t *testing.T) {
	ctx := context.Background()
	w := storageWorld()
	a := w.Array("array1")
	old, call := []string{"iqn.old", "iqn.old2"}, drivers.Call{Token: "1"}
	if _, err := a.Connect(ctx, call, "db01-data", old, false); err != nil {
		t.Fatal(err)
	}
	powerOn(t, w, "ph01")
	a.HoldSession("db01-data", "iqn.old", true)
	for range 2 {
		if _, err := a.Disconnect(ctx, call, "db01-data", old); drivers.KindOf(err) != drivers.KindFailed {
			t.Fatalf("disconnect with a session that stays: %v", err)
		}
	}
	v, err := a.Volume(ctx, "db01-data")
	if err != nil || len(v.Initiators) != 0 || !slices.Equal(v.Sessions, []string{"iqn.old"}) {
		t.Fatalf("it reads as %+v, %v", v, err)
	}
	if _, err := a.Connect(ctx, call, "db01-data", []string{"iqn.new"}, false); drivers.KindOf(err) != drivers.KindRefused {
		t.Fatalf("connect while the old session is open: %v", err)
	}
	a.HoldSession("db01-data", "iqn.old", false)
	if _, err := a.Disconnect(ctx, call, "db01-data", old); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Connect(ctx, call, "db01-data", []string{"iqn.new"}, false); err != nil {
		t.Fatal(err)
	}
	if n := w.Count(fake.OpDisconnect, ""); n != 2 {
		t.Errorf("%d disconnections took place, want one for each initiator", n)
	}
	if bad := w.Violations(); len(bad) > 0 {
		t.Error(bad)
	}
}

func TestVolumeOnTwoMachinesIsAViolation(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		volume string
		bad    bool
	}{{"db01-data", true}, {"quorum", false}} {
		w := storageWorld()
		a := w.Array("array1")
		a.Attach(c.volume, "iqn.old", "iqn.old2")
		if bad := w.Violations(); len(bad) > 0 {
			t.Fatalf("two initiators of one machine: %v", bad)
		}
		if _, err := a.Connect(ctx, drivers.Call{}, c.volume, []string{"iqn.new"}, true); err != nil {
			t.Fatal(err)
		}
		bad := w.Violations()
		if (len(bad) == 1) != c.bad || (c.bad && !strings.Contains(bad[0], c.volume)) {
			t.Errorf("%s on two machines: violations %v", c.volume, bad)
		}
	}
}

func TestConnectionBrokenBetweenTwoInitiators(t *testing.T) {
	ctx := context.Background()
	w := storageWorld()
	dead := errors.New("the runner died")
	w.OnCall(func(op, object string, p fake.Phase) error {
		if op == fake.OpConnect && object == "db01-data iqn.old2" && p == fake.Before {
			return dead
		}
		return nil
	})
	a := w.Array("array1")
	_, err := a.Connect(ctx, drivers.Call{}, "db01-data", []string{"iqn.old", "iqn.old2"}, false)
	if drivers.KindOf(err) != drivers.KindUnknown || !errors.Is(err, dead) {
		t.Fatalf("done for one of two initiators: %v", err)
	}
	w.OnCall(nil)
	if _, err := a.Connect(ctx, drivers.Call{}, "db01-data", []string{"iqn.old", "iqn.old2"}, false); err != nil {
		t.Fatal(err)
	}
	if n := w.Count(fake.OpConnect, ""); n != 2 {
		t.Errorf("%d connections took place, want one for each initiator", n)
	}
}
