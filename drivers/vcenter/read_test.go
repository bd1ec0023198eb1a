package vcenter

import (
	"context"
	"testing"

	"yagura/drivers"
	"yagura/drivers/sim"
)

// The number of requests must not grow with the number of VMs.
func TestInventoryIsReadInPages(t *testing.T) {
	w := sim.LargeWorld(3, page+100)
	s := startSim(t, sim.Config{World: &w})
	x := newTap(t, s)
	d := open(t, x.config(t, s))
	inv, err := d.Inventory(context.Background())
	if err != nil || len(inv.VMs) != page+101 || len(inv.Servers) != 3 || inv.Truncated {
		t.Fatalf("%d VMs, %d servers, truncated %v, %v", len(inv.VMs), len(inv.Servers), inv.Truncated, err)
	}
	if n := x.seen("ContinueRetrievePropertiesEx"); n != 1 {
		t.Errorf("%d further pages, want 1", n)
	}
	before := x.seen("")
	for _, name := range []string{"vm00001", "vm00333"} {
		if v, err := d.VMByName(context.Background(), name); err != nil || v.Name != name {
			t.Fatalf("%+v %v", v, err)
		}
	}
	if n := x.seen("") - before; n != 2 {
		t.Errorf("%d requests to read two VMs that were seen before, want 2", n)
	}
}

func TestDatacenterFilter(t *testing.T) {
	s := startSim(t, sim.Config{})
	cfg := configFor(t, s)
	all, err := open(t, cfg).Inventory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Datacenter = "DC1"
	d := open(t, cfg)
	got, err := d.Inventory(context.Background())
	if err != nil || len(got.VMs) != len(all.VMs) || got.Servers[0].Datacenter != "DC1" || got.VMs[0].Datacenter != "DC1" {
		t.Fatalf("%+v %v", got, err)
	}
	if x, err := d.Server(context.Background(), "esx01"); err != nil || x.Datacenter != "DC1" {
		t.Fatalf("%+v %v", x, err)
	}
	cfg.Datacenter = "DC9"
	_, err = open(t, cfg).Inventory(context.Background())
	wantKind(t, err, drivers.KindNotFound)
}

// What the driver remembers of names is never believed without a look.
func TestRenamedVMIsFoundAgain(t *testing.T) {
	s := startSim(t, sim.Config{})
	d := open(t, configFor(t, s))
	v, other := mustVM(t, d, "web01"), mustVM(t, d, "web02")
	r, _ := d.names.get("VirtualMachine", "web02")
	d.names.set("VirtualMachine", "web01", r)
	if again := mustVM(t, d, "web01"); again.UUID != v.UUID || again.UUID == other.UUID {
		t.Fatalf("%+v", again)
	}
	r.Value = "vm-no-more"
	d.names.set("VirtualMachine", "web01", r)
	if again := mustVM(t, d, "web01"); again.UUID != v.UUID {
		t.Fatalf("%+v", again)
	}
}
