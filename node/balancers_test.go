package node

import (
	"strings"
	"testing"

	"yagura/drivers"
	"yagura/fsm"
	"yagura/fsm/fsmtest"
	"yagura/fsm/schema"
)

// TestBalancersAndArraysOfRows opens balancers and arrays as their rows describe them.
func TestBalancersAndArraysOfRows(t *testing.T) {
	c := fsmtest.New(t)
	put := func(s *schema.Subsystem) {
		t.Helper()
		c.Do(func(tx *fsm.Tx) error {
			s.Password = tx.Sealer().Seal([]byte("password"))
			return fsm.Subsystems.Put(tx, s)
		})
	}
	d := newRowDrivers(c.Store(), nil, runsAccess{}, discard())
	defer d.Close()
	for _, s := range []struct {
		row     *schema.Subsystem
		storage bool
	}{
		{&schema.Subsystem{Name: "lb1", Kind: "haproxy", Address: "192.0.2.70:9999", Options: map[string]string{"server": "check"}}, false},
		{&schema.Subsystem{Name: "lb2", Kind: "bigip", Address: "https://192.0.2.71", User: "yagura", Options: map[string]string{"partition": "Common"}}, false},
		{&schema.Subsystem{Name: "array1", Kind: "tgt", Options: map[string]string{"control_port": "7"}}, true},
		{&schema.Subsystem{Name: "array2", Kind: "storage-cli", User: "admin", Options: map[string]string{"family": "symmetrix", "array": "000187900035"}}, true},
	} {
		open := func() error {
			if s.storage {
				_, err := d.Storage(t.Context(), s.row.Name)
				return err
			}
			_, err := d.Balancer(t.Context(), s.row.Name)
			return err
		}
		put(s.row)
		if err := open(); err != nil {
			t.Errorf("%s: %v", s.row.Name, err)
		}
		if _, err := d.Switch(t.Context(), s.row.Name); drivers.KindOf(err) != drivers.KindUnsupported {
			t.Errorf("%s as a switch: %v", s.row.Name, err)
		}
		s.row.Options["colour"] = "red"
		put(s.row)
		if err := open(); drivers.KindOf(err) != drivers.KindRefused || !strings.Contains(err.Error(), `there is no option "colour"`) {
			t.Errorf("%s with a wrong option: %v", s.row.Name, err)
		}
	}
}
