package sequence

import (
	"testing"

	"yagura/drivers"
)

// A volume is connected to a machine once the initiators are that the array
// speaks; the machine may have others, for other arrays.
func TestConnected(t *testing.T) {
	const iqn, iqn2, wwpn = "iqn.2026-01.example:a", "iqn.2026-01.example:a2", "50:00:00:00:00:00:00:01"
	for _, c := range []struct {
		of, to []string
		want   bool
	}{
		{[]string{iqn}, []string{iqn}, true},
		{[]string{iqn, wwpn}, []string{iqn}, true},
		{[]string{iqn, wwpn}, []string{wwpn}, true},
		{[]string{iqn, iqn2, wwpn}, []string{iqn}, false},
		{[]string{iqn}, []string{iqn2}, false},
		{[]string{iqn}, nil, false},
		{nil, []string{iqn}, false},
	} {
		if got := connected(drivers.VolumeState{Initiators: c.to}, c.of); got != c.want {
			t.Errorf("connected to %v of %v: %v", c.to, c.of, got)
		}
	}
}
