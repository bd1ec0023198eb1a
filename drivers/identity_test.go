package drivers

import (
	"strings"
	"testing"
)

func TestCheckSystem(t *testing.T) {
	const known = "4c4c4544-0042-3510-8054-b4c04f4d3132"
	for reported, same := range map[string]bool{
		known:                                  true,
		strings.ToUpper(known):                 true,
		"44454c4c-4200-1035-8054-b4c04f4d3132": true, // as SMBIOS has its bytes
		"":                                     true,
		"00000000-0000-0000-0000-000000000000": true,
		"ffffffff-ffff-ffff-ffff-ffffffffffff": true,
		"To be filled by O.E.M.":               true,
		"4c4c4544-0042-3510-8054-b4c04f4d3133": false,
		"32314d4f-c0b4-5480-1035-420044454c4c": false, // reversed as a whole: only IPMI's wire has that
	} {
		for _, pair := range [][2]string{{known, reported}, {reported, known}} {
			err := CheckSystem("https://192.0.2.40", pair[0], pair[1])
			if (err == nil) != same {
				t.Errorf("known %q, reported %q: %v", pair[0], pair[1], err)
			}
			if err == nil {
				continue
			}
			for _, want := range []string{"https://192.0.2.40", "reports the system UUID " + pair[1], "known is " + pair[0], "correct the address"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %q", want, err)
				}
			}
		}
	}
}
