package node

import (
	"testing"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

func TestDriversOfRows(t *testing.T) {
	c := fsmtest.New(t)
	c.Do(func(tx *fsm.Tx) error {
		if err := fsm.Subsystems.Put(tx, &schema.Subsystem{
			Name: "vc1", Kind: "vcenter", Address: "https://192.0.2.30/sdk", User: "u", Password: tx.Sealer().Seal([]byte("p")),
		}); err != nil {
			return err
		}
		if err := fsm.Machines.Put(tx, &schema.Machine{Name: "esx01", Kind: "vm-server", Power: "unknown", HardwareStatus: "unknown", Status: "ready",
			Bmc: &schema.Bmc{Kind: "redfish", Address: "192.0.2.40", User: "u", Password: tx.Sealer().Seal([]byte("p"))}}); err != nil {
			return err
		}
		return fsm.Machines.Put(tx, &schema.Machine{Name: "ph01", Kind: "physical", Power: "unknown", HardwareStatus: "unknown", Status: "ready"})
	})
	d := newRowDrivers(c.Store(), nil, runsAccess{}, discard())
	ctx := t.Context()
	first, err := d.Hypervisor(ctx, "vc1")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := d.Hypervisor(ctx, "vc1"); err != nil || again != first {
		t.Errorf("the connection isn't kept: %v", err)
	}
	// What doesn't concern the connection leaves it alone; new credentials don't.
	change := func(fn func(*schema.Subsystem)) {
		c.Do(func(tx *fsm.Tx) error {
			row, _ := fsm.Subsystems.Edit(tx, "vc1")
			fn(row)
			return fsm.Subsystems.Put(tx, row)
		})
	}
	change(func(s *schema.Subsystem) { s.Error = "slow" })
	if again, err := d.Hypervisor(ctx, "vc1"); err != nil || again != first {
		t.Errorf("the connection isn't kept over a change of its error: %v", err)
	}
	change(func(s *schema.Subsystem) { s.User = "v" })
	if again, err := d.Hypervisor(ctx, "vc1"); err != nil || again == first {
		t.Errorf("new credentials don't make a new connection: %v", err)
	}
	change(func(s *schema.Subsystem) { s.Password = []byte("damaged") })
	if _, err := d.Hypervisor(ctx, "vc1"); drivers.KindOf(err) != drivers.KindAuth {
		t.Errorf("a password that can't be opened: %v", err)
	}
	if _, err := d.Hypervisor(ctx, "vc9"); drivers.KindOf(err) != drivers.KindNotFound {
		t.Errorf("an unknown subsystem: %v", err)
	}
	if p, err := d.Power(ctx, "esx01"); err != nil || p == nil {
		t.Errorf("a machine with a BMC: %v", err)
	}
	if a, ok := d.bmc("esx01"); !ok || a.password != "p" || a.url != "https://192.0.2.40" {
		t.Errorf("access to the BMC: %v %v", a.url, ok)
	}
	if _, err := d.Power(ctx, "ph01"); drivers.KindOf(err) != drivers.KindUnsupported {
		t.Errorf("a machine without a BMC: %v", err)
	}
	if _, err := d.Power(ctx, "nobody"); drivers.KindOf(err) != drivers.KindNotFound {
		t.Errorf("an unknown machine: %v", err)
	}
	d.Close()
	if _, err := d.Hypervisor(ctx, "vc1"); err == nil {
		t.Error("a driver was opened after the term")
	}
	if _, err := d.Power(ctx, "esx01"); err == nil {
		t.Error("a power driver was given after the term")
	}
}
