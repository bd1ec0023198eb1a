package node

import (
	"strings"
	"testing"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// TestSwitchesOfRows opens switches as their rows describe them.
func TestSwitchesOfRows(t *testing.T) {
	c := fsmtest.New(t)
	put := func(s *schema.Subsystem) {
		t.Helper()
		c.Do(func(tx *fsm.Tx) error {
			s.Password = tx.Sealer().Seal([]byte("community"))
			return fsm.Subsystems.Put(tx, s)
		})
	}
	d := newRowDrivers(c.Store(), nil, runsAccess{}, discard())
	defer d.Close()
	for _, s := range []*schema.Subsystem{
		{Name: "sw1", Kind: "qbridge", Address: "192.0.2.60", Options: map[string]string{"unused_vlan": "999"}},
		{Name: "ovs1", Kind: "ovs", Address: "192.0.2.61:6640", Options: map[string]string{"bridge": "br0"}},
	} {
		put(s)
		if sw, err := d.Switch(t.Context(), s.Name); err != nil || sw == nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if _, err := d.Hypervisor(t.Context(), s.Name); drivers.KindOf(err) != drivers.KindUnsupported {
			t.Errorf("%s as a manager of VM servers: %v", s.Name, err)
		}
		put(&schema.Subsystem{Name: s.Name, Kind: s.Kind, Address: s.Address, Options: map[string]string{"unused_vlan": "5000"}})
		if _, err := d.Switch(t.Context(), s.Name); drivers.KindOf(err) != drivers.KindRefused || !strings.Contains(err.Error(), "1 to 4094") {
			t.Errorf("%s with a wrong option: %v", s.Name, err)
		}
	}
}
