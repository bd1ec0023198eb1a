package fake_test

import (
	"context"
	"strings"
	"testing"

	"yagura/drivers"
	"yagura/drivers/drivertest"
	"yagura/drivers/fake"
)

func TestSwitchConformance(t *testing.T) {
	drivertest.RunSwitch(t, func(t *testing.T) drivertest.SwitchWorld {
		w := fake.New(fake.Options{})
		w.AddSwitch("sw1", []string{"p1", "p2", "p3", "p4"}, 1)
		return drivertest.SwitchWorld{
			Open: func(*testing.T) drivers.Switch { return w.Switch("sw1") },
			Free: []string{"p1", "p2", "p3"}, Unused: 1,
			Silence: func(*testing.T) { w.SystemDown("sw1", true) },
			Refuse:  func(*testing.T) { w.SwitchRefuses("sw1", true) },
			Deafen:  func(*testing.T) { w.SwitchDeaf("sw1", true) },
			Effects: func(_ *testing.T, op, object string) int { return w.Count(op, object) },
		}
	})
}

func TestSwitchKnobs(t *testing.T) {
	ctx := context.Background()
	w := fake.New(fake.Options{})
	w.AddSwitch("sw1", []string{"p1", "p2"}, 1)
	w.SetPort("sw1", "p1", 77, 90, 80)
	p, err := w.Switch("sw1").Port(ctx, "p1")
	if err != nil || p.VLAN != 77 || len(p.Also) != 2 || p.Also[0] != 80 || p.Also[1] != 90 {
		t.Fatalf("%+v, %v", p, err)
	}
	_, err = w.Switch("sw1").AddToVLAN(ctx, drivers.Call{Token: "a"}, "p1", drivers.VLAN{Name: "web", ID: 10})
	if drivers.KindOf(err) != drivers.KindRefused || !strings.Contains(err.Error(), "is in VLAN 77") {
		t.Fatal(err)
	}
	w.Inject(fake.Fault{Op: fake.OpVLANAdd, Object: "p2 10", Mode: fake.FailAfter, Times: 1})
	_, err = w.Switch("sw1").AddToVLAN(ctx, drivers.Call{Token: "b"}, "p2", drivers.VLAN{Name: "web", ID: 10})
	if drivers.KindOf(err) != drivers.KindUnknown || w.PortOf("sw1", "p2").VLAN != 10 {
		t.Fatal(err, w.PortOf("sw1", "p2"))
	}
	if l := w.Ledger(); len(l) != 1 || l[0].System != "sw1" || l[0].Op != "vlan-add" || l[0].Object != "p2 10" || l[0].Token != "b" {
		t.Fatalf("ledger %+v", l)
	}
	if _, err = w.Switch("sw2").Ports(ctx); drivers.KindOf(err) != drivers.KindNotFound {
		t.Fatal(err)
	}
}
