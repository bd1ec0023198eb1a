package node

import (
	"testing"

	"yagura/drivers"
	"yagura/drivers/sim"
	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// TestBMCsOfRows holds what each kind of power control gets of a machine's row.
func TestBMCsOfRows(t *testing.T) {
	c := fsmtest.New(t)
	c.Do(func(tx *fsm.Tx) error {
		for name, b := range map[string]*schema.Bmc{
			"ph01": {Kind: schema.BMCRedfish, Address: "192.0.2.1"},
			"ph02": {Kind: schema.BMCIPMI, Address: "192.0.2.2:6230", System: "3"},
			"ph03": {Kind: schema.BMCWoL, Address: "192.0.2.3", HostKey: "", Broadcast: "192.0.2.255:9", Key: tx.Sealer().Seal([]byte("PEM"))},
			"ph04": {Kind: schema.BMCWoL, Address: "192.0.2.4", Mac: "52:54:00:00:00:44"},
		} {
			b.User, b.Password = "u", tx.Sealer().Seal([]byte("p"))
			if err := fsm.Machines.Put(tx, &schema.Machine{
				Name: name, Kind: schema.MachinePhysical, Power: schema.PowerUnknown, HardwareStatus: "unknown", Status: schema.StatusReady, Bmc: b,
				Nics: []*schema.NIC{{Mac: "52:54:00:00:00:0" + name[3:]}},
			}); err != nil {
				return err
			}
		}
		return nil
	})
	d := newRowDrivers(c.Store(), nil, runsAccess{}, discard())
	defer d.Close()
	for name, want := range map[string]access{
		"ph01": {url: "https://192.0.2.1"}, "ph02": {url: "192.0.2.2:6230", system: "3"},
		"ph03": {url: "192.0.2.3", key: "PEM", mac: "52:54:00:00:00:03", broadcast: "192.0.2.255:9"},
		"ph04": {url: "192.0.2.4", mac: "52:54:00:00:00:44"},
	} {
		a, ok := d.bmc(name)
		if !ok || a.url != want.url || a.system != want.system || a.key != want.key || a.broadcast != want.broadcast || a.user != "u" || a.password != "p" {
			t.Errorf("%s: %+v", name, a)
		}
		if want.mac != "" && a.mac != want.mac {
			t.Errorf("%s wakes %s, want %s", name, a.mac, want.mac)
		}
		if p, err := d.Power(t.Context(), name); err != nil || p == nil {
			t.Errorf("%s has no power control: %v", name, err)
		}
		_, err := d.Hardware(t.Context(), name)
		if wol := name > "ph02"; wol != (drivers.KindOf(err) == drivers.KindUnsupported) || !wol && err != nil {
			t.Errorf("hardware of %s: %v", name, err)
		}
	}
}

// TestControllerOfAnotherMachine holds that a machine's UUID reaches its driver: the
// controller of another machine is told from its own.
func TestControllerOfAnotherMachine(t *testing.T) {
	s, err := sim.Start(t.Context(), sim.Config{StateDir: t.TempDir(), World: &sim.World{
		SharedDatastores: []string{"shared01"}, VMServers: []sim.MachineSpec{{Name: "esx01"}}, Machines: []sim.MachineSpec{{Name: "ph01"}, {Name: "ph02"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	user, password := s.BMCCredentials()
	c := fsmtest.New(t)
	d := newRowDrivers(c.Store(), s.CAPEM(), runsAccess{}, discard())
	defer d.Close()
	for at, want := range map[string]drivers.Kind{"ph01": "", "ph02": drivers.KindWrongMachine} {
		c.Do(func(tx *fsm.Tx) error {
			return fsm.Machines.Put(tx, &schema.Machine{
				Name: "ph01", Uuid: sim.MachineUUID("ph01"), Kind: schema.MachinePhysical, Power: schema.PowerUnknown, HardwareStatus: "unknown", Status: schema.StatusReady,
				Bmc: &schema.Bmc{Kind: schema.BMCRedfish, Address: s.BMCURL(at), User: user, Password: tx.Sealer().Seal([]byte(password))},
			})
		})
		p, err := d.Power(t.Context(), "ph01")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.PowerState(t.Context(), "ph01"); want == "" && err != nil || want != "" && drivers.KindOf(err) != want {
			t.Errorf("at the controller of %s: %v", at, err)
		}
	}
}
