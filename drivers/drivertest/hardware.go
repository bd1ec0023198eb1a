package drivertest

import (
	"context"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"yagura/drivers"
)

// HardwareWorld is a set of machines under test that tell what they are.
type HardwareWorld struct {
	Open    func(t *testing.T) drivers.Hardware
	Machine string // one that answers
	// Want is what Machine is, by the system's own records or an independent
	// client. What the other side can't tell stays zero, in the answer too.
	Want drivers.HardwareInfo
	// Silence makes a machine's controller stop answering.
	Silence func(t *testing.T, machine string)
}

// RunHardware runs the suite. world makes a fresh world.
func RunHardware(t *testing.T, world func(t *testing.T) HardwareWorld) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, context.Context, HardwareWorld, drivers.Hardware)
	}{
		{"TellsWhatItIs", testHardwareReads},
		{"Refusals", testHardwareRefuses},
		{"EndedContext", testHardwareEndedContext},
		{"SilentController", testHardwareSilent},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
			t.Cleanup(cancel)
			w := world(t)
			c.run(t, ctx, w, w.Open(t))
		})
	}
}

var (
	uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	macForm  = regexp.MustCompile(`^[0-9a-f]{2}(:[0-9a-f]{2}){5}$`)
)

func testHardwareReads(t *testing.T, ctx context.Context, w HardwareWorld, d drivers.Hardware) {
	for range 2 { // reading changes nothing
		got, err := d.Hardware(ctx, w.Machine)
		if err != nil {
			t.Fatal(err)
		}
		if got.UUID != "" && !uuidForm.MatchString(got.UUID) {
			t.Errorf("UUID %q: want lower case with dashes", got.UUID)
		}
		for _, n := range got.NICs {
			if !macForm.MatchString(n.MAC) {
				t.Errorf("MAC address %q: want lower case with colons", n.MAC)
			}
		}
		if !slices.Contains([]string{"", "normal", "degraded", "failed"}, got.Health) {
			t.Errorf("health %q", got.Health)
		}
		if !slices.Equal(got.NICs, w.Want.NICs) {
			t.Errorf("NICs %v, want %v", got.NICs, w.Want.NICs)
		}
		want := w.Want
		got.NICs, want.NICs = nil, nil
		if got.Firmware == "" || want.Firmware == "" {
			t.Error("the controller's firmware isn't told")
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is\n%+v, want\n%+v", w.Machine, got, want)
		}
	}
}

func fails(t *testing.T, info drivers.HardwareInfo, err error, k drivers.Kind) {
	t.Helper()
	if err == nil || drivers.KindOf(err) != k {
		t.Fatalf("%v, want %s", err, k)
	}
	if !reflect.DeepEqual(info, drivers.HardwareInfo{}) {
		t.Fatalf("an error came with %+v", info)
	}
}

func testHardwareRefuses(t *testing.T, ctx context.Context, _ HardwareWorld, d drivers.Hardware) {
	info, err := d.Hardware(ctx, "nobody")
	fails(t, info, err, drivers.KindNotFound)
}

func testHardwareEndedContext(t *testing.T, ctx context.Context, w HardwareWorld, d drivers.Hardware) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	info, err := d.Hardware(ctx, w.Machine)
	fails(t, info, err, drivers.KindUnreachable)
}

func testHardwareSilent(t *testing.T, ctx context.Context, w HardwareWorld, d drivers.Hardware) {
	w.Silence(t, w.Machine)
	info, err := d.Hardware(ctx, w.Machine)
	fails(t, info, err, drivers.KindUnreachable)
}
